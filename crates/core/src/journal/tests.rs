//! The chain shows what was changed in it; replay gives the state (invariants 4 and 7).

use super::*;
use crate::act::{first_table, next_table, reopened};
use crate::decide::{
    Action, Cause, Comparison, Decision, DecisionKind, LineRule, Metric, Numbers, Phase, Plan,
    Preset, Reason, ReleaseState, SharedFault, Signal, Unit,
};
use crate::guard::{RiskEvent, RiskKind, Sighting};
use crate::ids::{
    ChangeId, Digest, Generation, IncidentId, ServiceName, TraceId, UnixMs, VersionSetId,
};
use crate::route::{Arm, Audience, Table, Weight};

mod histories;

pub(super) fn set(n: u64) -> VersionSetId {
    VersionSetId::parse(&format!("vs-{n:012x}")).unwrap()
}

pub(super) fn change(n: u64) -> ChangeId {
    ChangeId::parse(&format!("prompt-v{n}")).unwrap()
}

pub(super) fn incident(n: u64) -> IncidentId {
    IncidentId::of_release(&change(n))
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
        ab: None,
        created_at: UnixMs(n),
    })
}

/// A red line in an answer, of a kind that `i` chooses.
pub(super) fn sighting(arm: Arm, change_id: Option<ChangeId>, n: u64, i: u64) -> Sighting {
    let kinds = [RiskKind::Leak, RiskKind::UnauthorisedTool, RiskKind::Secret];
    let kind = kinds[(i % 3) as usize];
    Sighting {
        event: RiskEvent { kind, detail: "planted text 1 of 1".to_owned() },
        at: UnixMs(1_000 + n),
        arm,
        change_id,
        trace_id: TraceId::parse(&format!("t-{n}-{i}")).unwrap(),
        caller: Some("caller-0123456789ab".to_owned()),
        blocked: i.is_multiple_of(2),
        banned_s: 3_600,
    }
}

/// A journal as it is written: an event is applied first and appended only when it fits.
#[derive(Default, Clone)]
pub(super) struct Run {
    entries: Vec<Entry>,
    pub(super) state: ControlState,
}

impl Run {
    pub(super) fn adopted() -> Run {
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

    pub(super) fn append(&mut self, event: Event) -> Result<(), ReplayError> {
        let at = UnixMs(1_000 + self.state.seq);
        self.state.apply(at, &event)?;
        let entry = Entry::following(self.entries.last(), at, &event)?;
        self.state.seq = entry.seq;
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        n: u64,
        to: u64,
        alpha: f64,
        why: Option<&str>,
    ) -> Result<(), ReplayError> {
        let current = self.state.table.clone().unwrap();
        let from = u64::from_str_radix(&current.stable.as_str()[3..], 16).unwrap();
        let plan = plan(n, from, to, alpha);
        let table = first_table(&current, &plan);
        let override_reason = why.map(str::to_owned);
        let by = "mei".to_owned();
        let (smoke, written) = (None, Vec::new());
        self.append(Event::ReleaseStarted { plan, table, by, override_reason, smoke, written })
    }

    pub(super) fn decide(
        &mut self,
        n: u64,
        kind: DecisionKind,
        number: f64,
    ) -> Result<(), ReplayError> {
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
            incident: incident(n),
            case_ids: vec![format!("reg-{n}-退款")],
        })
    }

    fn close(&mut self, n: u64) -> Result<(), ReplayError> {
        self.append(Event::IncidentClosed {
            incident: incident(n),
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
        DecisionKind::End => {
            state.phase = Phase::Ended;
            (Signal::Green, vec![Action::End])
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

/// A red line in an answer that was on its way as the rollback was written.
#[test]
fn a_rollback_becomes_a_shut_off_and_nothing_else() {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    let mut later = run.clone();
    run.decide(2, DecisionKind::ShutOff, 0.4).unwrap();
    assert_eq!(run.state.releases[&change(2)].state.phase, Phase::ShutOff);
    let table = run.state.table.as_ref().unwrap();
    assert!(table.entrance != crate::route::Entrance::Open && table.stable == set(1));
    assert_eq!(run.state.incident_of(&change(2)).unwrap().signal, Signal::Black);
    for kind in [DecisionKind::ShutOff, DecisionKind::RollBack, DecisionKind::Advance] {
        assert_eq!(run.decide(2, kind, 0.1), Err(ReplayError::ReleaseOver(change(2))));
    }
    // It would take the next release out with it.
    later.start(3, 3, 0.05, None).unwrap();
    let over = Err(ReplayError::ReleaseOver(change(2)));
    assert_eq!(later.decide(2, DecisionKind::ShutOff, 0.4), over);
    later.decide(3, DecisionKind::ShutOff, 0.4).unwrap();
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
    assert_eq!(run.close(2), Err(ReplayError::NoIncident(incident(2))));
    assert_eq!(run.write_cases(2), Err(ReplayError::NoIncident(incident(2))));
    run.decide(2, DecisionKind::Pause, 0.1).unwrap();
    assert_eq!(run.state.incidents[&incident(2)].signal, Signal::Yellow);
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    assert_eq!(run.state.incidents[&incident(2)].signal, Signal::Red, "one incident, now worse");
    assert_eq!(run.close(2), Err(ReplayError::CasesMissing(incident(2))));
    run.append(Event::CasesWritten { incident: incident(2), case_ids: vec![] }).unwrap();
    assert_eq!(run.close(2), Err(ReplayError::CasesMissing(incident(2))), "an empty list is none");
    run.write_cases(2).unwrap();
    assert_eq!(run.close(2), Ok(()));
    assert!(run.state.incidents[&incident(2)].closed.is_some());
}

#[test]
fn an_older_journal_names_an_incident_by_its_release() {
    let old = r#"{"event":"cases_written","change_id":"prompt-v2","case_ids":["reg-1"]}"#;
    let read: Event = serde_json::from_str(old).unwrap();
    let case_ids = vec!["reg-1".to_owned()];
    assert_eq!(read, Event::CasesWritten { incident: incident(2), case_ids });
    let written = serde_json::to_string(&read).unwrap();
    assert!(written.contains(r#""incident":"inc-prompt-v2""#), "{written}");
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
