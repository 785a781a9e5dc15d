//! What every engine of the benchmark is given, and what it may answer.
//!
//! All engines climb the same ladder on the same stream of requests. An engine sees what a metrics
//! system would have kept of each interval, side by side for both arms, and says whether the
//! candidate looks good, bad, or neither. The ladder does the rest: bad rolls back at once;
//! at the end of a rung good rises and anything else stays.

use tidegate_core::decide::Metric;
use tidegate_core::observe::Histogram;

/// Count, sum and sum of squares of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ValueSums {
    /// How many values.
    pub(crate) n: u64,
    /// Their sum.
    pub(crate) sum: f64,
    /// The sum of their squares.
    pub(crate) squares: f64,
}

/// What one arm did in one interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct IntervalCounts {
    /// Requests.
    pub(crate) requests: u64,
    /// Those that failed.
    pub(crate) errors: u64,
    /// End-to-end time of those answered, µs.
    pub(crate) latency_us: Histogram,
    /// Tokens of those answered; what they cost is proportional.
    pub(crate) tokens: ValueSums,
    /// Answers of which a user said whether the task was done.
    pub(crate) labels: u64,
    /// Those where it was not.
    pub(crate) failed: u64,
}

/// What is watched in a scenario, so that peers that look at one metric look at the right one:
/// every peer is given the metric that matters, which is kind to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watched {
    /// `error_rate`, `latency_p95`, `tokens_per_request` or `task_failed_rate`.
    pub(crate) metric: Metric,
    /// The stable arm's true value before the release: share, ms or tokens.
    pub(crate) stable: f64,
    /// The candidate's value at the rollback line: what a careful user of a tool with fixed
    /// thresholds would have set.
    pub(crate) limit: f64,
}

/// What an engine says of the candidate after an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Rise when the rung is over.
    Good,
    /// Stay.
    Unsure,
    /// Roll back now.
    Bad,
}

/// One engine on one release.
pub(crate) trait Judge {
    /// What it says after one more interval of a minute. `stable` is empty where nobody was on it.
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement;
}
