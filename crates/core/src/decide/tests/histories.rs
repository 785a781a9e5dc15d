//! Random histories of a release: what always holds on them, and that they reach every phase.

use crate::act::{first_table, next_table};
use crate::decide::{
    Action, Changed, Comparison, Decision, DecisionKind, Gap, LineRule, ModelDrift, Observation,
    Order, OrderKind, PauseEnd, PausedBy, Phase, Plan, Reason, ReasonCode, ReleaseState, Rung,
    Signal, decide,
};
use crate::guard::{RiskEvent, RiskKind};
use crate::ids::UnixMs;
use crate::observe::{Outcome, Timing, Window};
use crate::route::{Entrance, Table, Weight};
use crate::upstream::Failure;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How bad the candidate of a history is.
#[derive(Debug, Clone, Copy)]
enum Temper {
    /// As stable.
    Good,
    /// So many of its answers in a thousand break the contract.
    Breaks(u64),
}

/// What happens before a look.
#[derive(Debug, Clone)]
enum Input {
    /// Answers of stable, and of the candidate.
    Feed {
        stable: u64,
        candidate: u64,
    },
    /// Every request of both arms fails at the upstream they share.
    Outage {
        stable: u64,
        candidate: u64,
    },
    Gap,
    Order(OrderKind),
    Red,
    Quiet,
}

/// Mostly answers, since a history whose first input ends it says nothing of the rest.
fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        40 => (400u64..3_000, 100u64..900)
            .prop_map(|(stable, candidate)| Input::Feed { stable, candidate }),
        4 => (20u64..400, 0u64..200)
            .prop_map(|(stable, candidate)| Input::Outage { stable, candidate }),
        3 => Just(Input::Gap),
        3 => Just(Input::Quiet),
        2 => Just(Input::Order(OrderKind::Pause)),
        4 => Just(Input::Order(OrderKind::Resume)),
        1 => prop_oneof![
            Just(OrderKind::Promote), Just(OrderKind::PromoteFully), Just(OrderKind::RollBack)
        ].prop_map(Input::Order),
        1 => prop_oneof![9 => Just(Input::Quiet), 1 => Just(Input::Red)],
    ]
}

fn temper() -> impl Strategy<Value = Temper> {
    prop_oneof![
        3 => Just(Temper::Good),
        2 => (10u64..80).prop_map(Temper::Breaks),
        1 => (80u64..400).prop_map(Temper::Breaks),
    ]
}

type History = (Temper, Vec<(Input, u64)>);

fn history() -> impl Strategy<Value = History> {
    (temper(), prop::collection::vec((input(), 1u64..40_000), 1..40))
}

fn changed_model() -> ModelDrift {
    let text = |text: &str| text.to_owned();
    let changed = Changed::Model { before: text("m-1"), now: text("m-2") };
    ModelDrift { upstream: text("main"), endpoint: String::new(), model: text("m"), changed }
}

fn order(kind: OrderKind) -> Order {
    Order { kind, by: "mei".to_owned(), reason: "test".to_owned() }
}

/// A release that a history happens to.
struct Run {
    plan: Plan,
    temper: Temper,
    state: ReleaseState,
    seen: Observation,
    table: Table,
    now: UnixMs,
}

/// One look: what it was on and what came of it.
struct Look {
    before: ReleaseState,
    seen: Observation,
    decision: Decision,
}

impl Run {
    fn new(temper: Temper) -> Run {
        let rung = |pct| Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: 10_000 };
        let rungs = vec![rung(20.0), rung(50.0), rung(100.0)];
        let defaults = super::plan(LineRule::defaults());
        let plan =
            Plan { rungs, alpha: 0.01, pause_max_ms: 60_000, stale_after_ms: 120_000, ..defaults };
        let table = first_table(&Table::first(plan.from.clone()), &plan);
        let (state, now) = (ReleaseState::start(UnixMs(0)), UnixMs(0));
        Run { plan, temper, state, seen: Observation::default(), table, now }
    }

    fn answers(&mut self, stable: u64, candidate: u64) {
        let broken = match self.temper {
            Temper::Good => 0,
            Temper::Breaks(milli) => milli,
        };
        let add = |window: &mut Window, count: u64, broken: u64| {
            for i in 0..count {
                let timing = Timing { total_us: 700_000 + (i % 50) * 4_000, ..Timing::default() };
                let contract_ok = Some(i * 611 % 1_000 >= broken);
                let tokens_out = 90 + i % 20;
                let answer = Outcome { timing, contract_ok, tokens_out, ..Outcome::default() };
                window.add(&answer, self.now);
            }
        };
        add(&mut self.seen.stable, stable, 2);
        add(&mut self.seen.candidate, candidate, broken);
    }

    fn outage(&mut self, stable: u64, candidate: u64) {
        let failed = Outcome { failure: Some(Failure::Unreachable), ..Outcome::default() };
        (0..stable).for_each(|_| self.seen.stable.add(&failed, self.now));
        (0..candidate).for_each(|_| self.seen.candidate.add(&failed, self.now));
    }

    /// Takes the input in and looks.
    fn look(&mut self, input: &Input, after_ms: u64) -> Look {
        self.now = self.now.plus(after_ms);
        (self.seen.gap, self.seen.order) = (None, None);
        self.seen.red_events.clear();
        match input {
            Input::Feed { stable, candidate } => self.answers(*stable, *candidate),
            Input::Outage { stable, candidate } => self.outage(*stable, *candidate),
            Input::Gap => self.seen.gap = Some(Gap::NoMetrics),
            Input::Order(kind) => self.seen.order = Some(order(*kind)),
            Input::Red => {
                let detail = "planted text 1 of 1".to_owned();
                self.seen.red_events = vec![RiskEvent { kind: RiskKind::Leak, detail }];
            }
            Input::Quiet => {}
        }
        let before = self.state.clone();
        let decision = decide(&self.plan, &self.state, &self.seen, self.now);
        self.state = decision.state.clone();
        Look { before, seen: self.seen.clone(), decision }
    }
}

/// Whether a reason has the numbers that its kind is about.
fn has_numbers(reason: &Reason) -> bool {
    match reason {
        Reason::OverRollback(c) => is_proven(c),
        Reason::OverBudget(over) => is_proven(&over.shown) && over.spoilt > over.budget as f64,
        Reason::PauseLimit(limit) => is_proven(&limit.shown) && limit.lasted_s >= limit.limit_s,
        Reason::OverPause(c) | Reason::BetweenPassAndPause(c) | Reason::BaselineDrift(c) => {
            is_compared(c) && c.numbers.estimate.is_some()
        }
        Reason::OverCeiling(c) => c.numbers.candidate > c.numbers.threshold,
        Reason::Uncertain(c) | Reason::Pass(c) => is_compared(c),
        Reason::Skipped(c) => {
            c.yardstick.is_some()
                || c.numbers.samples_candidate == Some(0)
                || c.numbers.samples_stable == Some(0)
        }
        Reason::Order(order) => order.by == "mei",
        Reason::RedLine { events } => !events.is_empty(),
        Reason::SharedFault(seen) => seen.stable.errors <= seen.stable.requests,
        Reason::PausedByLines(pause) => {
            (pause.leads_to == PauseEnd::Stays) == (pause.lasted_s >= pause.limit_s)
        }
        Reason::TooFewSamples(few) => {
            few.samples_candidate < few.needed_candidate || few.samples_stable < few.needed_stable
        }
        Reason::NoData { silent_s, candidate_requests: _ } => *silent_s > 0,
        Reason::Looking { looked_s, look_s } => looked_s <= look_s,
        Reason::AbRuns { left_s: s } | Reason::AbOver { lasted_s: s } => *s > 0,
        Reason::SampleRatio { share, samples_candidate, samples_stable, weight_pct: _ } => {
            (0.0..=1.0).contains(share) && samples_candidate + samples_stable > 0
        }
        Reason::Clean { samples_candidate, high } => {
            *samples_candidate > 0 && (0.0..=1.0).contains(high)
        }
        Reason::Gap { .. } | Reason::AllPass { .. } | Reason::ColdStart => true,
        Reason::Decided | Reason::Final { .. } | Reason::Paused => true,
        // No decision gives it.
        Reason::Outage(_) | Reason::Stored(_) => false,
        Reason::Drift(drift) => !drift.upstream.is_empty(),
    }
}

fn is_compared(shown: &Comparison) -> bool {
    let numbers = &shown.numbers;
    let known = [numbers.candidate, numbers.threshold].iter().all(Option::is_some);
    known && numbers.samples_candidate > Some(0) && numbers.samples_stable.is_some()
}

fn is_proven(shown: &Comparison) -> bool {
    let numbers = &shown.numbers;
    let proven = numbers.odds >= numbers.needed && numbers.needed.is_some();
    proven && is_compared(shown) && numbers.stable.is_some() && numbers.alpha.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Deciding again at the same moment changes nothing, a weight is a rung and only rises, and
    /// what is over stays over.
    #[test]
    fn inv1_inv3_inv4_hold_on_any_history((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        let mut weight = 20.0;
        for (input, after_ms) in inputs {
            let Look { before, seen, decision } = run.look(&input, after_ms);
            let again = decide(&run.plan, &decision.state, &seen, run.now);
            prop_assert_eq!(&again.actions, &[] as &[Action]);
            prop_assert_eq!(&again.state, &decision.state);
            let taken_back = before.phase == Phase::Promoted
                && matches!(input, Input::Order(OrderKind::RollBack));
            if before.phase.is_final() && !taken_back {
                prop_assert_eq!(&decision.actions, &[] as &[Action]);
                prop_assert_eq!(decision.state.phase, before.phase);
            }
            for action in &decision.actions {
                let Action::SetWeight { weight: next } = action else { continue };
                prop_assert!(run.plan.rungs.iter().any(|rung| rung.weight == *next));
                prop_assert!(next.pct() > weight);
                weight = next.pct();
            }
        }
    }

    /// A weight rises on order, or on a pass with enough data; without new data it neither rises
    /// nor rolls back.
    #[test]
    fn inv2_only_data_moves_it((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, decision, .. } = run.look(&input, after_ms);
            let rises = decision.kind == DecisionKind::Advance;
            let code = decision.reasons[0].code();
            if rises && code != ReasonCode::Order {
                prop_assert_eq!(code, ReasonCode::AllPass);
                let candidate = decision.state.candidate().answered();
                prop_assert!(candidate >= before.rung_candidate_from + run.plan.min_samples);
                let unproven = decision.reasons.iter().any(|reason| {
                    let rule = run.plan.rules.iter().find(|r| Some(r.metric) == reason.metric());
                    rule.is_some_and(|rule| rule.required) && reason.code() != ReasonCode::Pass
                });
                prop_assert!(!unproven, "{:?}", decision.reasons);
            }
            let blind = matches!(input, Input::Gap);
            prop_assert!(!(blind && (rises || decision.kind == DecisionKind::RollBack)));
            let silent = run.now.since(decision.state.last_data_at) >= run.plan.stale_after_ms;
            if silent && code != ReasonCode::Order && !before.phase.is_final() {
                let still = matches!(decision.kind, DecisionKind::Hold | DecisionKind::Pause)
                    || decision.kind == DecisionKind::ShutOff;
                prop_assert!(still, "{:?}", decision.reasons[0]);
            }
        }
    }

    /// An operator's stop is carried out whatever else is seen. Paused by an operator it stays, but
    /// is not blind: what is over a line, or red, takes it back.
    #[test]
    fn inv5_an_operators_word_stands((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, decision, .. } = run.look(&input, after_ms);
            let (phase, kind) = (decision.state.phase, decision.kind);
            let paused = Phase::Paused(PausedBy::Operator);
            match input {
                Input::Order(OrderKind::RollBack) => prop_assert!(phase.is_final()),
                Input::Order(OrderKind::Pause) if !before.phase.is_final() => {
                    let back = kind == DecisionKind::RollBack;
                    prop_assert!(phase == paused || back, "{phase:?}");
                }
                Input::Order(_) => {}
                Input::Feed { .. } | Input::Outage { .. } | Input::Gap | Input::Red
                | Input::Quiet if before.phase == paused => {
                    let back = kind == DecisionKind::RollBack || kind == DecisionKind::ShutOff;
                    prop_assert!(phase == paused || back, "{phase:?}");
                    prop_assert!(decision.reasons[0].code() != ReasonCode::PauseLimit);
                }
                Input::Feed { .. } | Input::Outage { .. } | Input::Gap | Input::Red
                | Input::Quiet => {}
            }
            if matches!(input, Input::Red) && !before.phase.is_final() {
                prop_assert_eq!(phase, Phase::ShutOff);
            }
        }
    }

    /// A stop wins over whatever comes with it: at each look of a history the same is decided again
    /// with an order to stop. Nothing rises; only what would roll back anyway does not stay paused.
    #[test]
    fn inv5_a_stop_wins_over_what_comes_with_it((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, mut seen, .. } = run.look(&input, after_ms);
            if before.phase.is_final() {
                continue;
            }
            seen.order = None;
            let is_red = !seen.red_events.is_empty();
            let is_back = |phase| phase == Phase::RolledBack || phase == Phase::ShutOff;
            let unasked = decide(&run.plan, &before, &seen, run.now);
            // The limit of a pause by lines does not hold for a pause by an operator.
            let by_limit = unasked.reasons[0].code() == ReasonCode::PauseLimit;
            let anyway = is_back(unasked.state.phase) && !by_limit;
            for kind in [OrderKind::Pause, OrderKind::RollBack] {
                seen.order = Some(order(kind));
                let Decision { state, actions, .. } = decide(&run.plan, &before, &seen, run.now);
                let rises = |a: &Action| matches!(a, Action::SetWeight { .. } | Action::Promote);
                prop_assert!(!actions.iter().any(rises), "{actions:?}");
                prop_assert_eq!(state.phase == Phase::ShutOff, is_red);
                match kind {
                    OrderKind::RollBack => prop_assert!(is_back(state.phase)),
                    _ if anyway => prop_assert!(is_back(state.phase)),
                    _ => prop_assert_eq!(state.phase, Phase::Paused(PausedBy::Operator)),
                }
            }
        }
    }

    /// What moves, pauses or ends a release says so with its numbers.
    #[test]
    fn inv6_every_action_has_its_numbers((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { decision, .. } = run.look(&input, after_ms);
            if !decision.actions.is_empty() {
                prop_assert!(decision.reasons.iter().all(has_numbers), "{:?}", decision.reasons);
            }
            if decision.kind == DecisionKind::Advance
                && decision.reasons[0].code() == ReasonCode::AllPass
            {
                // Each required line has the odds that let it pass.
                for rule in run.plan.rules.iter().filter(|rule| rule.required) {
                    let said = decision.reasons.iter().find(|r| r.metric() == Some(rule.metric));
                    let numbers = said.and_then(Reason::numbers);
                    prop_assert!(numbers.is_some_and(|n| n.odds >= n.needed), "{said:?}");
                }
            }
        }
    }

    /// Without metrics nothing rises and nothing rolls back, whatever the numbers at hand say.
    #[test]
    fn inv9_missing_metrics_are_no_verdict((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, mut seen, .. } = run.look(&input, after_ms);
            (seen.order, seen.red_events) = (None, Vec::new());
            if before.phase.is_final() {
                continue;
            }
            for gap in [Gap::NoServer, Gap::NoMetrics, Gap::CountFell] {
                seen.gap = Some(gap);
                let decision = decide(&run.plan, &before, &seen, run.now);
                prop_assert_eq!(decision.actions, &[] as &[Action]);
                prop_assert_eq!(decision.state.phase, before.phase);
                let paused = before.phase == Phase::Paused(PausedBy::Operator);
                let said = if paused { ReasonCode::Paused } else { ReasonCode::Gap };
                prop_assert_eq!(decision.reasons[0].code(), said);
            }
        }
    }

    /// While the model behind stable is another one, nothing rises, nothing rolls back, and what
    /// comes counts for neither arm; orders and red lines act.
    #[test]
    fn inv9_a_changed_model_is_no_verdict((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, mut seen, .. } = run.look(&input, after_ms);
            if before.phase.is_final() {
                continue;
            }
            (seen.gap, seen.drift) = (None, Some(Box::new(changed_model())));
            let is_ordered = seen.order == Some(order(OrderKind::RollBack));
            let rolls_back = !seen.red_events.is_empty() || is_ordered;
            let decision = decide(&run.plan, &before, &seen, run.now);
            let is_back = matches!(decision.state.phase, Phase::RolledBack | Phase::ShutOff);
            prop_assert_eq!(is_back, rolls_back);
            let requests =
                |state: &ReleaseState| (state.stable().requests, state.candidate().requests);
            prop_assert_eq!(requests(&decision.state), requests(&before));
            (seen.order, seen.red_events) = (None, Vec::new());
            let decision = decide(&run.plan, &before, &seen, run.now);
            prop_assert_eq!(&decision.actions, &[] as &[Action]);
            prop_assert_eq!(decision.state.phase, before.phase);
            let paused = before.phase == Phase::Paused(PausedBy::Operator);
            let said = if paused { ReasonCode::Paused } else { ReasonCode::Drift };
            prop_assert_eq!(decision.reasons[0].code(), said);
        }
    }

    /// A fault of the upstream that both arms share moves nothing when it comes, and nothing of it
    /// counts against the candidate later.
    #[test]
    fn inv9_no_outage_is_a_verdict((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, decision, .. } = run.look(&input, after_ms);
            let Input::Outage { .. } = input else { continue };
            if before.phase.is_final() {
                continue;
            }
            prop_assert_eq!(&decision.actions, &[] as &[Action], "{:?}", decision.reasons[0]);
            prop_assert_eq!(decision.state.phase, before.phase);
            let counted = |state: &ReleaseState| {
                [state.stable().upstream_errors, state.candidate().upstream_errors]
            };
            prop_assert_eq!(counted(&decision.state), counted(&before));
        }
    }

    /// The core's half of invariant 10: whatever is decided, the table that follows serves stable,
    /// and has the next generation.
    #[test]
    fn inv10_every_table_serves_stable((temper, inputs) in history()) {
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { decision, .. } = run.look(&input, after_ms);
            let Some(next) = next_table(&run.table, &run.plan, &decision) else { continue };
            prop_assert_eq!(next.generation, run.table.generation.next());
            let promoted = decision.state.phase == Phase::Promoted;
            prop_assert_eq!(&next.stable, if promoted { &run.plan.to } else { &run.plan.from });
            prop_assert_eq!(next.split.is_some(), !decision.state.phase.is_final());
            let shut = decision.state.phase == Phase::ShutOff;
            prop_assert_eq!(next.entrance != Entrance::Open, shut);
            run.table = next;
        }
    }
}

/// The histories above must reach what they are about, or they prove nothing.
#[test]
fn the_histories_reach_every_phase() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..300 {
        let (temper, inputs) = history().new_tree(&mut runner).unwrap().current();
        let mut run = Run::new(temper);
        for (input, after_ms) in inputs {
            let Look { before, decision, .. } = run.look(&input, after_ms);
            if before.phase.is_final() {
                continue;
            }
            let mut reach = |what| *times.entry(what).or_default() += 1;
            let code = decision.reasons[0].code();
            match (decision.kind, code) {
                (DecisionKind::Advance, ReasonCode::AllPass) => reach("passes a rung"),
                (DecisionKind::RollBack, ReasonCode::OverRollback) => reach("over rollback"),
                (DecisionKind::RollBack, ReasonCode::PauseLimit) => reach("a pause's end"),
                (DecisionKind::RollBack, ReasonCode::OverBudget) => reach("a spent budget"),
                (_, ReasonCode::SharedFault) => reach("a shared fault"),
                _ => {}
            }
            let by_itself = code == ReasonCode::AllPass && decision.signal == Signal::Green;
            match decision.state.phase {
                Phase::Paused(PausedBy::Lines) => reach("paused by lines"),
                Phase::Paused(PausedBy::Operator) => reach("paused by an operator"),
                Phase::ShutOff => reach("shut off"),
                Phase::Promoted if by_itself => reach("promoted by itself"),
                Phase::Promoted | Phase::Running | Phase::RolledBack | Phase::Ended => {}
            }
        }
    }
    for (what, least) in [
        ("passes a rung", 200),
        ("promoted by itself", 30),
        ("over rollback", 15),
        ("a pause's end", 5),
        ("a spent budget", 5),
        ("a shared fault", 50),
        ("paused by lines", 50),
        ("paused by an operator", 50),
        ("shut off", 3),
    ] {
        let times = times.get(what).copied().unwrap_or(0);
        assert!(times >= least, "{what}: {times} times, at least {least} expected");
    }
}
