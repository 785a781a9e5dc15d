//! Outages of both arms, looked at as a server looks: every second, journalling only the
//! looks that are due.

use super::*;
use crate::decide::tests::chance::Chance;
use crate::decide::{
    Band, BandUnit, Decision, DecisionDigest, DecisionKind, LineRule, Metric, ReasonCode, Rung,
    Watch, tests,
};
use crate::observe::Outcome;
use crate::route::{Cohort, Weight};
use crate::say::Lang;
use crate::upstream::Failure;

struct Server {
    plan: Plan,
    state: ReleaseState,
    seen: Observation,
    watch: Watch,
    now: UnixMs,
    last: Option<DecisionDigest>,
    chance: Chance,
}

impl Server {
    fn new(pct: f64, rollback: f64, seed: u64) -> Server {
        let rules = LineRule::defaults().into_iter().filter(|r| r.metric == Metric::ErrorRate);
        let band = Band { pass: 0.0, pause: rollback, rollback, unit: BandUnit::Points };
        let rules = rules.map(|rule| LineRule { band: Some(band), ..rule }).collect();
        let weight = Weight::from_pct(pct).unwrap();
        let rungs = vec![
            Rung { weight, look_ms: 20_000 },
            Rung { weight: Weight::from_pct(99.0).unwrap(), look_ms: 20_000 },
        ];
        Server {
            plan: Plan { rungs, alpha: 0.01, ..tests::plan(rules) },
            state: ReleaseState::start(UnixMs(0)),
            seen: Observation::default(),
            watch: Watch::default(),
            now: UnixMs(0),
            last: None,
            chance: Chance(seed),
        }
    }

    /// The release stays where it is until it [`Server::may_climb`].
    fn stays(mut self) -> Server {
        self.plan.rungs[0].look_ms = 1_000_000_000;
        self
    }

    fn may_climb(&mut self) {
        self.plan.rungs[0].look_ms = 20_000;
    }

    fn is_seen(&mut self, requests: u32, rates: (f64, f64)) -> bool {
        self.second(requests, rates).reasons[0].code() == ReasonCode::SharedFault
    }

    /// A second of so many requests that fail at these rates on stable and on the candidate.
    fn second(&mut self, requests: u32, (stable, candidate): (f64, f64)) -> Decision {
        self.now = self.now.plus(1_000);
        let weight = self.plan.rungs[self.state.rung].weight.fraction();
        for _ in 0..requests {
            let is_candidate = self.chance.hit(weight);
            let failed = self.chance.hit(if is_candidate { candidate } else { stable });
            let failure = failed.then_some(Failure::ServerError);
            let cohort = Some(Cohort::new(self.chance.below(64) as u8));
            let outcome = Outcome { failure, cohort, ..Outcome::default() };
            let arm = if is_candidate { &mut self.seen.candidate } else { &mut self.seen.stable };
            arm.add(&outcome, self.now);
        }
        let from = (&self.state, self.last);
        let look = self.watch.look(&self.plan, from, &mut self.seen, self.now);
        if look.is_due {
            self.state = look.decision.state.clone();
            self.last = Some(DecisionDigest::of(&look.decision));
            self.watch.journalled(self.now);
        }
        look.decision
    }
}

/// An outage of the upstream that both arms share counts neither against the candidate nor for it,
/// during it or after it, however few requests a look sees.
#[test]
fn inv9_a_shared_fault_is_no_verdict() {
    for (requests, pct) in [(20, 5.0), (20, 50.0), (20, 90.0), (4, 50.0)] {
        let mut server = Server::new(pct, 0.05, 1).stays();
        let (calm, what) = ((0.005, 0.005), format!("{requests} a second at {pct} %"));
        (0..300).for_each(|_| drop(server.second(requests, calm)));
        // It is through but for the time; the time comes 20 s after the outage.
        (0..20).for_each(|_| drop(server.second(requests, (0.6, 0.6))));
        server.may_climb();
        for second in 20..900 {
            let decision = server.second(requests, (0.6, 0.6));
            let why = &decision.reasons[0];
            assert!(decision.actions.is_empty(), "{what}, {second} s: {}", Lang::En.sentence(why));
            assert_eq!(
                why.code(),
                ReasonCode::SharedFault,
                "{what}, {second} s: {}",
                Lang::En.sentence(why)
            );
        }
        let kinds: Vec<DecisionKind> =
            (0..900).map(|_| server.second(requests, calm).kind).collect();
        assert!(!kinds.contains(&DecisionKind::RollBack), "{what}");
        assert!(kinds.contains(&DecisionKind::Advance), "{what}: it goes on after the fault");
    }
}

/// Where stable fails at all times, its bad moments are no faults.
#[test]
fn what_is_usual_for_stable_is_no_shared_fault() {
    let is_seen = |usual: f64| {
        let mut server = Server::new(20.0, 0.05, 3).stays();
        (0..60).for_each(|_| drop(server.second(50, (usual, usual))));
        (0..30).any(|_| server.is_seen(50, (0.25, 0.25)))
    };
    assert!(is_seen(0.01));
    assert!(!is_seen(0.13));
}

/// What lasts is how the upstream is: after an hour both arms are compared as they are.
#[test]
fn a_fault_that_lasts_becomes_usual() {
    let mut server = Server::new(50.0, 0.05, 9).stays();
    (0..60).for_each(|_| drop(server.second(20, (0.005, 0.005))));
    let seen = (0..3_500).filter(|_| server.is_seen(20, (0.6, 0.6))).count();
    assert!(seen > 3_400, "{seen}");
    (0..300).for_each(|_| drop(server.second(20, (0.6, 0.6))));
    assert!(!server.is_seen(20, (0.6, 0.6)));
    // And one who is worse in it rolls back.
    let back = (0..120).any(|_| server.second(20, (0.6, 0.95)).kind == DecisionKind::RollBack);
    assert!(back, "{:?}", server.state.phase);
}

/// When nobody is left on stable to show that a fault is over, it ends by itself: blind for ever
/// would be worse.
#[test]
fn a_fault_that_nobody_can_tell_of_ends() {
    let mut server = Server::new(50.0, 0.05, 5).stays();
    server.plan.same_upstream = false;
    (0..120).for_each(|_| drop(server.second(20, (0.005, 0.005))));
    assert!((0..60).any(|_| server.is_seen(20, (0.6, 0.6))));
    // An operator sends everyone to the candidate.
    server.plan.rungs[0].weight = Weight::FULL;
    let still = (0..120).filter(|_| server.is_seen(20, (0.6, 0.6))).count();
    assert!((30..90).contains(&still), "{still}");
    assert_eq!(server.state.fault_since, None);
}
