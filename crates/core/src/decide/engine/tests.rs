use super::*;
use crate::decide::{LineRule, ReasonCode, Rung};
use crate::guard::{RiskEvent, RiskKind};
use crate::observe::{Outcome, Timing, Window};
use crate::route::Cohort;
use crate::upstream::Failure;
use proptest::prelude::*;

fn plan() -> Plan {
    let rung = |pct| Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: 10_000 };
    let rungs = vec![rung(5.0), rung(50.0), rung(100.0)];
    Plan { rungs, alpha: 0.01, ..crate::decide::tests::plan(LineRule::defaults()) }
}

fn feed(window: &mut Window, ok: u64, failure: Option<Failure>, bad: u64, at: UnixMs) {
    for i in 0..ok {
        let timing = Timing { total_us: 700_000 + (i % 50) * 4_000, ..Timing::default() };
        window.add(&Outcome { timing, tokens_out: 90 + i % 20, ..Outcome::default() }, at);
    }
    for _ in 0..bad {
        window.add(&Outcome { failure, ..Outcome::default() }, at);
    }
}

fn order(kind: OrderKind) -> Option<Order> {
    Some(Order { kind, by: "mei".to_owned(), reason: "test".to_owned() })
}

/// A release that is fed and ticked.
struct Run {
    plan: Plan,
    state: ReleaseState,
    seen: Observation,
    now: UnixMs,
}

impl Run {
    fn new() -> Run {
        Run {
            plan: plan(),
            state: ReleaseState::start(UnixMs(0)),
            seen: Observation::default(),
            now: UnixMs(0),
        }
    }

    fn tick(&mut self, after_ms: u64) -> Decision {
        self.now = self.now.plus(after_ms);
        let decision = decide(&self.plan, &self.state, &self.seen, self.now);
        self.state = decision.state.clone();
        self.seen.order = None;
        decision
    }

    fn feed(&mut self, stable: u64, candidate: u64, candidate_bad: u64) {
        feed(&mut self.seen.stable, stable, None, 0, self.now);
        let failure = Some(Failure::Malformed);
        feed(&mut self.seen.candidate, candidate, failure, candidate_bad, self.now);
    }
}

#[test]
fn a_good_release_climbs_and_is_promoted() {
    let mut run = Run::new();
    let mut weights = vec![];
    for _ in 0..5 {
        run.feed(3_000, 800, 0);
        for action in run.tick(10_000).actions {
            match action {
                Action::SetWeight { weight } => weights.push(weight.pct()),
                Action::Promote => weights.push(-1.0),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(weights, [50.0, 100.0, -1.0]);
    assert_eq!(run.state.phase, Phase::Promoted);
}

#[test]
fn a_bad_release_goes_back_with_its_numbers() {
    let mut run = Run::new();
    run.feed(100, 5, 0);
    run.tick(1_000);
    run.feed(2_000, 60, 40);
    let decision = run.tick(1_000);
    assert_eq!((decision.kind, decision.signal), (DecisionKind::RollBack, Signal::Red));
    let reason = &decision.reasons[0];
    assert_eq!(reason.code(), ReasonCode::OverRollback);
    let numbers = reason.numbers().unwrap();
    assert!(numbers.low.unwrap() > numbers.threshold.unwrap());
    assert!(matches!(decision.actions[..], [Action::RollBack, Action::OpenIncident { .. }]));
}

/// No data holds; it is neither good nor bad.
#[test]
fn inv2_missing_data_holds() {
    let mut run = Run::new();
    for (stable, candidate) in [(0, 0), (5_000, 0), (0, 5_000), (5_000, 3)] {
        let mut run = Run::new();
        run.feed(stable, candidate, 0);
        for _ in 0..100 {
            let decision = run.tick(30_000);
            assert_eq!(decision.actions, []);
            assert_eq!(decision.signal, Signal::Yellow, "{stable} {candidate}");
        }
    }
    run.feed(3_000, 800, 0);
    run.seen.gap = Some(Gap::NoMetrics);
    let decision = run.tick(100_000);
    assert_eq!((decision.actions.len(), decision.reasons[0].code()), (0, ReasonCode::Gap));
}

#[test]
fn counts_that_go_backwards_hold() {
    let mut run = Run::new();
    run.feed(3_000, 800, 0);
    run.tick(1_000);
    run.seen.candidate = Window::default();
    let decision = run.tick(60_000);
    assert_eq!((decision.actions.len(), decision.reasons[0].code()), (0, ReasonCode::Gap));
}

#[test]
fn inv5_an_operators_stop_wins_and_paused_is_not_blind() {
    let mut run = Run::new();
    run.feed(3_000, 800, 0);
    run.seen.order = order(OrderKind::RollBack);
    assert_eq!(run.tick(60_000).state.phase, Phase::RolledBack);

    let mut run = Run::new();
    run.feed(3_000, 800, 0);
    run.seen.order = order(OrderKind::Pause);
    assert_eq!(run.tick(60_000).state.phase, Phase::Paused(PausedBy::Operator));
    assert_eq!(run.tick(60_000).actions, []);
    let mut blind =
        Run { state: run.state.clone(), plan: plan(), seen: run.seen.clone(), now: run.now };
    blind.feed(1_000, 100, 200);
    assert_eq!(blind.tick(1_000).kind, DecisionKind::RollBack);
    run.seen.order = order(OrderKind::Resume);
    assert_eq!(run.tick(1_000).state.phase, Phase::Running);
}

#[test]
fn inv5_what_was_promoted_can_be_taken_back_by_order_only() {
    let mut run = Run::new();
    run.seen.order = order(OrderKind::PromoteFully);
    assert_eq!(run.tick(1).state.phase, Phase::Promoted);
    run.feed(100, 100, 300);
    run.seen.order = order(OrderKind::Promote);
    assert_eq!(run.tick(1).actions, []);
    run.seen.order = order(OrderKind::RollBack);
    let decision = run.tick(1);
    let reason = decision.reasons[0].clone();
    assert_eq!(reason.code(), ReasonCode::Order);
    // It is an incident like any other, and shows the lines as they were.
    let incident = Action::OpenIncident { signal: Signal::Red, reason: reason.into() };
    assert_eq!(
        (decision.actions, decision.state.phase),
        (vec![Action::RollBack, incident], Phase::RolledBack)
    );
    assert!(decision.reasons.iter().any(|reason| reason.line().is_some()));
    run.seen.order = order(OrderKind::RollBack);
    assert_eq!(run.tick(1).actions, []);
}

#[test]
fn a_red_line_event_shuts_off_at_once() {
    let mut run = Run::new();
    let event = RiskEvent { kind: RiskKind::Leak, detail: "planted text 1 of 1".to_owned() };
    run.seen.red_events = vec![event];
    run.seen.order = order(OrderKind::PromoteFully);
    let decision = run.tick(1);
    assert_eq!((decision.kind, decision.signal), (DecisionKind::ShutOff, Signal::Black));
    assert!(decision.actions.iter().any(|a| matches!(a, Action::CloseEntrance { .. })));
}

#[test]
fn a_secret_or_an_identity_number_goes_back_and_leaves_the_entrance_open() {
    for kind in [RiskKind::Secret, RiskKind::Identity, RiskKind::PromptRecited] {
        let mut run = Run::new();
        run.seen.red_events = vec![RiskEvent { kind, detail: "seen".to_owned() }];
        run.seen.order = order(OrderKind::PromoteFully);
        let decision = run.tick(1);
        assert_eq!((decision.kind, decision.signal), (DecisionKind::RollBack, Signal::Red));
        assert_eq!(decision.state.phase, Phase::RolledBack);
        assert!(decision.actions.iter().any(|a| matches!(a, Action::OpenIncident { .. })));
        assert!(!decision.actions.iter().any(|a| matches!(a, Action::CloseEntrance { .. })));
    }
}

/// Answers that all take equally long are the same on both arms: nothing to wait for.
#[test]
fn equal_latencies_pass() {
    let mut run = Run::new();
    let same = |window: &mut Window, count: u64| {
        for _ in 0..count {
            let timing = Timing { total_us: 20_000, ..Timing::default() };
            window.add(&Outcome { timing, tokens_out: 9, ..Outcome::default() }, UnixMs(1));
        }
    };
    let mut kinds = vec![];
    for _ in 0..8 {
        same(&mut run.seen.stable, 2_000);
        same(&mut run.seen.candidate, 200);
        kinds.push(run.tick(10_000).kind);
    }
    assert!(kinds.contains(&DecisionKind::Advance), "{kinds:?}");
    let drifts = run.state.strata.len();
    assert!(drifts < 12, "{drifts} strata");
}

#[test]
fn stable_that_fails_at_the_last_rung_is_not_nobody() {
    let mut run = Run::new();
    run.plan.rungs = vec![run.plan.rungs[0], run.plan.rungs[1]];
    run.plan.hold_back = Weight::from_pct(50.0).unwrap();
    run.feed(400, 60, 0);
    run.tick(5_000);
    run.seen.order = order(OrderKind::Promote);
    run.tick(1_000);
    assert_eq!(run.state.rung, 1);
    // Too few at once for a shared fault.
    for _ in 0..40 {
        for _ in 0..5 {
            let cohort = Some(Cohort::new(7));
            let failure = Some(Failure::ServerError);
            let failed = Outcome { failure, cohort, ..Outcome::default() };
            run.seen.stable.add(&failed, run.now);
            let answered = Outcome { cohort, ..Outcome::default() };
            run.seen.candidate.add(&answered, run.now);
        }
        assert_ne!(run.tick(1_000).kind, DecisionKind::Advance);
    }
    assert_eq!(run.tick(1_000).reasons[0].code(), ReasonCode::TooFewSamples);
}

#[test]
fn a_resume_of_what_runs_does_not_begin_the_rung_again() {
    let mut run = Run::new();
    run.feed(400, 60, 0);
    run.tick(5_000);
    run.seen.order = order(OrderKind::Resume);
    run.feed(400, 60, 0);
    run.tick(1_000);
    assert_eq!(run.state.rung_since, UnixMs(0));
    run.seen.order = order(OrderKind::Pause);
    run.tick(1_000);
    run.seen.order = order(OrderKind::Resume);
    let resumed = run.tick(1_000);
    assert_eq!(run.state.rung_since, run.now, "after a pause it does");
    let is_said =
        resumed.reasons.iter().any(|r| matches!(r, Reason::Order(order) if order.by == "mei"));
    assert!(is_said, "{:?}", resumed.reasons);
}

#[test]
fn promote_orders_climb_one_rung_or_all() {
    let mut run = Run::new();
    run.seen.order = order(OrderKind::Promote);
    let decision = run.tick(1);
    let half = Weight::from_pct(50.0).unwrap();
    assert_eq!(decision.actions, [Action::SetWeight { weight: half }]);
    run.seen.order = order(OrderKind::PromoteFully);
    assert_eq!(run.tick(1).actions, [Action::Promote]);
}

proptest! {
    /// The state after a decision survives being stored.
    #[test]
    fn a_state_reads_back_as_it_was(stable in 0u64..300, candidate in 0u64..300, bad in 0u64..50) {
        let mut run = Run::new();
        run.feed(stable, candidate, bad);
        let decision = run.tick(1_000);
        let text = serde_json::to_string(&decision).unwrap();
        let back: Decision = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), text);
        prop_assert_eq!(back, decision);
    }
}

/// Two equal arms, looked at after every batch: a rollback is an error, and its probability over
/// the whole release is alpha. With alpha 1 % and 300 releases, 10 would be 4 standard deviations.
#[test]
fn equal_arms_are_rarely_rolled_back() {
    let mut state = 5u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut rolled_back = 0;
    for _ in 0..300 {
        let mut run = Run::new();
        while !run.state.phase.is_final() && run.now < UnixMs(600_000) {
            for (window, count) in [(&mut run.seen.stable, 60), (&mut run.seen.candidate, 20)] {
                for _ in 0..count {
                    let failure = (uniform() < 0.03).then_some(Failure::Malformed);
                    let total_us = (400_000.0 * (1.0 + 2.0 * uniform() * uniform())) as u64;
                    let timing = Timing { total_us, ..Timing::default() };
                    let tokens_out = (50.0 + 200.0 * uniform()) as u64;
                    let refused = uniform() < 0.05;
                    let outcome =
                        Outcome { failure, timing, tokens_out, refused, ..Outcome::default() };
                    window.add(&outcome, run.now);
                }
            }
            let decision = run.tick(10_000);
            rolled_back += u32::from(decision.kind == DecisionKind::RollBack);
        }
    }
    assert!(rolled_back < 10, "{rolled_back} of 300 equal releases were rolled back");
}
