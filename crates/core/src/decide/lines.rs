//! Lines: one rule, two windows → a verdict with its numbers.
//!
//! Harm is expressed in the rule's band unit, positive when the candidate is worse. Its interval is
//! made from one interval for each arm. Two levels are used: "over" must be proven at the release's
//! error budget for one rule; "not over" at [`ADVANCE_ALPHA`], which needs no correction over rules
//! since all of them must hold to advance (intersection-union).
//!
//! Order of checks: proven over the ceiling or rollback → over; proven worse than pass → pause where
//! the estimate is over pause, else between; proven not over rollback, and within pass or proven
//! not over pause → pass; else uncertain. An estimate alone pauses nothing: on 50 answers a P95 is
//! easily 20 % off.

use super::interval::{self, Interval};
use super::metric::Metric;
use super::plan::{Band, BandUnit, LineRule};
use super::types::{Reason, ReasonCode};
use crate::observe::{Histogram, Window};
use serde::{Deserialize, Serialize};

/// Level of each "not over" proof.
pub(super) const ADVANCE_ALPHA: f64 = 0.05;

/// What one rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven over the rollback threshold.
    OverRollback,
    /// Proven over the absolute ceiling.
    OverCeiling,
    /// The estimate is over the pause threshold, and it is proven worse than pass.
    OverPause,
    /// Proven worse than pass, not over pause.
    Between,
    /// Cannot be told yet.
    Uncertain,
    /// Neither arm, or only one, has data on it.
    NoData,
    /// Passes.
    Pass,
}

impl Verdict {
    fn code(self) -> ReasonCode {
        match self {
            Verdict::OverRollback => ReasonCode::OverRollback,
            Verdict::OverCeiling => ReasonCode::OverCeiling,
            Verdict::OverPause => ReasonCode::OverPause,
            Verdict::Between => ReasonCode::BetweenPassAndPause,
            Verdict::Uncertain => ReasonCode::Uncertain,
            Verdict::NoData => ReasonCode::Skipped,
            Verdict::Pass => ReasonCode::Pass,
        }
    }
}

/// The numbers behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Value of the stable arm, in the metric's unit.
    pub stable: f64,
    /// Value of the candidate.
    pub candidate: f64,
    /// Samples behind them.
    pub samples_stable: u64,
    /// Samples behind them.
    pub samples_candidate: u64,
    /// Estimated harm, a fraction.
    pub estimate: f64,
    /// Lower end of the interval that "over rollback" is proven with.
    pub low: f64,
    /// Lower end of the interval that "worse than pass" is proven with.
    pub low_advance: f64,
    /// Upper end of the same: "not over" is proven with it.
    pub high: f64,
}

/// Holds the candidate's window against the stable arm's by one rule; `alpha` is the error budget
/// of this rule for proving it over.
pub fn compare(
    rule: &LineRule,
    stable: &Window,
    candidate: &Window,
    alpha: f64,
) -> (Verdict, Reason) {
    let (old, new) = (Sample::of(rule.metric, stable), Sample::of(rule.metric, candidate));
    let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
    let harm = |alpha: f64| {
        // Half the level for each arm: both intervals hold together with 1 − alpha.
        harm_interval(rule, unit, old.interval(alpha / 2.0), new.interval(alpha / 2.0))
    };
    let advance = harm(ADVANCE_ALPHA);
    let numbers = Comparison {
        stable: old.value(),
        candidate: new.value(),
        samples_stable: old.count(),
        samples_candidate: new.count(),
        estimate: harm_point(rule, unit, old.value(), new.value()),
        low: harm(alpha).low,
        low_advance: advance.low,
        high: advance.high,
    };
    let ceiling = rule.ceiling.map(|limit| {
        let (over, under) = (new.interval(alpha), new.interval(ADVANCE_ALPHA));
        (over.low > limit, under.high <= limit)
    });
    let verdict = judge(rule.band, ceiling, &numbers);
    (verdict, reason(rule, verdict, &numbers))
}

/// A metric's value in its own unit (share, ms, tokens, dollars); `None` without samples.
pub fn measure(metric: Metric, window: &Window) -> Option<f64> {
    Some(Sample::of(metric, window).value()).filter(|value| value.is_finite())
}

fn judge(band: Option<Band>, ceiling: Option<(bool, bool)>, numbers: &Comparison) -> Verdict {
    let no_data = numbers.samples_candidate == 0 || (band.is_some() && numbers.samples_stable == 0);
    if ceiling.is_some_and(|(over, _)| over) {
        return Verdict::OverCeiling;
    }
    if no_data || numbers.estimate.is_nan() {
        return Verdict::NoData;
    }
    let under_ceiling = ceiling.is_none_or(|(_, under)| under);
    let Some(Band { pass, pause, rollback, unit: _ }) = band else {
        return if under_ceiling { Verdict::Pass } else { Verdict::Uncertain };
    };
    let Comparison { estimate, low, low_advance, high, .. } = *numbers;
    if low > rollback {
        Verdict::OverRollback
    } else if low_advance > pass {
        if estimate > pause { Verdict::OverPause } else { Verdict::Between }
    } else if high <= rollback && (estimate <= pass || high <= pause) && under_ceiling {
        Verdict::Pass
    } else {
        Verdict::Uncertain
    }
}

/// What a window says on a metric.
enum Sample<'a> {
    Rate { sum: f64, n: u64 },
    Quantile { histogram: &'a Histogram, q: f64 },
    Mean { n: u64, sum: f64, squares: f64 },
}

impl Sample<'_> {
    fn of(metric: Metric, w: &Window) -> Sample<'_> {
        let rate = |bad: u64, n: u64| Sample::Rate { sum: bad as f64, n };
        match metric {
            Metric::ErrorRate => rate(w.errors(), w.requests),
            Metric::RejectedRate => rate(w.rejected, w.requests + w.rejected),
            Metric::ContractBrokenRate => rate(w.contract_broken, w.contract_checked),
            Metric::RefusalRate => rate(w.refusals, w.answered()),
            Metric::DislikeRate => rate(w.dislikes, w.likes + w.dislikes),
            Metric::NotAdoptedRate => rate(w.not_adopted, w.adopted + w.not_adopted),
            Metric::TaskFailedRate => rate(w.tasks_failed, w.tasks_done + w.tasks_failed),
            Metric::Dissatisfaction => {
                let good = w.satisfaction_milli as f64 / 1000.0;
                Sample::Rate { sum: w.satisfaction_count as f64 - good, n: w.satisfaction_count }
            }
            Metric::TimeoutRate => rate(w.timeouts, w.requests),
            Metric::PiiRate => rate(w.pii, w.answered()),
            Metric::PromptEchoRate => rate(w.prompt_echoes, w.answered()),
            Metric::LatencyP95 => Sample::Quantile { histogram: &w.latency_us, q: 0.95 },
            Metric::LatencyP99 => Sample::Quantile { histogram: &w.latency_us, q: 0.99 },
            Metric::FirstTokenP95 => Sample::Quantile { histogram: &w.first_token_us, q: 0.95 },
            Metric::TokensPerRequest => Sample::Mean {
                n: w.answered(),
                sum: (w.tokens_in + w.tokens_out) as f64,
                squares: w.tokens_squared.0 as f64,
            },
            Metric::CostPerRequest => Sample::Mean {
                n: w.answered(),
                sum: w.cost_micro_usd as f64 / 1e6,
                squares: w.cost_squared.0 as f64 / 1e12,
            },
        }
    }

    fn count(&self) -> u64 {
        match self {
            Sample::Rate { n, .. } | Sample::Mean { n, .. } => *n,
            Sample::Quantile { histogram, .. } => histogram.count(),
        }
    }

    /// The point estimate in the metric's unit; NaN without data.
    fn value(&self) -> f64 {
        match self {
            Sample::Rate { sum, n } => sum / *n as f64,
            Sample::Mean { n, sum, .. } => sum / *n as f64,
            Sample::Quantile { histogram, q } => {
                histogram.quantile(*q).map_or(f64::NAN, |us| us as f64 / 1000.0)
            }
        }
    }

    fn interval(&self, alpha: f64) -> Interval {
        match self {
            Sample::Rate { sum, n } => interval::rate(*sum, *n as f64, alpha),
            Sample::Mean { n, sum, squares } => interval::mean(*n, *sum, *squares, alpha),
            Sample::Quantile { histogram, q } => {
                let Interval { low, high } = interval::quantile(histogram, *q, alpha);
                Interval { low: low / 1000.0, high: high / 1000.0 }
            }
        }
    }
}

fn harm_interval(rule: &LineRule, unit: BandUnit, old: Interval, new: Interval) -> Interval {
    // Harm grows with the candidate's value and falls with the stable arm's, for every metric.
    Interval {
        low: harm_point(rule, unit, old.high, new.low),
        high: harm_point(rule, unit, old.low, new.high),
    }
}

fn harm_point(rule: &LineRule, unit: BandUnit, stable: f64, candidate: f64) -> f64 {
    // Up to the floor, more is the same; less is not touched, so equal arms show no difference.
    let candidate =
        if candidate > stable { (candidate - rule.floor).max(stable) } else { candidate };
    match (unit, rule.metric.is_rate()) {
        (BandUnit::Points, _) => candidate - stable,
        (BandUnit::Relative, true) => 1.0 - (1.0 - candidate) / (1.0 - stable),
        // An infinite stable bound makes the ratio 0: nothing is proven, as it should be.
        (BandUnit::Relative, false) => candidate / stable - 1.0,
    }
}

impl LineRule {
    /// The candidate's values beyond which this rule pauses and rolls back, in the metric's unit,
    /// beside this value of the stable arm: where the estimated harm is the band's `pause` and
    /// `rollback`, the latter never above the ceiling. `None` where there is no such limit.
    pub fn limits(&self, stable: Option<f64>) -> (Option<f64>, Option<f64>) {
        let limit = |band: Band, harm: f64| Some(value_of(self, band.unit, stable?, harm));
        let pause = self.band.and_then(|band| limit(band, band.pause));
        let rollback = self.band.and_then(|band| limit(band, band.rollback));
        let rollback = match (rollback, self.ceiling) {
            (Some(rollback), Some(ceiling)) => Some(rollback.min(ceiling)),
            (rollback, ceiling) => rollback.or(ceiling),
        };
        (pause, rollback)
    }
}

/// The candidate's value whose [`harm_point`] is `harm`.
fn value_of(rule: &LineRule, unit: BandUnit, stable: f64, harm: f64) -> f64 {
    let value = match (unit, rule.metric.is_rate()) {
        (BandUnit::Points, _) => stable + harm,
        (BandUnit::Relative, true) => 1.0 - (1.0 - stable) * (1.0 - harm),
        (BandUnit::Relative, false) => stable * (1.0 + harm),
    };
    value + rule.floor
}

fn reason(rule: &LineRule, verdict: Verdict, numbers: &Comparison) -> Reason {
    let threshold = match verdict {
        Verdict::OverCeiling => rule.ceiling,
        Verdict::OverPause => rule.band.map(|b| b.pause),
        Verdict::Between | Verdict::Pass => rule.band.map(|b| b.pass).or(rule.ceiling),
        Verdict::OverRollback | Verdict::Uncertain | Verdict::NoData => {
            rule.band.map(|b| b.rollback).or(rule.ceiling)
        }
    };
    // JSON has no infinity and no NaN; an end that is not bounded is left out.
    let finite = |value: f64| value.is_finite().then_some(value);
    let mut reason = Reason::new(verdict.code(), sentence(rule, verdict, numbers, threshold));
    reason.line = Some(rule.metric.line());
    reason.metric = Some(rule.metric);
    reason.stable = finite(numbers.stable);
    reason.candidate = finite(numbers.candidate);
    reason.estimate = finite(numbers.estimate);
    reason.low = finite(numbers.low);
    reason.high = finite(numbers.high);
    reason.threshold = threshold;
    reason.samples_stable = Some(numbers.samples_stable);
    reason.samples_candidate = Some(numbers.samples_candidate);
    reason
}

fn sentence(rule: &LineRule, verdict: Verdict, n: &Comparison, threshold: Option<f64>) -> String {
    let metric = rule.metric.as_str();
    let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
    if verdict == Verdict::NoData {
        return format!(
            "{metric}: no data to compare (stable {}, candidate {} samples)",
            n.samples_stable, n.samples_candidate
        );
    }
    let values = format!(
        "{metric}: candidate {} against stable {}",
        show(rule.metric, n.candidate),
        show(rule.metric, n.stable)
    );
    let samples = format!("{} and {} samples", n.samples_candidate, n.samples_stable);
    let limit = threshold.map(|t| share(t, unit)).unwrap_or_default();
    let estimate = share(n.estimate, unit);
    match verdict {
        Verdict::OverCeiling => {
            let limit = threshold.map(|t| show(rule.metric, t)).unwrap_or_default();
            format!("{values}; proven over its ceiling of {limit} ({samples})")
        }
        Verdict::OverRollback => format!(
            "{values}, {estimate}; at least {} proven, over the rollback line of {limit} ({samples})",
            share(n.low, unit)
        ),
        Verdict::OverPause => {
            format!(
                "{values}, {estimate}; over the pause line of {limit}, not proven over rollback ({samples})"
            )
        }
        Verdict::Between => {
            format!("{values}, {estimate}; between pass ({limit}) and pause ({samples})")
        }
        Verdict::Pass => {
            format!("{values}, {estimate}; passes, at most {} ({samples})", bound(n.high, unit))
        }
        Verdict::Uncertain | Verdict::NoData => format!(
            "{values}, {estimate}; could still be {}, the rollback line is {limit} ({samples})",
            bound(n.high, unit)
        ),
    }
}

fn bound(high: f64, unit: BandUnit) -> String {
    if high.is_finite() { share(high, unit) } else { "anything".to_owned() }
}

/// A value in the metric's unit, for people: `2.10 %`, `840 ms`, `212.0 tokens`, `$0.000120`.
pub fn show(metric: Metric, value: f64) -> String {
    if metric.is_rate() {
        return format!("{:.2} %", value * 100.0);
    }
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 | Metric::FirstTokenP95 => format!("{value:.0} ms"),
        Metric::CostPerRequest => format!("${value:.6}"),
        _ => format!("{value:.1} tokens"),
    }
}

/// A fraction of harm in a band's unit, for people, with its sign: `+3.0 %`, `-0.2 points`.
pub fn share(fraction: f64, unit: BandUnit) -> String {
    match unit {
        BandUnit::Relative => format!("{:+.1} %", fraction * 100.0),
        BandUnit::Points => format!("{:+.1} points", fraction * 100.0),
    }
}

#[cfg(test)]
mod tests;
