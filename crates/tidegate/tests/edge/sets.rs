//! What is in a version set is served from the set, and what is not has effect at a restart.

use crate::client::{CHAT, chat, get, post};
use crate::project::{Project, Server, wait_for};
use crate::upstream::Upstream;
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
    let upstream = Upstream::answering(r#"{"answer": "ok", "citations": ["a"]}"#);
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

fn health(server: &Server) -> Value {
    get(server.address, "/health", "").unwrap().json()
}

#[test]
fn a_service_is_experimental_until_its_first_set_has_passed_the_gate() {
    let project = Project::quick();
    let server = project.serve();
    assert_eq!(health(&server)["release_status"], "experimental");
    assert_eq!(server.chat("mei", "hello").header("x-tidegate-status"), "experimental");
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.err.contains("experimental"), "{status:?}");
    // The eval of another set says nothing of this one, and an open question keeps it too.
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    assert_eq!(health(&server)["release_status"], "experimental");
    project.edit("tidegate.yaml", "  stop_path: ", "  # stop_path: ");
    project.run(&["eval"]).exits(0);
    assert_eq!(health(&server)["release_status"], "experimental");
    project.edit("tidegate.yaml", "  # stop_path: ", "  stop_path: ");
    project.run(&["gate"]).exits(0);
    assert_eq!(health(&server)["release_status"], "released");
    assert_eq!(server.chat("mei", "hello").header("x-tidegate-status"), "");
    server.kill();
    let server = project.serve();
    assert_eq!(health(&server)["release_status"], "released");
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    assert_eq!(status["experimental"], false);
}

#[test]
fn edited_files_are_said_and_not_served() {
    let project = Project::quick();
    let server = project.serve();
    assert_eq!(health(&server)["files"], "served");
    assert!(!server.log().contains("edited since"), "{}", server.log());
    project.append("prompts/v1/system.md", "\n请用中文回答。\n");
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.err.contains("prompt: system.md"), "{status:?}");
    wait_for("`edited` in /health", || (health(&server)["files"] == "edited").then_some(()));
    server.kill();
    let server = project.serve();
    assert_eq!(health(&server)["files"], "edited");
    wait_for("the edited file in the log", || {
        server.log().contains("not served: prompt: system.md").then_some(())
    });
    project.append("tidegate.yaml", "no_such_key: 1\n");
    wait_for("`unreadable`", || (health(&server)["files"] == "unreadable").then_some(()));
    server.chat("mei", "hello");
}

#[test]
fn the_set_s_tools_and_index_reach_the_model() {
    let upstream = Upstream::answering(r#"{"answer": "ok", "citations": ["policy.md"]}"#);
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project.edit(
        "tidegate.yaml",
        "    path: knowledge\n",
        "    path: knowledge\n    retrieval: {top_k: 3}\n    send_as: rag\n",
    );
    project.write(
        "tools/tools.yaml",
        "tools:\n  - {name: lookup_order, permission: read, expensive: true}\n",
    );
    project.run(&["check"]).exits(0);
    let server = project.serve();
    let ask = |more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(server.address, CHAT, &body).unwrap()
    };
    assert_eq!(ask(json!({})).status, 200);
    let asked = upstream.asked().pop().unwrap();
    assert_eq!(asked["tools"][0]["function"]["name"], "lookup_order", "{asked}");
    assert_eq!(asked["rag"], json!({"index_version": "v1", "top_k": 3}));
    let other = ask(json!({"tools": [{"type": "function", "function": {"name": "drop_table"}}]}));
    assert_eq!(other.status, 400, "{other:?}");
    assert!(other.body.contains("drop_table") && other.body.contains("lookup_order"), "{other:?}");
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn a_service_may_have_a_name_in_any_script() {
    let project = Project::quick();
    project.edit("tidegate.yaml", "service: \"my-service\"", "service: 客服\naliases: [窓口]\n#");
    let server = project.serve();
    for model in ["客服", "窓口"] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "退款？"}]});
        let answer = post(server.address, CHAT, &body).unwrap();
        assert_eq!((answer.status, answer.header("x-tidegate-arm")), (200, "stable"), "{answer:?}");
    }
    assert_eq!(health(&server)["service"], "客服");
    let eval = project.run(&["eval", "--prompt", "v2"]);
    eval.exits(0);
    let started = project.run(&["release", "start", "--prompt", "v2", "--json"]).exits(0).json();
    let keys = &started["keys"];
    assert_eq!((&keys["prompt_v"], &keys["index_v"]), (&json!("v2"), &json!("v1")), "{started}");
    assert_eq!((&keys["code_v"], &keys["model_v"]), (&json!("dev"), &json!("sim-1")), "{started}");
    project.run(&["rollback", "--reason", "checked"]).exits(0);
}
