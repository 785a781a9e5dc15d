//! What is kept of the model server behind stable: its outage, and a run of the fixed cases.

use super::set_id;
use crate::drift::{
    Drift, DriftVerdict, FixedAnswer, FixedCase, Names, Said, SentinelNote, SentinelRun,
    SentinelSpent, Unclear,
};
use crate::gate::PairedTest;
use crate::ids::{Digest, IncidentId, TraceId, UnixMs};
use crate::journal::Event;
use crate::money::Money;
use crate::observe::OutageRun;
use crate::upstream::Failure;
use std::collections::{BTreeMap, BTreeSet};

fn text() -> String {
    "text".to_owned()
}

/// An outage.
pub(super) fn outage() -> OutageRun {
    OutageRun {
        set: set_id(0),
        upstream: "main".to_owned(),
        since: UnixMs(1),
        last_failed_at: UnixMs(2),
        ended_at: Some(UnixMs(3)),
        requests: 4,
        failures: BTreeMap::from([(Failure::AccountLimit, 3)]),
        came_again: 1,
        said: vec!["no balance".to_owned()],
        traces: vec![TraceId::parse("trace-1").unwrap()],
    }
}

/// A whole run.
pub(super) fn run() -> SentinelRun {
    let said = Said {
        text: text(),
        correct: true,
        score: 0.5,
        model: Some(text()),
        fingerprint: Some(text()),
    };
    SentinelRun {
        run_id: text(),
        at: UnixMs(1),
        set: set_id(0),
        upstream: text(),
        endpoint: text(),
        model: text(),
        cases: vec![FixedCase {
            id: text(),
            question: Digest::of(b""),
            answers: vec![FixedAnswer::Said(said), FixedAnswer::Unanswered(text())],
        }],
        known: BTreeSet::from([text()]),
    }
}

/// One that is accepted.
pub(super) fn accepted(incident: &IncidentId) -> Event {
    let (incident, report) = (Some(incident.clone()), Digest::of(b""));
    Event::SentinelAccepted { run_id: text(), report, incident, by: text(), reason: text() }
}

/// One that is journalled.
pub(super) fn ran(incident: &IncidentId) -> Event {
    Event::SentinelRan(Box::new(note(incident)))
}

fn note(incident: &IncidentId) -> SentinelNote {
    let names = Names { before: vec![text()], now: vec![text()], named: 1, new: 1 };
    let test =
        PairedTest { metric: text(), cases: 1, before: 0.5, now: 0.25, p: 0.5, p_holm: 0.75 };
    let drift = Drift {
        verdict: DriftVerdict::CannotTell,
        unclear: Some(Unclear::NoAnswers),
        reference: text(),
        models: names.clone(),
        fingerprints: names,
        asked: 1,
        unanswered: 1,
        error: Some(text()),
        cases: 1,
        tests: vec![test],
    };
    SentinelNote {
        run_id: text(),
        set: set_id(0),
        upstream: text(),
        endpoint: text(),
        model: text(),
        report: Some(Digest::of(b"")),
        drift: Some(drift),
        spent: SentinelSpent { requests: 1, tokens_in: 1, tokens_out: 1, cost: Money(1) },
        incident: Some(incident.clone()),
    }
}
