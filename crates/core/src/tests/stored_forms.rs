//! What is on disk, key by key: the journal's events, records, version sets and eval reports.
//!
//! `tests/stored/forms.txt` lists every key that is written, and this test fails when a key comes,
//! goes or changes its type. Then decide: a new key needs a default for what older versions wrote;
//! a key that went must still be read where it was written; a new meaning needs a new key. Values
//! are made field by field and without `..`, so a new field does not compile before it is listed.
//! `TIDEGATE_ACCEPT=1` writes the list; journals of earlier versions are in `tests/journals`.

use crate::approval::Approver;
use crate::decide::{
    AbFound, AbPlan, AbVerdict, Action, Baseline, Cause, Cell, Decision, DecisionKind, LineRule,
    Metric, Moments, Order, OrderKind, PausedBy, Phase, Plan, Preset, Reason, ReasonCode,
    ReleaseState, Share, SharedFault, Signal, Stratum,
};
use crate::degrade::DegradeLevel;
use crate::evidence::{
    Admission, GateRun, GateStatus, Record, RecordedFallback, RecordedToolCall, RecordedToolResult,
    RepairResult,
};
use crate::gate::{WrittenGate, WrittenRecord};
use crate::guard::{Place, RiskEvent, RiskKind, Sighting, Signal as GuardSignal, SignalKind};
use crate::ids::{
    ChangeId, Digest, Generation, IncidentId, ServiceName, TraceId, UnixMs, VersionSetId,
};
use crate::incident::RedLines;
use crate::journal::Event;
use crate::observe::{Estimate, Feedback, Histogram, Outcome, Timing, WideSum, Window};
use crate::retrieval::Claims;
use crate::route::{Arm, Audience, Cohort, Entrance, Split, Table, Weight};
use crate::upstream::Failure;
use crate::version_set::{Artifact, ArtifactKind, FileRef, NamedSet, VersionKeys, VersionSet};
use money::{charge, grant};
use name::name;
use retrieval::retrieval;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

mod money;
mod name;
mod report;
mod retrieval;
mod sentinel;
mod shadow;

/// Members that say which variant an object is.
const TAGS: [&str; 5] = ["event", "action", "code", "kind", "about"];

/// Every key of the value with its type; `[]` is an item, `<tag>` a variant.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "whole",
        Value::String(_) => "text",
        Value::Array(items) => {
            items.iter().for_each(|item| keys(item, &format!("{at}[]"), found));
            return;
        }
        Value::Object(members) => {
            let tag = TAGS.iter().find_map(|tag| members.get(*tag)?.as_str());
            let at = tag.map_or(at.to_owned(), |tag| format!("{at}<{tag}>"));
            for (name, value) in members {
                keys(value, &format!("{at}.{name}"), found);
            }
            return;
        }
    };
    found.insert(format!("{at}: {kind}"));
}

fn set_id(n: u8) -> VersionSetId {
    VersionSetId::parse(&format!("vs-00000000000{n}")).unwrap()
}

fn change() -> ChangeId {
    ChangeId::parse("prompt-v3-a1b2c").unwrap()
}

fn service() -> ServiceName {
    ServiceName::parse("desk").unwrap()
}

fn weight() -> Weight {
    Weight::from_pct(12.5).unwrap()
}

/// A window in which every count and sum is more than nothing.
fn window() -> Window {
    let answer = Outcome {
        failure: None,
        timing: timing(),
        streamed: true,
        tokens_in: 10,
        tokens_out: 20,
        tokens_estimated: true,
        cost_micro_usd: 30,
        unpriced: true,
        estimate: Some(Estimate { tokens: 31, cost_micro_usd: 29 }),
        contract_ok: Some(true),
        refused: false,
        pii: true,
        claims: Some(Claims { made: 4, uncited: 2, ungrounded: 1 }),
        risk: vec![RiskKind::Leak, RiskKind::PromptEcho],
        abandoned: false,
        cohort: Some(Cohort::new(3)),
    };
    let broken = Outcome { contract_ok: Some(false), refused: true, ..answer.clone() };
    let failed =
        |failure, abandoned| Outcome { failure: Some(failure), abandoned, ..Outcome::default() };
    let mut window = Window::default();
    for outcome in [
        answer,
        broken,
        failed(Failure::FirstByteTimeout, false),
        failed(Failure::Internal, false),
        failed(Failure::Refused, false),
        failed(Failure::ClientGone, true),
    ] {
        window.add(&outcome, UnixMs(7));
    }
    for feedback in [
        Feedback::Like(true),
        Feedback::Like(false),
        Feedback::Adopted(true),
        Feedback::Adopted(false),
        Feedback::TaskDone(true),
        Feedback::TaskDone(false),
        Feedback::Satisfaction(0.5),
    ] {
        window.add_feedback(feedback, None, UnixMs(8));
    }
    window
}

fn timing() -> Timing {
    Timing { queue_us: 1, retrieval_us: 2, first_token_us: 3, generation_us: 4, total_us: 5 }
}

#[test]
fn the_window_of_the_example_has_every_count() {
    let Value::Object(counts) = serde_json::to_value(&window().counts).unwrap() else { panic!() };
    let none: Vec<_> = counts.iter().filter(|(_, count)| count.as_u64() == Some(0)).collect();
    assert!(none.is_empty(), "{none:?}");
}

fn plan() -> Plan {
    let rule = LineRule::defaults().into_iter().find(|rule| rule.ceiling.is_some()).unwrap();
    let LineRule { metric, band, ceiling, multiple: _, floor, required } = rule;
    let users = ["ann".to_owned()].into_iter().collect();
    Plan {
        change_id: change(),
        service: service(),
        from: set_id(0),
        to: set_id(1),
        salt: "salt".to_owned(),
        audience: Audience::AllowList { users },
        rungs: Preset::Simple.rungs(),
        rules: vec![LineRule { metric, band, ceiling, multiple: Some(2.5), floor, required }],
        alpha: 0.015,
        bad_budget: 20,
        hold_back: weight(),
        min_samples: 50,
        stale_after_ms: 120_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: SharedFault { stable_error_rate: 0.25, min_requests: 10 },
        same_upstream: true,
        close_entrance: true,
        baseline: Some(Baseline { service: service(), set: set_id(0), days: 7, window: window() }),
        ab: Some(Box::new(ab())),
        created_at: UnixMs(1),
    }
}

fn table() -> Table {
    let users = ["ann".to_owned()].into_iter().collect();
    let split = Split {
        candidate: set_id(1),
        weight: weight(),
        audience: Audience::AllowList { users },
        salt: "salt".to_owned(),
        change_id: change(),
    };
    Table {
        generation: Generation(2),
        stable: set_id(0),
        split: Some(split),
        entrance: Entrance::Closed { reason: "a leak".to_owned() },
    }
}

fn stratum() -> Stratum {
    let share = || Share { n: 9, milli: 8 };
    let moments = || Moments { n: 1, sum: 2, squares: WideSum(4), by: 1, cross: 2 };
    Stratum {
        weight: weight(),
        from: 1,
        split: (3, 4),
        cells: vec![
            Cell::Rate { anchor: Some(0.25), stable: share(), candidate: share() },
            Cell::Tail {
                anchor_us: Some(9),
                share: 0.125,
                stable: share(),
                candidate: 7,
                beyond: Histogram::from(vec![(70, 2)]),
            },
            Cell::Mean {
                stable: moments(),
                candidate: moments(),
                estimated: Some(Box::new((moments(), moments()))),
            },
        ],
    }
}

fn ab() -> AbPlan {
    AbPlan {
        name: "greeting".to_owned(),
        stable_arm: "A".to_owned(),
        candidate_arm: "B".to_owned(),
        metrics: vec![Metric::DislikeRate],
        alpha: 0.05,
        ends_at: UnixMs(9),
    }
}

fn ab_found() -> AbFound {
    AbFound { metric: Metric::DislikeRate, verdict: AbVerdict::Better, at: UnixMs(3) }
}

fn state() -> ReleaseState {
    ReleaseState {
        phase: Phase::Paused(PausedBy::Lines),
        started_at: UnixMs(1),
        rung: 1,
        rung_since: UnixMs(2),
        rung_candidate_from: 3,
        rung_stable_from: 4,
        seen_stable: window(),
        seen_candidate: window(),
        skipped_stable: window(),
        skipped_candidate: window(),
        fault_since: Some(UnixMs(5)),
        strata: vec![stratum()],
        anchored: window(),
        paused_since: Some(UnixMs(6)),
        last_data_at: UnixMs(7),
        decided_at: Some(UnixMs(8)),
        last_order: Some((UnixMs(9), OrderKind::Pause)),
        ab_found: vec![ab_found()],
    }
}

fn decision() -> Decision {
    let cause = || Cause::from(Reason::Paused);
    Decision {
        at: UnixMs(3),
        kind: DecisionKind::Pause,
        signal: Signal::Yellow,
        reasons: crate::say::tests::examples(),
        actions: vec![
            Action::SetWeight { weight: weight() },
            Action::Promote,
            Action::End,
            Action::RollBack,
            Action::CloseEntrance { reason: cause() },
            Action::OpenIncident { signal: Signal::Red, reason: Cause::Words("why".to_owned()) },
            Action::OpenIncident { signal: Signal::Red, reason: cause() },
        ],
        state: state(),
    }
}

fn sighting() -> Sighting {
    Sighting {
        event: RiskEvent { kind: RiskKind::Secret, detail: "a key".to_owned() },
        at: UnixMs(1),
        arm: Arm::Stable,
        change_id: Some(change()),
        trace_id: TraceId::parse("trace-1").unwrap(),
        caller: Some("caller-0123456789ab".to_owned()),
        blocked: true,
        banned_s: 60,
    }
}

/// One of each event.
fn events() -> Vec<Event> {
    let text = || "text".to_owned();
    let (set, label, by, reason) = (set_id(0), text(), text(), text());
    let incident = IncidentId::of_release(&change());
    let order = Order { kind: OrderKind::Pause, by: text(), reason: text() };
    let written = WrittenRecord { gate: WrittenGate::Share, holds: true, why: text() };
    let smoke = GateRun { status: GateStatus::Pass, text: text() };
    vec![
        Event::ServiceAdopted {
            service: service(),
            set: set.clone(),
            label: label.clone(),
            table: Table::first(set_id(0)),
            by: by.clone(),
        },
        Event::ServiceReleased { set: set.clone(), run_id: text(), note: text() },
        Event::SetPacked { set: set.clone(), label },
        Event::EvalRun {
            run_id: text(),
            set: set.clone(),
            cases: Digest::of(b""),
            passed: true,
            report: Digest::of(b""),
            policy: Some(Digest::of(b"")),
        },
        approved(set.clone()),
        Event::ReleaseStarted {
            plan: Box::new(plan()),
            table: table(),
            by: by.clone(),
            override_reason: Some(text()),
            smoke: Some(smoke),
            written: vec![written],
        },
        Event::Decided {
            change_id: change(),
            decision: Box::new(decision()),
            order: Some(order),
            table: Some(table()),
        },
        Event::Applied { generation: Generation(2), took_us: 5 },
        Event::EntranceOpened { table: table(), by: by.clone(), reason: reason.clone() },
        Event::IncidentOpened { change_id: change(), signal: Signal::Red, reason },
        Event::RedLinesSeen(red_lines(incident.clone(), set)),
        Event::OutageSeen { incident: incident.clone(), outage: Box::new(sentinel::outage()) },
        sentinel::ran(&incident),
        sentinel::accepted(&incident),
        Event::CasesWritten { incident: incident.clone(), case_ids: vec![text()] },
        Event::SamplesWritten { change_id: change(), case_ids: vec![text()] },
        Event::IncidentClosed { incident, by, conclusion: text() },
        Event::PackWritten { change_id: change(), path: text(), manifest: Digest::of(b"") },
        Event::KeyMade { grant: Box::new(grant()), by: text() },
        Event::Degraded { level: Some(DegradeLevel::Short), by: text(), reason: text() },
        Event::KeyRevoked { key: grant().key, at: UnixMs(5), by: text() },
        money::repriced(),
        shadow::started(),
        shadow::seen(),
        shadow::ended(),
        Event::RecordsDeleted {
            tenant: Some(text()),
            user: Some(text()),
            before: UnixMs(5),
            by: text(),
            records: Some(3),
        },
    ]
}

fn approved(set: VersionSetId) -> Event {
    let text = || "text".to_owned();
    let (by, approver, reason) = (text(), Approver::Person, text());
    Event::Approved { set, by, approver, reason, run_id: Some(text()) }
}

fn red_lines(incident: IncidentId, set: VersionSetId) -> RedLines {
    let (kind, sightings) = (RiskKind::Secret, vec![sighting()]);
    RedLines { incident, set, kind, sightings, count: 1, went_out: 1 }
}

fn record() -> Record {
    let some = || Some("text".to_owned());
    let name = || "v1".to_owned();
    let keys = VersionKeys { code: name(), prompt: name(), model: name(), index: name() };
    Record {
        trace_id: TraceId::parse("trace-1").unwrap(),
        request_id: name(),
        traceparent: some(),
        at: UnixMs(1),
        tenant: some(),
        user: some(),
        key: some(),
        arm: Arm::Candidate,
        set: NamedSet { id: set_id(1), keys },
        change_id: Some(change()),
        cohort: Some(Cohort::new(3)),
        status: 200,
        failure: Some(Failure::Malformed),
        fallback: Some(RecordedFallback {
            upstream: name(),
            model: name(),
            failure: Some(Failure::CutShort),
        }),
        streamed: true,
        tokens_in: 1,
        tokens_out: 2,
        tokens_estimated: true,
        cost_micro_usd: 3,
        charge: Some(charge()),
        degraded: Some(DegradeLevel::Small),
        timing: timing(),
        tool_calls: vec![RecordedToolCall { name: name(), allowed: true }],
        cached: true,
        retrieval: Some(retrieval()),
        tool_results: vec![RecordedToolResult { name: name(), took_us: 1, failed: Some(false) }],
        finish_reason: some(),
        upstream_model: some(),
        upstream_said: some(),
        contract_problem: some(),
        repair: Some(RepairResult::Repaired),
        redacted: true,
        refused: true,
        pii: true,
        risk: vec![RiskEvent { kind: RiskKind::Leak, detail: name() }],
        signals: vec![GuardSignal {
            kind: SignalKind::Injection,
            place: Place::Tool,
            detail: name(),
        }],
        prompt_length: 4,
        response_length: 5,
        decoding: Some(BTreeMap::from([(name(), 7.into())])),
        input: some(),
        output: some(),
    }
}

fn admission() -> Admission {
    let Record { trace_id, request_id, at, tenant, user, arm, set, change_id, .. } = record();
    Admission { trace_id, request_id, at, tenant, user, arm, set, change_id }
}

fn set() -> VersionSet {
    let file = FileRef { digest: Digest::of(b""), bytes: 0 };
    let artifact = Artifact {
        version: "v1".to_owned(),
        digest: Digest::of(b""),
        files: BTreeMap::from([("FILE".to_owned(), file)]),
        format: Some("f1".to_owned()),
    };
    VersionSet { id: set_id(0), artifacts: BTreeMap::from([(ArtifactKind::Code, artifact)]) }
}

fn listed(what: &str, value: &impl Serialize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(value).unwrap(), what, &mut found);
    found
}

#[test]
fn what_is_on_disk_is_as_listed() {
    let mut found = listed("record", &record());
    found.extend(listed("admission", &admission()));
    found.extend(listed("version_set", &set()));
    found.extend(listed("eval_report", &report::report()));
    found.extend(listed("sentinel_run", &sentinel::run()));
    for event in events() {
        found.extend(listed("journal", &event));
    }
    let found: String = found.into_iter().map(|key| key + "\n").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/forms.txt");
    if std::env::var_os("TIDEGATE_ACCEPT").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let changed: Vec<String> = expected
        .lines()
        .filter(|key| !found.lines().any(|other| other == *key))
        .map(|key| format!("- {key}"))
        .chain(
            found
                .lines()
                .filter(|key| !expected.lines().any(|o| o == *key))
                .map(|k| format!("+ {k}")),
        )
        .collect();
    assert!(changed.is_empty(), "what is written to disk has changed:\n{}", changed.join("\n"));
}

#[test]
fn the_examples_have_every_event_and_read_back() {
    let names: BTreeSet<&str> = events().iter().map(name).collect();
    assert_eq!(names.len(), 26, "one example of each event");
    for event in events() {
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(written["event"], name(&event));
        let read: Event = serde_json::from_value(written).unwrap();
        assert_eq!(read, event);
    }
    let read: Record = serde_json::from_value(serde_json::to_value(record()).unwrap()).unwrap();
    assert_eq!(read, record());
    let kept = serde_json::to_value(admission()).unwrap();
    assert_eq!(serde_json::from_value::<Admission>(kept).unwrap(), admission());
    assert!(decision().reasons.iter().any(|reason| reason.code() == ReasonCode::OverBudget));
}
