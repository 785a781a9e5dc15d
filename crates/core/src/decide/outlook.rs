//! Outlook: what a release can show before it has started, by its ladder, its traffic and its
//! baseline.
//!
//! Expected counts go through the same tests as real ones do in [`super::decide`], and the time is
//! sought at which they reach the level that each verdict needs. What earlier rungs have proven
//! counts on later ones, as in a release. Three questions for each rule and rung:
//!
//! - When does a candidate that is just like stable pass? What must be excluded is the rollback
//!   line; where the pass line is at 0 or below it is the margin of the next rung, since an equal
//!   candidate looks a little worse half of the time.
//! - Which harm could there be although it looks just like stable: what is not excluded by the end
//!   of the look?
//! - Which harm, from this rung's beginning on, rolls back by the end of its look?
//!
//! Expected counts give what is typical. Of releases drawn at random, 54 to 68 % had passed by the
//! time given, and about half had rolled back by the end of the look with the harm given; a quarter
//! to a half where it began on a later rung. Tests hold the first two against the engine itself.
//! Not in it: shared faults, gaps, an uneven split, and the comparison with the baseline, which
//! only pauses.

mod expected;

use super::bets::Against;
use super::e_process::EProcess;
use super::levels::{ADVANCE_ALPHA, level};
use super::metric::{Line, Metric};
use super::plan::{BandUnit, LineRule, Plan};
use super::strata::{self, Cell};
use crate::route::Weight;
use expected::{Expected, ExpectedStretch, Shape};
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest time looked ahead at one rung, ms: 30 days.
const HORIZON_MS: f64 = 30.0 * 86_400_000.0;
/// Most requests a second: in ten years of them no count overflows.
const RATE_MAX: f64 = 100_000.0;
/// Steps of a bisection over time: to 1/256 of the first time that is too short.
const TIME_STEPS: u32 = 8;
/// Steps of a bisection over harm: to 1/4096 of the range.
const HARM_STEPS: u32 = 12;
/// The largest relative harm that is sought: ten times as slow, or as dear.
const HARM_MAX: f64 = 9.0;

/// What is known of a service's requests before a release.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traffic {
    /// Requests a second, both arms together; over 0, at most 100,000.
    pub requests_per_s: f64,
    /// What an outcome is worth less than an independent one, at least 1; left out, it is the
    /// baseline's, or 1.
    pub design_effect: Option<f64>,
    /// Values of the stable arm in the metric's own unit (share, ms, tokens, dollars), in place of
    /// the baseline's.
    pub expected: BTreeMap<Metric, f64>,
    /// Whether answers are checked against a contract, so that each is a sample of
    /// `contract_broken_rate`.
    pub contract: bool,
}

/// Why traffic is refused, with what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrafficError {
    /// No rate of requests.
    #[error("{0:?} requests a second; it must be a number over 0 and at most {RATE_MAX}")]
    Rate(f64),
    /// A design effect below 1.
    #[error("a design effect of {0:?}; it must be a finite number of at least 1")]
    DesignEffect(f64),
    /// A value that the metric cannot have.
    #[error("a value of {given:?} for `{metric}`; it must be {allowed}")]
    Value {
        /// The metric's name.
        metric: &'static str,
        /// What was given.
        given: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A value for what no rule looks at.
    #[error("a value for `{0}`, which no rule of this project watches")]
    NotWatched(&'static str),
}

/// Where what is expected of a metric comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// From the stored days of stable.
    Baseline,
    /// It was given.
    Given,
    /// Nobody knows: a guess.
    Assumed,
    /// There are no samples of it; a rule that is required then never passes.
    Nothing,
}

/// What a release can show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlook {
    /// Requests a second, both arms together.
    pub requests_per_s: f64,
    /// Days of stable behind the numbers; 0 at a cold start.
    pub baseline_days: u32,
    /// Requests in those days.
    pub baseline_requests: u64,
    /// The rungs in order.
    pub rungs: Vec<RungOutlook>,
    /// Seconds until a candidate that is just like stable is promoted; absent when a rung is not
    /// left within 30 days.
    pub total_s: Option<u64>,
}

/// One rung of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RungOutlook {
    /// The candidate's weight, percent.
    pub weight_pct: Weight,
    /// How long it is looked at, s.
    pub look_s: u64,
    /// Requests of the candidate in that time.
    pub candidate_requests: u64,
    /// Seconds until each arm has the answers that anything needs here.
    pub enough_after_s: u64,
    /// Seconds until every line that is waited for typically passes, if nothing is wrong; absent
    /// when it takes more than 30 days.
    pub passes_after_s: Option<u64>,
    /// Candidate requests of this rung by then.
    pub passes_after_requests: Option<u64>,
    /// The metric that takes longest; absent when none takes any time.
    pub slowest: Option<Metric>,
    /// Whether that is within the look.
    pub fits: bool,
    /// Most extra bad requests that the next rung may be expected to show by what is not excluded
    /// when this one is left; absent at the last rung.
    pub next_bad_requests: Option<u64>,
    /// The rules in the plan's order.
    pub lines: Vec<LineOutlook>,
}

/// One rule at one rung. Harm is in the band's unit, as a fraction: 0.05 is 5 % or points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineOutlook {
    /// What is measured.
    pub metric: Metric,
    /// The line that the metric belongs to.
    pub line: Line,
    /// Whether advancing waits for it.
    pub required: bool,
    /// Where the numbers come from.
    pub data: Data,
    /// The stable arm's value in the metric's own unit; absent without samples.
    pub stable: Option<f64>,
    /// What an outcome is worth less than an independent one.
    pub design_effect: f64,
    /// How harm is read.
    pub unit: BandUnit,
    /// The chance of a false rollback that it may spend.
    pub alpha: f64,
    /// Samples of the candidate within the look.
    pub samples: u64,
    /// The harm that must be excluded to pass; absent where there is a ceiling only.
    pub must_exclude: Option<f64>,
    /// Seconds of this rung until it typically passes; absent when it takes more than 30 days.
    pub passes_after_s: Option<u64>,
    /// The smallest harm that is excluded by the end of the look, if nothing is wrong; absent when
    /// none is.
    pub excludes: Option<f64>,
    /// The smallest harm, from this rung on, that is typically rolled back by the end of its look;
    /// absent when none is, not even ten times as much.
    pub rolls_back: Option<f64>,
}

/// What this release can show, expected counts taken for real ones.
///
/// # Errors
/// When the traffic is none: [`TrafficError`]. The plan is taken as [checked](Plan::check).
pub fn outlook(plan: &Plan, traffic: &Traffic) -> Result<Outlook, TrafficError> {
    traffic.check(plan)?;
    let per_ms = traffic.requests_per_s / 1000.0;
    let expected: Vec<Expected> =
        plan.rules.iter().map(|rule| Expected::new(plan, traffic, rule)).collect();
    let mut before = Vec::new();
    let mut rungs = Vec::new();
    let mut total_ms = Some(0.0);
    for (index, rung) in plan.rungs.iter().enumerate() {
        let at = At { plan, per_ms, before: &before, index, weight: rung.weight };
        let look_ms = rung.look_ms as f64;
        let (outlook, passes_ms) = at.rung(&expected, look_ms);
        total_ms = total_ms.zip(passes_ms).map(|(total, passes)| total + passes.max(look_ms));
        // What does not pass by itself is promoted by hand, or not at all.
        before = at.stretches(passes_ms.unwrap_or(0.0).max(look_ms));
        rungs.push(outlook);
    }
    let baseline = plan.baseline.as_ref();
    Ok(Outlook {
        requests_per_s: traffic.requests_per_s,
        baseline_days: baseline.map_or(0, |baseline| baseline.days),
        baseline_requests: baseline.map_or(0, |baseline| baseline.window.requests),
        rungs,
        total_s: total_ms.map(seconds),
    })
}

impl Traffic {
    fn check(&self, plan: &Plan) -> Result<(), TrafficError> {
        let Traffic { requests_per_s, design_effect, expected, contract: _ } = self;
        if !(*requests_per_s > 0.0 && *requests_per_s <= RATE_MAX) {
            return Err(TrafficError::Rate(*requests_per_s));
        }
        if let Some(effect) = design_effect.filter(|e| !(e.is_finite() && *e >= 1.0)) {
            return Err(TrafficError::DesignEffect(effect));
        }
        for (metric, given) in expected {
            let (metric, given) = (*metric, *given);
            if plan.rules.iter().all(|rule| rule.metric != metric) {
                return Err(TrafficError::NotWatched(metric.as_str()));
            }
            let (is_allowed, allowed) = if metric.is_rate() {
                ((0.0..1.0).contains(&given), "a share, at least 0 and below 1")
            } else {
                (given.is_finite() && given > 0.0, "a finite number over 0")
            };
            if !is_allowed {
                return Err(TrafficError::Value { metric: metric.as_str(), given, allowed });
            }
        }
        Ok(())
    }
}

/// A rung of a release that has come so far.
struct At<'a> {
    plan: &'a Plan,
    /// Requests of both arms.
    per_ms: f64,
    /// The rungs before.
    before: &'a [ExpectedStretch],
    index: usize,
    weight: Weight,
}

impl At<'_> {
    fn rung(&self, expected: &[Expected], look_ms: f64) -> (RungOutlook, Option<f64>) {
        let enough_ms = self.enough_ms();
        let (mut passes_ms, mut slowest) = (Some(enough_ms), None);
        let mut lines = Vec::new();
        for (rule, expected) in self.plan.rules.iter().zip(expected) {
            let one = One { at: self, rule, expected };
            let passes = one.passes_after_ms();
            if rule.required && passes_ms.is_some_and(|all| passes.is_none_or(|one| one > all)) {
                (passes_ms, slowest) = (passes, Some(rule.metric));
            }
            lines.push(one.line(look_ms, passes));
        }
        let candidate = |ms: f64| (self.per_ms * ms * self.weight.fraction()).round() as u64;
        let outlook = RungOutlook {
            weight_pct: self.weight,
            look_s: seconds(look_ms),
            candidate_requests: candidate(look_ms),
            enough_after_s: seconds(enough_ms),
            passes_after_s: passes_ms.map(seconds),
            passes_after_requests: passes_ms.map(candidate),
            slowest,
            fits: passes_ms.is_some_and(|passes| passes <= look_ms),
            next_bad_requests: self.next_bad(&lines),
            lines,
        };
        (outlook, passes_ms)
    }

    /// Until both arms have [`Plan::min_samples`] answers here; nearly every request is one.
    fn enough_ms(&self) -> f64 {
        let needed = self.plan.min_samples as f64 / self.per_ms;
        let (new, old) = (self.weight.fraction(), self.weight.rest().fraction());
        let stable = if self.weight == Weight::FULL { 0.0 } else { needed / old };
        (needed / new).max(stable)
    }

    /// The worst that is not excluded when this rung is left, over the next one's requests.
    fn next_bad(&self, lines: &[LineOutlook]) -> Option<u64> {
        let next = self.plan.rungs.get(self.index + 1)?;
        let requests = self.per_ms * next.look_ms as f64 * next.weight.fraction();
        let left = |line: &LineOutlook| {
            let stable = line.stable.filter(|_| line.metric.is_rate() && line.required)?;
            let passed = line.must_exclude.filter(|_| line.passes_after_s.is_some());
            let harm = line.excludes.unwrap_or(1.0).min(passed.unwrap_or(1.0));
            Some(match line.unit {
                BandUnit::Points => harm.min(1.0 - stable),
                BandUnit::Relative => harm * (1.0 - stable),
            })
        };
        let worst = lines.iter().filter_map(left).fold(0.0, f64::max);
        Some((worst * requests).round() as u64)
    }

    /// The release so far and `ms` of this rung, cut where strata are.
    fn stretches(&self, ms: f64) -> Vec<ExpectedStretch> {
        let mut all = self.before.to_vec();
        let weight = self.weight;
        let mut from = all.last().map_or(0.0, |last| last.from + last.requests);
        let end = from + ms * self.per_ms;
        while from < end {
            let doubled = strata::doubles_at(from as u64) as f64;
            // At full weight there is nobody to take an anchor from.
            let to = if weight == Weight::FULL { end } else { end.min(doubled) };
            all.push(ExpectedStretch { weight, from, requests: to - from });
            from = to;
        }
        all
    }
}

/// One rule at a rung.
struct One<'a> {
    at: &'a At<'a>,
    rule: &'a LineRule,
    expected: &'a Expected,
}

impl One<'_> {
    fn line(&self, look_ms: f64, passes_ms: Option<f64>) -> LineOutlook {
        let Expected { per_request, data, effect, value, .. } = *self.expected;
        let requests = self.at.per_ms * look_ms * self.at.weight.fraction();
        let has_data = data != Data::Nothing;
        LineOutlook {
            metric: self.rule.metric,
            line: self.rule.metric.line(),
            required: self.rule.required,
            data,
            stable: Some(value).filter(|value| has_data && value.is_finite()),
            design_effect: effect,
            unit: self.rule.band.map_or(BandUnit::Relative, |band| band.unit),
            alpha: self.at.plan.alpha_of(self.rule),
            samples: (requests * per_request).round() as u64,
            must_exclude: self.must_exclude(),
            passes_after_s: passes_ms.map(seconds),
            excludes: self.excludes(look_ms).filter(|_| has_data),
            rolls_back: self.rolls_back(look_ms).filter(|_| has_data),
        }
    }

    /// The harm that an equal candidate must be proven within.
    fn must_exclude(&self) -> Option<f64> {
        let band = self.rule.band?;
        let margin = self.at.plan.margin(self.rule, self.at.index, Some(self.at.per_ms));
        Some(if band.pass > 0.0 { band.rollback } else { margin.min(band.rollback) })
    }

    /// When an equal candidate passes, ms of this rung.
    fn passes_after_ms(&self) -> Option<f64> {
        let passes = |ms: f64| self.passes(&self.at.stretches(ms));
        if self.expected.data == Data::Nothing {
            return None;
        }
        if passes(0.0) {
            return Some(0.0);
        }
        let (mut low, mut high) = (0.0, 1000.0);
        while !passes(high) {
            if high >= HORIZON_MS {
                return None;
            }
            (low, high) = (high, (high * 2.0).min(HORIZON_MS));
        }
        for _ in 0..TIME_STEPS {
            let middle = f64::midpoint(low, high);
            if passes(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    fn passes(&self, stretches: &[ExpectedStretch]) -> bool {
        let within = self.must_exclude().is_none_or(|harm| {
            let cells = self.expected.cells(stretches, usize::MAX, &self.expected.shape);
            self.e_process(&cells).proves(level(ADVANCE_ALPHA), harm, Against::AtLeast)
        });
        within
            && self.rule.ceiling.is_none_or(|ceiling| {
                let all = candidates(stretches) * self.expected.per_request;
                let at = &self.at;
                let bearable = at.plan.bearable(self.rule, at.index, Some(at.per_ms));
                let bound = self.limit(ceiling).max(bearable);
                self.expected.is_within(all, bound, ADVANCE_ALPHA)
            })
    }

    /// The smallest harm that an equal candidate is proven within by the end of the look.
    fn excludes(&self, look_ms: f64) -> Option<f64> {
        self.rule.band?;
        let stretches = self.at.stretches(look_ms);
        let cells = self.expected.cells(&stretches, usize::MAX, &self.expected.shape);
        self.e_process(&cells).interval(f64::INFINITY, level(ADVANCE_ALPHA)).1
    }

    /// The smallest harm from this rung on that is proven over a line by the end of its look.
    fn rolls_back(&self, look_ms: f64) -> Option<f64> {
        let stretches = self.at.stretches(look_ms);
        let most = match (self.rule.metric.is_rate(), self.rule.band.map(|band| band.unit)) {
            (false, _) => HARM_MAX,
            (true, Some(BandUnit::Points)) => 1.0 - self.expected.value - self.rule.floor,
            (true, Some(BandUnit::Relative) | None) => 1.0,
        };
        let is_over = |harm: f64| self.is_over(&stretches, harm);
        let mut low = self.rule.band.map_or(0.0, |band| band.rollback.min(most));
        // A ceiling may be nearer than the rollback line, or stable over it already.
        if self.rule.ceiling.is_some() {
            low = 0.0;
        }
        if is_over(low) {
            return Some(low);
        }
        let mut high = most;
        if !is_over(high) {
            return None;
        }
        for _ in 0..HARM_STEPS {
            let middle = f64::midpoint(low, high);
            if is_over(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    fn is_over(&self, stretches: &[ExpectedStretch], harm: f64) -> bool {
        let alpha = self.at.plan.alpha_of(self.rule);
        let turn = self.at.before.len();
        let shape = self.expected.harmed(self.rule, harm);
        let over_band = self.rule.band.is_some_and(|band| {
            let cells = self.expected.cells(stretches, turn, &shape);
            self.e_process(&cells).proves(level(alpha), band.rollback, Against::AtMost)
        });
        over_band || self.rule.ceiling.is_some_and(|c| self.is_over_ceiling(c, &shape, stretches))
    }

    /// The ceiling beside what stable is expected to have.
    fn limit(&self, ceiling: f64) -> f64 {
        self.rule.limit(ceiling, self.expected.value)
    }

    fn is_over_ceiling(&self, ceiling: f64, shape: &Shape, stretches: &[ExpectedStretch]) -> bool {
        let per_request = self.expected.per_request;
        let same = candidates(self.at.before) * per_request;
        let other = candidates(stretches) * per_request - same;
        let alpha = self.at.plan.alpha_of(self.rule);
        self.expected.absolute(same, (other, shape), alpha).low > self.limit(ceiling)
    }

    fn e_process(&self, cells: &[(Cell, Weight)]) -> EProcess<'_> {
        let cells = cells.iter().map(|(cell, weight)| (cell, *weight));
        EProcess::new(self.rule, cells, self.expected.divisor())
    }
}

/// Requests of the candidate.
fn candidates(stretches: &[ExpectedStretch]) -> f64 {
    stretches.iter().map(|stretch| stretch.requests * stretch.weight.fraction()).sum()
}

fn seconds(ms: f64) -> u64 {
    (ms / 1000.0).ceil() as u64
}

#[cfg(test)]
mod tests;
