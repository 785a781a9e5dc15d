//! What is in a version set is served from the set, and what is not has effect at a restart.

use crate::client::{CHAT, chat, get, post};
use crate::project::{Project, Server};
use serde_json::{Value, json};

/// A project whose model takes 60 ms for its first token.
fn project() -> Project {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: simulated\n    first_token_ms: 60\n    ms_per_token: 0\n    sigma: 0\n",
    );
    project
}

fn served(server: &Server) -> String {
    let health = get(server.address, "/health", "").unwrap().json();
    health["version_set"].as_str().unwrap().to_owned()
}

fn large() -> Value {
    json!({"messages": [{"role": "user", "content": "退款".repeat(500)}]})
}

#[test]
fn a_restart_does_not_change_the_limits_of_answers_but_those_of_the_process() {
    let project = project();
    let server = project.serve();
    let set = served(&server);
    server.chat("mei", "how are refunds made?");
    assert_eq!(post(server.address, CHAT, &large()).unwrap().status, 200);
    server.terminate();
    assert_eq!(server.ended(), Some(0));

    project.edit(
        "tidegate.yaml",
        "  first_byte_ms: 60000\n  total_ms: 300000\n",
        "  first_byte_ms: 5\n  total_ms: 5\n  max_body_bytes: 1000\n",
    );
    let server = project.serve();
    assert_eq!(served(&server), set);
    server.chat("mei", "how are refunds made?");
    post(server.address, CHAT, &large()).unwrap().check_error(
        413,
        "request_too_large",
        &["1000 bytes"],
    );

    // The edited limits are another set, and its eval fails by them.
    let packed = project.run(&["version", "pack", "--json"]).exits(0).json();
    assert_ne!(packed["version_set"], json!(set));
    let eval = project.run(&["eval", "--json"]);
    assert_ne!(eval.code, 0, "{eval:?}");
}

#[test]
fn a_release_carries_its_own_limits() {
    let project = project();
    let upstream = crate::upstream::Upstream::answering(r#"{"answer": "ok", "citations": ["a"]}"#);
    project.edit(
        "tidegate.yaml",
        "  # openai: ",
        &format!(
            "  fast:\n    kind: openai\n    base_url: http://{}/v1\n  # openai: ",
            upstream.address
        ),
    );
    let server = project.serve();
    let set = served(&server);
    // The candidate calls a fast model within 40 ms, which the stable one's model never is.
    project.edit("tidegate.yaml", "first_byte_ms: 60000", "first_byte_ms: 40");
    let packed = project.run(&["version", "pack", "--upstream", "fast", "--json"]).exits(0).json();
    assert_ne!(packed["version_set"], json!(set));
    let diff = project.run(&["version", "diff", &set, packed["version_set"].as_str().unwrap()]);
    assert!(diff.exits(0).out.contains("\"first_byte_ms\": 40"));
    let answer = chat(server.address, Some("mei"), "how are refunds made?").unwrap();
    assert_eq!((answer.status, answer.header("x-tidegate-arm")), (200, "stable"));
}
