//! A/B: two version sets beside each other, for as long as somebody wants to know which is better.
//!
//! It is a release that has one rung and stays there: the split, the counts, the red lines and the
//! rollback lines are those of a release. What differs is what follows from the rest. Nothing
//! advances, whatever is proven; a line over its pause threshold pauses nothing, since nothing
//! climbs; and at its end everyone is on stable again and the candidate is not blocked.
//!
//! Each of its metrics is tested on both sides of "no difference", with the e-process that a
//! release's lines have, each side at half of the metric's share of alpha. So both may be looked at
//! after every request: the chance that any of its metrics is ever called better or worse where
//! there is no difference is at most alpha (Ville's inequality, and Bonferroni's over metrics and
//! sides). What is proven once is kept with its moment. Traffic that changes can prove the other
//! side later; then both are there, and the later one is said.

use super::ab_plan::{AbFound, AbPlan, AbVerdict};
use super::bets::Against;
use super::clusters::design_effect;
use super::e_process::EProcess;
use super::levels::level;
use super::metric::Metric;
use super::plan::{Band, BandUnit, LineRule, Plan};
use super::state::ReleaseState;
use super::tally::MetricKind;
use super::yardstick::Yardstick;
use crate::ids::{UnixMs, VersionSetId};
use crate::observe::Window;
use serde::{Deserialize, Serialize};

/// One metric of an A/B test so far. Metrics are read as harm: a positive difference is worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbLine {
    /// What is compared.
    pub metric: Metric,
    /// What is known.
    pub verdict: AbVerdict,
    /// When that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<UnixMs>,
    /// By which token counts, or why not at all; absent where both arms reported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yardstick: Option<Yardstick>,
    /// Stable's value, in the metric's own unit (share, ms, tokens, dollars).
    pub stable: Option<f64>,
    /// The candidate's.
    pub candidate: Option<f64>,
    /// Samples of stable.
    pub samples_stable: u64,
    /// Samples of the candidate.
    pub samples_candidate: u64,
    /// How much higher the candidate's value is; in points of a rate, else relative to stable's.
    pub difference: Option<f64>,
    /// How the difference reads.
    pub unit: BandUnit,
    /// Where the difference is at least, at all looks at once; absent while it is not bounded.
    pub low: Option<f64>,
    /// Where it is at most.
    pub high: Option<f64>,
    /// How rarely, at most, chance alone shows as much at any look; 1 without a sign of it.
    pub p_value: f64,
    /// The metric's share of alpha: at or below this a difference is proven.
    pub alpha: f64,
    /// While it is open: so many more samples of the candidate prove a difference as large as the
    /// one seen; absent where more of the same proves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// How many requests of a subject count as one, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_effect: Option<f64>,
}

/// One metric, with everything its verdict follows from.
struct AbLook<'a> {
    e_process: EProcess<'a>,
    by: Yardstick,
}

impl<'a> AbLook<'a> {
    /// The metric at this place of the plan, judged by `rule`.
    fn new(
        plan: &Plan,
        (place, rule): (usize, &'a LineRule),
        state: &ReleaseState,
        (stable, candidate): (&Window, &Window),
    ) -> AbLook<'a> {
        let index = plan.rules.len() + place;
        let cells = state.strata.iter();
        let cells = cells.filter_map(|stratum| Some((stratum.cells.get(index)?, stratum.weight)));
        let effect = design_effect(rule.metric, stable, candidate);
        let by = Yardstick::of(rule.metric, stable, candidate);
        AbLook { e_process: EProcess::by(by, rule, cells, effect), by }
    }

    /// ln of the odds that the candidate is worse, and that it is better.
    fn odds(&self) -> (f64, f64) {
        let against = |side| self.e_process.against(0.0, side);
        (against(Against::AtMost), against(Against::AtLeast))
    }

    /// How many more of the candidate's samples prove the difference that is estimated, at this
    /// chance of an error.
    fn more(&self, alpha: f64) -> Option<u64> {
        let is_worse = self.e_process.estimate() > 0.0;
        let side = if is_worse { Against::AtMost } else { Against::AtLeast };
        let test = self.e_process.test(alpha, 0.0, side);
        let (now, again) = (test.odds().ln(), self.e_process.repeated(&test));
        let needed = (level(alpha) - now) / (again - now) * self.e_process.samples();
        // Nothing is gained where the arms look alike, and NaN fails the comparison.
        (again - now > 1e-9 && needed > 0.0 && needed < 1e9).then(|| needed.ceil() as u64)
    }
}

/// How the metric is compared: any difference counts.
fn rule_of(metric: Metric) -> LineRule {
    let unit = match metric.kind() {
        MetricKind::Rate(_) => BandUnit::Points,
        MetricKind::Quantile { .. } | MetricKind::Mean { .. } => BandUnit::Relative,
    };
    let band = Some(Band { pass: 0.0, pause: 0.0, rollback: 0.0, unit });
    LineRule { metric, band, ceiling: None, multiple: None, floor: 0.0, required: false }
}

/// Notes what is proven now and was not before.
pub(super) fn note_found(plan: &Plan, state: &mut ReleaseState, now: UnixMs) {
    let Some(ab) = &plan.ab else { return };
    let fresh = found_now(plan, ab, state, now);
    state.ab_found.extend(fresh);
}

fn found_now(plan: &Plan, ab: &AbPlan, state: &ReleaseState, now: UnixMs) -> Vec<AbFound> {
    let goal = level(ab.alpha_of_each() / 2.0);
    let mut fresh = Vec::new();
    let windows = (state.stable(), state.candidate());
    for (place, metric) in ab.metrics.iter().copied().enumerate() {
        let rule = rule_of(metric);
        let look = AbLook::new(plan, (place, &rule), state, (&windows.0, &windows.1));
        let sides = [(Against::AtMost, AbVerdict::Worse), (Against::AtLeast, AbVerdict::Better)];
        for (side, verdict) in sides {
            let known = |found: &AbFound| found.metric == metric && found.verdict == verdict;
            if !state.ab_found.iter().any(known) && look.e_process.proves(goal, 0.0, side) {
                fresh.push(AbFound { metric, verdict, at: now });
            }
        }
    }
    fresh
}

/// One arm of an A/B test so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbArm {
    /// What it is called.
    pub arm: String,
    /// What it serves.
    pub version_set: VersionSetId,
    /// Answers.
    pub count: u64,
    /// Answers that the first metric knows something of.
    pub scored: u64,
    /// Share of these that are good: 1 less the first metric; absent where that is no share.
    pub avg_score: Option<f64>,
    /// Mean time of an answer, ms; each counts as the middle of its bucket, so within 1 %.
    pub avg_latency: Option<f64>,
    /// Standard deviation of the scores, with `scored − 1`; absent where a score is not 0 or 1.
    pub score_std: Option<f64>,
}

/// Both arms of an A/B test, stable's first; `None` of another release.
pub fn ab_arms(plan: &Plan, state: &ReleaseState) -> Option<[AbArm; 2]> {
    let ab = plan.ab.as_ref()?;
    let goal = *ab.metrics.first()?;
    let arm = |name: &str, set: &VersionSetId, window: &Window| {
        let share = match goal.kind() {
            MetricKind::Rate(share) => Some(share(&window.counts)).filter(|share| share.n > 0),
            MetricKind::Quantile { .. } | MetricKind::Mean { .. } => None,
        };
        let (bad, n) = share.map_or((0.0, 0.0), |share| (share.rate(), share.n as f64));
        let spread = (bad * (1.0 - bad) * n / (n - 1.0)).sqrt();
        AbArm {
            arm: name.to_owned(),
            version_set: set.clone(),
            count: window.answered(),
            scored: goal.samples(window),
            avg_score: share.map(|_| 1.0 - bad),
            avg_latency: mean_ms(window),
            score_std: Some(spread).filter(|_| n > 1.0 && is_yes_or_no(goal)),
        }
    };
    Some([
        arm(&ab.stable_arm, &plan.from, &state.stable()),
        arm(&ab.candidate_arm, &plan.to, &state.candidate()),
    ])
}

fn mean_ms(window: &Window) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for (lower, upper, count) in window.latency_us.buckets() {
        sum += f64::midpoint(lower as f64, upper as f64) * count as f64;
        n += count as f64;
    }
    (n > 0.0).then(|| sum / n / 1000.0)
}

/// Whether each sample of the metric is good or bad, with nothing between.
fn is_yes_or_no(metric: Metric) -> bool {
    let graded = [Metric::Dissatisfaction, Metric::UncitedRate, Metric::UngroundedRate];
    metric.is_rate() && !graded.contains(&metric)
}

/// What every metric of an A/B test says, in the plan's order; empty for another release.
pub fn ab_lines(plan: &Plan, state: &ReleaseState) -> Vec<AbLine> {
    let Some(ab) = &plan.ab else { return Vec::new() };
    let (stable, candidate) = (state.stable(), state.candidate());
    let metrics = ab.metrics.iter().copied().enumerate();
    metrics.map(|it| line(plan, it, state, ab.alpha_of_each(), (&stable, &candidate))).collect()
}

fn line(
    plan: &Plan,
    (place, metric): (usize, Metric),
    state: &ReleaseState,
    alpha: f64,
    (stable, candidate): (&Window, &Window),
) -> AbLine {
    let rule = rule_of(metric);
    let look = AbLook::new(plan, (place, &rule), state, (stable, candidate));
    let finite = |value: f64| value.is_finite().then_some(value);
    let samples = |window| if look.by.compares() { metric.samples_by(window, look.by) } else { 0 };
    let (worse, better) = look.odds();
    let (side, e_process) = (level(alpha / 2.0), &look.e_process);
    let (low, high) = e_process.interval(side, side);
    let found = state.ab_found.iter().filter(|found| found.metric == metric);
    let found = found.max_by_key(|found| found.at);
    let more = if found.is_none() { look.more(alpha / 2.0) } else { None };
    let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
    AbLine {
        metric,
        verdict: found.map_or(AbVerdict::Open, |found| found.verdict),
        found_at: found.map(|found| found.at),
        yardstick: (look.by != Yardstick::Reported).then_some(look.by),
        stable: finite(metric.value_by(stable, look.by)),
        candidate: finite(metric.value_by(candidate, look.by)),
        samples_stable: samples(stable),
        samples_candidate: samples(candidate),
        difference: finite(e_process.estimate()),
        unit,
        low,
        high,
        p_value: (2.0 * (-worse.max(better)).exp()).min(1.0),
        alpha,
        more,
        design_effect: (e_process.effect > 1.0).then_some(e_process.effect),
    }
}

#[cfg(test)]
mod tests;
