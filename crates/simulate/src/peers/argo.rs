//! Argo Rollouts' background analysis (docs "Analysis & Progressive Delivery";
//! analysis/analysis.go, utils/evaluate/evaluate.go).
//!
//! One measurement a minute, `count: 10`. A run fails when failed measurements exceed
//! `failureLimit`, is inconclusive when inconclusive ones exceed `inconclusiveLimit` (0), and is
//! in error when more than 4 in a row had no result, in this order; otherwise it is successful
//! when `count` is reached. Failed and error abort the release. Inconclusive pauses it until a
//! person acts, and here none does. A run that is still running holds nothing back: the ladder's
//! pauses end by time, and a run that is terminated unfinished, even before its first measurement,
//! counts as successful.
//!
//! A background run lasts for the release; as ours has a count, the next one starts when it ends.

use super::reading::value;
use crate::judge::{IntervalCounts, Judge, Judgement, Watched};
use tidegate_core::decide::Metric;

/// Measurements of a run.
const COUNT: u32 = 10;

/// Measurements without a result, in a row, that a run survives: its default.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;

/// Inconclusive measurements that a run survives: its default.
const INCONCLUSIVE_LIMIT: u32 = 0;

/// Of an error rate: how many times stable's fails.
const ERRORS_FAIL: f64 = 2.0;

/// What a measurement is compared with.
#[derive(Debug, Clone, Copy)]
enum Condition {
    /// `successCondition: result <= limit` alone: what does not succeed fails.
    AtMost(f64),
    /// `successCondition: result <= pass * stable`, `failureCondition: result > fail * stable`.
    Band {
        /// Times stable's value that succeeds.
        pass: f64,
        /// Times stable's value beyond which it fails.
        fail: f64,
    },
}

/// A measurement's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArgoPhase {
    /// The success condition holds.
    Successful,
    /// The failure condition holds, or there is none and the success condition does not.
    Failed,
    /// Neither holds.
    Inconclusive,
    /// There was nothing to measure.
    Error,
}

/// The counters of one run.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Measurements with a result.
    count: u32,
    /// Those that failed.
    failed: u32,
    /// Those that were inconclusive.
    inconclusive: u32,
    /// Measurements without a result since the last one with.
    consecutive_errors: u32,
}

/// The analysis of one release.
#[derive(Debug)]
pub(super) struct Argo {
    metric: Metric,
    condition: Condition,
    failure_limit: u32,
    run: Run,
    /// Whether it waits for a person.
    is_paused: bool,
}

impl Argo {
    /// Compares the candidate with a fixed limit.
    pub(super) fn below_limit(watched: &Watched, failure_limit: u32) -> Argo {
        Argo::new(watched.metric, Condition::AtMost(watched.limit), failure_limit)
    }

    /// Compares the candidate with stable, with room between success and failure: half of the way
    /// to the failing ratio succeeds. Errors fail at twice stable's, all else at the limit.
    pub(super) fn band(watched: &Watched) -> Argo {
        let is_errors = watched.metric == Metric::ErrorRate;
        let fail = if is_errors { ERRORS_FAIL } else { watched.limit / watched.stable };
        let condition = Condition::Band { pass: f64::midpoint(1.0, fail), fail };
        Argo::new(watched.metric, condition, 0)
    }

    fn new(metric: Metric, condition: Condition, failure_limit: u32) -> Argo {
        Argo { metric, condition, failure_limit, run: Run::default(), is_paused: false }
    }

    /// One measurement.
    fn measure(&self, stable: &IntervalCounts, candidate: &IntervalCounts) -> ArgoPhase {
        let Some(result) = value(self.metric, candidate) else { return ArgoPhase::Error };
        match self.condition {
            Condition::AtMost(limit) if result <= limit => ArgoPhase::Successful,
            Condition::AtMost(_) => ArgoPhase::Failed,
            Condition::Band { pass, fail } => match value(self.metric, stable) {
                None => ArgoPhase::Error,
                Some(stable) if result > fail * stable => ArgoPhase::Failed,
                Some(stable) if result <= pass * stable => ArgoPhase::Successful,
                Some(_) => ArgoPhase::Inconclusive,
            },
        }
    }

    /// With everybody on the candidate a rollout is over, and a query that divides by stable's
    /// traffic is no longer asked.
    fn is_over(&self, stable: &IntervalCounts, candidate: &IntervalCounts) -> bool {
        let compares = matches!(self.condition, Condition::Band { .. });
        compares && stable.requests == 0 && candidate.requests > 0
    }
}

impl Judge for Argo {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        if self.is_paused {
            return Judgement::Unsure;
        }
        if self.is_over(stable, candidate) {
            return Judgement::Good;
        }
        let phase = self.measure(stable, candidate);
        let run = &mut self.run;
        // A measurement in error does not count, and any other ends a row of them.
        if phase == ArgoPhase::Error {
            run.consecutive_errors += 1;
        } else {
            run.consecutive_errors = 0;
            run.count += 1;
            run.failed += u32::from(phase == ArgoPhase::Failed);
            run.inconclusive += u32::from(phase == ArgoPhase::Inconclusive);
        }
        if run.failed > self.failure_limit {
            return Judgement::Bad;
        }
        if run.inconclusive > INCONCLUSIVE_LIMIT {
            self.is_paused = true;
            return Judgement::Unsure;
        }
        if run.consecutive_errors > CONSECUTIVE_ERROR_LIMIT {
            return Judgement::Bad;
        }
        if run.count >= COUNT {
            self.run = Run::default();
        }
        Judgement::Good
    }
}
