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
use super::e_process::Test;
use super::finding::{Finding, Verdict};
use super::levels::{ADVANCE_ALPHA, WORSE_ALPHA, level};
use super::metric::Metric;
use super::pace::Pace;
use super::plan::{Band, Plan};
use super::reason::{Comparison, More, Reason};
use super::rule_look::RuleLook;
use super::state::ReleaseState;
use super::yardstick::Yardstick;
use crate::observe::Window;

impl RuleLook<'_> {
    /// The verdict, with its numbers but the interval.
    pub(super) fn judge(&self) -> Finding {
        let (rule, metric) = (self.rule, self.rule.metric);
        let samples =
            (metric.samples_by(self.stable, self.by), metric.samples_by(self.candidate, self.by));
        let estimate = self.e_process.estimate();
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
        let found = Finding {
            verdict,
            shown: self.comparison(verdict, estimate, test.as_ref(), held, samples),
            drifts: false,
            spoilt: None,
            test,
            held,
            required: rule.required,
            badness: self.badness(estimate),
            is_harmful: false,
        };
        if let Some(spent) = self.spent(verdict) {
            let shown = self.shown_spent(estimate, samples, spent);
            let spoilt = Some((self.harm_budget, spent.spoilt.round()));
            let (verdict, is_harmful) = (Verdict::OverBudget, true);
            return Finding { verdict, shown, spoilt, is_harmful, ..found };
        }
        if let Some(odds) = self.over_multiple(verdict) {
            let shown = self.shown_multiple(estimate, samples, odds);
            let (verdict, is_harmful) = (Verdict::OverRollback, true);
            return Finding { verdict, shown, is_harmful, ..found };
        }
        let is_harmful = verdict == Verdict::OverPause && self.is_harmful();
        Finding { is_harmful, ..found }
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
        self.e_process.proves(level(self.alpha), pass, Against::AtMost)
    }

    /// The band's verdict, and the test that decided or came nearest to it.
    fn judge_band(&self, band: Band, under: bool, estimate: f64) -> (Verdict, Option<Test>) {
        let Band { pass, pause, rollback, unit: _ } = band;
        if !estimate.is_finite() {
            return (Verdict::Uncertain, None);
        }
        let over = |harm, alpha| self.e_process.test(alpha, harm, Against::AtMost);
        let within = |harm| self.e_process.test(ADVANCE_ALPHA, harm, Against::AtLeast);
        let may_be_over = |harm, alpha| self.e_process.may_be_over(harm, level(alpha));
        // A late turn for the worse is proven from a later start on while the whole release still
        // looks well, so this comes before anything that the whole says.
        let mut tested = None;
        if estimate > rollback || may_be_over(rollback, self.alpha) {
            let test = over(rollback, self.alpha);
            if test.is_proven() {
                return (Verdict::OverRollback, Some(test));
            }
            tested = Some(test);
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
            return (Verdict::Uncertain, tested);
        }
        let mut test = within(rollback);
        let margin = self.margin.clamp(pause, rollback.max(pause));
        if test.is_proven() && estimate > pass && margin < rollback {
            test = within(margin);
        }
        match (test.is_proven(), under) {
            (false, _) => (Verdict::Uncertain, Some(test)),
            (true, true) => (Verdict::Pass, Some(test)),
            // What is open is the ceiling, and the band's odds say nothing about it.
            (true, false) => (Verdict::Uncertain, None),
        }
    }

    /// Adds the interval: some dozens of tests, so for a line that moves something.
    pub(super) fn bound(&self, finding: &mut Finding) {
        if self.rule.band.is_some() {
            let numbers = &mut finding.shown.numbers;
            (numbers.low, numbers.high) =
                self.e_process.interval(level(self.alpha), level(ADVANCE_ALPHA));
        }
    }

    /// What more of the same would prove, and when, at the candidate's pace.
    pub(super) fn forecast(&self, finding: &mut Finding, pace: Option<&Pace>) {
        if finding.verdict != Verdict::Uncertain {
            return;
        }
        let shown = &mut finding.shown;
        let numbers = &shown.numbers;
        let (Some(odds), Some(needed), Some(test)) = (numbers.odds, numbers.needed, &finding.test)
        else {
            let times = finding.held.and_then(|held| self.times_needed(held));
            let samples = numbers.samples_candidate.unwrap_or(0) as f64;
            if let Some(more) = times.map(|times| ((times - 1.0) * samples).ceil().max(1.0)) {
                add_more(shown, more, More::Passes, pace);
            }
            return;
        };
        let samples = self.e_process.samples();
        let (now, goal) = (odds.ln(), needed.ln());
        let again = self.e_process.repeated(test);
        let gained = again - now;
        if gained <= 1e-9 || samples == 0.0 {
            shown.more = Some(More::SettlesNothing);
            return;
        }
        let more = ((goal - now) / gained * samples).ceil().clamp(1.0, 1e12);
        let leads_to = match test.against {
            Against::AtMost => More::RollsBack,
            Against::AtLeast => More::Passes,
        };
        add_more(shown, more, leads_to, pace);
    }
}

/// Adds how many more samples it takes, and how long they take at the pace they come.
fn add_more(shown: &mut Comparison, more: f64, leads_to: More, pace: Option<&Pace>) {
    shown.more = Some(leads_to);
    shown.numbers.more_samples = Some(more as u64);
    if let Some(pace) = pace {
        let seen = shown.numbers.samples_candidate.unwrap_or(0) as f64;
        let (seconds, larger) = pace.takes(more, seen);
        shown.numbers.more_s = Some(seconds.ceil() as u64);
        shown.larger = larger;
    }
}

/// What every line of a release says now, with intervals, in the plan's order: for people and
/// charts. [`super::decide`], which looks every second, works intervals out where it rolls back
/// only.
pub fn readings(plan: &Plan, state: &ReleaseState) -> Vec<Reason> {
    let (stable, candidate) = (state.stable(), state.candidate());
    (0..plan.rules.len())
        .filter_map(|index| RuleLook::new(plan, index, state, (&stable, &candidate)))
        .map(|look| {
            let mut finding = look.judge();
            look.bound(&mut finding);
            finding.reason()
        })
        .collect()
}

/// A metric's value in its own unit (share, ms, tokens, dollars); `None` without samples.
pub fn measure(metric: Metric, window: &Window) -> Option<f64> {
    Some(metric.value(window)).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests;
