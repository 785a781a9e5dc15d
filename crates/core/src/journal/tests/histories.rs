//! Random histories: what holds of every one of them, and that they reach what they are about.

use super::*;
use crate::access::key::RANDOM_BYTES;
use crate::access::{Grant, KeyText, Role};
use crate::approval::Approver;
use crate::degrade::DegradeLevel;
use crate::money::Money;
use crate::pairs::{Limit, PairMetric};
use crate::shadow::{EndReason, PairCounts, ShadowPlan, Side, Used};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a seeded operator and controller might do next; many of these do not fit at the time and
/// are refused, as in life.
#[derive(Debug, Clone)]
enum Step {
    Start { to: u64, alpha: f64, overriding: bool },
    Decide { kind: DecisionKind, number: f64, stale: bool },
    Applied,
    Reopen,
    Pack,
    Eval { passed: bool },
    Approve { of: u64, by: u64 },
    Open,
    Cases,
    Close,
    Proof,
    Released,
    RedLines { on: Arm, late: bool, count: u64 },
    Key,
    Revoke,
    Degrade(u8),
    Shadow,
    Pairs { last: bool },
}

fn step() -> impl Strategy<Value = Step> {
    use DecisionKind::{Advance, End, Hold, Pause, RollBack, ShutOff};
    let kinds = vec![Advance, Advance, Advance, Hold, Pause, End, RollBack, ShutOff];
    let kinds = prop::sample::select(kinds);
    prop_oneof![
        3 => (2u64..6, 0.001f64..0.499, any::<bool>())
            .prop_map(|(to, alpha, overriding)| Step::Start { to, alpha, overriding }),
        8 => (kinds, -1e9f64..1e9, prop::bool::weighted(0.1))
            .prop_map(|(kind, number, stale)| Step::Decide { kind, number, stale }),
        2 => Just(Step::Applied),
        1 => Just(Step::Reopen),
        1 => Just(Step::Pack),
        1 => any::<bool>().prop_map(|passed| Step::Eval { passed }),
        2 => (2u64..6, 0u64..3).prop_map(|(of, by)| Step::Approve { of, by }),
        1 => Just(Step::Open),
        2 => Just(Step::Cases),
        2 => Just(Step::Close),
        1 => Just(Step::Proof),
        1 => Just(Step::Released),
        2 => (prop::sample::select(vec![Arm::Stable, Arm::Candidate]), any::<bool>(), 1u64..40)
            .prop_map(|(on, late, count)| Step::RedLines { on, late, count }),
        1 => Just(Step::Key),
        1 => Just(Step::Revoke),
        1 => (0u8..5).prop_map(Step::Degrade),
        1 => Just(Step::Shadow),
        1 => any::<bool>().prop_map(|last| Step::Pairs { last }),
    ]
}

fn grant(n: u64) -> Grant {
    let key = KeyText::of(&[n as u8; RANDOM_BYTES]);
    Grant {
        key: key.id(),
        name: format!("應用 {n}"),
        hash: Digest::of(key.reveal().as_bytes()),
        tenant: Some("acme".to_owned()),
        role: Role::Call,
        expires_at: None,
        priority: None,
        requests_per_min: Some(n),
        tokens_per_min: None,
        concurrent: Some(1),
        budget_day: None,
        budget_month: None,
        models: Default::default(),
    }
}

fn degraded(number: u8) -> Event {
    let (by, reason) = ("mei".to_owned(), "slow".to_owned());
    Event::Degraded { level: DegradeLevel::of(number), by, reason }
}

impl Run {
    fn take(&mut self, step: &Step, n: u64, latest: u64) -> Result<(), ReplayError> {
        let release = change(latest);
        match step {
            Step::Start { to, alpha, overriding } => {
                self.start(n, *to, *alpha, overriding.then_some("mei: seen and accepted"))
            }
            Step::Decide { kind, number, stale: false } => self.decide(latest, *kind, *number),
            Step::Decide { kind, number, stale: true } => {
                let mut behind = self.clone();
                behind.decide(latest, *kind, *number)?;
                let event = behind.entries.last().map(Entry::event).transpose()?;
                self.decide(latest, DecisionKind::Advance, *number)?;
                event.map_or(Ok(()), |event| self.append(event))
            }
            Step::Applied => {
                let generation = self.state.table.as_ref().map_or(Generation(0), |t| t.generation);
                self.append(Event::Applied { generation, took_us: n })
            }
            Step::Reopen => {
                let table = reopened(self.state.table.as_ref().unwrap());
                let (by, reason) = ("mei".to_owned(), "checked".to_owned());
                self.append(Event::EntranceOpened { table, by, reason })
            }
            Step::Pack => {
                self.append(Event::SetPacked { set: set(n), label: format!("第{n}版") })
            }
            Step::Eval { passed } => self.append(evaluated(n, set(latest), *passed)),
            Step::Approve { of, by } => {
                self.append(Event::SetPacked { set: set(*of), label: format!("第{of}版") })?;
                self.append(approved(set(*of), format!("審査 {by}")))
            }
            Step::Open => self.append(Event::IncidentOpened {
                change_id: release,
                signal: Signal::Black,
                reason: "seen by hand".to_owned(),
            }),
            Step::Cases => self.write_cases(latest),
            Step::Close => self.close(latest),
            Step::Proof => self.append(Event::PackWritten {
                change_id: release,
                path: format!("reports/2026-11-21/{latest}"),
                manifest: Digest::of(b"manifest"),
            }),
            Step::Released => self.append(Event::ServiceReleased {
                set: self.state.table.as_ref().unwrap().stable.clone(),
                run_id: format!("run-{n}"),
                note: "32 of 32 cases pass".to_owned(),
            }),
            Step::Key => {
                let grant = Box::new(grant(n));
                self.append(Event::KeyMade { grant, by: "mei".to_owned() })
            }
            Step::Revoke => {
                let key = self.state.keys.keys().nth(n as usize % 3).cloned();
                let key = key.unwrap_or_else(|| KeyText::of(&[0; RANDOM_BYTES]).id());
                self.append(Event::KeyRevoked { key, at: UnixMs(n), by: "mei".to_owned() })
            }
            Step::Degrade(number) => self.append(degraded(*number)),
            Step::Shadow => self.shadow(n),
            Step::Pairs { last } => self.pairs(n, *last),
            Step::RedLines { on, late, count } => {
                let of = late.then_some(release).or(self.state.active.clone());
                let seen: Vec<_> = (0..*count).map(|i| sighting(*on, of.clone(), n, i)).collect();
                let filed = self.state.file(&seen);
                filed.into_iter().try_for_each(|lines| self.append(Event::RedLinesSeen(lines)))
            }
        }
    }
}

fn evaluated(n: u64, set: VersionSetId, passed: bool) -> Event {
    Event::EvalRun {
        run_id: format!("run-{n}"),
        set,
        cases: Digest::of(b"cases"),
        passed,
        report: Digest::of(b"report"),
        policy: Some(Digest::of(b"policy")),
    }
}

fn approved(set: VersionSetId, by: String) -> Event {
    let (approver, reason) = (Approver::Person, "read".to_owned());
    Event::Approved { set, by, approver, reason, run_id: None }
}

fn shadow(from: VersionSetId, to: VersionSetId) -> ShadowPlan {
    ShadowPlan {
        from,
        to,
        label: "第二版".to_owned(),
        sample: 0.3,
        most: Used { requests: 20, cost: Money(50) },
        created_at: UnixMs(0),
        ends_at: UnixMs(60_000),
        alpha: 0.05,
        recorded: None,
        limits: BTreeMap::from([(PairMetric::Failed, Limit::new(0.05).unwrap())]),
    }
}

impl Run {
    fn shadow(&mut self, n: u64) -> Result<(), ReplayError> {
        let from = self.state.table.as_ref().unwrap().stable.clone();
        let plan = Box::new(shadow(from, set(n)));
        self.append(Event::ShadowStarted { plan, by: "mei".to_owned() })
    }

    fn pairs(&mut self, n: u64, last: bool) -> Result<(), ReplayError> {
        let running = self.state.shadow().ok_or(ReplayError::NoShadow)?.clone();
        let mut pairs = PairCounts::default();
        let failed = Side { failed: n.is_multiple_of(3), ..Side::default() };
        pairs.add(&Side::default(), &failed);
        let used = Used { requests: n, cost: Money(n) };
        if last {
            let end = Box::new(running.ending(&pairs, UnixMs(n), EndReason::Time));
            return self.append(Event::ShadowEnded { used, end });
        }
        self.append(Event::ShadowSeen { pairs, used, granted: used })
    }
}

fn run_of(steps: &[Step]) -> (Run, usize) {
    let (mut run, mut latest, mut refused) = (Run::adopted(), 1, 0);
    for (i, step) in steps.iter().enumerate() {
        let n = i as u64 + 2;
        match run.take(step, n, latest) {
            Ok(()) if matches!(step, Step::Start { .. }) => latest = n,
            Ok(()) => {}
            Err(_) => refused += 1,
        }
    }
    (run, refused)
}

fn bytes(state: &ControlState) -> String {
    serde_json::to_string(state).unwrap()
}

proptest! {
    /// Invariant 7: replaying the journal gives the state, to the byte; so does replaying the
    /// state's own stored form.
    #[test]
    fn inv7_replay_gives_the_state(steps in prop::collection::vec(step(), 1..60)) {
        let (run, _) = run_of(&steps);
        let replayed = ControlState::replay(&run.entries).unwrap();
        prop_assert_eq!(&replayed, &run.state);
        prop_assert_eq!(bytes(&replayed), bytes(&run.state));
        let stored: ControlState = serde_json::from_str(&bytes(&run.state)).unwrap();
        prop_assert_eq!(bytes(&stored), bytes(&run.state));
    }

    /// Replaying a prefix and then the rest gives the same state as replaying all at once.
    #[test]
    fn every_prefix_replays(steps in prop::collection::vec(step(), 1..30), cut in 0usize..40) {
        let (run, _) = run_of(&steps);
        let cut = cut.min(run.entries.len());
        let mut state = ControlState::replay(&run.entries[..cut]).unwrap();
        prop_assert_eq!(state.seq, cut as u64);
        for entry in &run.entries[cut..] {
            state.apply(entry.at, &entry.event().unwrap()).unwrap();
            state.seq = entry.seq;
        }
        prop_assert_eq!(bytes(&state), bytes(&run.state));
    }

    /// Nobody approves a set twice, and a release has the approvals of its candidate at its start.
    #[test]
    fn approvals_are_by_several_and_end_with_a_rollback(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (run, _) = run_of(&steps);
        let mut state = ControlState::default();
        for entry in &run.entries {
            let event = entry.event().unwrap();
            let before = state.approvals.clone();
            state.apply(entry.at, &event).unwrap();
            for approvals in state.approvals.values() {
                let names: BTreeSet<&str> = approvals.iter().map(|it| it.by.as_str()).collect();
                prop_assert_eq!(names.len(), approvals.len());
            }
            if let Event::ReleaseStarted { plan, .. } = &event {
                let release = &state.releases[&plan.change_id];
                let approvals = before.get(&plan.to).cloned().unwrap_or_default();
                prop_assert_eq!(&release.approvals, &approvals);
            }
            if let Event::Decided { change_id, decision, .. } = &event
                && decision.state.phase == Phase::RolledBack
            {
                let candidate = &state.releases[change_id].plan.to;
                prop_assert!(!state.approvals.contains_key(candidate));
            }
        }
    }

    /// Invariant 4 over whole histories: a set that rolled back is never a candidate again but by
    /// an override.
    #[test]
    fn inv4_no_history_raises_what_went_back(steps in prop::collection::vec(step(), 1..60)) {
        let (run, _) = run_of(&steps);
        let mut state = ControlState::default();
        for entry in &run.entries {
            let event = entry.event().unwrap();
            if let Event::ReleaseStarted { plan, override_reason, .. } = &event {
                prop_assert!(override_reason.is_some() || !state.blocked.contains_key(&plan.to));
            }
            state.apply(entry.at, &event).unwrap();
            if let Some(split) = state.split() {
                prop_assert!(!state.blocked.contains_key(&split.candidate));
            }
        }
    }
}

/// The histories above must reach what they are about, or they prove nothing.
#[test]
fn the_histories_reach_every_phase_and_are_refused_at_times() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut phases, mut refusals, mut closed) = (std::collections::BTreeSet::new(), 0, 0);
    let mut shadows = 0;
    for _ in 0..100 {
        let steps = prop::collection::vec(step(), 60).new_tree(&mut runner).unwrap().current();
        let (run, refused) = run_of(&steps);
        refusals += refused;
        phases.extend(run.state.releases.values().map(|r| r.state.phase.as_str()));
        shadows += run.state.shadows.values().filter(|shadow| shadow.ended.is_some()).count();
        closed += run.state.incidents.values().filter(|i| i.closed.is_some()).count();
    }
    for phase in [Phase::Ended, Phase::RolledBack, Phase::ShutOff, Phase::Promoted] {
        assert!(phases.contains(phase.as_str()), "{phases:?}");
    }
    assert!(refusals > 100 && closed > 10, "{refusals} refused, {closed} closed");
    assert!(shadows > 10, "{shadows} shadows ended");
}
