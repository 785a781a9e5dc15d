//! Whether an operator's order to roll back is held up, because the version set that everyone would
//! return to does not answer.
//!
//! Only orders are: what rolls back by its lines, or for a red line, asks nobody. Only where the
//! model or the upstream is another one: on the same, both sets fail together, and rolling back
//! makes nothing worse. Only by a fault that is surely the model server's: what could not be asked,
//! or had not answered in time, keeps nobody on the candidate.

use super::plan::Plan;
use super::state::OrderKind;
use crate::upstream::{Failure, FaultOwner};

/// What came of asking that version set one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// It answered.
    Answered,
    /// It failed.
    Failed(Failure),
    /// It had not answered in the time that an order has.
    NotInTime,
    /// It could not be asked from here: a key or a file is missing, say.
    NotAsked,
}

/// Whether the version set is asked before this order on a release of this plan is carried out;
/// `anyway` where the operator wants no question asked.
pub fn asks_way_back(plan: &Plan, kind: OrderKind, anyway: bool) -> bool {
    match kind {
        OrderKind::RollBack => !anyway && !plan.same_upstream,
        // Stable serves its share of an A/B test up to its end.
        OrderKind::End => false,
        OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {
            false
        }
    }
}

impl Probe {
    /// Whether the order is refused.
    pub fn refuses(self) -> bool {
        match self {
            Probe::Failed(failure) => failure.fault() == FaultOwner::Upstream,
            Probe::Answered | Probe::NotInTime | Probe::NotAsked => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::plan;

    #[test]
    fn only_a_rollback_to_another_model_asks() {
        let kinds = [
            OrderKind::Pause,
            OrderKind::Resume,
            OrderKind::Promote,
            OrderKind::PromoteFully,
            OrderKind::RollBack,
        ];
        for kind in kinds {
            for (anyway, same_upstream) in [(false, false), (true, false), (false, true)] {
                let plan = Plan { same_upstream, ..plan(Vec::new()) };
                let expected = kind == OrderKind::RollBack && !anyway && !same_upstream;
                assert_eq!(asks_way_back(&plan, kind, anyway), expected, "{kind:?}");
            }
        }
    }

    #[test]
    fn only_a_fault_of_the_model_server_refuses() {
        for failure in [Failure::Unreachable, Failure::AccountLimit, Failure::Credential] {
            assert!(Probe::Failed(failure).refuses(), "{failure:?}");
        }
        for failure in [Failure::Refused, Failure::Unrendered, Failure::Internal] {
            assert!(!Probe::Failed(failure).refuses(), "{failure:?}");
        }
        for probe in [Probe::Answered, Probe::NotInTime, Probe::NotAsked] {
            assert!(!probe.refuses(), "{probe:?}");
        }
    }
}
