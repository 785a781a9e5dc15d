//! An outage is said: in the log, by `/readyz` and by `/metrics`.

use crate::client::{self, get};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream};
use serde_json::{Value, json};

const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

/// A project whose only model server is at this address.
fn project_on(upstream: &Upstream) -> Project {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project
}

fn ask(server: &Server, expected: u16) {
    let answer = client::chat(server.address, Some("mei"), "hello").unwrap();
    assert_eq!(answer.status, expected, "{answer:?}");
}

fn readyz(server: &Server) -> Value {
    let answer = get(server.address, "/readyz", "").unwrap();
    // Taking every replica out because the model server is down would make it worse.
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn check_metric(server: &Server, line: &str) {
    let page = get(server.address, "/metrics", "").unwrap().body;
    assert!(page.lines().any(|l| l == line), "no `{line}` in\n{page}");
}

fn said(server: &Server, text: &str) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn an_upstream_that_is_shut_off_is_said_without_a_release_and_so_is_its_return() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(&upstream);
    let server = project.serve();
    for _ in 0..5 {
        ask(&server, 200);
    }
    let ready = readyz(&server);
    assert_eq!((&ready["upstream"], &ready["outages"]), (&json!("ok"), &json!([])), "{ready}");
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 0"#);

    let address = upstream.shut();
    // Five failures begin it; many more say it once.
    for _ in 0..40 {
        ask(&server, 502);
    }
    let ready = readyz(&server);
    assert_eq!((&ready["status"], &ready["upstream"]), (&json!("ready"), &json!("failing")));
    let outage = &ready["outages"][0];
    assert_eq!(outage["arm"], "stable", "{ready}");
    assert_eq!(outage["failure"], "unreachable", "{ready}");
    assert_eq!(outage["failed"], 40, "{ready}");
    let text = outage["text"].as_str().unwrap();
    assert!(text.contains("requests failed (unreachable)"), "{text}");
    assert!(text.contains("check that the model server runs"), "{text}");
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 1"#);
    check_metric(&server, r#"tidegate_arm_failures_total{arm="stable",failure="unreachable"} 40"#);
    check_metric(&server, r#"tidegate_release_phase{phase="none"} 1"#);
    let began = wait_for("the outage in the log", || {
        Some(said(&server, "OUTAGE of stable")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(began.len(), 1, "{began:?}");
    assert!(began[0].contains("requests failed (unreachable)"), "{began:?}");

    let _upstream = Upstream::again(address, ANSWER);
    wait_for("the end of the outage", || {
        ask(&server, 200);
        (readyz(&server)["upstream"] == "ok").then_some(())
    });
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 0"#);
    let ended = wait_for("the end in the log", || {
        Some(said(&server, "outage of stable is over")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].contains(": 40 of "), "{ended:?}");
    assert_eq!(said(&server, "OUTAGE of stable").len(), 1, "{}", server.log());
}

#[test]
fn an_outage_while_a_release_runs_is_said_of_both_arms_and_is_no_verdict() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(&upstream);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let rungs = "  rungs:\n    - {weight_pct: 50, look_s: 3600}\n    \
                 - {weight_pct: 100, look_s: 3600}\n  tick_ms: 50\n";
    project.edit("tidegate.yaml", "  preset: ladder\n", rungs);
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    upstream.shut();
    for n in 0..60 {
        let answer = client::chat(server.address, Some(&format!("user-{n}")), "hello").unwrap();
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    let ready = readyz(&server);
    let arms: Vec<_> = ready["outages"].as_array().unwrap().iter().map(|o| &o["arm"]).collect();
    assert_eq!(arms, ["stable", "candidate"], "{ready}");
    check_metric(&server, r#"tidegate_arm_failing{arm="candidate",upstream="main"} 1"#);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    project.run(&["rollback", "--by", "mei"]).exits(0);
    // Nobody asks the candidate any more; stable's outage lasts.
    let ready = readyz(&server);
    assert_eq!(ready["outages"].as_array().unwrap().len(), 1, "{ready}");
    assert_eq!(ready["outages"][0]["arm"], "stable", "{ready}");
    assert_eq!(said(&server, "OUTAGE of").len(), 2, "{}", server.log());
}

#[test]
fn the_release_is_in_the_metrics() {
    let project = Project::fast();
    let server = project.serve();
    check_metric(&server, r#"tidegate_release_phase{phase="none"} 1"#);
    check_metric(&server, r#"tidegate_signal{signal="green"} 0"#);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    for n in 0..20 {
        server.chat(&format!("user-{n}"), "hello");
    }
    project.run(&["rollback", "--by", "mei"]).exits(0);
    check_metric(&server, r#"tidegate_release_phase{phase="rolled_back"} 1"#);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 0"#);
    let page = get(server.address, "/metrics", "").unwrap().body;
    let kept = |arm: &str| -> u64 {
        let head = format!("tidegate_contract_checks_total{{arm=\"{arm}\",result=\"kept\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&head));
        line.unwrap_or_else(|| panic!("no {head} in\n{page}")).parse().unwrap()
    };
    assert_eq!(kept("stable") + kept("candidate"), 20, "{page}");
    assert!(kept("candidate") > 0, "{page}");
    let signals = page.lines().filter(|l| l.starts_with("tidegate_signal{") && l.ends_with(" 1"));
    assert_eq!(signals.count(), 1, "{page}");
}
