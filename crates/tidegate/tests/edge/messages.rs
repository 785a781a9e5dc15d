//! The APIs of other clients, Anthropic's Messages and OpenAI's Responses, before a model server
//! that speaks chat completions: the same looks, the same records, an honest end of each stream.

use crate::client::{self, Answer, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};

const PLANTED: &str = "tidegate-canary-7f3a9c";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

fn project_on(upstream: &Upstream) -> (Project, Server) {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project.edit("tidegate.yaml", "  planted: [", &format!("  planted: [{PLANTED}, "));
    let server = project.serve();
    (project, server)
}

fn ask(server: &Server, stream: bool, trace: &str) -> Answer {
    let body = json!({
        "model": "my-service", "max_tokens": 64, "stream": stream,
        "messages": [{ "role": "user", "content": "退款要多久?" }],
    });
    let headers = format!("x-trace-id: {trace}\r\nanthropic-version: 2023-06-01\r\n");
    let bytes = request("POST", MESSAGES, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

/// The events of a stream, name and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let blocks = answer.body.split("\n\n").filter(|block| !block.is_empty());
    let event = |block: &str| {
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        (field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    };
    blocks.map(event).collect()
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    format!("data: {}\n\n", json!({ "choices": [choice] }))
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

#[test]
fn a_planted_text_is_withheld_whole_and_in_pieces() {
    let upstream = Upstream::saying("200 OK", "application/json", &completion(PLANTED));
    let (project, server) = project_on(&upstream);
    let whole = ask(&server, false, "whole-1");
    assert_eq!(whole.status, 502, "{whole:?}");
    let body = whole.json();
    assert_eq!(
        (&body["type"], &body["error"]["code"]),
        (&json!("error"), &json!("answer_withheld"))
    );
    assert!(!whole.body.contains(PLANTED), "{whole:?}");
    assert_eq!(record(&project, "whole-1")["risk"][0]["kind"], "leak");

    let (one, two) = PLANTED.split_at(9);
    let pieces = chunk(&json!({ "content": one }), None) + &chunk(&json!({ "content": two }), None);
    let upstream = Upstream::saying("200 OK", "text/event-stream", &(pieces + "data: [DONE]\n\n"));
    let (project, server) = project_on(&upstream);
    let streamed = ask(&server, true, "pieces-1");
    let events = events(&streamed);
    let (last, data) = events.last().unwrap();
    assert_eq!((last.as_str(), &data["error"]["code"]), ("error", &json!("answer_withheld")));
    assert!(
        !streamed.body.contains(two) && !streamed.body.contains("message_stop"),
        "{streamed:?}"
    );
    assert_eq!(record(&project, "pieces-1")["risk"][0]["kind"], "leak");
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_event_and_never_with_a_stop() {
    let begun = chunk(&json!({ "content": "七天内" }), None);
    let upstream = Upstream::saying("200 OK", "text/event-stream", &begun);
    let (project, server) = project_on(&upstream);
    let answer = ask(&server, true, "cut-1");
    let events = events(&answer);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["message_start", "content_block_start", "content_block_delta", "error"]);
    let (_, error) = events.last().unwrap();
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["error"]["code"], "upstream_cut_short", "{error}");
    let record = record(&project, "cut-1");
    assert_eq!((&record["failure"], &record["output"]), (&json!("cut_short"), &json!("七天内")));
    assert!(record["tokens_out"].as_u64().unwrap() > 0, "what came is counted: {record}");
}

#[test]
fn a_request_that_cannot_be_translated_is_refused_by_name_and_reaches_no_model() {
    let upstream = Upstream::answering("hi");
    let (_project, server) = project_on(&upstream);
    let post = |body: &Value| client::post(server.address, MESSAGES, body).unwrap();
    let message = json!([{ "role": "user", "content": "hi" }]);
    for (body, named) in [
        (json!({ "model": "my-service", "messages": message }), "max_tokens"),
        (json!({ "model": "my-service", "max_tokens": 5 }), "messages"),
        (json!({ "model": "my-service", "max_tokens": "5", "messages": message }), "max_tokens"),
        (json!({ "max_tokens": 5, "messages": message }), "model"),
        (
            json!({
                "model": "my-service", "max_tokens": 5, "messages": message, "container": "c-1"
            }),
            "container",
        ),
        (json!([]), ""),
    ] {
        let answer = post(&body);
        let error = answer.json();
        assert_eq!((answer.status, &error["type"]), (400, &json!("error")), "{answer:?}");
        assert!(error["error"]["message"].as_str().unwrap().contains(named), "{answer:?}");
        assert_eq!(answer.header("request-id"), answer.header("x-trace-id"), "{answer:?}");
    }
    assert!(upstream.asked().is_empty());
    let wrong = client::get(server.address, MESSAGES, "").unwrap();
    assert_eq!((wrong.status, &wrong.json()["type"]), (405, &json!("error")), "{wrong:?}");
    let good = json!({ "model": "my-service", "max_tokens": 5, "messages": message });
    assert_eq!(post(&good).status, 200);
}

/// OpenAI's Responses API: the same looks, an honest end, and nothing that would have to be kept.
#[test]
fn a_response_is_withheld_ends_honestly_and_refers_to_none_before() {
    let upstream = Upstream::saying("200 OK", "application/json", &completion(PLANTED));
    let (_project, server) = project_on(&upstream);
    let post = |body: &Value| client::post(server.address, RESPONSES, body).unwrap();
    let withheld = post(&json!({ "model": "my-service", "input": "hi" }));
    withheld.check_error(502, "answer_withheld", &[]);
    assert!(!withheld.body.contains(PLANTED), "{withheld:?}");
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("c-1")),
        ("background", json!(true)),
    ] {
        let asked = upstream.asked().len();
        let mut body = json!({ "model": "my-service", "input": "hi" });
        body[member] = value;
        let refused = post(&body);
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(member)));
        assert_eq!(upstream.asked().len(), asked);
    }
    let begun = chunk(&json!({ "content": "七天内" }), None);
    let upstream = Upstream::saying("200 OK", "text/event-stream", &begun);
    let (project, server) = project_on(&upstream);
    let body = json!({ "model": "my-service", "input": "退款?", "stream": true }).to_string();
    let bytes = request("POST", RESPONSES, "x-trace-id: cut-2\r\n", body.as_bytes());
    let answer = client::open(server.address, &bytes).unwrap().finish().unwrap();
    let events = events(&answer);
    let (last, data) = events.last().unwrap();
    assert_eq!(
        (last.as_str(), &data["code"]),
        ("error", &json!("upstream_cut_short")),
        "{answer:?}"
    );
    assert!(events.iter().all(|(name, _)| name != "response.completed"), "{answer:?}");
    assert_eq!(record(&project, "cut-2")["failure"], "cut_short");
}
