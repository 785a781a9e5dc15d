//! A look at one rule: what is known of it at one moment. What follows from it is said by
//! `ceiling`, `harm_budget`, `multiple` and `lines`.

use super::clusters::design_effect;
use super::e_process::EProcess;
use super::plan::{LineRule, Plan};
use super::state::ReleaseState;
use super::strata::is_alone;
use super::yardstick::Yardstick;
use crate::observe::Window;
use crate::route::Weight;

/// One rule, with everything its verdict follows from.
pub(super) struct RuleLook<'a> {
    pub(super) rule: &'a LineRule,
    pub(super) e_process: EProcess<'a>,
    /// All that was seen of both arms.
    pub(super) stable: &'a Window,
    pub(super) candidate: &'a Window,
    /// By which token counts the arms are compared.
    pub(super) by: Yardstick,
    /// Answers that the candidate may spoil beyond stable's; 0 for no limit.
    pub(super) harm_budget: u64,
    /// The rule's share of the error budget.
    pub(super) alpha: f64,
    /// The harm that must be excluded before the next rung.
    pub(super) margin: f64,
    /// The rate that the next rung can bear, 0 to 1; 0 for lines other than risk.
    pub(super) bearable: f64,
}

impl<'a> RuleLook<'a> {
    /// The rule on the strata of a release.
    pub(super) fn new(
        plan: &'a Plan,
        index: usize,
        state: &'a ReleaseState,
        (stable, candidate): (&'a Window, &'a Window),
    ) -> Option<RuleLook<'a>> {
        let rule = plan.rules.get(index)?;
        let rung = plan.rungs.get(state.rung).filter(|_| is_alone(plan, state.rung, &state.strata));
        let cells = state.strata.iter().filter_map(|stratum| {
            // With nobody on stable a weight is as good as full.
            let alone = rung.is_some_and(|rung| rung.weight == stratum.weight);
            let weight = if alone { Weight::FULL } else { stratum.weight };
            Some((stratum.cells.get(index)?, weight))
        });
        let effect = design_effect(rule.metric, stable, candidate);
        let by = Yardstick::of(rule.metric, stable, candidate);
        let e_process = EProcess::by(by, rule, cells, effect);
        let alpha = plan.alpha_of(rule);
        let margin = rule.band.map_or(0.0, |band| band.pause);
        let harm_budget = plan.harm_budget;
        let bearable = 0.0;
        Some(RuleLook {
            rule,
            e_process,
            stable,
            candidate,
            by,
            harm_budget,
            alpha,
            margin,
            bearable,
        })
    }
}
