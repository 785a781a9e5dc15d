//! Pauses by lines from their first look to their end, through the whole engine.

use crate::decide::{
    Action, Decision, DecisionKind, LineRule, Metric, Observation, Order, OrderKind, PauseEnd,
    PauseSoFar, PausedBy, Phase, Plan, Reason, ReasonCode, ReleaseState, Rung, Signal, decide,
};
use crate::ids::UnixMs;
use crate::observe::{Outcome, Timing};
use crate::route::{Cohort, Weight};
use crate::say::Lang;

/// Users of the candidate, out of 300 on a rung of 10 %.
const USERS: u64 = 30;
/// Those of them whose answers break half of the time.
const BROKEN_USERS: u64 = 9;

/// A release on a rung of 10 % whose candidate breaks half of some users' answers.
struct Run {
    plan: Plan,
    state: ReleaseState,
    seen: Observation,
    now: UnixMs,
}

impl Run {
    fn new() -> Run {
        let rung = |pct| Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: 300_000 };
        let rungs = vec![rung(10.0), rung(100.0)];
        let defaults = crate::decide::tests::plan(LineRule::defaults());
        let plan = Plan { rungs, alpha: 0.01, harm_budget: 0, min_samples: 50, ..defaults };
        let state = ReleaseState::start(UnixMs(0));
        Run { plan, state, seen: Observation::default(), now: UnixMs(0) }
    }

    /// Ten seconds more: each user asks once in 13 s.
    fn look(&mut self, order: Option<OrderKind>) -> Decision {
        let answer = |user: u64, breaks: bool, slow: u64| {
            let spread = user.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
            let cohort = Cohort::new(((spread ^ (user / 7)) % 64) as u8);
            let total_us = 700_000 + (user * 37 + self.now.0 / 1000) % 50 * 4_000;
            Outcome {
                contract_ok: Some(!breaks),
                cohort: Some(cohort),
                timing: Timing { total_us: total_us * slow, ..Timing::default() },
                tokens_out: 100,
                ..Outcome::default()
            }
        };
        let round = self.now.0 / 10_000;
        for user in 0..300 {
            // 10 of 13 ask in these ten seconds.
            if (user + round) % 13 >= 10 {
                continue;
            }
            let breaks = user < BROKEN_USERS && (user + round) % 4 < 2;
            let arm = if user < USERS { &mut self.seen.candidate } else { &mut self.seen.stable };
            arm.add(&answer(user, breaks, 1), self.now);
        }
        self.now = self.now.plus(10_000);
        let by = "mei".to_owned();
        self.seen.order = order.map(|kind| Order { kind, by, reason: "test".to_owned() });
        let decision = decide(&self.plan, &self.state, &self.seen, self.now);
        self.state = decision.state.clone();
        decision
    }

    /// Looks until it pauses.
    fn until_paused(&mut self) -> Decision {
        (0..60)
            .map(|_| self.look(None))
            .find(|decision| decision.kind == DecisionKind::Pause)
            .unwrap()
    }
}

fn incidents(decision: &Decision) -> Vec<Signal> {
    let signal = |action: &Action| match action {
        Action::OpenIncident { signal, .. } => Some(*signal),
        Action::SetWeight { .. } | Action::Promote | Action::RollBack => None,
        Action::End | Action::CloseEntrance { .. } => None,
    };
    decision.actions.iter().filter_map(signal).collect()
}

/// The observed case: half of the answers of a third of the users break, which never proves it over
/// the rollback line, since these users' answers are alike.
#[test]
fn a_pause_opens_an_incident_and_goes_back_at_its_end() {
    let mut run = Run::new();
    let paused = run.until_paused();
    assert_eq!(incidents(&paused), [Signal::Yellow]);
    assert_eq!(paused.reasons[0].metric(), Some(Metric::ContractBrokenRate));
    let limit = paused.reasons.iter().find(|reason| reason.code() == ReasonCode::PausedByLines);
    let so_far = PauseSoFar { lasted_s: 0, limit_s: 600, leads_to: PauseEnd::GoesBack };
    assert_eq!(limit, Some(&Reason::PausedByLines(so_far)));

    let since = run.now;
    loop {
        let decision = run.look(None);
        if run.now.since(since) < 600_000 {
            assert_eq!(decision.kind, DecisionKind::Pause, "{:?}", decision.reasons[0]);
            assert_eq!(decision.actions, [], "a pause calls once");
            continue;
        }
        assert_eq!(decision.kind, DecisionKind::RollBack, "{:?}", decision.reasons[0]);
        assert_eq!(incidents(&decision), [Signal::Red]);
        let reason = &decision.reasons[0];
        assert_eq!(reason.code(), ReasonCode::PauseLimit);
        let numbers = reason.numbers().unwrap();
        assert!(numbers.odds.unwrap() >= numbers.needed.unwrap());
        let lines = run.plan.rules.len() as f64;
        assert!((numbers.needed.unwrap() - 100.0 * lines).abs() < 1e-6, "{:?}", numbers.needed);
        assert!(numbers.users.is_some_and(|users| (24..=36).contains(&users)), "{reason:?}");
        let samples = numbers.samples_candidate.unwrap() as f64;
        let worth = (samples / numbers.design_effect.unwrap()).round();
        let says = format!("users count as about {worth}");
        assert!(Lang::En.sentence(reason).contains(&says), "{}", Lang::En.sentence(reason));
        break;
    }
    assert_eq!(run.state.phase, Phase::RolledBack);
}

/// The budget takes it back earlier, where the line is not over by itself.
#[test]
fn a_spent_harm_budget_ends_it_earlier() {
    let mut run = Run::new();
    run.plan.harm_budget = 20;
    let decision = (0..100)
        .map(|_| run.look(None))
        .find(|decision| decision.kind == DecisionKind::RollBack)
        .unwrap();
    let reason = &decision.reasons[0];
    assert_eq!(reason.code(), ReasonCode::OverBudget, "{}", Lang::En.sentence(reason));
    assert_eq!(reason.metric(), Some(Metric::ContractBrokenRate));
    assert!(run.now < UnixMs(500_000), "{:?}", run.now);
    let numbers = reason.numbers().unwrap();
    assert!(numbers.odds.unwrap() >= numbers.needed.unwrap());
    assert!(
        Lang::En.sentence(reason).contains("more than the harm budget of 20"),
        "{}",
        Lang::En.sentence(reason)
    );
    // More than the budget were spoilt, stable's rate being 0.
    assert!(run.seen.candidate.contract_broken > 20);
}

#[test]
fn without_a_limit_it_stays_paused() {
    let mut run = Run::new();
    run.plan.pause_max_ms = 0;
    run.until_paused();
    for _ in 0..200 {
        let decision = run.look(None);
        assert_eq!(decision.state.phase, Phase::Paused(PausedBy::Lines));
        assert!(decision.reasons.iter().all(|reason| reason.code() != ReasonCode::PausedByLines));
    }
}

/// Odds that no such data reach: the limit passes and nothing moves.
#[test]
fn where_no_harm_is_proven_it_stays_paused_and_says_so() {
    let mut run = Run::new();
    run.plan.alpha = 1e-60;
    run.until_paused();
    for _ in 0..70 {
        run.look(None);
    }
    let decision = run.look(None);
    assert_eq!(decision.state.phase, Phase::Paused(PausedBy::Lines));
    let says = "it stays paused because the proof that a line is worse than stable is too weak";
    assert!(decision.reasons.iter().any(|reason| Lang::En.sentence(reason).contains(says)));
}

#[test]
fn inv5_an_operators_pause_has_no_limit() {
    let mut run = Run::new();
    run.until_paused();
    run.look(Some(OrderKind::Pause));
    for _ in 0..100 {
        assert_eq!(run.look(None).state.phase, Phase::Paused(PausedBy::Operator));
    }
    // Whoever resumes has looked: the limit begins again, and so does the call for a person.
    let resumed = run.look(Some(OrderKind::Resume));
    assert_eq!(resumed.state.phase, Phase::Paused(PausedBy::Lines));
    assert_eq!(incidents(&resumed), [Signal::Yellow]);
    assert_eq!(resumed.state.paused_since, Some(run.now));
}

/// A line that is over pause no more ends the pause; its clock goes on while the line is proven
/// worse than pass, so that an estimate about the pause line does not begin a pause at each look.
#[test]
fn lines_that_recover_end_the_pause() {
    for (pass, begins_anew) in [(0.0, false), (0.02, true)] {
        let mut run = Run::new();
        for rule in &mut run.plan.rules {
            if let Some(band) = rule.band.as_mut().filter(|_| rule.metric.is_rate()) {
                band.pass = pass;
            }
        }
        run.until_paused();
        let since = run.now;
        for round in 0..100_000u64 {
            let cohort = Some(Cohort::new((round % 64) as u8));
            let timing = Timing { total_us: 700_000 + round % 50 * 4_000, ..Timing::default() };
            let good = Outcome { contract_ok: Some(true), cohort, timing, ..Outcome::default() };
            let arm = if round % 10 == 0 { &mut run.seen.candidate } else { &mut run.seen.stable };
            arm.add(&Outcome { tokens_out: 100, ..good }, run.now);
        }
        let decision = run.look(None);
        assert_eq!(decision.state.phase, Phase::Running, "{:?}", decision.reasons[0]);
        assert_eq!(run.state.paused_since, (!begins_anew).then_some(since));
    }
}

/// The worst line decides and is read first, whatever the order of the rules.
#[test]
fn the_worst_line_is_named_first() {
    for reversed in [false, true] {
        let mut run = Run::new();
        if reversed {
            run.plan.rules.reverse();
        }
        for _ in 0..40 {
            run.look(None);
            for user in 0..USERS {
                let timing = Timing { total_us: 830_000 * 6 / 5, ..Timing::default() };
                let failure = None;
                let slow = Outcome { timing, failure, tokens_out: 100, ..Outcome::default() };
                run.seen.candidate.add(&Outcome { refused: user % 30 == 0, ..slow }, run.now);
            }
            if run.state.phase != Phase::Running {
                break;
            }
        }
        let decision = run.look(None);
        let named: Vec<_> = decision.reasons.iter().filter_map(Reason::metric).collect();
        assert_eq!(named.first(), Some(&Metric::ContractBrokenRate), "{:?}", decision.reasons);
    }
}
