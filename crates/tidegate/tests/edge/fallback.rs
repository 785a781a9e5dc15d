//! A model that answers where the version set's own does not: clients get an answer, and the arm is
//! counted as if there were none.

use crate::client::{self, get, post};
use crate::project::{Project, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a model server of several models answers.
type Rule = fn(model: &str) -> (&'static str, String);

fn server(rule: Rule) -> Upstream {
    Upstream::by_rule(move |body| rule(body["model"].as_str().unwrap_or_default()))
}

fn project(upstream: &Upstream, fallback: &str, more: &str) -> Project {
    let project = upstream.project("", more);
    let own = "model: {upstream: up, name: m1}";
    let with = format!("model: {{upstream: up, name: m1{fallback}}}");
    project.edit("tidegate.yaml", own, &with);
    project
}

const SMALL: &str = ", fallback: [{upstream: up, name: small, parameters: {top_k: 4}}]";

/// The own model fails, the small one answers.
fn own_fails(model: &str) -> (&'static str, String) {
    match model {
        "small" => ("200 OK", completion("from the small one")),
        _ => ("503 Service Unavailable", "{}".to_owned()),
    }
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("the record", || {
        let shown = project.run(&["trace", trace, "--json"]);
        (shown.code == 0).then(|| shown.json()["record"].clone())
    })
}

#[test]
fn a_fallback_answers_and_the_failure_is_the_arms() {
    let upstream = server(own_fails);
    let project = project(&upstream, SMALL, "limits: {retries: 0}\n");
    let server = project.serve();
    for _ in 0..6 {
        let answer = client::chat(server.address, Some("mei"), "hi").unwrap();
        assert_eq!((answer.status, answer.header("x-tidegate-fallback")), (200, "small"));
        assert!(answer.text().contains("from the small one"));
    }
    let asked = upstream.asked();
    let own = asked.iter().filter(|body| body["model"] == "m1").count();
    assert_eq!((own, asked.len()), (6, 12), "each once");
    assert_eq!(asked[1]["top_k"], 4);
    let short = json!({"user_id": "mei", "prompt": "hi"});
    let answer = post(server.address, "/chat", &short).unwrap();
    assert_eq!(answer.json()["fallback"], "small");
    let record = record(&project, answer.header("x-trace-id"));
    assert_eq!((&record["status"], &record["failure"]), (&json!(200), &json!("server_error")));
    assert_eq!(record["fallback"], json!({"upstream": "up", "model": "small"}));
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(3), &json!(5)));
    let shown = project.run(&["trace", answer.header("x-trace-id")]).exits(0).out;
    assert!(shown.contains("`small` of `up` answered instead"), "{shown}");
    let page = get(server.address, "/metrics", "").unwrap().body;
    for line in [
        "tidegate_fallbacks_total{arm=\"stable\",model=\"small\",result=\"answered\"} 7",
        "tidegate_arm_requests_total{arm=\"stable\",status=\"error\"} 7",
        "tidegate_arm_requests_total{arm=\"stable\",status=\"ok\"} 0",
        "tidegate_arm_failures_total{arm=\"stable\",failure=\"server_error\"} 7",
        "tidegate_tokens_total{arm=\"stable\",direction=\"out\"} 0",
        "tidegate_arm_failing{arm=\"stable\",upstream=\"up\"} 1",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(server.log().contains("OUTAGE of stable"), "as without a fallback");
    let rating = json!({"trace_id": answer.header("x-trace-id"), "like": true});
    assert_eq!(post(server.address, "/v1/feedback", &rating).unwrap().json()["accepted"], 1);
    let page = get(server.address, "/metrics", "").unwrap().body;
    assert!(!page.contains("metric=\"like\""), "it counts for no arm: {page}");
}

#[test]
fn a_stream_falls_back_before_its_first_byte() {
    let upstream = server(own_fails);
    let project = project(&upstream, SMALL, "");
    let server = project.serve();
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let answer = post(server.address, client::CHAT, &body).unwrap();
    // This model server does not stream: its answer is one all the same, and not what was asked.
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("x-tidegate-fallback"), "");
    let page = get(server.address, "/metrics", "").unwrap().body;
    let line = "tidegate_fallbacks_total{arm=\"stable\",model=\"small\",result=\"failed\"} 1";
    assert!(page.contains(line), "{page}");
}

#[test]
fn where_no_fallback_answers_the_own_models_error_is_the_clients() {
    let upstream = server(|model| match model {
        "m1" => ("503 Service Unavailable", "{}".to_owned()),
        _ => ("400 Bad Request", r#"{"error":{"message":"unknown model"}}"#.to_owned()),
    });
    let two = ", fallback: [{upstream: up, name: small}, {upstream: up, name: smaller}]";
    let project = project(&upstream, two, "limits: {retries: 0}\n");
    let server = project.serve();
    let answer = client::chat(server.address, Some("mei"), "hi").unwrap();
    answer.check_error(502, "upstream_error", &["status 503"]);
    let models: Vec<_> = upstream.asked().iter().map(|body| body["model"].clone()).collect();
    assert_eq!(models, ["m1", "small", "smaller"]);
}

#[test]
fn what_a_client_is_at_fault_for_is_not_asked_again() {
    let refused = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;
    let upstream = Upstream::saying("400 Bad Request", "application/json", refused);
    let project = project(&upstream, SMALL, "");
    let server = project.serve();
    let answer = client::chat(server.address, Some("mei"), "hi").unwrap();
    assert_eq!((answer.status, upstream.asked().len()), (400, 1));
}

#[test]
fn a_fallback_to_the_model_itself_is_refused() {
    let upstream = server(own_fails);
    let itself = project(&upstream, ", fallback: [{upstream: up, name: m1}]", "");
    let said = itself.run(&["check"]).exits(2).out;
    assert!(said.contains("`m1` is the model itself"), "{said}");
    let nowhere = project(&upstream, ", fallback: [{upstream: down, name: m1}]", "");
    let said = nowhere.run(&["check"]).exits(2).out;
    assert!(said.contains("`down`"), "{said}");
}

/// How many requests of the candidate it takes until everyone is on stable again.
fn requests_until_rollback(fallback: &str) -> u64 {
    // Evals ask the candidate as well, and pass.
    let fails = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&fails);
    let upstream = Upstream::by_rule(move |body| match body["model"].as_str() {
        Some("m2") if fails.load(Ordering::SeqCst) => ("503 Down", "{}".to_owned()),
        _ => ("200 OK", completion("hello")),
    });
    let project = project(
        &upstream,
        fallback,
        "limits: {retries: 0}\nrelease:\n  rungs:\n    - {weight_pct: 50, look_s: 3600}\n    \
         - {weight_pct: 100, look_s: 3600}\n  tick_ms: 50\n  min_samples: 20\n",
    );
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let server = project.serve();
    project.run(&["eval", "--model", "m2"]).exits(0);
    let start = ["release", "start", "--model", "m2", "--override", "--no-smoke"];
    project.run(&[&start[..], &["--by", "mei", "--reason", "for the test"]].concat()).exits(0);
    begins.store(true, Ordering::SeqCst);
    let (mut of_candidate, started) = (0, Instant::now());
    for number in 0.. {
        let user = format!("user-{number}");
        let answer = client::chat(server.address, Some(&user), "hi").unwrap();
        let is_candidate = answer.header("x-tidegate-arm") == "candidate";
        of_candidate += u64::from(is_candidate);
        let expected = if is_candidate && fallback.is_empty() { 502 } else { 200 };
        assert_eq!(answer.status, expected, "{answer:?}");
        let page = get(server.address, "/metrics", "").unwrap().body;
        if page.contains("tidegate_release_phase{phase=\"rolled_back\"} 1") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no rollback");
    }
    project.wait_for_phase("rolled_back");
    of_candidate
}

#[test]
fn a_broken_candidate_with_a_fallback_is_rolled_back_as_fast_as_without() {
    let without = requests_until_rollback("");
    let with = requests_until_rollback(SMALL);
    // The same evidence decides; when a look comes, the machine's load has a part in.
    assert!(with <= 2 * without + 30, "{with} requests with a fallback, {without} without");
    println!("{with} requests with a fallback, {without} without");
}
