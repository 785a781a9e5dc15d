//! Finding: what one rule says at one look, and which of them a person should read first.

use super::ceiling::CeilingCheck;
use super::e_process::Test;
use super::reason::{Comparison, OverBudget, Reason};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What one rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven over the rollback threshold.
    OverRollback,
    /// Proven over the absolute ceiling.
    OverCeiling,
    /// Proven to have spoilt more answers than the harm budget.
    OverBudget,
    /// The estimate is over the pause threshold, and it is proven worse than pass.
    OverPause,
    /// Proven worse than pass, not over pause.
    Between,
    /// Not decided yet.
    Uncertain,
    /// Neither arm, or only one, has data on it.
    NoData,
    /// Passes.
    Pass,
}

/// A rule's verdict with the tests that led to it.
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) shown: Comparison,
    /// Whether it is worse than the stored baseline, and stable as well.
    pub(super) drifts: bool,
    /// Of a line over the harm budget: the budget, and answers spoilt beyond stable's.
    pub(super) spoilt: Option<(u64, f64)>,
    /// The test that the comparison shows, where there is one.
    pub(super) test: Option<Test>,
    /// What its ceiling says, where it has one.
    pub(super) held: Option<CeilingCheck>,
    /// Whether the rule is one that advancing needs a proof on.
    pub(super) required: bool,
    /// The estimated harm, as a multiple of the way from pass to rollback; to compare lines by.
    pub(super) badness: f64,
    /// Whether, of a line over pause, it is proven by the release's own odds that the candidate is
    /// worse than stable.
    pub(super) is_harmful: bool,
}

impl Finding {
    pub(super) fn reason(&self) -> Reason {
        let shown = Box::new(self.shown.clone());
        if self.drifts {
            return Reason::BaselineDrift(shown);
        }
        match self.verdict {
            Verdict::OverRollback => Reason::OverRollback(shown),
            Verdict::OverCeiling => Reason::OverCeiling(shown),
            Verdict::OverBudget => {
                let (budget, spoilt) = self.spoilt.unwrap_or_default();
                Reason::OverBudget(Box::new(OverBudget { budget, spoilt, shown }))
            }
            Verdict::OverPause => Reason::OverPause(shown),
            Verdict::Between => Reason::BetweenPassAndPause(shown),
            Verdict::Uncertain => Reason::Uncertain(shown),
            Verdict::NoData => Reason::Skipped(shown),
            Verdict::Pass => Reason::Pass(shown),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self.verdict {
            Verdict::OverRollback | Verdict::OverCeiling | Verdict::OverBudget => true,
            Verdict::OverPause | Verdict::Between => false,
            Verdict::Uncertain | Verdict::NoData | Verdict::Pass => false,
        }
    }

    /// How much a person should look at it, before others: the verdict, then how bad.
    fn urgency(&self) -> (u8, f64) {
        let urgency = match self.verdict {
            Verdict::OverRollback | Verdict::OverCeiling | Verdict::OverBudget => 3,
            Verdict::OverPause => 2,
            Verdict::Between => 1,
            // Of these the plan's order says more than an estimate.
            Verdict::Uncertain | Verdict::NoData | Verdict::Pass => return (0, 0.0),
        };
        (urgency, self.badness)
    }

    /// The order in which people should read them: the worst first, of equals the plan's first.
    pub(super) fn by_urgency(&self, other: &Finding) -> Ordering {
        let ((first, bad), (second, worse)) = (self.urgency(), other.urgency());
        second.cmp(&first).then(worse.total_cmp(&bad))
    }

    /// The worst of these.
    pub(super) fn worst<'a>(lines: impl Iterator<Item = &'a Finding>) -> Option<&'a Finding> {
        lines.min_by(|a, b| a.by_urgency(b))
    }

    /// Whether advancing has to wait for this rule.
    pub(super) fn blocks(&self) -> bool {
        match self.verdict {
            Verdict::Pass => false,
            Verdict::Between => true,
            Verdict::OverRollback | Verdict::OverCeiling | Verdict::OverBudget => true,
            Verdict::OverPause => true,
            Verdict::Uncertain | Verdict::NoData => self.required,
        }
    }
}
