//! What clients must not reach through the gateway, and model servers that fail in odd ways.

use crate::client::{self, CHAT};
use crate::project::{Project, Server};
use crate::upstream::Upstream;
use serde_json::{Value, json};
use std::net::SocketAddr;

const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

/// A new project whose model is at this address.
fn project_on(address: SocketAddr) -> Project {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{address}/v1\n");
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project
}

/// A chat request with one more member.
fn asked_with(server: &Server, member: &str, value: Value) -> client::Answer {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body[member] = value;
    client::post(server.address, CHAT, &body).unwrap()
}

#[test]
fn members_that_route_are_refused_at_any_depth_and_never_reach_the_model_server() {
    let upstream = Upstream::answering(ANSWER);
    let server = project_on(upstream.address).serve();
    let remote = json!({"do_remote_prefill": true, "remote_host": "10.0.0.9"});
    for (param, member, value) in [
        ("kv_transfer_params", "kv_transfer_params", remote.clone()),
        ("bootstrap_host", "bootstrap_host", json!("10.0.0.9")),
        ("lora_path", "lora_path", json!("/models/other")),
        ("extra_body.lora_path", "extra_body", json!({"lora_path": "other"})),
        (
            "extra_body.extra_body.kv_transfer_params",
            "extra_body",
            json!({"extra_body": {"kv_transfer_params": remote}}),
        ),
        ("x[0].y.api_base", "x", json!([{"y": {"api_base": "http://169.254.169.254"}}])),
    ] {
        let refused = asked_with(&server, member, value);
        refused.check_error(400, "unsupported_parameter", &[param]);
    }
    assert!(upstream.asked().is_empty(), "{:?}", upstream.asked());
    let schema = json!({"type": "object", "properties": {"headers": {"type": "object"}}});
    let taken = asked_with(&server, "response_format", json!({"json_schema": {"schema": schema}}));
    assert_eq!(taken.status, 200, "{taken:?}");
    let taken = asked_with(&server, "metadata", json!({"lora_path": "a note"}));
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(upstream.asked().len(), 2);
}
