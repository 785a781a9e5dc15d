//! The numbers that a verdict is shown with.

use super::ceiling::CeilingCheck;
use super::clusters::subjects;
use super::e_process::Test;
use super::finding::Verdict;
use super::reason::{Beside, Comparison, Numbers, Reported, Unit};
use super::rule_look::RuleLook;
use super::yardstick::{Yardstick, reported_share};

impl RuleLook<'_> {
    /// The comparison that goes with this verdict, without interval and forecast; `samples` are
    /// stable's and the candidate's.
    pub(super) fn comparison(
        &self,
        verdict: Verdict,
        estimate: f64,
        test: Option<&Test>,
        held: Option<CeilingCheck>,
        samples: (u64, u64),
    ) -> Comparison {
        let (rule, metric) = (self.rule, self.rule.metric);
        // Without a test of the band, what is open is the ceiling.
        let is_open = verdict == Verdict::Uncertain && test.is_none() && held.is_some();
        let passes_both = verdict == Verdict::Pass && rule.band.is_some();
        let unit = match rule.band.map(|band| band.unit) {
            Some(unit) if !is_open && verdict != Verdict::OverCeiling => Unit::of_band(unit),
            Some(_) | None => Unit::Ceiling,
        };
        let threshold = match (unit, verdict) {
            (Unit::Ceiling, Verdict::OverCeiling) => held.map(|held| held.limit),
            (Unit::Ceiling, _) => held.map(|held| held.bound),
            (_, Verdict::OverPause) => rule.band.map(|band| band.pause),
            (_, Verdict::Between) => rule.band.map(|band| band.pass),
            _ => test.map(|test| test.harm).or(rule.band.map(|band| band.rollback)),
        };
        // JSON has no infinity and no NaN; what is not known is left out.
        let finite = |value: f64| value.is_finite().then_some(value);
        let effect = self.e_process.effect;
        let design_effect = (effect > 1.0).then_some(effect);
        let numbers = Numbers {
            stable: finite(metric.value_by(self.stable, self.by)),
            candidate: finite(metric.value_by(self.candidate, self.by)),
            estimate: finite(estimate),
            threshold,
            odds: test.map(Test::odds),
            needed: test.map(|test| 1.0 / test.alpha),
            alpha: test.map(|test| test.alpha),
            design_effect,
            users: design_effect.and_then(|_| subjects(self.candidate)),
            samples_stable: Some(samples.0),
            samples_candidate: Some(samples.1),
            ..Numbers::default()
        };
        Comparison {
            beside: if self.e_process.alone { Beside::StableBefore } else { Beside::Stable },
            yardstick: (self.by != Yardstick::Reported).then_some(self.by),
            reported: (self.by == Yardstick::Unlike).then(|| Reported {
                stable: reported_share(self.stable),
                candidate: reported_share(self.candidate),
            }),
            within: held.filter(|_| passes_both).map(|held| held.bound),
            ..Comparison::new(metric, unit, numbers)
        }
    }
}
