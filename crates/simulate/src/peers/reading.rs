//! What a peer reads off intervals: the watched metric's value in one of them, and its sums.

use crate::information::ReadAs;
use crate::judge::{IntervalCounts, ValueSums};
use tidegate_core::decide::Metric;
use tidegate_core::observe::Histogram;

/// The watched metric's value in one interval: share, ms or tokens; `None` when there was nothing
/// to measure.
pub(super) fn value(metric: Metric, interval: &IntervalCounts) -> Option<f64> {
    match ReadAs::of(metric) {
        ReadAs::Share => {
            let (bad, n) = share(metric, interval);
            (n > 0).then(|| bad as f64 / n as f64)
        }
        ReadAs::Quantile(q) => quantile_ms(&interval.latency_us, q),
        ReadAs::Mean => mean(&interval.tokens),
        ReadAs::Absent => None,
    }
}

/// Of how many requests or labelled answers how many were bad: (bad, all).
pub(super) fn share(metric: Metric, interval: &IntervalCounts) -> (u64, u64) {
    if metric == Metric::TaskFailedRate {
        (interval.failed, interval.labels)
    } else {
        (interval.errors, interval.requests)
    }
}

fn quantile_ms(latency_us: &Histogram, q: f64) -> Option<f64> {
    let value_us = latency_us.quantile(q)?;
    Some(value_us as f64 / 1e3)
}

fn mean(moments: &ValueSums) -> Option<f64> {
    (moments.n > 0).then(|| moments.sum / moments.n as f64)
}

/// One arm's sums of the watched metric over several intervals.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tally {
    /// Bad ones among requests or labelled answers.
    Share {
        /// How many were bad.
        bad: u64,
        /// Of how many.
        n: u64,
    },
    /// Latencies, µs, of which the `q` quantile (0 to 1) is watched.
    Quantile {
        /// Which quantile.
        q: f64,
        /// Latencies of answered requests, µs.
        latency_us: Histogram,
    },
    /// Tokens.
    Mean(ValueSums),
    /// Nothing is simulated of this metric.
    Absent,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new(metric: Metric) -> Tally {
        match ReadAs::of(metric) {
            ReadAs::Share => Tally::Share { bad: 0, n: 0 },
            ReadAs::Quantile(q) => Tally::Quantile { q, latency_us: Histogram::default() },
            ReadAs::Mean => Tally::Mean(ValueSums::default()),
            ReadAs::Absent => Tally::Absent,
        }
    }

    /// Adds an interval; `metric` is the one it was made for.
    pub(super) fn add(&mut self, metric: Metric, interval: &IntervalCounts) {
        match self {
            Tally::Share { bad, n } => {
                let (more_bad, more) = share(metric, interval);
                *bad += more_bad;
                *n += more;
            }
            Tally::Quantile { q: _, latency_us } => latency_us.merge(&interval.latency_us),
            Tally::Mean(moments) => {
                let ValueSums { n, sum, squares } = interval.tokens;
                moments.n += n;
                moments.sum += sum;
                moments.squares += squares;
            }
            Tally::Absent => {}
        }
    }

    /// The metric's value: share, ms or tokens; `None` when there is nothing yet.
    pub(super) fn value(&self) -> Option<f64> {
        match self {
            Tally::Share { bad, n } => (*n > 0).then(|| *bad as f64 / *n as f64),
            Tally::Quantile { q, latency_us } => quantile_ms(latency_us, *q),
            Tally::Mean(moments) => mean(moments),
            Tally::Absent => None,
        }
    }
}

/// Count, mean and sample variance (divided by n − 1) of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// How many.
    pub(super) n: f64,
    /// Their mean.
    pub(super) mean: f64,
    /// Their sample variance.
    pub(super) variance: f64,
}

impl Sample {
    /// Of sums; `None` below two values.
    pub(super) fn of(moments: &ValueSums) -> Option<Sample> {
        if moments.n < 2 {
            return None;
        }
        let n = moments.n as f64;
        let mean = moments.sum / n;
        // Rounding may take a constant's variance below 0.
        let variance = ((moments.squares - n * mean * mean) / (n - 1.0)).max(0.0);
        Some(Sample { n, mean, variance })
    }

    /// Of latencies by the middles of their buckets, which are within 0.8 %, ms.
    pub(super) fn of_latency(latency_us: &Histogram) -> Option<Sample> {
        let mut moments = ValueSums::default();
        for (low, high, count) in latency_us.buckets() {
            let middle = f64::midpoint(low as f64, high as f64) / 1e3;
            moments.n += count;
            moments.sum += count as f64 * middle;
            moments.squares += count as f64 * middle * middle;
        }
        Sample::of(&moments)
    }
}

/// How many of the counted values are above `edge`, the upper edge of one of its buckets.
pub(super) fn above(histogram: &Histogram, edge: u64) -> u64 {
    histogram.buckets().filter(|(low, _, _)| *low > edge).map(|(_, _, count)| count).sum()
}
