//! What model servers and clients send around an answer: signs of life, encodings.

use crate::client::{self, CHAT, request};
use crate::project::{Project, Server};
use crate::upstream::{Upstream, completion};
use serde_json::json;

const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

fn project_on(upstream: &Upstream) -> (Project, Server) {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    let server = project.serve();
    (project, server)
}

#[test]
fn pings_of_the_model_server_reach_the_client_and_are_no_part_of_the_answer() {
    let chunk = |delta| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let text = chunk(json!({"content": ANSWER}));
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let body = format!(
        ": OPENROUTER PROCESSING\n\n:\n\ndata: {text}\n\n: keep-alive\n\n\
         data: {end}\n\ndata: [DONE]\n\n"
    );
    let upstream = Upstream::saying("200 OK", "text/event-stream", &body);
    let (project, server) = project_on(&upstream);
    let asked = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let headers = "x-trace-id: pings-1\r\n";
    let bytes = request("POST", CHAT, headers, asked.to_string().as_bytes());
    let answer = client::open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"), "{answer:?}");
    let pings: Vec<usize> = answer.body.match_indices(":\n\n").map(|(at, _)| at).collect();
    let first_data = answer.body.find("data: ").unwrap();
    assert_eq!(pings.len(), 3, "each is passed on, without its text: {answer:?}");
    assert_eq!(pings.iter().filter(|at| **at < first_data).count(), 2, "{answer:?}");
    assert!(!answer.body.contains("OPENROUTER"), "{answer:?}");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let trace = project.run(&["trace", "pings-1", "--json"]).exits(0).json();
    let trace = &trace["record"];
    assert_eq!(trace["output"], ANSWER, "{trace}");
    assert_eq!(trace["response_length"], ANSWER.len(), "{trace}");
    assert!(trace["failure"].is_null(), "{trace}");
}

#[test]
fn a_client_that_takes_gzip_gets_plain_json_and_one_that_sends_it_is_told_what_to_send() {
    let upstream = Upstream::saying("200 OK", "application/json", &completion(ANSWER));
    let (_project, server) = project_on(&upstream);
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let takes = "accept-encoding: gzip, deflate, br\r\n";
    let bytes = request("POST", CHAT, takes, body.as_bytes());
    let answer = client::open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!((answer.status, answer.header("content-encoding")), (200, ""), "{answer:?}");
    assert_eq!(answer.text(), ANSWER);

    // The first bytes of a gzip stream; what is in it does not matter.
    let sends = "content-encoding: gzip\r\n";
    for zipped in [&[0x1f, 0x8b, 8, 0][..], body.as_bytes()] {
        let bytes = request("POST", CHAT, sends, zipped);
        let refused = client::open(server.address, &bytes).unwrap().finish().unwrap();
        refused.check_error(415, "unsupported_encoding", &["send plain JSON"]);
        assert_eq!(refused.header("connection"), "close");
    }
    assert_eq!(upstream.asked().len(), 1, "what was refused did not reach the model server");
    server.chat("mei", "hello");
}
