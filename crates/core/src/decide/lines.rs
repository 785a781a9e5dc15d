//! Lines: what was seen of one rule → a verdict with its numbers.
//!
//! Harm is expressed in the rule's band unit, positive when the candidate is worse. Order of
//! checks: proven over the ceiling or over rollback → over; proven worse than pass → pause where
//! the estimate is over pause, else between; proven within rollback, and either no worse than pass
//! or proven within the margin of the next rung → pass; else uncertain. An estimate alone pauses
//! nothing: on 50 answers a P95 is easily 20 % off.
//!
//! "Over" must be proven at the release's error budget for one rule: alpha, split evenly over
//! rules, and over band and ceiling where a rule has both. "Within" is proven at [`ADVANCE_ALPHA`],
//! without a split: all lines must pass to advance, so one that should not pass stops it whatever
//! the others do (intersection-union test).

use super::bets::Against;
use super::ceiling::Held;
use super::clusters::{design_effect, subjects};
use super::evidence::{Evidence, Test, level};
use super::finding::{Finding, Verdict, worth};
use super::metric::Metric;
use super::pace::Pace;
use super::plan::{Band, BandUnit, LineRule, Plan};
use super::strata::is_alone;
use super::types::{Reason, ReleaseState};
use super::yardstick::{Yardstick, reported_share};
use crate::observe::Window;
use crate::route::Weight;

/// Level of each "within" proof: the chance that a candidate exactly on its rollback line ever
/// passes it.
pub const ADVANCE_ALPHA: f64 = 0.01;

/// Level of "worse than pass". It only holds or pauses, and it is looked at for every rule.
const WORSE_ALPHA: f64 = 0.01;

/// What a rule is held against.
pub(super) struct Look<'a> {
    pub(super) rule: &'a LineRule,
    pub(super) evidence: Evidence<'a>,
    /// All that was seen of both arms, for people.
    pub(super) stable: &'a Window,
    pub(super) candidate: &'a Window,
    /// What the arms are compared by.
    pub(super) by: Yardstick,
    /// Answers that may be spoilt; 0 for any number.
    pub(super) harm_budget: u64,
    /// The rule's share of the error budget.
    pub(super) alpha: f64,
    /// The harm that must be excluded before the next rung.
    pub(super) margin: f64,
    /// The rate that the next rung can bear, where it is a risk line's.
    pub(super) bearable: f64,
}

impl<'a> Look<'a> {
    /// The rule on the strata of a release.
    pub(super) fn new(
        plan: &'a Plan,
        index: usize,
        state: &'a ReleaseState,
        (stable, candidate): (&'a Window, &'a Window),
    ) -> Option<Look<'a>> {
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
        let evidence = Evidence::by(by, rule, cells, effect);
        let alpha = plan.alpha_of(rule);
        let margin = rule.band.map_or(0.0, |band| band.pause);
        let harm_budget = plan.harm_budget;
        let bearable = 0.0;
        Some(Look { rule, evidence, stable, candidate, by, harm_budget, alpha, margin, bearable })
    }

    /// The verdict, with its numbers but the interval.
    pub(super) fn judge(&self) -> Finding {
        let (rule, metric) = (self.rule, self.rule.metric);
        let samples =
            (metric.samples_by(self.stable, self.by), metric.samples_by(self.candidate, self.by));
        let estimate = self.evidence.estimate();
        let has_price = self.by != Yardstick::Unpriced;
        let held = self.held().filter(|_| has_price);
        let unlike = !has_price || (rule.band.is_some() && !self.by.compares());
        let no_data = unlike || samples.1 == 0 || (rule.band.is_some() && samples.0 == 0);
        let (verdict, test) = if held.is_some_and(|held| held.is_over) {
            (Verdict::OverCeiling, None)
        } else if no_data {
            (Verdict::NoData, None)
        } else {
            let under = held.is_none_or(|held| held.is_within);
            match rule.band {
                Some(band) => self.judge_band(band, under, estimate),
                None if under => (Verdict::Pass, None),
                None => (Verdict::Uncertain, None),
            }
        };
        let badness = self.badness(estimate);
        if let Some(spent) = self.spent(verdict) {
            let reason = self.reason_spent(estimate, samples, spent);
            let (verdict, required) = (Verdict::OverBudget, rule.required);
            return Finding { verdict, reason, test, held, required, badness, is_harmful: true };
        }
        if let Some(found) = self.over_multiple(verdict) {
            let reason = self.reason_multiple(estimate, samples, found);
            let (verdict, required) = (Verdict::OverRollback, rule.required);
            return Finding { verdict, reason, test, held, required, badness, is_harmful: true };
        }
        let mut reason = self.reason(verdict, estimate, test.as_ref(), held, samples);
        if let (Verdict::Pass, Some(_), Some(held)) = (verdict, rule.band, held) {
            let bound = show(metric, held.bound);
            reason.text += &format!("; at most {bound}, proven with 99 % confidence");
        }
        let is_harmful = verdict == Verdict::OverPause && self.is_harmful();
        Finding { verdict, reason, test, held, required: rule.required, badness, is_harmful }
    }

    /// How bad it looks: 0 on pass, 1 on rollback, whatever the unit.
    fn badness(&self, estimate: f64) -> f64 {
        let Some(Band { pass, rollback, .. }) = self.rule.band else { return 0.0 };
        let bad = (estimate - pass) / (rollback - pass).max(1e-6);
        if bad.is_nan() { 0.0 } else { bad }
    }

    /// Whether the candidate is proven worse than stable, and than pass, at this rule's share of
    /// the release's error budget.
    fn is_harmful(&self) -> bool {
        let pass = self.rule.band.map_or(0.0, |band| band.pass.max(0.0));
        self.evidence.proves(level(self.alpha), pass, Against::AtMost)
    }

    /// The band's verdict, and the test that decided or came nearest to it.
    fn judge_band(&self, band: Band, under: bool, estimate: f64) -> (Verdict, Option<Test>) {
        let Band { pass, pause, rollback, unit: _ } = band;
        if !estimate.is_finite() {
            return (Verdict::Uncertain, None);
        }
        let over = |harm, alpha| self.evidence.test(alpha, harm, Against::AtMost);
        let within = |harm| self.evidence.test(ADVANCE_ALPHA, harm, Against::AtLeast);
        let may_be_over = |harm, alpha| self.evidence.may_be_over(harm, level(alpha));
        // A late turn for the worse is proven by a start of its own while the whole release still
        // looks well, so this comes before anything that the whole says.
        let mut told = None;
        if estimate > rollback || may_be_over(rollback, self.alpha) {
            let test = over(rollback, self.alpha);
            if test.is_proven() {
                return (Verdict::OverRollback, Some(test));
            }
            told = Some(test);
        }
        if estimate > pass && may_be_over(pass, WORSE_ALPHA) {
            let test = over(pass, WORSE_ALPHA);
            if test.is_proven() {
                let paused = estimate > pause;
                let verdict = if paused { Verdict::OverPause } else { Verdict::Between };
                return (verdict, Some(test));
            }
        }
        if estimate > rollback {
            return (Verdict::Uncertain, told);
        }
        let mut test = within(rollback);
        let margin = self.margin.clamp(pause, rollback.max(pause));
        if test.is_proven() && estimate > pass && margin < rollback {
            test = within(margin);
        }
        match (test.is_proven(), under) {
            (false, _) => (Verdict::Uncertain, Some(test)),
            (true, true) => (Verdict::Pass, Some(test)),
            // What is open is the ceiling, which no odds of the band tell of.
            (true, false) => (Verdict::Uncertain, None),
        }
    }

    /// Adds the interval to the reason: some dozens of tests, so for a line that moves something.
    pub(super) fn bound(&self, finding: &mut Finding) {
        let reason = &mut finding.reason;
        let Some(band) = self.rule.band else { return };
        (reason.low, reason.high) = self.evidence.interval(level(self.alpha), level(ADVANCE_ALPHA));
        let proven = |harm: Option<f64>| harm.map(|harm| share(harm, band.unit));
        let text = match finding.verdict {
            // What is proven of the whole release says little of what came late.
            Verdict::OverRollback if is_late(reason) => None,
            Verdict::OverRollback => proven(reason.low.filter(|low| *low > 0.0))
                .map(|low| format!("; at least {low} proven")),
            Verdict::Pass => proven(reason.high).map(|high| format!("; at most {high} proven")),
            Verdict::OverCeiling
            | Verdict::OverBudget
            | Verdict::OverPause
            | Verdict::Between
            | Verdict::Uncertain
            | Verdict::NoData => None,
        };
        reason.text += &text.unwrap_or_default();
    }

    /// What more of the same would prove, and when, at the candidate's pace.
    pub(super) fn forecast(&self, finding: &mut Finding, pace: Option<&Pace>) {
        if finding.verdict != Verdict::Uncertain {
            return;
        }
        let reason = &mut finding.reason;
        let (Some(evidence), Some(needed), Some(test)) =
            (reason.evidence, reason.needed, &finding.test)
        else {
            let times = finding.held.and_then(|held| self.times_needed(held));
            let samples = reason.samples_candidate.unwrap_or(0) as f64;
            if let Some(more) = times.map(|times| ((times - 1.0) * samples).ceil().max(1.0)) {
                tell_more(reason, more, "would let it pass", pace);
            }
            return;
        };
        let samples = self.evidence.samples();
        let (now, goal) = (evidence.ln(), needed.ln());
        let again = self.evidence.repeated(test);
        let gained = again - now;
        if gained <= 1e-9 || samples == 0.0 {
            reason.text +=
                "; more of the same would not tell, only a larger difference or less noise";
            return;
        }
        let more = ((goal - now) / gained * samples).ceil().clamp(1.0, 1e12);
        let what = match test.against {
            Against::AtMost => "would roll it back",
            Against::AtLeast => "would let it pass",
        };
        tell_more(reason, more, what, pace);
    }

    pub(super) fn reason(
        &self,
        verdict: Verdict,
        estimate: f64,
        test: Option<&Test>,
        held: Option<Held>,
        samples: (u64, u64),
    ) -> Reason {
        let (rule, metric) = (self.rule, self.rule.metric);
        let threshold = match verdict {
            Verdict::OverCeiling => held.map(|held| held.limit),
            Verdict::OverBudget => None,
            Verdict::Uncertain if test.is_none() => held.map(|held| held.bound),
            Verdict::OverPause => rule.band.map(|b| b.pause),
            Verdict::Between => rule.band.map(|b| b.pass),
            Verdict::OverRollback | Verdict::Uncertain | Verdict::NoData | Verdict::Pass => {
                test.map(|t| t.harm).or(rule.band.map(|b| b.rollback)).or(rule.ceiling)
            }
        };
        // JSON has no infinity and no NaN; what is not known is left out.
        let finite = |value: f64| value.is_finite().then_some(value);
        let mut reason = Reason::new(verdict.code(), String::new());
        reason.line = Some(metric.line());
        reason.metric = Some(metric);
        reason.stable = finite(metric.value_by(self.stable, self.by));
        reason.candidate = finite(metric.value_by(self.candidate, self.by));
        reason.yardstick = (self.by != Yardstick::Reported).then_some(self.by);
        reason.estimate = finite(estimate);
        reason.threshold = threshold;
        reason.samples_stable = Some(samples.0);
        reason.samples_candidate = Some(samples.1);
        if let Some(test) = test {
            reason.evidence = Some(test.odds());
            reason.needed = Some(1.0 / test.alpha);
            reason.alpha = Some(test.alpha);
        }
        reason.design_effect = (self.evidence.effect > 1.0).then_some(self.evidence.effect);
        reason.users = reason.design_effect.and_then(|_| subjects(self.candidate));
        reason.text = self.sentence(verdict, &reason);
        reason
    }

    /// Why nothing is compared, and what would change that.
    fn not_compared(&self) -> String {
        let name = self.rule.metric.as_str();
        let off = format!("`lines.{name}.required: false` goes on without it");
        if self.by == Yardstick::Unpriced {
            return format!(
                "{name}: not compared: a model without a price would look free; add it under \
                 `prices:` in tidegate.yaml, or {off}"
            );
        }
        let pct = |window: &Window| reported_share(window) * 100.0;
        format!(
            "{name}: not compared: the upstream reports usage for {:.0} % of the candidate's \
             answers and {:.0} % of stable's, the rest is estimated; {off}",
            pct(self.candidate),
            pct(self.stable)
        )
    }

    pub(super) fn values(&self, reason: &Reason) -> String {
        let metric = self.rule.metric;
        let shown = |value: Option<f64>| value.map_or("?".to_owned(), |v| show(metric, v));
        let beside = if self.evidence.alone { "what stable was before" } else { "stable" };
        let how = match self.by {
            Yardstick::Estimated => " (both estimated, since an upstream reports no usage)",
            Yardstick::Reported | Yardstick::Unlike | Yardstick::Unpriced => "",
        };
        let (candidate, stable) = (shown(reason.candidate), shown(reason.stable));
        format!("{}{how}: candidate {candidate} against {beside} {stable}", metric.as_str())
    }

    pub(super) fn sentence(&self, verdict: Verdict, reason: &Reason) -> String {
        let (rule, metric) = (self.rule, self.rule.metric);
        let name = metric.as_str();
        let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
        let (old, new) =
            (reason.samples_stable.unwrap_or(0), reason.samples_candidate.unwrap_or(0));
        if verdict == Verdict::NoData && !self.by.compares() {
            return self.not_compared();
        }
        if verdict == Verdict::NoData {
            return format!("{name}: no data to compare (stable {old}, candidate {new} samples)");
        }
        let values = self.values(reason);
        let samples = format!("{new} and {old} samples{}", worth(new, reason));
        let limit = reason.threshold.map(|t| share(t, unit)).unwrap_or_default();
        // What both did in the same hours; the values before it are of all hours, which differ.
        let estimate = reason.estimate.map_or("not known yet".to_owned(), |e| share(e, unit));
        let estimate = format!("side by side {estimate}");
        let odds = match (reason.evidence, reason.needed) {
            (Some(evidence), Some(needed)) => {
                format!("evidence {} : 1 of {} : 1", odds(evidence), needed.round() as u64)
            }
            _ => String::new(),
        };
        match verdict {
            Verdict::OverCeiling => {
                let limit = reason.threshold.map(|t| show(metric, t)).unwrap_or_default();
                format!("{values}; proven over its ceiling of {limit} ({samples})")
            }
            Verdict::OverBudget => format!("{values}, {estimate} ({samples})"),
            Verdict::OverRollback if is_late(reason) => format!(
                "{values}, {estimate} in all; lately over the rollback line of {limit}, {odds} \
                 ({samples})"
            ),
            Verdict::OverRollback => {
                format!(
                    "{values}, {estimate}; over the rollback line of {limit}, {odds} ({samples})"
                )
            }
            Verdict::OverPause => format!(
                "{values}, {estimate}; over the pause line of {limit}, not proven over rollback ({samples})"
            ),
            Verdict::Between => format!(
                "{values}, {estimate}; proven worse than pass ({limit}), not over pause ({samples})"
            ),
            Verdict::Pass if rule.band.is_none() => {
                let limit = rule.ceiling.map(|ceiling| show(metric, ceiling)).unwrap_or_default();
                format!("{values}; within its ceiling of {limit} ({samples})")
            }
            Verdict::Pass => {
                format!("{values}, {estimate}; passes, within {limit}, {odds} ({samples})")
            }
            Verdict::Uncertain if odds.is_empty() && rule.ceiling.is_some() => {
                let limit = reason.threshold.map(|t| show(metric, t)).unwrap_or_default();
                format!("{values}; not proven within its ceiling of {limit} yet ({samples})")
            }
            Verdict::Uncertain if reason.stable == Some(0.0) && unit == BandUnit::Relative => {
                format!("{values}; nothing is a percentage of 0, a `ceiling` is ({samples})")
            }
            Verdict::Uncertain | Verdict::NoData if odds.is_empty() => {
                format!("{values}; too little side by side to compare yet ({samples})")
            }
            Verdict::Uncertain | Verdict::NoData => {
                format!("{values}, {estimate}; cannot be told from {limit} yet, {odds} ({samples})")
            }
        }
    }
}

/// Adds how many more samples it takes, and how long they take at the pace they come.
fn tell_more(reason: &mut Reason, more: f64, what: &str, pace: Option<&Pace>) {
    reason.more_samples = Some(more as u64);
    reason.text += &format!("; about {} more like these {what}", more as u64);
    if let Some(pace) = pace {
        let seen = reason.samples_candidate.unwrap_or(0) as f64;
        let (seconds, text) = pace.takes(more, seen);
        reason.more_s = Some(seconds.ceil() as u64);
        reason.text += &text;
    }
}

/// What every line of a release says now, with intervals, in the plan's order: for people and
/// charts. [`super::decide`], which looks every second, works intervals out where it goes back
/// only.
pub fn readings(plan: &Plan, state: &ReleaseState) -> Vec<Reason> {
    let (stable, candidate) = (state.stable(), state.candidate());
    (0..plan.rules.len())
        .filter_map(|index| Look::new(plan, index, state, (&stable, &candidate)))
        .map(|look| {
            let mut finding = look.judge();
            look.bound(&mut finding);
            finding.reason
        })
        .collect()
}

/// A metric's value in its own unit (share, ms, tokens, dollars); `None` without samples.
pub fn measure(metric: Metric, window: &Window) -> Option<f64> {
    Some(metric.value(window)).filter(|value| value.is_finite())
}

/// Whether what is over the rollback line is not the whole release: a start of its own proves it.
fn is_late(reason: &Reason) -> bool {
    reason.estimate <= reason.threshold
}

/// Odds for people: three digits, and a word for what is beyond doubt.
pub(super) fn odds(evidence: f64) -> String {
    if evidence >= 1e6 {
        "over 1,000,000".to_owned()
    } else if evidence >= 10.0 {
        format!("{evidence:.0}")
    } else {
        format!("{evidence:.2}")
    }
}

/// A length of time for people, rounded up: `40 s`, `12 min`, `5 h`, `3 days`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{:.0} s", s.ceil()),
        s if s < 5_400.0 => format!("{:.0} min", (s / 60.0).ceil()),
        s if s < 172_800.0 => format!("{:.0} h", (s / 3_600.0).ceil()),
        s => format!("{:.0} days", (s / 86_400.0).ceil()),
    }
}

/// A value in the metric's unit, for people: `2.10 %`, `840 ms`, `212.0 tokens`, `$0.000120`.
pub fn show(metric: Metric, value: f64) -> String {
    if metric.is_rate() {
        return format!("{:.2} %", value * 100.0);
    }
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 | Metric::FirstTokenP95 => format!("{value:.0} ms"),
        Metric::CostPerRequest | Metric::CostPerSuccess => format!("${value:.6}"),
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
