//! A multiple of stable's rate: "timeouts have doubled".
//!
//! A band in points says nothing of a rare failure: from 0.1 % to 0.3 % is a fifth of a point.
//! Where a rule has a multiple m, it is over as well when it is proven that the candidate's rate is
//! more than m times stable's, and the rule's floor more. The null p_c ≤ m p_b + floor is one of
//! those that every rate line is bet against, so it is as valid as they are.

use super::bets::Null;
use super::finding::Verdict;
use super::reason::Comparison;
use super::rule_look::RuleLook;

impl RuleLook<'_> {
    /// The odds that the rate is over its multiple of stable's, where that is proven and the band
    /// does not say it already.
    pub(super) fn over_multiple(&self, verdict: Verdict) -> Option<f64> {
        match verdict {
            Verdict::OverRollback | Verdict::OverCeiling | Verdict::OverBudget => return None,
            Verdict::NoData => return None,
            Verdict::OverPause | Verdict::Between | Verdict::Uncertain | Verdict::Pass => {}
        }
        let null = Null { kappa: self.rule.multiple?, offset: self.rule.floor };
        self.e_process.refutes(null, self.alpha)
    }

    /// What a rule shows that is over its multiple, with these odds.
    pub(super) fn shown_multiple(
        &self,
        estimate: f64,
        samples: (u64, u64),
        odds: f64,
    ) -> Comparison {
        let mut shown = self.comparison(Verdict::OverRollback, estimate, None, None, samples);
        shown.multiple = self.rule.multiple;
        let multiple = self.rule.multiple.unwrap_or(1.0);
        let numbers = &mut shown.numbers;
        // In the band's unit: how much above stable the multiple lies.
        numbers.threshold = numbers.stable.map(|rate| (multiple - 1.0) * rate + self.rule.floor);
        numbers.odds = Some(odds);
        numbers.needed = Some(1.0 / self.alpha);
        numbers.alpha = Some(self.alpha);
        shown
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::{
        DecisionKind, LineRule, Metric, Observation, Plan, ReasonCode, ReleaseState, decide,
    };
    use crate::ids::UnixMs;
    use crate::observe::{Outcome, Window};
    use crate::say::Lang;
    use crate::upstream::Failure;

    /// So many requests of which every `nth` times out.
    fn feed(window: &mut Window, requests: u64, nth: u64) {
        for i in 1..=requests {
            let failure = (i % nth == 0).then_some(Failure::FirstByteTimeout);
            window.add(&Outcome { failure, ..Outcome::default() }, UnixMs(1));
        }
    }

    /// What the default rule of timeouts decides of a candidate where every `nth` times out; of
    /// stable it is every 500th.
    fn decided(nth: u64) -> (DecisionKind, ReasonCode, String) {
        let timeouts = |rule: &LineRule| rule.metric == Metric::TimeoutRate;
        let rules = LineRule::defaults().into_iter().filter(timeouts).collect();
        let plan = Plan { alpha: 0.01, harm_budget: 0, ..crate::decide::tests::plan(rules) };
        let mut state = ReleaseState::start(UnixMs(0));
        let mut seen = Observation::default();
        let mut last = None;
        for at in 1..=30 {
            feed(&mut seen.stable, 2_000, 500);
            feed(&mut seen.candidate, 500, nth);
            // On its first rung, for as long as it takes.
            let decision = decide(&plan, &state, &seen, UnixMs(at));
            state = decision.state.clone();
            last = Some(decision);
            if state.phase.is_final() {
                break;
            }
        }
        let decision = last.unwrap();
        let reason = decision.reasons[0].clone();
        (decision.kind, reason.code(), Lang::En.sentence(&reason))
    }

    #[test]
    fn timeouts_that_double_go_back() {
        // 0.2 % and 1.25 %: a point apart, and six times as many.
        let (kind, code, text) = decided(80);
        assert_eq!((kind, code), (DecisionKind::RollBack, ReasonCode::OverRollback), "{text}");
        assert!(text.contains("more than 2 times stable's rate"), "{text}");
    }

    #[test]
    fn timeouts_that_do_not_double_stay() {
        // 0.2 % and 0.25 %.
        let (kind, _, text) = decided(400);
        assert_ne!(kind, DecisionKind::RollBack, "{text}");
    }
}
