//! Kayenta's NetflixACAJudge-v1.0 (docs "canary-config.md"; NetflixACAJudge.scala,
//! MannWhitneyClassifier.scala, EffectSizes.scala, WeightedSumScorer.scala).
//!
//! Its samples are the metric's values per minute, not requests; shares are in percent, as in its
//! own tests. A Mann-Whitney test gives an interval (98 %) and an estimate of the shift between
//! the arms; the metric is High when the lower end is above a quarter of the estimated shift – not
//! of stable's value – and the ratio of means is at least 1. Direction: increase. One metric makes
//! a score of 0 or 100, so Marginal, a band of scores, does not occur here. A metric without data
//! is half or more of all metrics without data, which scores 0. Minutes without a value are
//! removed.

mod mann_whitney;

use super::reading::value;
use crate::information::ReadAs;
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use tidegate_core::decide::Metric;
use tidegate_core::random::Random;

/// The part of the estimated shift that the interval must be beyond.
const TOLERANCE: f64 = 0.25;

/// The interval's confidence.
const CONFIDENCE: f64 = 0.98;

/// `effectSize.allowedIncrease` of `meanRatio`: its default.
const ALLOWED_INCREASE: f64 = 1.0;

/// The score that passes, of the schema's example.
const PASS: f64 = 75.0;

/// The score that is marginal, of the schema's example.
const MARGINAL: f64 = 50.0;

/// Two constant arms get noise of this share of their values, or the test could not be computed.
const NOISE: f64 = 1e-5;

/// When it is asked.
#[derive(Debug, Clone, Copy)]
enum Schedule {
    /// Once, at this minute; its verdict is final.
    Once(u32),
    /// Every so many minutes, on all data so far; a verdict holds until the next.
    Every(u32),
}

/// The judge of one release.
#[derive(Debug)]
pub(super) struct Kayenta {
    metric: Metric,
    schedule: Schedule,
    /// Minutes since the release began.
    minute: u32,
    /// Stable's values, one a minute.
    control: Vec<f64>,
    /// The candidate's values, one a minute.
    experiment: Vec<f64>,
    /// The verdict that holds now.
    last: Judgement,
}

/// A metric's classification; Low cannot be, as only an increase is harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Not surely higher.
    Pass,
    /// Surely higher.
    High,
    /// An arm has no value at all.
    NoData,
}

impl Kayenta {
    /// Asked once, after an hour.
    pub(super) fn once(watched: &Watched) -> Kayenta {
        Kayenta::new(watched, Schedule::Once(60))
    }

    /// Asked every five minutes.
    pub(super) fn every_5_minutes(watched: &Watched) -> Kayenta {
        Kayenta::new(watched, Schedule::Every(5))
    }

    fn new(watched: &Watched, schedule: Schedule) -> Kayenta {
        let (control, experiment) = (Vec::new(), Vec::new());
        let metric = watched.metric;
        Kayenta { metric, schedule, minute: 0, control, experiment, last: Judgement::Unsure }
    }

    /// The minute's value of an arm, shares in percent.
    fn reading(&self, interval: &IntervalCounts) -> Option<f64> {
        let factor = if ReadAs::of(self.metric) == ReadAs::Share { 100.0 } else { 1.0 };
        Some(value(self.metric, interval)? * factor)
    }
}

impl Judge for Kayenta {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        self.minute += 1;
        self.control.extend(self.reading(stable));
        self.experiment.extend(self.reading(candidate));
        let is_due = match self.schedule {
            Schedule::Once(minute) => self.minute == minute,
            Schedule::Every(minutes) => self.minute.is_multiple_of(minutes),
        };
        if is_due {
            self.last = verdict(score(classify(&self.control, &self.experiment)));
        }
        self.last
    }
}

/// One metric's share of passes, 0 to 100.
fn score(class: Class) -> f64 {
    match class {
        Class::Pass => 100.0,
        Class::High | Class::NoData => 0.0,
    }
}

/// What a score means.
fn verdict(score: f64) -> Judgement {
    if score >= PASS {
        Judgement::Good
    } else if score >= MARGINAL {
        Judgement::Unsure
    } else {
        Judgement::Bad
    }
}

/// Whether the experiment is higher than the control.
fn classify(control: &[f64], experiment: &[f64]) -> Class {
    let (Some(ratio), Some(mut x), Some(mut y)) =
        (mean_ratio(control, experiment), sorted(experiment), sorted(control))
    else {
        return Class::NoData;
    };
    if x == y {
        return Class::Pass;
    }
    if is_constant(&x) && is_constant(&y) {
        if x.first() == y.first() {
            return Class::Pass;
        }
        add_noise(&mut x, &mut y);
    }
    let shift = mann_whitney::shift(&x, &y, CONFIDENCE);
    let is_beyond = shift.low > TOLERANCE * shift.estimate.abs();
    // A mean of 0 makes the ratio no number, which is not at least 1: never High.
    if is_beyond && ratio >= ALLOWED_INCREASE { Class::High } else { Class::Pass }
}

/// Mean of the experiment over mean of the control; no number when either is 0, `None` without
/// data.
fn mean_ratio(control: &[f64], experiment: &[f64]) -> Option<f64> {
    if control.is_empty() || experiment.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (control, experiment) = (mean(control), mean(experiment));
    let is_number = control != 0.0 && experiment != 0.0;
    Some(if is_number { experiment / control } else { f64::NAN })
}

/// The values in order; `None` when there are none.
fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then_some(values)
}

/// Whether all values are the same.
fn is_constant(sorted: &[f64]) -> bool {
    sorted.first() == sorted.last()
}

/// Moves every value by a little; the same noise in every run.
fn add_noise(x: &mut [f64], y: &mut [f64]) {
    let mut random = Random::new(0, "kayenta's noise");
    for values in [x, y] {
        for value in values.iter_mut() {
            // The logarithm of a log-normal draw is normal.
            *value *= 1.0 + random.lognormal(NOISE).ln();
        }
        values.sort_by(f64::total_cmp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identical_samples_pass_in_any_order() {
        // MannWhitneyClassifier.scala: "data are identical".
        assert_eq!(classify(&[1.0, 2.0, 3.0], &[3.0, 1.0, 2.0]), Class::Pass);
        // And so do ties everywhere, in samples of different sizes.
        assert_eq!(classify(&[5.0; 4], &[5.0; 9]), Class::Pass);
        assert_eq!(classify(&[0.0; 4], &[0.0; 9]), Class::Pass);
    }

    #[test]
    fn two_constants_are_told_apart_by_noise() {
        assert_eq!(classify(&[5.0; 20], &[6.0; 20]), Class::High);
        assert_eq!(classify(&[6.0; 20], &[5.0; 20]), Class::Pass);
    }

    #[test]
    fn no_data_in_either_arm_is_no_data_and_scores_nothing() {
        assert_eq!(classify(&[], &[1.0]), Class::NoData);
        assert_eq!(classify(&[1.0], &[]), Class::NoData);
        assert_eq!(verdict(score(Class::NoData)), Judgement::Bad);
    }

    #[test]
    fn a_control_without_one_error_is_never_high() {
        // EffectSizes.scala: the ratio of means is no number when a mean is 0.
        assert_eq!(classify(&[0.0; 30], &[8.0; 30]), Class::Pass);
    }

    /// canary-config.md: the tolerance is a part of the estimated shift, so a small shift that is
    /// sure is High, and a large one that is not sure is not.
    #[test]
    fn the_tolerance_is_a_part_of_the_shift_and_not_of_the_value() {
        let control: Vec<f64> = (0..60).map(|i| 1_000.0 + f64::from(i) * 1e-3).collect();
        let barely: Vec<f64> = control.iter().map(|v| v + 1.0).collect();
        assert_eq!(classify(&control, &barely), Class::High);
        let wide: Vec<f64> = (0..12).map(|i| 1_000.0 + f64::from(i * i) * 10.0).collect();
        let shifted: Vec<f64> = wide.iter().map(|v| v + 300.0).collect();
        assert_eq!(classify(&wide, &shifted), Class::Pass);
    }

    #[test]
    fn scores_are_classified_as_in_the_schemas_example() {
        let calls = [100.0, 75.0, 74.9, 50.0, 49.9].map(verdict);
        assert_eq!(
            calls,
            [
                Judgement::Good,
                Judgement::Good,
                Judgement::Unsure,
                Judgement::Unsure,
                Judgement::Bad
            ]
        );
    }
}
