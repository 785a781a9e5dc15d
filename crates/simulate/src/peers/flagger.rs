//! Flagger's analysis (docs "Metrics Analysis" and "How it works"; pkg/controller/scheduler.go).
//!
//! Each minute one check passes or fails. Failed checks add up over the whole release and no
//! passing one takes them back. Whether there are too many is asked at the start of the next
//! minute, so a rollback comes one interval after the check that earned it. A failed check halts
//! the advance. A query without values is a failed check.

use super::reading::value;
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use tidegate_core::decide::Metric;

/// The success rate of its documented example is 99 %.
const ERRORS_MAX: f64 = 0.01;

/// One analysis.
#[derive(Debug)]
pub(super) struct Flagger {
    metric: Metric,
    /// The highest value that passes: share, ms or tokens.
    highest: f64,
    /// Failed checks at which it rolls back.
    threshold: u32,
    failed: u32,
}

impl Flagger {
    /// An analysis that rolls back at `threshold` failed checks.
    pub(super) fn new(watched: &Watched, threshold: u32) -> Flagger {
        let is_success_rate = watched.metric == Metric::ErrorRate;
        let highest = if is_success_rate { ERRORS_MAX } else { watched.limit };
        Flagger { metric: watched.metric, highest, threshold, failed: 0 }
    }
}

impl Judge for Flagger {
    fn look(&mut self, _stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        if self.failed >= self.threshold {
            return Judgement::Bad;
        }
        let passes = value(self.metric, candidate).is_some_and(|value| value <= self.highest);
        if passes {
            return Judgement::Good;
        }
        self.failed += 1;
        Judgement::Unsure
    }
}
