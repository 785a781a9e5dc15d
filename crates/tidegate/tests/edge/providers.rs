//! Clients of one API before model servers of another. The model servers are simulated: they say
//! what the APIs of Anthropic and Google are documented and recorded to say.

use crate::client::{self, Answer, CHAT, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, project_of};
use serde_json::{Value, json};

mod anthropic;
mod gemini;
mod native;

/// A project that passes requests on to a model server of this kind, and its running server.
fn project_on(upstream: &Upstream, keys: &str) -> (Project, Server) {
    let address = upstream.address;
    let upstream = format!("base_url: http://{address}/v1\n    {keys}");
    let risk = format!(
        "risk:\n  planted: [{PLANTED}]\nprices:\n  m1: {{input_per_million: 2, \
         output_per_million: 10}}\n"
    );
    let project = project_of(&upstream, "", &risk);
    let server = project.serve();
    (project, server)
}

const PLANTED: &str = "tidegate-canary-7f3a9c";

fn ask(server: &Server, trace: &str, body: &Value) -> Answer {
    ask_at(server, CHAT, trace, body)
}

fn ask_at(server: &Server, path: &str, trace: &str, body: &Value) -> Answer {
    let headers = format!("x-trace-id: {trace}\r\n");
    let bytes = request("POST", path, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

/// What a user asks, in many ways at once.
fn everything() -> Value {
    json!({
        "model": "my-service",
        "max_completion_tokens": 300,
        "reasoning_effort": "high",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "这是什么?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
        ],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer", "strict": true,
            "schema": {"type": "object", "properties": {"answer": {"type": "string"}},
                "required": ["answer"], "additionalProperties": false},
        }},
        "seed": 7,
    })
}

/// A request that offers two tools, with what came of them where `results` are there.
fn with_tools(messages: &Value) -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}}}})
    };
    json!({"model": "my-service", "messages": messages, "tools": [tool("weather"), tool("time")]})
}

/// Asks with tools, sends the results of all calls back, and gives the last answer.
fn run_tools(server: &Server) -> (Answer, Answer) {
    let question = json!({"role": "user", "content": "東京の天気と時間は?"});
    let first = ask(server, "tools-1", &with_tools(&json!([question])));
    let message = first.json()["choices"][0]["message"].clone();
    let mut messages = vec![question, message.clone()];
    for call in message["tool_calls"].as_array().unwrap_or_else(|| panic!("{first:?}")) {
        let name = call["function"]["name"].as_str().unwrap();
        messages.push(json!({"role": "tool", "tool_call_id": call["id"],
            "content": format!("{{\"{name}\": \"晴れ\"}}")}));
    }
    let second = ask(server, "tools-2", &with_tools(&messages.into()));
    (first, second)
}

/// The calls of an answer: name and arguments.
fn calls(answer: &Answer) -> Vec<(String, Value)> {
    let message = answer.json()["choices"][0]["message"].clone();
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().unwrap();
        let name = call["function"]["name"].as_str().unwrap().to_owned();
        (name, serde_json::from_str(arguments).unwrap())
    };
    message["tool_calls"].as_array().into_iter().flatten().map(call).collect()
}

/// The text of a stream, and whether it ended with `[DONE]`.
fn streamed(answer: &Answer) -> (String, bool) {
    let events = answer.events();
    let is_done = events.last().map(String::as_str) == Some("[DONE]");
    let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let texts = chunks
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned));
    (texts.collect(), is_done)
}

/// Whatever the kind, what its API cannot say is named and reaches no model, and what the answer
/// means the same without is left out with a warning.
fn check_refusals_and_warnings(server: &Server, project: &Project, upstream: &Upstream) {
    let asked = upstream.asked().len();
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (trace, member, value) in [
        ("refused-1", "logit_bias", json!({"50256": -100})),
        ("refused-2", "n", json!(2)),
        ("refused-3", "logprobs", json!(true)),
        ("refused-4", "some_new_member", json!("x")),
    ] {
        let mut body = body.clone();
        body[member] = value;
        let refused = ask(server, trace, &body);
        refused.check_error(400, "unsupported_parameter", &[member]);
        assert_eq!(refused.json()["error"]["param"], member, "{refused:?}");
        assert_eq!(refused.header("x-should-retry"), "false", "{refused:?}");
        let record = record(project, trace);
        assert_eq!((&record["failure"], &record["status"]), (&json!("unrendered"), &json!(400)));
    }
    assert_eq!(upstream.asked().len(), asked, "what was refused reached the model server");
    body["store"] = json!(true);
    body["prompt_cache_key"] = json!("k");
    let warned = ask(server, "warned-1", &body);
    assert_eq!(warned.status, 200, "{warned:?}");
    let warnings = warned.headers("x-tidegate-warning");
    let names: Vec<bool> =
        ["store", "prompt_cache_key"].map(|name| warnings.iter().any(|w| w.contains(name))).into();
    assert_eq!(names, [true, true], "{warnings:?}");
}
