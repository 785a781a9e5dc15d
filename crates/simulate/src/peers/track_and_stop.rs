//! TensorZero's adaptive experiments (docs "Adaptive A/B tests"; track_and_stop/check_stopping.rs).
//!
//! Every 300 s the arm with the better mean is compared with the other by a generalised likelihood
//! ratio, (gap)² / (2 Σ variance / n). Above ln((1 + ln t) / δ), t being all observations, the
//! leader wins and the experiment is over. It picks a winner: there is no line that a candidate may
//! not cross, and between two equal arms it does not end. Of a latency it takes the mean, as it
//! has no quantiles. Here the ladder sets the weights, not the experiment.

use super::reading::{Sample, Tally};
use crate::judge::{IntervalCounts, Judge, Judgement, ValueSums, Watched};
use tidegate_core::decide::Metric;

/// Observations an arm needs before anything is decided: its default.
const SAMPLES_MIN: f64 = 10.0;

/// The tolerated error: its default.
const DELTA: f64 = 0.05;

/// How much worse than the best a winner may be: its default.
const EPSILON: f64 = 0.0;

/// What an arm's variance is at least: its default.
const RIDGE: f64 = 1e-12;

/// Minutes between looks: 300 s, its default.
const MINUTES: u32 = 5;

/// One experiment.
#[derive(Debug)]
pub(super) struct TrackAndStop {
    metric: Metric,
    minute: u32,
    stable: Tally,
    candidate: Tally,
    last: Judgement,
}

/// Which arm won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Winner {
    /// The candidate rolls back.
    Stable,
    /// It rises.
    Candidate,
}

impl TrackAndStop {
    /// Nothing seen yet.
    pub(super) fn new(watched: &Watched) -> TrackAndStop {
        let metric = watched.metric;
        let (stable, candidate) = (Tally::new(metric), Tally::new(metric));
        TrackAndStop { metric, minute: 0, stable, candidate, last: Judgement::Unsure }
    }
}

/// An arm's mean and variance as its feedback table would hold them.
fn sample(tally: &Tally) -> Option<Sample> {
    match tally {
        Tally::Share { bad, n } => {
            let bad = *bad as f64;
            Sample::of(&ValueSums { n: *n, sum: bad, squares: bad })
        }
        Tally::Quantile { q: _, latency_us } => Sample::of_latency(latency_us),
        Tally::Mean(moments) => Sample::of(moments),
        Tally::Absent => None,
    }
}

/// The arm whose values, which are harm, are surely lower; `None` while that is open.
fn winner(stable: Sample, candidate: Sample, delta: f64) -> Option<Winner> {
    if stable.n < SAMPLES_MIN || candidate.n < SAMPLES_MIN {
        return None;
    }
    let gap = (stable.mean - candidate.mean).abs() + EPSILON;
    let spread =
        stable.variance.max(RIDGE) / stable.n + candidate.variance.max(RIDGE) / candidate.n;
    let ratio = gap * gap / (2.0 * spread);
    let threshold = ((1.0 + (stable.n + candidate.n).ln()) / delta).ln();
    let leader = if candidate.mean < stable.mean { Winner::Candidate } else { Winner::Stable };
    (ratio > threshold).then_some(leader)
}

impl Judge for TrackAndStop {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        self.minute += 1;
        self.stable.add(self.metric, stable);
        self.candidate.add(self.metric, candidate);
        // Once somebody won, the experiment is over.
        if self.last == Judgement::Unsure && self.minute.is_multiple_of(MINUTES) {
            let both = sample(&self.stable).zip(sample(&self.candidate));
            self.last = match both.and_then(|(s, c)| winner(s, c, DELTA)) {
                None => Judgement::Unsure,
                Some(Winner::Candidate) => Judgement::Good,
                Some(Winner::Stable) => Judgement::Bad,
            };
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewards as in its tests; ours are harm, so the sign changes.
    fn arm(n: f64, reward: f64, variance: f64) -> Sample {
        Sample { n, mean: -reward, variance }
    }

    /// check_stopping.rs, tests two_arms, insufficient_pulls, delta_affects_threshold (its two
    /// closest arms) and increasing_samples_increases_stopping.
    #[test]
    fn the_published_cases() {
        let won = |stable, candidate| winner(stable, candidate, DELTA);
        let (low, high) = (arm(100.0, 0.3, 0.1), arm(100.0, 0.8, 0.1));
        assert_eq!(won(low, high), Some(Winner::Candidate));
        assert_eq!(won(high, low), Some(Winner::Stable));
        assert_eq!(won(arm(5.0, 0.3, 0.1), arm(15.0, 0.7, 0.1)), None);
        assert_eq!(won(arm(50.0, 0.50, 0.2), arm(50.0, 0.52, 0.2)), None);
        assert_eq!(won(arm(80.0, 0.55, 0.25), arm(80.0, 0.70, 0.25)), None);
        let many = won(arm(1_000.0, 0.55, 0.25), arm(1_000.0, 0.70, 0.25));
        assert_eq!(many, Some(Winner::Candidate));
        let (best, second) = (arm(150.0, 0.65, 0.15), arm(150.0, 0.50, 0.15));
        assert_eq!(winner(second, best, 0.01), None);
        assert_eq!(winner(second, best, 0.2), Some(Winner::Candidate));
    }

    #[test]
    fn equal_arms_without_spread_do_not_end_it() {
        assert_eq!(winner(arm(500.0, 1.0, 0.0), arm(500.0, 1.0, 0.0), DELTA), None);
    }
}
