//! Row: what came of one engine in one scenario, as shares with bounds.

use super::statistics::{rate_at_least, rate_at_most};
use serde::{Deserialize, Serialize};

/// Confidence of each bound.
const CONFIDENCE: f64 = 0.99;

/// A share of runs with its 99 % bounds (Clopper and Pearson, 1934).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShareOfRuns {
    /// Runs.
    pub(crate) runs: usize,
    /// Of all, 0 to 1.
    pub(crate) share: f64,
    /// The true share is below with probability at most 1 %.
    pub(crate) at_least: f64,
    /// The true share is above with probability at most 1 %.
    pub(crate) at_most: f64,
}

impl ShareOfRuns {
    /// So many of so many runs.
    pub(super) fn of(runs: usize, all: usize) -> ShareOfRuns {
        let (hits, n) = (runs as u64, all as u64);
        ShareOfRuns {
            runs,
            share: runs as f64 / all.max(1) as f64,
            at_least: rate_at_least(hits, n, CONFIDENCE),
            at_most: rate_at_most(hits, n, CONFIDENCE),
        }
    }
}

/// One engine in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What would be right: `good`, `tolerable`, `bad` or `unknowable`.
    pub(crate) truth: String,
    /// The engine's name.
    pub(crate) engine: String,
    /// Runs that rolled back.
    pub(crate) rolled_back: ShareOfRuns,
    /// Those of them that rolled back since a pause's limit or the harm budget was reached.
    #[serde(default)]
    pub(crate) back_by_limit: usize,
    /// Runs that ended with the candidate as stable.
    pub(crate) promoted: ShareOfRuns,
    /// Runs that were paused at the horizon.
    pub(crate) paused: ShareOfRuns,
    /// Runs that were still climbing at the horizon.
    pub(crate) undecided: ShareOfRuns,
    /// Runs in which the weight rose at least once.
    pub(crate) rose: ShareOfRuns,
    /// Of the runs that rolled back, those that named the line that was broken; only where one was,
    /// and only for engines that name lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_right: Option<ShareOfRuns>,
    /// Minutes until the end, the middle run's.
    pub(crate) minutes_median: f64,
    /// Requests of the candidate until the end, since its harm set in: the middle run's.
    pub(crate) candidate_requests_median: f64,
    /// The same in the mean.
    pub(crate) candidate_requests_mean: f64,
    /// The standard error of that mean.
    pub(crate) candidate_requests_error: f64,
    /// The same, of the 95th of 100 runs.
    pub(crate) candidate_requests_p95: f64,
    /// The fewest requests of the candidate that could prove the harm at the release's α.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<f64>,
    /// The same at one line's share of α: what not knowing which line breaks costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound_one_line: Option<f64>,
    /// The mean requests of the candidate over [`Self::bound`], which is one on the mean. Where not
    /// every run rolled back, the true ratio is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) over_bound: Option<f64>,
    /// Requests spoilt, in the mean.
    #[serde(default)]
    pub(crate) spoilt_mean: f64,
    /// Requests spoilt, the middle run's.
    pub(crate) spoilt_median: f64,
    /// The same, of the 95th of 100 runs.
    pub(crate) spoilt_p95: f64,
}
