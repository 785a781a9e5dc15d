//! Which looks are due, and what is recent.

use super::*;
use crate::decide::{Order, OrderKind, PausedBy, Phase, tests::plan};
use crate::observe::Outcome;

#[test]
fn counts_of_some_seconds_ago() {
    let mut recent = RecentCounts::default();
    let window = |requests| {
        let counts = Counts { requests, ..Counts::default() };
        Window { counts, ..Window::default() }
    };
    let mut look = |second: u64| {
        let before = recent.note(UnixMs(second * 1_000), &window(second), &window(0));
        before.map(|counts| counts.0.requests)
    };
    assert_eq!(look(0), None);
    assert_eq!((1..20).map(|second| look(second).unwrap()).max(), Some(4));
    assert_eq!(look(20), Some(5));
    assert_eq!(look(100), Some(20));
    assert_eq!(look(101), Some(20));
    assert_eq!(look(120), Some(101));
}

/// A release that is looked at as its owner looks: what is due is journalled.
struct Owner {
    plan: Plan,
    watch: Watch,
    state: ReleaseState,
    last: Option<DecisionDigest>,
    seen: Observation,
}

impl Owner {
    fn new() -> Owner {
        Owner {
            plan: plan(Vec::new()),
            watch: Watch::default(),
            state: ReleaseState::start(UnixMs(0)),
            last: None,
            seen: Observation::default(),
        }
    }

    fn answer(&mut self, at: UnixMs) {
        self.seen.stable.add(&Outcome::default(), at);
        self.seen.candidate.add(&Outcome::default(), at);
    }

    /// Whether the look at this second is due.
    fn look(&mut self, second: u64) -> bool {
        let now = UnixMs(second * 1_000);
        let look = self.watch.look(&self.plan, (&self.state, self.last), &mut self.seen, now);
        if look.is_due {
            self.state = look.decision.state.clone();
            self.last = Some(DecisionDigest::of(&look.decision));
            self.watch.journalled(now);
        }
        look.is_due
    }
}

#[test]
fn a_new_reason_is_due_and_more_of_nothing_is_not() {
    let mut owner = Owner::new();
    owner.plan.stale_after_ms = 60_000;
    let due: Vec<u64> = (1..200).filter(|second| owner.look(*second)).collect();
    // At first there is too little; then there is no data any more.
    assert_eq!(due, [1, 60], "{:?}", owner.last);
}

#[test]
fn more_of_the_same_is_due_now_and_then_and_less_often_later() {
    let mut owner = Owner::new();
    owner.plan.rungs[0].look_ms = 86_400_000;
    let mut due = Vec::new();
    for second in 1..3_600 {
        owner.answer(UnixMs(second * 1_000));
        if owner.look(second) {
            due.push(second);
        }
    }
    let within = |from, to| due.iter().filter(|at| (from..to).contains(*at)).count();
    assert_eq!(within(1, 30), 29);
    assert!((15..30).contains(&within(300, 600)), "{due:?}");
    assert_eq!(within(3_000, 3_600), 10);
}

#[test]
fn an_order_is_due_whatever_comes_of_it() {
    let mut owner = Owner::new();
    owner.look(1);
    owner.state.phase = Phase::Paused(PausedBy::Operator);
    owner.look(2);
    assert!(!owner.look(3));
    let (by, reason) = ("ana".to_owned(), String::new());
    owner.seen.order = Some(Order { kind: OrderKind::Pause, by, reason });
    assert!(owner.look(4));
}

#[test]
fn a_look_before_a_stop_is_due_when_there_is_more() {
    let mut owner = Owner::new();
    owner.plan.rungs[0].look_ms = 86_400_000;
    (1..=600).for_each(|second| {
        owner.answer(UnixMs(second * 1_000));
        owner.look(second);
    });
    owner.answer(UnixMs(601_000));
    assert!(!owner.look(601));
    owner.watch.hurry();
    assert!(owner.look(602));
    owner.watch.hurry();
    assert!(!owner.look(603), "there is nothing new to keep");
}
