use super::*;
use crate::store::Lost;
use crate::upstream::EndpointChange;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tidegate_core::decide::{
    Decision, DecisionKind, Order, OrderKind, Phase, Reason, ReleaseState, Signal,
};
use tidegate_core::drift::{Drift, DriftVerdict, Names, SentinelNote, SentinelSpent};
use tidegate_core::guard::{RiskEvent, RiskKind, Sighting};
use tidegate_core::ids::{Generation, IncidentId, UnixMs, VersionSetId};
use tidegate_core::incident::RedLines;
use tidegate_core::observe::{Outage, OutageChange, OutageRun};
use tidegate_core::route::{Arm, Weight};
use tidegate_core::upstream::Failure;
use tidegate_core::version_set::VersionKeys;

/// Keeps the lines instead of printing them.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(String, String)>>>);

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let lines = (fields.json(*event.metadata().level()), fields.text());
        self.0.lock().unwrap().push(lines);
    }
}

fn set() -> NamedSet {
    let id = VersionSetId::parse("vs-0f3a9c21d4e7").unwrap();
    let [code, prompt, model, index] = ["dev", "v2", "模型", "v1"].map(str::to_owned);
    NamedSet { id, keys: VersionKeys { code, prompt, model, index } }
}

fn decision() -> Decision {
    let reason = "客服投诉\n\"坏\"".to_owned();
    let order = Order { kind: OrderKind::RollBack, by: "mei".to_owned(), reason };
    let mut state = ReleaseState::start(UnixMs(1));
    state.phase = Phase::RolledBack;
    Decision {
        at: UnixMs(2),
        kind: DecisionKind::RollBack,
        signal: Signal::Red,
        reasons: vec![Reason::Order(order)],
        actions: Vec::new(),
        state,
    }
}

fn record() -> tidegate_core::evidence::Record {
    serde_json::from_value(json!({
        "trace_id": "t-1", "request_id": "r-1", "at": 1, "arm": "stable", "version_set": set(),
        "tenant": "acme", "user": "mei", "status": 200, "streamed": false,
        "tokens_in": 1, "tokens_out": 2, "tokens_estimated": false, "cost_micro_usd": 3,
        "timing": {"queue_us": 0, "retrieval_us": 0, "first_token_us": 0, "generation_us": 0,
                   "total_us": 9000},
        "tool_calls": [], "refused": false, "pii": false, "risk": [],
        "prompt_length": 4, "response_length": 5, "input": "秘密", "output": "秘密",
    }))
    .unwrap()
}

fn red_lines(trace_id: &TraceId, set: &VersionSetId) -> RedLines {
    let sighting = Sighting {
        event: RiskEvent { kind: RiskKind::Leak, detail: "planted text 1 of 1".to_owned() },
        at: UnixMs(1_000),
        arm: Arm::Stable,
        change_id: None,
        trace_id: trace_id.clone(),
        caller: None,
        blocked: true,
        banned_s: 0,
    };
    let incident = IncidentId::parse("inc-leak-0f3a9").unwrap();
    RedLines::of(incident, set.clone(), &[sighting]).unwrap()
}

fn run(set: &VersionSetId) -> OutageRun {
    OutageRun {
        set: set.clone(),
        upstream: "main".to_owned(),
        since: UnixMs(1_000),
        last_failed_at: UnixMs(2_000),
        ended_at: None,
        requests: 6,
        failures: [(Failure::Unreachable, 5)].into(),
        came_again: 0,
        said: Vec::new(),
        traces: Vec::new(),
    }
}

/// Logs one event of every kind and gives the lines, JSON and text.
/// A run that found another model.
fn note(set: &VersionSetId) -> SentinelNote {
    let names = |now: &str| Names {
        before: vec!["m-1".to_owned()],
        now: vec![now.to_owned()],
        named: 20,
        new: 20,
    };
    let drift = Drift {
        verdict: DriftVerdict::ModelRenamed,
        unclear: None,
        reference: "sentinel-1-abcdef".to_owned(),
        models: names("m-2"),
        fingerprints: Names::default(),
        asked: 20,
        unanswered: 0,
        error: None,
        cases: 10,
        tests: Vec::new(),
    };
    SentinelNote {
        run_id: "sentinel-2-abcdef".to_owned(),
        set: set.clone(),
        upstream: "main".to_owned(),
        endpoint: "https://models.example/v1".to_owned(),
        model: "m-1".to_owned(),
        report: None,
        drift: Some(drift),
        spent: SentinelSpent::default(),
        incident: IncidentId::parse("inc-drift-abcde").ok(),
    }
}

fn all() -> Vec<(String, String)> {
    let kept = Kept::default();
    let (set, decision, record) = (set(), decision(), record());
    let change_id = &ChangeId::parse("prompt-v2-1").unwrap();
    let trace_id = &TraceId::parse("t-1").unwrap();
    let outage = Outage {
        since: UnixMs(1_000),
        requests: 6,
        failed: 5,
        failure: Failure::Unreachable,
        last_at: UnixMs(43_000),
    };
    let run = run(&set.id);
    let note = note(&set.id);
    let (arm, upstream, weight) = (Arm::Stable, "main", Weight::FULL);
    let (endpoint, failure) = ("http://gpu-2:8000/v1", Failure::ServerError);
    let opened = EndpointChange::Opened { for_ms: 2_000, failure };
    let lines = red_lines(trace_id, &set.id);
    let serving = Serving {
        label: "prompt v1",
        is_fresh: true,
        is_experimental: true,
        is_simulated: false,
        candidate: Some((&set.id, weight)),
    };
    let events = [
        Event::ServiceStarted(serving),
        Event::Stopping,
        Event::ConnectionsCut { count: 3 },
        Event::WrongKeys { requests: 7, addresses: 2 },
        Event::Request(&record),
        Event::ReleaseStarted { change_id, weight },
        Event::ReleaseMoved { change_id, decision: &decision, weight: None },
        Event::ReleaseTakenBack { change_id, decision: &decision },
        Event::TableDrained { generation: Generation(3), after_ms: 12 },
        Event::Outage { arm, upstream, change: OutageChange::Began(outage) },
        Event::Outage { arm, upstream, change: OutageChange::Ended(outage) },
        Event::OutageIncident { incident: &lines.incident, outage: &run },
        Event::ModelChanged(&note),
        Event::IncidentOpened(&lines),
        Event::Endpoint { upstream, endpoint, change: opened },
        Event::Endpoint { upstream, endpoint, change: EndpointChange::CheckedUp },
        Event::JournalUnwritten { why: "the disk is full" },
        Event::JournalWritten,
        Event::RecordsLost(Lost { at_least: 3, at_most: 9 }),
        Event::RecordsRead { by: "key board", what: "trace", records: 1 },
        Event::WorkFailed { what: "the pack was not written", why: "no \"room\"".to_owned() },
        Event::ProcessFailed { message: "no\nproject", hints: &["do this".to_owned()] },
    ];
    let about = About {
        service: "客服",
        trace_id: Some(trace_id),
        change_id: Some(change_id),
        set: Some(&set),
        tenant: Some("tenant-1"),
        user: Some("user-1"),
    };
    let subscriber = tracing_subscriber::registry().with(kept.clone());
    tracing::subscriber::with_default(subscriber, || {
        events.iter().for_each(|event| about.log(event));
    });
    kept.0.lock().unwrap().clone()
}

#[test]
fn every_json_line_has_the_required_keys() {
    let mut seen = Vec::new();
    for (json, _) in all() {
        assert!(!json.contains('\n'), "{json}");
        let line: Value = serde_json::from_str(&json).unwrap();
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.contains('T'), "{json}");
        assert!(["info", "warn", "error"].contains(&line["level"].as_str().unwrap()), "{json}");
        assert_eq!(line["service"], "客服", "{json}");
        assert!(line["details"].is_object(), "{json}");
        assert!(!line["message"].as_str().unwrap().is_empty(), "{json}");
        assert_eq!(line["prompt_version"], "v2", "{json}");
        assert_eq!(
            line["version_set"],
            json!({"id": "vs-0f3a9c21d4e7", "code_v": "dev", "prompt_v": "v2",
                   "model_v": "模型", "index_v": "v1"})
        );
        assert!(!json.contains("acme"), "{json}");
        assert_eq!((&line["tenant"], &line["user"]), (&json!("tenant-1"), &json!("user-1")));
        assert!(!json.contains("秘密"), "{json}");
        seen.push(line["event_type"].as_str().unwrap().to_owned());
    }
    // `note` is written by `output`, for sentences that have no numbers.
    let all: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    seen.push("note".to_owned());
    assert_eq!(seen, all);
}

#[test]
fn every_kind_is_in_the_reference() {
    let document = include_str!("../../../../docs/logs.md");
    for kind in EventType::ALL {
        let row = format!("| `{}` |", kind.as_str());
        assert!(document.contains(&row), "{row}");
    }
}

#[test]
fn the_numbers_are_in_the_details() {
    let lines = all();
    let details = |kind: &str| -> Value {
        let found = lines.iter().map(|(json, _)| serde_json::from_str::<Value>(json).unwrap());
        found.into_iter().find(|line| line["event_type"] == kind).unwrap()["details"].clone()
    };
    let moved = details("release_moved");
    assert_eq!((&moved["decision"], &moved["signal"]), (&json!("roll_back"), &json!("red")));
    assert_eq!(
        (&moved["reason"]["code"], &moved["reason"]["by"]),
        (&json!("order"), &json!("mei"))
    );
    let outage = details("outage_ended");
    assert_eq!((&outage["failed"], &outage["lasted_s"]), (&json!(5), &json!(42)), "{outage}");
    let request = details("request");
    assert_eq!((&request["request_id"], &request["status"]), (&json!("r-1"), &json!(200)));
    assert_eq!(request["metrics"]["latency_ms"], 9, "{request}");
}

#[test]
fn the_text_is_a_time_and_a_sentence_and_a_requests_line_is_json() {
    for (json, text) in all() {
        let line: Value = serde_json::from_str(&json).unwrap();
        if line["event_type"] == "request" {
            let own: Value = serde_json::from_str(&text).unwrap();
            for key in ["timestamp", "request_id", "prompt_length", "response_length", "metrics"] {
                assert!(!own[key].is_null(), "{key} in {text}");
            }
            assert_eq!(own["version_set"]["id"], "vs-0f3a9c21d4e7", "{text}");
            assert!(!text.contains("acme"), "{text}");
            continue;
        }
        let (time, sentence) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{text}");
        // No service is alone here, so each is named.
        assert_eq!(sentence, format!("客服: {}", line["message"].as_str().unwrap()));
    }
}
