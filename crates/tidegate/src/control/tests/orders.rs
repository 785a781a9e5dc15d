//! Invariants 5 and 10 on the binary's half: control, what is ahead of the journal, and the router,
//! through any history of traffic, looks, orders and a disk that answers or does not.

use super::*;
use crate::control::ahead::Relief;
use crate::store::Store;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::ids::Generation;

/// One thing that happens. `stalled` goes past the store, as everything does that asks while the
/// loop waits for a disk that does not answer.
#[derive(Debug, Clone)]
enum Step {
    Answers { stable: u64, candidate: u64, fail: bool },
    RedLine,
    Look { stalled: bool },
    Order { kind: OrderKind, named: bool, stalled: bool },
    Reopen { stalled: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let answers = |fail| {
        (0..600_u64, 0..300_u64).prop_map(move |(stable, candidate)| Step::Answers {
            stable,
            candidate,
            fail,
        })
    };
    let order = |kind| {
        (any::<bool>(), any::<bool>()).prop_map(move |(named, stalled)| Step::Order {
            kind,
            named,
            stalled,
        })
    };
    prop_oneof![
        5 => answers(false),
        1 => answers(true),
        1 => Just(Step::RedLine),
        8 => any::<bool>().prop_map(|stalled| Step::Look { stalled }),
        2 => order(OrderKind::Pause),
        2 => order(OrderKind::Resume),
        3 => order(OrderKind::RollBack),
        1 => order(OrderKind::Promote),
        1 => order(OrderKind::PromoteFully),
        1 => any::<bool>().prop_map(|stalled| Step::Reopen { stalled }),
    ]
}

/// What must hold of the router from here on.
struct Promises {
    generation: Generation,
    /// The candidate was taken out: nothing but a new release brings it back.
    out: bool,
    /// The weight at which an operator paused; nothing but an operator raises it.
    paused_at: Option<f64>,
    /// A black signal shut the entrance: nothing but an operator opens it.
    shut: bool,
}

/// A history under way.
struct History {
    scene: Scene,
    change: ChangeId,
    sets: [tidegate_core::ids::VersionSetId; 2],
    promises: Promises,
    /// Whether a running candidate was taken out past the store.
    went_past: bool,
}

impl History {
    async fn new() -> History {
        let mut scene = Scene::new().await;
        scene.eval().await;
        let change = scene.start().await.unwrap();
        let plan = &scene.control.state.releases[&change].plan;
        let sets = [plan.from.clone(), plan.to.clone()];
        let generation = scene.plane.router.load().table.generation;
        let promises = Promises { generation, out: false, paused_at: None, shut: false };
        History { scene, change, sets, promises, went_past: false }
    }

    fn weight(&self) -> f64 {
        let table = self.scene.plane.router.load();
        table.table.split.as_ref().map_or(0.0, |split| split.weight.pct())
    }

    async fn take(&mut self, step: Step) {
        let at = self.weight();
        let History { scene, change, promises, .. } = self;
        let now = scene.control.clock.now();
        match step {
            Step::Answers { stable, candidate, fail } => {
                scene.feed(change, Arm::Stable, stable, None);
                let failure = fail.then_some(Failure::Malformed);
                scene.feed(change, Arm::Candidate, candidate, failure);
                scene.control.clock.advance(60_000);
            }
            Step::RedLine => {
                scene.plane.collector.red_event(Sighting { at: now, ..leak(change) });
            }
            Step::Look { stalled: true } => scene.control.ahead.look(now),
            Step::Look { stalled: false } => drop(scene.control.tick().await.unwrap()),
            Step::Order { kind, named, stalled } => {
                let (by, reason) = ("mei".to_owned(), "because".to_owned());
                let order = Order { kind, by, reason };
                let release = named.then(|| change.clone());
                // The loop carries out what gives the candidate more; only the rest goes past it.
                let goes_past = matches!(kind, OrderKind::RollBack | OrderKind::Pause) && stalled;
                let done = match goes_past {
                    true => scene.control.ahead.order(&order, release, now),
                    false => {
                        scene.control.handle(Command::Order { order, release, anyway: false }).await
                    }
                };
                if done.is_ok() {
                    self.went_past |= goes_past && kind == OrderKind::RollBack && at > 0.0;
                    self.ordered(kind);
                }
            }
            Step::Reopen { stalled } => {
                let (by, reason) = ("mei".to_owned(), "looked at".to_owned());
                let done = match stalled {
                    true => scene.control.ahead.reopen(by, reason, now),
                    false => scene.control.handle(Command::Reopen { by, reason }).await,
                };
                promises.shut &= done.is_err();
            }
        }
    }

    fn ordered(&mut self, kind: OrderKind) {
        match kind {
            OrderKind::RollBack | OrderKind::End => self.promises.out = true,
            OrderKind::Pause => self.promises.paused_at = Some(self.weight()),
            OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {
                self.promises.paused_at = None;
            }
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let effective = self.scene.control.ahead.effective();
        let phase = effective.releases[&self.change].state.phase;
        self.promises.out |= matches!(phase, Phase::RolledBack | Phase::ShutOff);
        let live = self.scene.plane.router.load();
        let [from, to] = &self.sets;
        // Stable traffic is served, whatever happened.
        prop_assert_eq!(&live.stable.set.id, &live.table.stable);
        prop_assert!(live.table.stable == *from || live.table.stable == *to);
        prop_assert!(live.table.generation >= self.promises.generation);
        self.promises.generation = live.table.generation;
        if self.promises.out {
            prop_assert!(live.table.split.is_none() && live.candidate.is_none(), "it is back");
            prop_assert_eq!(&live.table.stable, from);
        }
        if let Some(weight) = self.promises.paused_at {
            prop_assert!(self.weight() <= weight, "paused at {weight}, now {}", self.weight());
        }
        let is_shut = matches!(live.table.entrance, Entrance::Closed { .. });
        prop_assert!(is_shut || !self.promises.shut, "nobody opened the entrance");
        self.promises.shut = is_shut;
        Ok(())
    }

    /// The disk answers again: the journal gets all that is in force, and nothing else.
    async fn settle(&mut self) -> Result<Phase, TestCaseError> {
        self.scene.control.tick().await.unwrap();
        self.check()?;
        prop_assert!(self.scene.control.ahead.not_written().is_none());
        prop_assert!(self.scene.is_replay());
        let in_place = self.scene.plane.router.load().table.clone();
        prop_assert_eq!(Some(&in_place), self.scene.control.state.table.as_ref());
        Ok(self.scene.control.state.releases[&self.change].state.phase)
    }
}

#[test]
fn inv5_inv10_no_history_brings_back_what_an_operator_took_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reached = RefCell::new(BTreeSet::new());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRunner::deterministic().new_rng());
    runner
        .run(&prop::collection::vec(step(), 1..24), |steps| {
            runtime.block_on(async {
                let mut history = History::new().await;
                for step in steps {
                    history.take(step).await;
                    history.check()?;
                }
                let phase = history.settle().await?;
                reached.borrow_mut().insert(phase.as_str());
                if history.went_past {
                    reached.borrow_mut().insert("rolled back past the store");
                }
                Ok(())
            })
        })
        .unwrap();
    let reached = reached.into_inner();
    for end in ["running", "promoted", "rolled back", "rolled back past the store", "shut off"] {
        assert!(reached.contains(end), "no history ends {end}: {reached:?}");
    }
    assert!(reached.iter().any(|end| end.starts_with("paused")), "{reached:?}");
}

/// An order to degrade was written though the answer to it was an error.
#[tokio::test]
async fn an_order_to_degrade_that_is_in_the_journal_already_is_not_written_twice() {
    let mut scene = Scene::new().await;
    let (level, at) = (Some(DegradeLevel::Small), scene.control.clock.now());
    let order = |by: &str| {
        let (by, reason) = (by.to_owned(), "the provider is slow".to_owned());
        Relief { level, by, reason, at }
    };
    let store = scene.control.store.clone();
    let after = scene.control.state.seq;
    scene.control.ahead.degrade(order("mei"));
    store.append(after, store.epoch(), at, vec![order("mei").event()]).await.unwrap();
    for _ in 0..3 {
        let _ = scene.control.tick().await;
    }
    assert!(scene.control.ahead.relief().is_none() && scene.is_replay());
    let written = |store: &Store| {
        let entries = store.journal(1).unwrap();
        let events = entries.iter().map(|entry| entry.event().unwrap());
        events.filter(|event| matches!(event, Event::Degraded { .. })).count()
    };
    assert_eq!(written(&store), 1);
    // Another's order is another one.
    scene.control.ahead.degrade(order("li"));
    scene.control.tick().await.unwrap();
    assert_eq!(written(&store), 2);
}
