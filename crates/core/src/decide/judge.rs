//! All lines of a release at one look, side by side and beside the days before.

use super::bets::Against;
use super::e_process::EProcess;
use super::finding::{Finding, Verdict};
use super::lines::measure;
use super::pace::Pace;
use super::plan::Plan;
use super::reason::{Beside, Comparison, Numbers, Unit};
use super::rule_look::RuleLook;
use super::state::ReleaseState;
use super::strata::Cell;
use super::yardstick::Yardstick;
use crate::ids::UnixMs;
use crate::observe::Window;
use crate::route::Weight;

/// What every rule says, in the plan's order.
pub(super) fn judge_lines(plan: &Plan, state: &ReleaseState, now: UnixMs) -> Vec<Finding> {
    let (stable, candidate) = (state.stable(), state.candidate());
    let looks = (0..plan.rules.len())
        .filter_map(|index| RuleLook::new(plan, index, state, (&stable, &candidate)));
    let mut judged: Vec<(RuleLook<'_>, Finding)> = looks
        .map(|mut look| {
            let per_ms = traffic(state, &look, now);
            look.margin = plan.margin(look.rule, state.rung, per_ms);
            look.bearable = plan.bearable(look.rule, state.rung, per_ms);
            let finding = beside_baseline(plan, state, &look, look.judge());
            (look, finding)
        })
        .collect();
    // The interval takes dozens of tests, so only what is over has one worked out. What blocks says
    // how long it may take: people wait for the slowest.
    let over = judged.iter().enumerate().filter(|(_, (_, finding))| finding.is_over());
    let over = over.min_by(|(_, (_, a)), (_, (_, b))| a.by_urgency(b)).map(|(index, _)| index);
    let pace = Pace::of(plan, state, &candidate);
    for (index, (look, finding)) in judged.iter_mut().enumerate() {
        if Some(index) == over {
            look.bound(finding);
        } else if over.is_none() && finding.blocks() {
            look.forecast(finding, pace.as_ref());
        }
    }
    judged.into_iter().map(|(_, finding)| finding).collect()
}

/// Requests a ms so far; `None` before any time has passed.
fn traffic(state: &ReleaseState, look: &RuleLook<'_>, now: UnixMs) -> Option<f64> {
    let elapsed_ms = now.since(state.started_at);
    let requests = (look.stable.requests + look.candidate.requests) as f64;
    (elapsed_ms > 0).then(|| requests / elapsed_ms as f64)
}

/// The candidate beside the stored days of stable. Only a pause can follow: what differs between
/// last week and today is not the candidate's doing unless stable differs from it less, by its
/// pause line at most.
fn beside_baseline(
    plan: &Plan,
    state: &ReleaseState,
    look: &RuleLook<'_>,
    judged: Finding,
) -> Finding {
    let (Some(baseline), Some(band)) = (&plan.baseline, look.rule.band) else { return judged };
    if judged.verdict != Verdict::Pass && judged.verdict != Verdict::Uncertain {
        return judged;
    }
    let weight = plan.rungs.get(state.rung).map_or(Weight::ZERO, |rung| rung.weight);
    let beside = |window: &Window| {
        let cell = Cell::between(look.rule.metric, &baseline.window, window);
        let cells = std::iter::once((&cell, weight));
        let by = Yardstick::of(look.rule.metric, &baseline.window, window);
        EProcess::by(by, look.rule, cells, look.e_process.effect)
    };
    let e_process = beside(look.candidate);
    let test = e_process.test(look.alpha, band.rollback, Against::AtMost);
    if !test.is_proven() {
        return judged;
    }
    let estimate = e_process.estimate();
    let drift = beside(look.stable).estimate() > band.pause;
    let numbers = Numbers {
        stable: measure(look.rule.metric, &baseline.window),
        estimate: Some(estimate).filter(|e| e.is_finite()),
        threshold: Some(band.rollback),
        odds: Some(test.odds()),
        needed: Some(1.0 / look.alpha),
        alpha: Some(look.alpha),
        ..judged.shown.numbers
    };
    let (unit, days) = (Unit::of_band(band.unit), baseline.days);
    let beside = Beside::Baseline { days };
    let shown = Comparison { unit, beside, numbers, ..judged.shown };
    let verdict = if drift { judged.verdict } else { Verdict::OverPause };
    // Odds beside other days do not show what more of the same would change.
    Finding { verdict, shown, drifts: drift, test: None, ..judged }
}
