//! The drift sentinel on a model server that changes without a word, that is flaky, that is down.

use crate::client::get;
use crate::journal;
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tidegate_core::journal::Event;

/// How a model server is, and may be changed while it runs.
#[derive(Debug, Clone)]
struct Manner {
    model: &'static str,
    fingerprint: &'static str,
    words: &'static str,
    status: &'static str,
    /// One answer of so many is another one; 0 for none.
    flaky: usize,
    /// So many questions, from the first, are answered in other words.
    moved: usize,
}

const AS_EVER: Manner = Manner {
    model: "m-2026-05",
    fingerprint: "fp_a",
    words: "is answered as ever",
    status: "200 OK",
    flaky: 0,
    moved: 0,
};

/// A model server whose manner a test may change.
struct Provider {
    upstream: Upstream,
    manner: Arc<Mutex<Manner>>,
}

impl Provider {
    fn new() -> Provider {
        let manner = Arc::new(Mutex::new(AS_EVER));
        let (now, count) = (Arc::clone(&manner), AtomicUsize::new(0));
        let upstream = Upstream::by_rule(move |body| {
            let Manner { model, fingerprint, words, status, flaky, moved } =
                now.lock().unwrap().clone();
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            if status != "200 OK" {
                return (status, "{}".to_owned());
            }
            let question = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
            let question = question.as_str().unwrap();
            let nth = question.rsplit(' ').next().and_then(|nth| nth.parse::<usize>().ok());
            let is_moved = nth.is_some_and(|nth| nth <= moved);
            let text = match (flaky != 0 && number % flaky == 0, is_moved) {
                (true, _) => format!("{question} perhaps"),
                (false, true) => format!("{question}：答案一如既往，for ever"),
                (false, false) => format!("{question} {words}"),
            };
            let answer = json!({
                "id": "c", "object": "chat.completion", "created": 1, "model": model,
                "system_fingerprint": fingerprint,
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
            });
            (status, answer.to_string())
        });
        Provider { upstream, manner }
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// A project on it with twelve fixed cases, whose answers are to say `ever`.
    fn project(&self, sentinel: &str) -> Project {
        let prices = "prices:\n  m1: {input_per_million: 1, output_per_million: 2}\n";
        let cases = "cases: evals/fixed.jsonl";
        let more = format!("{prices}sentinel: {{{cases}{sentinel}}}\n");
        let project = self.upstream.project("", &more);
        let case = |n: usize| {
            let case = json!({"id": format!("fixed_{n:02}"), "input": format!("question {n}"),
                "expected_contains": "ever", "risk": "regression"});
            case.to_string() + "\n"
        };
        project.write("evals/fixed.jsonl", (1..=12).map(case).collect::<String>());
        project
    }
}

fn verdict(project: &Project, code: i32) -> Value {
    project.run(&["sentinel", "run", "--json"]).exits(code).json()
}

/// A served project with its reference.
fn served(provider: &Provider, sentinel: &str) -> (Project, Server) {
    let project = provider.project(sentinel);
    let server = project.serve();
    let first = verdict(&project, 0);
    assert_eq!((&first["drift"], &first["endpoint"]), (&Value::Null, &json!(provider.url())));
    // Once more than the others: 3 passes over 12 cases, at 10 and 20 tokens each.
    assert_eq!(first["spent"]["requests"], 36, "{first}");
    assert_eq!(first["spent"]["tokens_out"], 720, "{first}");
    (project, server)
}

impl Provider {
    fn url(&self) -> String {
        format!("http://{}/v1", self.upstream.address)
    }
}

#[track_caller]
fn check_metric(server: &Server, line: &str) {
    let page = get(server.address, "/metrics", "").unwrap().body;
    assert!(page.lines().any(|l| l == line), "no `{line}` in\n{page}");
}

#[test]
fn a_provider_that_renames_its_model_is_an_incident_until_a_person_accepts_it() {
    let provider = Provider::new();
    let (project, server) = served(&provider, "");
    let same = verdict(&project, 0);
    assert_eq!(same["drift"]["verdict"], "unchanged", "{same}");
    assert_eq!(same["drift"]["cases"], 12, "{same}");
    check_metric(&server, "tidegate_sentinel_changed 0");

    provider.set(Manner { model: "m-2026-11", ..AS_EVER });
    let changed = project.run(&["sentinel", "run"]).fails(
        1,
        &["the server names another model", "inc-drift-"],
        &["tidegate sentinel accept"],
    );
    assert!(changed.out.contains("m-2026-05") && changed.out.contains("m-2026-11"), "{changed:?}");
    let list = project.run(&["incident", "list"]).exits(0).out;
    for named in ["inc-drift-", "upstream `up`", &provider.url(), "`m1`", "`m-2026-11`"] {
        assert!(list.contains(named), "no {named} in {list}");
    }
    check_metric(&server, "tidegate_sentinel_changed 1");
    check_metric(&server, r#"tidegate_sentinel_verdict{verdict="model_renamed"} 1"#);
    check_metric(&server, "tidegate_sentinel_runs_total 3");
    check_metric(&server, "tidegate_incidents_open 1");
    wait_for("the log's line", || server.log().contains("changed without a release").then_some(()));
    // The same change again is the same incident.
    project.run(&["sentinel", "run"]).exits(1);
    check_metric(&server, "tidegate_incidents_open 1");

    let incident = project.run(&["incident", "list", "--json"]).json();
    let id = incident.as_object().unwrap().keys().next().unwrap().clone();
    let refused = ["incident", "close", &id, "--conclusion", "seen"];
    project.run(&refused).fails(1, &["ends when that is accepted"], &["sentinel accept"]);
    project.run(&["sentinel", "accept", "--reason", " "]).fails(2, &["needs a reason"], &[]);
    let accept = ["sentinel", "accept", "--by", "mei", "--reason", "announced last week"];
    project.run(&accept).exits(0);
    project.run(&accept).fails(2, &["nothing to accept"], &["sentinel status"]);
    check_metric(&server, "tidegate_sentinel_changed 0");
    check_metric(&server, "tidegate_incidents_open 0");
    assert_eq!(verdict(&project, 0)["drift"]["verdict"], "unchanged");
    let entries = journal::read(&project.root);
    let by = entries.iter().find_map(|entry| match entry.event() {
        Ok(Event::SentinelAccepted { by, reason, .. }) => Some((by, reason)),
        _ => None,
    });
    assert_eq!(by, Some(("mei".to_owned(), "announced last week".to_owned())));
    let packed = wait_for("the pack", || {
        let pack = project.files().into_iter().find(|(path, _)| path.ends_with("incident.md"));
        pack.map(|(_, text)| String::from_utf8(text).unwrap())
            .filter(|text| text.contains("accepted by mei"))
    });
    for said in ["model_renamed", "announced last week", "no candidate is blamed"] {
        assert!(packed.contains(said), "no {said} in {packed}");
    }
    // No user asked for any of it.
    let cost = project.run(&["cost", "--json"]).exits(0).out;
    assert!(!cost.contains("\"requests\":1"), "{cost}");
    let status = project.run(&["sentinel", "status", "--json"]).json();
    assert_eq!(status["reference"]["by"], "mei", "{status}");
    assert!(status["spent"]["cost"].as_str() > Some("0"), "{status}");
}

#[test]
fn a_fingerprint_and_the_answers_are_compared_as_well() {
    let provider = Provider::new();
    let (project, _server) = served(&provider, "");
    provider.set(Manner { fingerprint: "fp_b", ..AS_EVER });
    assert_eq!(verdict(&project, 1)["drift"]["verdict"], "fingerprint_changed");
    // As it was before: over by itself.
    provider.set(AS_EVER);
    assert_eq!(verdict(&project, 0)["drift"]["verdict"], "unchanged");
    let list = project.run(&["incident", "list"]).exits(0).out;
    assert!(list.contains("it is as before"), "{list}");

    provider.set(Manner { words: "有别的说法", ..AS_EVER });
    let changed = verdict(&project, 1);
    assert_eq!(changed["drift"]["verdict"], "answers_changed", "{changed}");
    let accuracy = &changed["drift"]["tests"][0];
    assert_eq!((&accuracy["before"], &accuracy["now"]), (&json!(1.0), &json!(0.0)), "{changed}");
    let said = project.run(&["--lang", "zh", "incident", "list"]).exits(0).out;
    assert!(said.contains("在没有发布的情况下变了"), "{said}");
}

/// The model changes by one answer a run: each run is as the one before but for one case of twelve.
#[test]
fn a_model_that_changes_slowly_is_seen_against_the_accepted_reference() {
    let provider = Provider::new();
    let (project, _server) = served(&provider, "");
    let first =
        project.run(&["sentinel", "status", "--json"]).json()["reference"]["run_id"].clone();
    let step = |moved: usize, code: i32| {
        provider.set(Manner { moved, ..AS_EVER });
        verdict(&project, code)["drift"].clone()
    };
    for moved in 1..9 {
        let drift = step(moved, 0);
        assert_eq!(
            (&drift["verdict"], &drift["reference"]),
            (&json!("unchanged"), &first),
            "{drift}"
        );
    }
    let drift = step(9, 1);
    assert_eq!((&drift["verdict"], &drift["reference"]), (&json!("answers_changed"), &first));
    // What is accepted is the reference from then on, and the next step is a small one again.
    project.run(&["sentinel", "accept", "--reason", "announced"]).exits(0);
    let drift = step(10, 0);
    assert_eq!(drift["verdict"], "unchanged", "{drift}");
    assert_ne!(drift["reference"], first);
}

#[test]
fn a_flaky_model_raises_no_alarm_and_one_that_is_down_is_no_drift() {
    let provider = Provider::new();
    provider.set(Manner { flaky: 5, ..AS_EVER });
    let (project, server) = served(&provider, "");
    for _ in 0..4 {
        let again = verdict(&project, 0);
        assert_eq!(again["drift"]["verdict"], "unchanged", "{again}");
    }
    provider.set(Manner { status: "400 Bad Request", ..AS_EVER });
    let down = verdict(&project, 3);
    let drift = &down["drift"];
    assert_eq!(
        (&drift["verdict"], &drift["unclear"]),
        (&json!("cannot_tell"), &json!("no_answers"))
    );
    assert_eq!((&drift["asked"], &drift["unanswered"]), (&json!(24), &json!(24)), "{drift}");
    check_metric(&server, "tidegate_sentinel_changed 0");
    check_metric(&server, "tidegate_incidents_open 0");
}

#[test]
fn a_first_run_without_answers_is_no_reference() {
    let provider = Provider::new();
    provider.set(Manner { status: "400 Bad Request", ..AS_EVER });
    let project = provider.project("");
    let _server = project.serve();
    let none = project.run(&["sentinel", "status"]).exits(0);
    assert!(none.out.contains("no run yet"), "{none:?}");
    let says = ["36 of 36 questions got no answer"];
    project.run(&["sentinel", "run"]).fails(3, &says, &["the first good run"]);
    let bad = [("every: 6", "sentinel.every"), ("repeats: 0", "sentinel.repeats")];
    for (key, named) in bad {
        let config = project.read("tidegate.yaml");
        project.edit("tidegate.yaml", "sentinel: {", &format!("sentinel: {{{key}, "));
        project.run(&["sentinel", "run"]).fails(2, &[named, "allowed"], &[]);
        project.write("tidegate.yaml", config);
    }
}

#[test]
fn the_server_asks_by_schedule_and_a_running_release_is_held() {
    let provider = Provider::new();
    let project = provider.project(", every: 1s");
    let rungs = [20, 100].map(|weight| format!("{{weight_pct: {weight}, look_s: 0.3}}"));
    let rungs = rungs.join(", ");
    let release = format!("release: {{rungs: [{rungs}], tick_ms: 50, min_samples: 20}}\n");
    project.append("tidegate.yaml", &release);
    project.write("evals/eval_cases.csv", CASES);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    let server = project.serve();
    project.run(&["gate", "--model", "m9"]).exits(0);
    let ran = |at_least: u64| {
        wait_for("a run by schedule", || {
            let status = project.run(&["sentinel", "status", "--json"]).json();
            status["runs"].as_u64().filter(|runs| *runs >= at_least)
        })
    };
    ran(2);
    provider.set(Manner { model: "m-2026-11", ..AS_EVER });
    wait_for("the change", || {
        let status = project.run(&["sentinel", "status", "--json"]).json();
        status.get("changed").filter(|changed| changed.is_object()).map(|_| ())
    });
    project.run(&["release", "start", "--model", "m9", "--accept-one-way"]).exits(0);
    for n in 0..60 {
        assert_eq!(server.chat(&format!("user-{n}"), "hello").status, 200);
    }
    let held = wait_for("the hold", || {
        let status = project.run(&["release", "status"]).out;
        status.contains("changed without a release").then_some(status)
    });
    assert!(!held.contains("promoted") && !held.contains("rolled back"), "{held}");
    project.run(&["sentinel", "accept", "--reason", "known"]).exits(0);
    wait_for("the release to go on", || {
        server.chat("user-1", "hello");
        let status = project.run(&["release", "status"]).out;
        (!status.contains("changed without a release")).then_some(())
    });
}
