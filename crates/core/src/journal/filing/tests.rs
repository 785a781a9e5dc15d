//! Which incident a red line is filed under.

use super::super::tests::{Run, change, incident, set, sighting};
use super::super::{ControlState, Event};
use crate::decide::{DecisionKind, Signal};
use crate::guard::{RiskKind, Sighting};
use crate::ids::{IncidentId, TraceId, UnixMs};
use crate::incident::{RedLines, Subject, TRACES_MAX, outage_reason};
use crate::observe::{FailedRequest, OutageLog, OutageRun, Outcome};
use crate::route::Arm;
use crate::upstream::Failure;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn leaks(count: u64, of: impl Fn(u64) -> Sighting) -> Vec<Sighting> {
    (0..count).map(|i| of(i * 3)).collect()
}

fn one(run: &Run, sightings: &[Sighting]) -> RedLines {
    let mut filed = run.state.file(sightings);
    assert_eq!(filed.len(), 1, "{filed:?}");
    filed.remove(0)
}

#[test]
fn a_flood_of_one_kind_is_one_incident_of_the_service() {
    let mut run = Run::adopted();
    let first = one(&run, &leaks(50, |i| sighting(Arm::Stable, None, 1, i)));
    assert!(first.incident.as_str().starts_with("inc-leak-"), "{}", first.incident);
    assert_eq!((first.count, first.went_out), (50, 25));
    assert_eq!(first.sightings.len(), TRACES_MAX);
    run.append(Event::RedLinesSeen(first.clone())).unwrap();
    let again = one(&run, &leaks(2, |i| sighting(Arm::Stable, None, 2, i)));
    assert_eq!(again.incident, first.incident);
    run.append(Event::RedLinesSeen(again)).unwrap();
    let found = &run.state.incidents[&first.incident];
    assert_eq!((found.signal, found.red_lines, found.went_out), (Signal::Black, 52, 26));
    assert_eq!(found.subject, Subject::Service { set: set(1), kind: RiskKind::Leak });
    assert_eq!(found.traces.len(), TRACES_MAX);
    // Another kind is another incident; so is the same kind once the first is closed.
    let other = one(&run, &[sighting(Arm::Stable, None, 3, 1)]);
    assert_ne!(other.incident, first.incident);
    let id = first.incident.clone();
    run.append(Event::CasesWritten { incident: id.clone(), case_ids: vec!["reg-1".into()] })
        .unwrap();
    let (by, conclusion) = ("mei".to_owned(), "the key is revoked".to_owned());
    run.append(Event::IncidentClosed { incident: id.clone(), by, conclusion }).unwrap();
    let later = one(&run, &leaks(50, |i| sighting(Arm::Stable, None, 1, i)));
    assert_ne!(later.incident, id, "what was closed stays closed");
}

#[test]
fn a_late_answer_of_a_rolled_back_candidate_belongs_to_its_release() {
    let mut run = Run::adopted();
    run.start(2, 2, 0.05, None).unwrap();
    run.decide(2, DecisionKind::RollBack, 0.3).unwrap();
    let late = one(&run, &[sighting(Arm::Candidate, Some(change(2)), 1, 0)]);
    assert_eq!((&late.incident, &late.set), (&incident(2), &set(2)));
    run.append(Event::RedLinesSeen(late)).unwrap();
    let found = run.state.incident_of(&change(2)).unwrap();
    assert_eq!((found.red_lines, found.signal), (1, Signal::Black), "it is worse now");
    // Stable's answers in the same release do not.
    let stable = one(&run, &[sighting(Arm::Stable, Some(change(2)), 1, 0)]);
    assert_ne!(stable.incident, incident(2));
    assert_eq!(stable.set, set(1));
}

fn outage(since: u64, failed: u64, ended_at: Option<u64>) -> OutageRun {
    OutageRun {
        set: set(1),
        upstream: "main".to_owned(),
        since: UnixMs(since),
        last_failed_at: UnixMs(since + failed),
        ended_at: ended_at.map(UnixMs),
        requests: failed + 3,
        failures: BTreeMap::from([(Failure::AccountLimit, failed)]),
        came_again: 0,
        said: vec!["no balance".to_owned()],
        traces: vec![TraceId::parse("t-1").unwrap()],
    }
}

/// Journals what is to be journalled, and gives how many events that was.
fn file(run: &mut Run, seen: &OutageRun, now: u64, is_last: bool) -> usize {
    let events = run.state.file_outage(seen, UnixMs(now), is_last);
    let count = events.len();
    events.into_iter().for_each(|event| run.append(event).unwrap());
    count
}

#[test]
fn an_outage_is_one_incident_that_its_end_closes() {
    let mut run = Run::adopted();
    assert_eq!(file(&mut run, &outage(1_000, 5, None), 2_000, false), 1);
    // More failures of it are not journalled.
    assert_eq!(file(&mut run, &outage(1_000, 900, None), 3_000, false), 0);
    let id = run.state.incidents.keys().next().unwrap().clone();
    assert!(id.as_str().starts_with("inc-outage-"), "{id}");
    let found = &run.state.incidents[&id];
    assert!(found.is_open() && found.is_of_service() && !found.needs_cases());
    assert_eq!(found.signal, Signal::Red);
    let (set, upstream) = (set(1), "main".to_owned());
    assert_eq!(found.subject, Subject::Outage { set, upstream });
    assert_eq!(found.reason, outage_reason(&outage(1_000, 5, None)));
    assert_eq!(file(&mut run, &outage(1_000, 950, Some(9_000)), 9_000, false), 1);
    let found = &run.state.incidents[&id];
    assert!(!found.is_open());
    assert_eq!(found.outage.as_deref(), Some(&outage(1_000, 950, Some(9_000))));
    assert_eq!(run.state.last_outage(), found.outage.as_deref());
    assert_eq!(file(&mut run, &outage(1_000, 950, Some(9_000)), 99_000, true), 0);
    // It comes again: open again, and no second incident.
    let again = OutageRun { came_again: 1, ..outage(1_000, 960, None) };
    assert_eq!(file(&mut run, &again, 200_000, false), 1);
    assert!(run.state.incidents[&id].is_open() && run.state.incidents.len() == 1);
    // Another one is another incident.
    let ended = OutageRun { ended_at: Some(UnixMs(300_000)), ..again };
    assert_eq!(file(&mut run, &ended, 310_000, false), 0, "it must hold first");
    assert_eq!(file(&mut run, &ended, 400_000, false), 1);
    assert_eq!(file(&mut run, &outage(2_000_000, 5, None), 2_000_000, false), 1);
    assert_eq!(run.state.incidents.len(), 2);
}

#[test]
fn an_outage_that_a_person_closed_stays_closed() {
    let mut run = Run::adopted();
    file(&mut run, &outage(1_000, 5, None), 2_000, false);
    let id = run.state.incidents.keys().next().unwrap().clone();
    let (by, conclusion) = ("mei".to_owned(), "the account is charged".to_owned());
    run.append(Event::IncidentClosed { incident: id.clone(), by, conclusion }).unwrap();
    let again = OutageRun { came_again: 1, ..outage(1_000, 9, None) };
    file(&mut run, &outage(1_000, 8, Some(9_000)), 9_000, false);
    file(&mut run, &again, 10_000, false);
    let closed = run.state.incidents[&id].closed.clone();
    assert_eq!(closed.unwrap().1, "the account is charged");
}

#[test]
fn at_the_end_of_a_process_the_numbers_are_journalled() {
    let mut run = Run::adopted();
    file(&mut run, &outage(1_000, 5, None), 2_000, false);
    assert_eq!(file(&mut run, &outage(1_000, 700, None), 3_000, true), 1);
    assert_eq!(run.state.last_outage().unwrap().failed(), 700);
    assert!(run.state.incidents.values().all(|incident| incident.is_open()));
    // Another process did not see its end.
    assert_eq!(file(&mut run, &outage(5_000_000, 5, None), 5_000_000, false), 2);
    let ends: Vec<_> = run.state.incidents.values().map(|i| i.is_open()).collect();
    assert_eq!(ends.iter().filter(|is_open| **is_open).count(), 1, "{ends:?}");
}

#[test]
fn without_a_service_nothing_is_filed() {
    assert_eq!(ControlState::default().file(&[sighting(Arm::Stable, None, 1, 0)]), []);
}

proptest! {
    /// Nothing seen is lost or counted twice, whatever it is mixed with; one id is never two
    /// incidents.
    #[test]
    fn every_sighting_is_filed_once(
        seen in prop::collection::vec((any::<bool>(), any::<bool>(), 0u64..9, 1u64..5), 1..60),
    ) {
        let mut run = Run::adopted();
        run.start(2, 2, 0.05, None).unwrap();
        let all: Vec<Sighting> = seen
            .iter()
            .map(|(stable, in_release, i, n)| {
                let arm = if *stable { Arm::Stable } else { Arm::Candidate };
                sighting(arm, in_release.then(|| change(2)), *n, *i)
            })
            .collect();
        let filed = run.state.file(&all);
        let ids: std::collections::BTreeSet<&IncidentId> =
            filed.iter().map(|lines| &lines.incident).collect();
        prop_assert_eq!(ids.len(), filed.len());
        prop_assert_eq!(filed.iter().map(|lines| lines.count).sum::<u64>(), all.len() as u64);
        let out = all.iter().filter(|sighting| !sighting.blocked).count() as u64;
        prop_assert_eq!(filed.iter().map(|lines| lines.went_out).sum::<u64>(), out);
        for lines in filed {
            prop_assert!(lines.sightings.iter().all(|s| s.event.kind == lines.kind));
            run.append(Event::RedLinesSeen(lines)).unwrap();
        }
    }
}

/// A day of a model server that comes and goes.
fn flapping(down_s: u64, up_s: u64) -> (Run, usize) {
    let (mut run, mut log, mut now, mut journalled) =
        (Run::adopted(), OutageLog::default(), 1_000_000_000, 0);
    let until = now + 86_400_000;
    while now < until {
        for (seconds, failure) in [(down_s, Some(Failure::ServerError)), (up_s, None)] {
            for _ in 0..seconds {
                now += 1_000;
                let outcome = Outcome { failure, ..Outcome::default() };
                log.add(&outcome, UnixMs(now), || FailedRequest {
                    trace_id: TraceId::parse("t-1").unwrap(),
                    set: set(1),
                    upstream: "main".to_owned(),
                    said: None,
                });
                let Some(seen) = log.run() else { continue };
                journalled += file(&mut run, seen, now, false);
            }
        }
    }
    (run, journalled)
}

#[test]
fn a_model_server_that_comes_and_goes_does_not_fill_the_journal() {
    let (run, journalled) = flapping(10, 50);
    assert_eq!(run.state.incidents.len(), 1);
    assert!(journalled <= 20, "{journalled}");
    let (run, journalled) = flapping(60, 400);
    assert_eq!(run.state.incidents.len(), 1);
    assert!(journalled <= 20, "{journalled}");
    // Apart by more than ten minutes they are different ones.
    let (run, journalled) = flapping(60, 900);
    assert_eq!(run.state.incidents.len(), 90);
    assert_eq!(journalled, 180);
}
