//! The log as JSON lines, of the real binary.

use crate::project::{Project, Server, wait_for};
use crate::users::{Users, long};
use serde_json::Value;

const JSON: &[&str] = &["--log-format", "json", "--log-requests"];

/// Checks that a line is an object with the required keys, and gives it.
#[track_caller]
fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}"));
    let timestamp = text("timestamp");
    assert!(timestamp.contains('T') && timestamp.ends_with('Z'), "{line}");
    assert!(["info", "warn", "error"].contains(&text("level")), "{line}");
    assert_eq!(text("service"), "my-service", "{line}");
    assert!(!text("event_type").is_empty() && !text("message").is_empty(), "{line}");
    assert!(event["details"].is_object(), "{line}");
    if let Some(set) = event.get("version_set") {
        for key in ["id", "code_v", "prompt_v", "model_v", "index_v"] {
            assert!(set[key].is_string(), "no {key} in {line}");
        }
        assert_eq!(event["prompt_version"], set["prompt_v"], "{line}");
    }
    event
}

fn events(server: &Server) -> Vec<Value> {
    server.log().lines().map(event).collect()
}

#[test]
fn every_line_of_a_release_that_is_rolled_back_is_json() {
    let project = Project::fast();
    project.prompt_of_v2("v3", "max_tokens: 512", "max_tokens: 150");
    let server = Server::start_with(&project.root, JSON, &[]);
    project.run(&["eval", "--prompt", "v3"]).exits(0);
    project.run(&["release", "start", "--prompt", "v3"]).exits(0);
    let users = Users::of(server.address, 3, long);
    // The line comes after the journal has the phase.
    wait_for("the rollback in the log", || {
        let is_it = |event: &Value| {
            event["event_type"] == "release_moved" && event["details"]["decision"] == "roll_back"
        };
        events(&server).iter().any(is_it).then_some(())
    });
    drop(users);
    server.terminate();
    wait_for("the order to stop", || server.log().contains("\"stopping\"").then_some(()));
    let events = events(&server);
    let of = |kind: &str| events.iter().filter(|e| e["event_type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("service_started").len(), 1, "{}", server.log());
    let started = of("release_started");
    assert_eq!(started.len(), 1, "{}", server.log());
    assert_eq!(started[0]["version_set"]["prompt_v"], "v3", "{}", started[0]);
    assert_eq!(started[0]["details"]["weight_pct"], 20.0, "{}", started[0]);
    let moved = of("release_moved");
    let last = moved.last().unwrap();
    assert_eq!(last["details"]["decision"], "roll_back", "{last}");
    assert_eq!(last["details"]["reason"]["metric"], "contract_broken_rate", "{last}");
    assert_eq!((&last["level"], &last["details"]["signal"]), (&"warn".into(), &"red".into()));
    assert!(last["change_id"].as_str().unwrap().starts_with("prompt-v3-"), "{last}");
    let requests = of("request");
    assert!(requests.iter().any(|r| r["version_set"]["prompt_v"] == "v3"), "{}", requests[0]);
    for request in requests {
        assert!(request["trace_id"].is_string(), "{request}");
        assert!(request["details"]["metrics"]["latency_ms"].is_u64(), "{request}");
        let user = request["user"].as_str().unwrap();
        // The name itself, `user-0-1`, is in no line.
        assert_eq!(user.len(), "user-".len() + 16, "{request}");
    }
    assert!(!server.log().contains("I bought lamp"), "{}", server.log());
}

#[test]
fn a_server_that_cannot_start_says_so_in_json_too() {
    let project = Project::init();
    let args = ["serve", "--provider", "nobody", "--listen", "127.0.0.1:0"];
    let output = project.run_with(&args, &[("TIDEGATE_LOG_FORMAT", "json")]);
    let output = output.exits(2);
    let line = event(output.err.trim_end());
    assert_eq!(line["event_type"], "process_failed", "{output:?}");
    assert!(line["message"].as_str().unwrap().contains("no upstream `nobody`"), "{line}");
    assert!(line["details"]["hints"][0].as_str().unwrap().contains("--provider"), "{line}");
}

#[test]
fn text_is_a_time_and_a_sentence_and_requests_are_json() {
    let project = Project::fast();
    let server = Server::start_with(&project.root, &["--log-requests"], &[]);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    server.chat("mei", "周末营业吗？");
    let request = wait_for("the request's line", || {
        server.log().lines().find(|line| line.starts_with('{')).map(str::to_owned)
    });
    let request: Value = serde_json::from_str(&request).unwrap();
    assert_eq!((&request["prompt_length"], &request["status"]), (&6.into(), &200.into()));
    assert_eq!(request["version_set"]["prompt_v"], request["prompt_version"], "{request}");
    let log = server.log();
    let started = log.lines().find(|line| line.contains("started, now at 20 %")).unwrap();
    assert!(started.split_once(' ').unwrap().0.ends_with('Z'), "{started}");
}
