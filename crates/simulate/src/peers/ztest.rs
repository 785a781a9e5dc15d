//! What many teams write themselves: a significance test every minute on all data so far, bad when
//! p is below 5 %, one-sided, and good otherwise. Shares: pooled two-proportion z. Means: Welch's
//! statistic against the normal. A quantile: the shares of both arms that are over stable's
//! quantile so far.

use super::reading::{Sample, Tally, above};
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use crate::statistics::normal_above;
use tidegate_core::decide::Metric;

/// A p-value below this is called significant.
const SIGNIFICANT: f64 = 0.05;

/// Both arms' sums.
#[derive(Debug)]
pub(super) struct ZTest {
    metric: Metric,
    stable: Tally,
    candidate: Tally,
}

/// Bad ones among all.
#[derive(Debug, Clone, Copy)]
struct Count {
    bad: u64,
    n: u64,
}

impl ZTest {
    /// Nothing seen yet.
    pub(super) fn new(watched: &Watched) -> ZTest {
        let metric = watched.metric;
        ZTest { metric, stable: Tally::new(metric), candidate: Tally::new(metric) }
    }

    /// How many standard errors the candidate is worse; `None` when that cannot be computed.
    fn z(&self) -> Option<f64> {
        match (&self.candidate, &self.stable) {
            (Tally::Share { bad, n }, Tally::Share { bad: stable_bad, n: stable_n }) => {
                two_proportions(
                    Count { bad: *bad, n: *n },
                    Count { bad: *stable_bad, n: *stable_n },
                )
            }
            (
                Tally::Quantile { q, latency_us },
                Tally::Quantile { q: _, latency_us: stable_us },
            ) => {
                let edge = stable_us.quantile(*q)?;
                let over = |values| Count { bad: above(values, edge), n: values.count() };
                two_proportions(over(latency_us), over(stable_us))
            }
            (Tally::Mean(candidate), Tally::Mean(stable)) => {
                welch(Sample::of(candidate)?, Sample::of(stable)?)
            }
            // Both arms hold the same metric.
            (
                Tally::Share { .. } | Tally::Quantile { .. } | Tally::Mean(_) | Tally::Absent,
                Tally::Share { .. } | Tally::Quantile { .. } | Tally::Mean(_) | Tally::Absent,
            ) => None,
        }
    }
}

/// The pooled z of two shares; 0 when nothing or everything is bad, `None` when an arm is empty.
fn two_proportions(candidate: Count, stable: Count) -> Option<f64> {
    if candidate.n == 0 || stable.n == 0 {
        return None;
    }
    let (n, m) = (candidate.n as f64, stable.n as f64);
    let pooled = (candidate.bad + stable.bad) as f64 / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let gap = candidate.bad as f64 / n - stable.bad as f64 / m;
    Some(if error > 0.0 { gap / error } else { 0.0 })
}

/// Welch's statistic of two means; `None` when nothing varies.
fn welch(candidate: Sample, stable: Sample) -> Option<f64> {
    let error = (candidate.variance / candidate.n + stable.variance / stable.n).sqrt();
    (error > 0.0).then(|| (candidate.mean - stable.mean) / error)
}

impl Judge for ZTest {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        self.stable.add(self.metric, stable);
        self.candidate.add(self.metric, candidate);
        match self.z() {
            None => Judgement::Unsure,
            Some(z) if normal_above(z) < SIGNIFICANT => Judgement::Bad,
            Some(_) => Judgement::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::ValueSums;

    /// `statsmodels`' and textbooks' pooled z; the p-value is what scipy 1.17.1 gives for the same
    /// table: `chi2_contingency([[30, 570], [410, 11590]], correction=False)[1] / 2`.
    #[test]
    fn two_proportions_are_scipys() {
        let z = two_proportions(Count { bad: 30, n: 600 }, Count { bad: 410, n: 12_000 });
        let p = normal_above(z.unwrap());
        assert!((p / 0.019616959603949727 - 1.0).abs() < 1e-9, "{p}");
    }

    /// `ttest_ind_from_stats(440, 260, 900, 400, 250, 17000, equal_var=False).statistic`.
    #[test]
    fn the_statistic_of_two_means_is_scipys() {
        let sample = |mean: f64, sd: f64, n: u64| {
            let count = n as f64;
            let squares = sd * sd * (count - 1.0) + count * mean * mean;
            Sample::of(&ValueSums { n, sum: mean * count, squares }).unwrap()
        };
        let z = welch(sample(440.0, 260.0, 900), sample(400.0, 250.0, 17_000)).unwrap();
        assert!((z / 4.506414193456895 - 1.0).abs() < 1e-9, "{z}");
    }
}
