//! Which incident a red line is filed under.

use super::super::tests::{Run, change, incident, set, sighting};
use super::super::{ControlState, Event};
use crate::decide::{DecisionKind, Signal};
use crate::guard::{RiskKind, Sighting};
use crate::ids::IncidentId;
use crate::incident::{RedLines, Subject, TRACES_MAX};
use crate::route::Arm;
use proptest::prelude::*;

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
