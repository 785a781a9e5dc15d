//! The chain shows what was changed in it; replay gives the state (invariants 4 and 7).

use super::*;
use crate::act::{first_table, next_table, reopened};
use crate::decide::{
    Action, Cause, Comparison, Decision, DecisionKind, LineRule, Metric, Numbers, Phase, Plan,
    Preset, Reason, ReleaseState, SharedFault, Signal, Unit,
};
use crate::ids::{ChangeId, Digest, Generation, ServiceName, UnixMs, VersionSetId};
use crate::route::{Audience, Table, Weight};
use proptest::prelude::*;

fn set(n: u64) -> VersionSetId {
    VersionSetId::parse(&format!("vs-{n:012x}")).unwrap()
}

fn change(n: u64) -> ChangeId {
    ChangeId::parse(&format!("prompt-v{n}")).unwrap()
}

fn plan(n: u64, from: u64, to: u64, alpha: f64) -> Box<Plan> {
    Box::new(Plan {
        change_id: change(n),
        service: ServiceName::parse("support-desk").unwrap(),
        from: set(from),
        to: set(to),
        salt: format!("salt-{n}"),
        audience: Audience::Users,
        rungs: Preset::Ladder.rungs(),
        rules: LineRule::defaults(),
        alpha,
        bad_budget: 20,
        hold_back: Weight::ZERO,
        min_samples: 100,
        stale_after_ms: 60_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: SharedFault::default(),
        same_upstream: true,
        close_entrance: true,
        baseline: None,
        created_at: UnixMs(n),
    })
}

/// A journal as it is written: an event is applied first and appended only when it fits.
#[derive(Default, Clone)]
struct Run {
    entries: Vec<Entry>,
    state: ControlState,
}

impl Run {
    fn adopted() -> Run {
        let mut run = Run::default();
        run.append(Event::ServiceAdopted {
            service: ServiceName::parse("support-desk").unwrap(),
            set: set(1),
            label: "提示词 v1".to_owned(),
            table: Table::first(set(1)),
            by: "mei".to_owned(),
        })
        .unwrap();
        run
    }

    fn append(&mut self, event: Event) -> Result<(), ReplayError> {
        let at = UnixMs(1_000 + self.state.seq);
        self.state.apply(at, &event)?;
        let entry = Entry::following(self.entries.last(), at, &event)?;
        self.state.seq = entry.seq;
        self.entries.push(entry);
        Ok(())
    }

    fn start(&mut self, n: u64, to: u64, alpha: f64, why: Option<&str>) -> Result<(), ReplayError> {
        let current = self.state.table.clone().unwrap();
        let from = u64::from_str_radix(&current.stable.as_str()[3..], 16).unwrap();
        let plan = plan(n, from, to, alpha);
        let table = first_table(&current, &plan);
        let override_reason = why.map(str::to_owned);
        self.append(Event::ReleaseStarted { plan, table, by: "mei".to_owned(), override_reason })
    }

    fn decide(&mut self, n: u64, kind: DecisionKind, number: f64) -> Result<(), ReplayError> {
        let Some(release) = self.state.releases.get(&change(n)) else {
            return Err(ReplayError::UnknownRelease(change(n)));
        };
        let decision = decision(&release.plan, &release.state, kind, number);
        let table = next_table(self.state.table.as_ref().unwrap(), &release.plan, &decision);
        self.append(Event::Decided {
            change_id: change(n),
            decision: Box::new(decision),
            order: None,
            table,
        })
    }

    fn write_cases(&mut self, n: u64) -> Result<(), ReplayError> {
        self.append(Event::CasesWritten {
            change_id: change(n),
            case_ids: vec![format!("reg-{n}-退款")],
        })
    }

    fn close(&mut self, n: u64) -> Result<(), ReplayError> {
        self.append(Event::IncidentClosed {
            change_id: change(n),
            by: "mei".to_owned(),
            conclusion: "プロンプトが長すぎた".to_owned(),
        })
    }
}

/// What `decide` would give, made by hand: here only the journal is under test.
fn decision(plan: &Plan, before: &ReleaseState, kind: DecisionKind, number: f64) -> Decision {
    let mut state = before.clone();
    let cause = || Cause::Words("p95 rose by a half".to_owned());
    let incident = |signal| Action::OpenIncident { signal, reason: cause() };
    let close = Action::CloseEntrance { reason: cause() };
    let (signal, actions) = match kind {
        DecisionKind::Hold => (Signal::Yellow, vec![]),
        DecisionKind::Pause => {
            state.phase = Phase::Paused(crate::decide::PausedBy::Lines);
            (Signal::Yellow, vec![incident(Signal::Yellow)])
        }
        DecisionKind::Advance if state.rung + 1 == plan.rungs.len() => {
            state.phase = Phase::Promoted;
            (Signal::Green, vec![Action::Promote])
        }
        DecisionKind::Advance => {
            state.phase = Phase::Running;
            state.rung += 1;
            let weight = plan.rungs[state.rung].weight;
            (Signal::Green, vec![Action::SetWeight { weight }])
        }
        DecisionKind::RollBack => {
            state.phase = Phase::RolledBack;
            (Signal::Red, vec![Action::RollBack, incident(Signal::Red)])
        }
        DecisionKind::ShutOff => {
            state.phase = Phase::ShutOff;
            (Signal::Black, vec![Action::RollBack, close, incident(Signal::Black)])
        }
    };
    let numbers = Numbers { estimate: Some(number), ..Numbers::default() };
    let shown = Comparison::new(Metric::ErrorRate, Unit::Points, numbers);
    let reasons = vec![Reason::Pass(shown.into())];
    state.seen_candidate.latency_us.add(number.abs() as u64);
    state.seen_candidate.tokens_squared.0 += u128::from(u64::MAX) * 3;
    Decision { at: UnixMs(7), kind, signal, reasons, actions, state }
}

fn journal() -> Vec<Entry> {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    run.decide(2, DecisionKind::Advance, 0.1).unwrap();
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    run.write_cases(2).unwrap();
    run.close(2).unwrap();
    run.entries
}

fn check(what: &str, expected: Result<(), JournalError>, change: impl Fn(&mut Vec<Entry>)) {
    let mut entries = journal();
    change(&mut entries);
    assert_eq!(verify_chain(&entries), expected, "{what}");
    if expected.is_err() {
        assert!(ControlState::replay(&entries).is_err(), "{what}");
    }
}

#[test]
fn the_chain_shows_what_was_changed_in_it() {
    use JournalError::{Altered, Broken, Sequence};
    let gap = |expected, found| Err(Sequence { expected, found });
    check("nothing", Ok(()), |_| {});
    check("a body", Err(Altered(3)), |j| j[2].body = j[2].body.replace("0.1", "0.2"));
    check("a time", Err(Altered(3)), |j| j[2].at = UnixMs(1));
    check("a number", gap(3, 4), |j| j[2].seq = 4);
    check("the first number", Err(Altered(1)), |j| {
        j.truncate(1);
        j[0].hash = Digest::of(b"");
    });
    check("what it follows", Err(Broken(3)), |j| j[2].prev = Digest::of(b"x"));
    check("what the first follows", Err(Broken(1)), |j| j[0].prev = Digest::of(b"x"));
    check("a hash", Err(Altered(3)), |j| j[2].hash = Digest::of(b"x"));
    check("one deleted", gap(3, 4), |j| drop(j.remove(2)));
    check("two swapped", gap(2, 3), |j| j.swap(1, 2));
    check("one doubled", gap(3, 2), |j| j.insert(2, j[1].clone()));
    check("two swapped and renumbered", Err(Broken(2)), |j| {
        j.swap(1, 2);
        (j[1].seq, j[2].seq) = (2, 3);
    });
    check("one rewritten with its hash", Err(Broken(4)), |j| {
        j[2] = Entry::following(Some(&j[1]), UnixMs(1), &j[3].event().unwrap()).unwrap();
    });
    check("its start cut off", Ok(()), |j| drop(j.drain(..2)));
    // Not seen without a head kept elsewhere; the store keeps one.
    check("its end cut off", Ok(()), |j| j.truncate(3));
}

#[test]
fn every_flipped_byte_of_a_body_is_seen() {
    let good = journal();
    for (i, entry) in good.iter().enumerate() {
        for at in 0..entry.body.len() {
            let mut bytes = entry.body.clone().into_bytes();
            bytes[at] ^= 1;
            let mut entries = good.clone();
            entries[i].body = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(verify_chain(&entries), Err(JournalError::Altered(entry.seq)), "byte {at}");
        }
    }
}

#[test]
fn an_event_that_does_not_read_back_is_refused() {
    for number in [f64::NAN, f64::INFINITY] {
        let mut run = Run::adopted();
        run.start(2, 2, 0.05, None).unwrap();
        let error = run.decide(2, DecisionKind::Hold, number).unwrap_err();
        let expected = matches!(
            &error,
            ReplayError::Journal(JournalError::Unreadable { seq: 3, detail })
                if detail.contains("not finite")
        );
        assert!(expected, "{error}");
    }
}

#[test]
fn inv4_what_went_back_stays_back_without_an_override() {
    for kind in [DecisionKind::RollBack, DecisionKind::ShutOff] {
        let mut run = Run::adopted();
        run.start(2, 2, 0.05, None).unwrap();
        run.decide(2, kind, 0.3).unwrap();
        let before = run.clone();
        let error = run.start(3, 2, 0.05, None).unwrap_err();
        let ReplayError::Blocked { set: blocked, block } = &error else { panic!("{error}") };
        assert_eq!((blocked, &block.change_id), (&set(2), &change(2)));
        assert_eq!(run.state, before.state, "what is refused changes nothing");
        // Another set is free to go, and does not lift the block.
        run.start(4, 4, 0.05, None).unwrap();
        run.decide(4, DecisionKind::RollBack, 0.3).unwrap();
        assert!(matches!(run.start(5, 2, 0.05, None), Err(ReplayError::Blocked { .. })));
        run.start(6, 2, 0.05, Some("mei: the upstream was at fault")).unwrap();
        assert_eq!(run.state.active, Some(change(6)));
    }
}

#[test]
fn a_release_that_is_over_is_moved_by_nothing() {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    for kind in [DecisionKind::Advance, DecisionKind::Hold, DecisionKind::RollBack] {
        assert_eq!(run.decide(2, kind, 0.1), Err(ReplayError::ReleaseOver(change(2))));
    }
    assert_eq!(
        run.start(2, 3, 0.05, None),
        Err(ReplayError::ReleaseExists(change(2))),
        "a change id is used once"
    );
}

#[test]
fn releases_go_one_at_a_time() {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    let running = Err(ReplayError::ReleaseRunning(change(2)));
    assert_eq!(run.start(3, 3, 0.05, None), running);
    run.decide(2, DecisionKind::Pause, 0.1).unwrap();
    assert_eq!(run.start(3, 3, 0.05, Some("an override lifts blocks, not this")), running);
    for _ in 0..6 {
        run.decide(2, DecisionKind::Advance, 0.1).unwrap();
    }
    assert_eq!(run.state.table.as_ref().map(|t| &t.stable), Some(&set(2)), "promoted");
    assert_eq!(run.start(3, 3, 0.05, None), Ok(()));
}

#[test]
fn a_stale_table_is_refused() {
    let mut run = Run::adopted();
    let first = run.state.table.clone().unwrap();
    run.start(2, 2, 0.05, None).unwrap();
    let current = run.state.table.clone().unwrap();
    let before = run.state.clone();
    let reopen = |table: Table| Event::EntranceOpened {
        table,
        by: "mei".to_owned(),
        reason: "checked".to_owned(),
    };
    let numbered = |generation| Table { generation: Generation(generation), ..current.clone() };
    for (table, given) in [(reopened(&first), 2), (numbered(1), 1), (numbered(4), 4)] {
        let stale = ReplayError::StaleTable { given: Generation(given), current: Generation(2) };
        assert_eq!(run.append(reopen(table)), Err(stale));
    }
    assert_eq!(run.state, before);
    assert_eq!(run.append(reopen(reopened(&current))), Ok(()));
}

#[test]
fn an_incident_is_closed_only_after_its_cases_are_written() {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    assert_eq!(run.close(2), Err(ReplayError::NoIncident(change(2))));
    assert_eq!(run.write_cases(2), Err(ReplayError::NoIncident(change(2))));
    run.decide(2, DecisionKind::Pause, 0.1).unwrap();
    assert_eq!(run.state.incidents[&change(2)].signal, Signal::Yellow);
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    assert_eq!(run.state.incidents[&change(2)].signal, Signal::Red, "one incident, now worse");
    assert_eq!(run.close(2), Err(ReplayError::CasesMissing(change(2))));
    run.append(Event::CasesWritten { change_id: change(2), case_ids: vec![] }).unwrap();
    assert_eq!(run.close(2), Err(ReplayError::CasesMissing(change(2))), "an empty list is none");
    run.write_cases(2).unwrap();
    assert_eq!(run.close(2), Ok(()));
    assert!(run.state.incidents[&change(2)].closed.is_some());
}

#[test]
fn a_service_is_adopted_first_and_once() {
    let mut none = Run::default();
    let table = Table::first(set(1));
    let open = Event::EntranceOpened { table, by: "mei".to_owned(), reason: String::new() };
    assert_eq!(none.append(open), Err(ReplayError::NoService));
    let adopt = Run::adopted().entries[0].event().unwrap();
    assert_eq!(Run::adopted().append(adopt), Err(ReplayError::Adopted));
}

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
    Open,
    Cases,
    Close,
    Proof,
}

fn step() -> impl Strategy<Value = Step> {
    use DecisionKind::{Advance, Hold, Pause, RollBack, ShutOff};
    let kinds =
        prop::sample::select(vec![Advance, Advance, Advance, Hold, Pause, RollBack, ShutOff]);
    prop_oneof![
        3 => (2u64..6, 0.001f64..0.499, any::<bool>())
            .prop_map(|(to, alpha, overriding)| Step::Start { to, alpha, overriding }),
        8 => (kinds, -1e9f64..1e9, prop::bool::weighted(0.1))
            .prop_map(|(kind, number, stale)| Step::Decide { kind, number, stale }),
        2 => Just(Step::Applied),
        1 => Just(Step::Reopen),
        1 => Just(Step::Pack),
        1 => any::<bool>().prop_map(|passed| Step::Eval { passed }),
        1 => Just(Step::Open),
        2 => Just(Step::Cases),
        2 => Just(Step::Close),
        1 => Just(Step::Proof),
    ]
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
            Step::Eval { passed } => self.append(Event::EvalRun {
                run_id: format!("run-{n}"),
                set: set(latest),
                cases: Digest::of(b"cases"),
                passed: *passed,
                report: Digest::of(b"report"),
            }),
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
        }
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

    /// Every prefix is a state of its own, that the rest of the journal leads on from.
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

    /// Invariant 4 over whole histories: a set that went back is never a candidate again but by
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
    for _ in 0..100 {
        let steps = prop::collection::vec(step(), 60).new_tree(&mut runner).unwrap().current();
        let (run, refused) = run_of(&steps);
        refusals += refused;
        phases.extend(run.state.releases.values().map(|r| r.state.phase.as_str()));
        closed += run.state.incidents.values().filter(|i| i.closed.is_some()).count();
    }
    for phase in [Phase::RolledBack, Phase::ShutOff, Phase::Promoted] {
        assert!(phases.contains(phase.as_str()), "{phases:?}");
    }
    assert!(refusals > 100 && closed > 10, "{refusals} refused, {closed} closed");
}
