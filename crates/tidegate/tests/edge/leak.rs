//! A leak never ships: a few answers of the candidate that give an address away.

use crate::project::{Project, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use crate::users::{Users, short};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// One answer in 244, 0.41 %.
const EVERY: u64 = 244;
/// Answers of the candidate after which a release that leaks nothing is promoted, several times
/// over.
const ENOUGH: u64 = 6_000;

/// A project on a model server whose model `m2` gives an address away where `leaks`.
fn project(leaks: bool) -> (Project, Upstream) {
    let asked = AtomicU64::new(0);
    let upstream = Upstream::by_rule(move |body| {
        let is_leak = leaks
            && body["model"] == "m2"
            && asked.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY / 2;
        let text = if is_leak { "write to lin.mei@example.com" } else { "it is on its way" };
        ("200 OK", completion(text))
    });
    let more = "release:\n  rungs:\n    - {weight_pct: 20, look_s: 0.3}\n    \
        - {weight_pct: 50, look_s: 0.3}\n    - {weight_pct: 100, look_s: 0.3}\n  \
        tick_ms: 50\n  min_samples: 20\nlines:\n  latency_p95: {off: true}\n  \
        timeout_rate: {off: true}\n";
    let project = upstream.project("", more);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    (project, upstream)
}

fn start(project: &Project) {
    project.run(&["eval", "--model", "m2"]).exits(0);
    project.run(&["release", "start", "--model", "m2"]).exits(0);
}

fn candidate_answers(project: &Project) -> u64 {
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    let seen = |value: &Value| value["requests"].as_u64().or(value["counts"]["requests"].as_u64());
    seen(&status["release"]["state"]["seen_candidate"]).unwrap_or(0)
}

#[test]
fn a_candidate_that_leaks_in_four_answers_of_a_thousand_is_not_promoted() {
    let (project, _upstream) = project(true);
    let server = project.serve();
    let users = Users::of(server.address, 4, short);
    start(&project);
    let is_over = || project.phase() != "running";
    wait_for("enough answers", || {
        (candidate_answers(&project) >= ENOUGH || is_over()).then_some(())
    });
    assert_ne!(project.phase(), "promoted");
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("pii_rate"), "{status:?}");
    drop(users);
    server.terminate();
}

#[test]
fn the_same_candidate_without_the_leak_is_promoted() {
    let (project, _upstream) = project(false);
    let server = project.serve();
    let users = Users::of(server.address, 4, short);
    start(&project);
    project.wait_for_phase("promoted");
    drop(users);
    server.terminate();
}
