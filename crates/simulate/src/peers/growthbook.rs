//! GrowthBook's Safe Rollouts (docs "Safe Rollouts", "Sequential Testing", "Quantile metrics";
//! gbstats/frequentist/tests.py, gbstats/models/statistics.py).
//!
//! A guardrail fails when the lower bound of the one-sided sequential interval for the absolute
//! change is above 0: any harm, however small. The interval is the asymptotic confidence sequence
//! of Waudby-Smith et al., eq. 134, tuned for 5,000 users in both arms. Until then the ladder
//! rises by its schedule, and what is inconclusive at the end ships. Without data, or where an arm
//! does not vary, there is no result; "No Data" holds.
//!
//! Its quantiles' bounds are read at the sample's own size, not at one of its table of sizes.

use super::reading::{Sample, Tally};
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use crate::statistics::normal_quantile;
use tidegate_core::decide::Metric;
use tidegate_core::observe::Histogram;

/// The significance level: its default.
const ALPHA: f64 = 0.05;

/// Users at which the sequence is tightest: its default.
const TUNED_FOR: f64 = 5_000.0;

/// Both arms' sums.
#[derive(Debug)]
pub(super) struct GrowthBook {
    metric: Metric,
    stable: Tally,
    candidate: Tally,
}

impl GrowthBook {
    /// Nothing seen yet.
    pub(super) fn new(watched: &Watched) -> GrowthBook {
        let metric = watched.metric;
        GrowthBook { metric, stable: Tally::new(metric), candidate: Tally::new(metric) }
    }
}

/// The mean or quantile of an arm with the variance of one observation of it; `None` where there
/// is no result.
fn statistic(tally: &Tally) -> Option<Sample> {
    let sample = match tally {
        Tally::Share { bad: _, n } => {
            let mean = tally.value()?;
            Sample { n: *n as f64, mean, variance: mean * (1.0 - mean) }
        }
        Tally::Quantile { q, latency_us } => quantile(latency_us, *q)?,
        Tally::Mean(moments) => Sample::of(moments)?,
        Tally::Absent => return None,
    };
    (sample.variance > 0.0).then_some(sample)
}

/// A quantile, ms, with its variance by the 95 % interval between order statistics.
fn quantile(latency_us: &Histogram, q: f64) -> Option<Sample> {
    let n = latency_us.count() as f64;
    let z = normal_quantile(0.975);
    let reach = z * (q * (1.0 - q) / n).sqrt();
    if q + reach >= 1.0 || q - reach <= 0.0 || n < 2.0 {
        return None;
    }
    let at = |q| Some(latency_us.quantile(q)? as f64 / 1e3);
    let sd = (at(q + reach)? - at(q - reach)?) / (2.0 * z);
    Some(Sample { n, mean: at(q)?, variance: (n - 1.0) * sd * sd })
}

/// The lower bound of the change from stable to candidate.
fn harm_at_least(candidate: Sample, stable: Sample) -> f64 {
    let n = candidate.n + stable.n;
    let per_user = (candidate.variance / candidate.n + stable.variance / stable.n) * n;
    let log = -2.0 * (2.0 * ALPHA).ln();
    let rho_squared = (log + (log + 1.0).ln()) / TUNED_FOR;
    let scaled = n * rho_squared + 1.0;
    let evidence = (1.0 + scaled.sqrt() / (2.0 * ALPHA)).ln();
    let halfwidth = (per_user * 2.0 * scaled / (n * n * rho_squared) * evidence).sqrt();
    candidate.mean - stable.mean - halfwidth
}

impl Judge for GrowthBook {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        self.stable.add(self.metric, stable);
        self.candidate.add(self.metric, candidate);
        if self.candidate.value().is_none() {
            return Judgement::Unsure;
        }
        let harm = statistic(&self.candidate)
            .zip(statistic(&self.stable))
            .map(|(candidate, stable)| harm_at_least(candidate, stable));
        match harm {
            Some(harm) if harm > 0.0 => Judgement::Bad,
            Some(_) | None => Judgement::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::ValueSums;

    /// gbstats' test_tests.py, TestSequentialOneSidedGreaterTTest.test_one_sided_ttest_absolute.
    #[test]
    fn the_published_bound() {
        let stable = ValueSums { n: 3_000, sum: 1396.87, squares: 52_377.976_7 };
        let candidate = ValueSums { n: 3_461, sum: 2422.7, squares: 134_698.29 };
        let harm = harm_at_least(Sample::of(&candidate).unwrap(), Sample::of(&stable).unwrap());
        assert!((harm + 0.126_568_441_728).abs() < 1e-10, "{harm}");
    }

    /// gbstats' QuantileStatistic: no result at or below z² q / (1 − q) = 72.99 events for P95.
    #[test]
    fn a_quantile_needs_73_events() {
        let mut values = Histogram::default();
        (0..72).for_each(|i| values.add(1_000_000 + i * 50_000));
        assert_eq!(quantile(&values, 0.95), None);
        values.add(1_000);
        assert!(quantile(&values, 0.95).is_some());
    }

    /// The variance of a median of uniform values is 1 / (4 n f²) = 0.25 for one observation.
    #[test]
    fn a_quantiles_variance_is_that_of_order_statistics() {
        let mut values = Histogram::default();
        (0..100_000u64).for_each(|i| values.add(i * 10));
        let median = quantile(&values, 0.5).unwrap();
        // In ms: the values run from 0 to 1,000. Buckets of 0.8 % at 500 ms blur it.
        assert!((median.mean - 500.0).abs() < 5.0, "{median:?}");
        let ratio = median.variance / (0.25 * 1_000.0 * 1_000.0);
        assert!((0.3..3.0).contains(&ratio), "{median:?}");
    }
}
