//! Standings: the odds on every rule, for and against the candidate at once.
//!
//! A decision's reason has the test that decided, or came nearest to it. A picture of a release
//! needs both tests at every look.

use super::bets::Against;
use super::levels::{ADVANCE_ALPHA, level};
use super::metric::Metric;
use super::plan::Plan;
use super::rule_look::RuleLook;
use super::state::ReleaseState;

/// The odds on one rule at its rollback line. All four are natural logarithms of odds, 0 for 1 : 1;
/// before the first outcome `over` and `within` are 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// What the rule measures.
    pub metric: Metric,
    /// That the candidate is over the rollback line.
    pub over: f64,
    /// From here on `over` rolls the release back.
    pub over_enough: f64,
    /// That it is within the rollback line.
    pub within: f64,
    /// From here on `within` lets the rule pass.
    pub within_enough: f64,
}

/// The standing of every rule that has a band, in the plan's order.
pub fn standings(plan: &Plan, state: &ReleaseState) -> Vec<Standing> {
    let (stable, candidate) = (state.stable(), state.candidate());
    (0..plan.rules.len())
        .filter_map(|index| RuleLook::new(plan, index, state, (&stable, &candidate)))
        .filter_map(|look| {
            let rollback = look.rule.band?.rollback;
            Some(Standing {
                metric: look.rule.metric,
                over: look.e_process.against(rollback, Against::AtMost),
                over_enough: level(look.alpha),
                within: look.e_process.against(rollback, Against::AtLeast),
                within_enough: level(ADVANCE_ALPHA),
            })
        })
        .collect()
}
