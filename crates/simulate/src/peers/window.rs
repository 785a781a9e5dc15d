//! A fixed window of 500 candidate requests, compared with a limit.
//!
//! When a window is full its value is compared and the next one starts: errors with the base
//! plus 0.5 points, everything else with the limit. Its verdict holds until the next one.

use super::reading::Tally;
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use tidegate_core::decide::Metric;

/// Candidate requests of a window; a window ends with the interval that fills it.
const REQUESTS: u64 = 500;

/// How far above the base errors may be: half a point.
const ERRORS_ABOVE_BASE: f64 = 0.005;

/// The window that is being filled.
#[derive(Debug)]
pub(super) struct FixedWindow {
    metric: Metric,
    /// The highest value that passes: share, ms or tokens.
    highest: f64,
    requests: u64,
    tally: Tally,
    last: Judgement,
}

impl FixedWindow {
    /// An empty window.
    pub(super) fn new(watched: &Watched) -> FixedWindow {
        let metric = watched.metric;
        let is_errors = metric == Metric::ErrorRate;
        let highest = if is_errors { watched.stable + ERRORS_ABOVE_BASE } else { watched.limit };
        FixedWindow {
            metric,
            highest,
            requests: 0,
            tally: Tally::new(metric),
            last: Judgement::Unsure,
        }
    }
}

impl Judge for FixedWindow {
    fn look(&mut self, _stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        self.requests += candidate.requests;
        self.tally.add(self.metric, candidate);
        if self.requests < REQUESTS {
            return self.last;
        }
        self.last = match self.tally.value() {
            None => Judgement::Unsure,
            Some(value) if value > self.highest => Judgement::Bad,
            Some(_) => Judgement::Good,
        };
        self.requests = 0;
        self.tally = Tally::new(self.metric);
        self.last
    }
}
