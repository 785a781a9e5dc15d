//! The smaller endpoints: OpenAI's older completions, embeddings, one model, tokens of a message.

use crate::client::{self, Answer, request};
use crate::project::{Project, wait_for};
use crate::upstream::{Upstream, project_of};
use serde_json::{Value, json};
use std::net::SocketAddr;

const PLANTED: &str = "tidegate-canary-7f3a9c";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

/// A project that passes requests on to this server's models `m1` and, for embeddings, `e1`.
fn project(upstream: &Upstream) -> Project {
    let kind = format!("kind: openai\n    base_url: http://{}/v1", upstream.address);
    let more = format!(
        "aliases: [desk/old]\nrisk:\n  planted: [{PLANTED}]\nprices:\n  \
         m1: {{input_per_million: 2, output_per_million: 10}}\n  \
         e1: {{input_per_million: 1, output_per_million: 0}}\n"
    );
    let project = project_of(&kind, "", &more);
    project.edit("tidegate.yaml", "name: m1}", "name: m1, embeddings: e1}");
    project
}

fn ask(address: SocketAddr, path: &str, trace: &str, body: &Value) -> Answer {
    let headers = format!("x-trace-id: {trace}\r\n");
    let bytes = request("POST", path, &headers, body.to_string().as_bytes());
    client::open(address, &bytes).unwrap().finish().unwrap()
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

fn completion(text: &str) -> String {
    let choice = json!({"index": 0, "text": text, "finish_reason": "stop", "logprobs": null});
    json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m1-0613",
        "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 20,
        "total_tokens": 30}})
    .to_string()
}

fn chunks(texts: &[&str]) -> String {
    let chunk = |text: &&str, finish: Option<&str>| {
        let choice = json!({"index": 0, "text": text, "finish_reason": finish});
        format!("data: {}\n\n", json!({"object": "text_completion", "choices": [choice]}))
    };
    let said: String = texts.iter().map(|text| chunk(text, None)).collect();
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}});
    format!("{said}{}data: {usage}\n\ndata: [DONE]\n\n", chunk(&"", Some("stop")))
}

#[test]
fn a_completion_goes_on_in_its_form_and_is_recorded_and_billed() {
    let upstream = Upstream::by_rule(|body| match body["prompt"].as_str() {
        Some("leak") => ("200 OK", completion(PLANTED)),
        _ => ("200 OK", completion("七天内。")),
    });
    let project = project(&upstream);
    let server = project.serve();
    let body = json!({"model": "my-service", "prompt": ["a", "退款要"], "suffix": "。",
        "max_tokens": 7, "user": "mei", "new_member": {"x": 1}});
    let answer = ask(server.address, COMPLETIONS, "plain-1", &body);
    assert_eq!((answer.status, answer.body.as_str()), (200, &*completion("七天内。")));
    let mut expected = body;
    expected["model"] = json!("m1");
    assert_eq!(upstream.asked(), [expected], "only the model is another");
    assert!(upstream.heads()[0].starts_with("post /v1/completions http/1.1\n"));
    let record = record(&project, "plain-1");
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(10), &json!(20)));
    assert_eq!((&record["cost_micro_usd"], &record["input"]), (&json!(220), &json!("退款要")));
    let leaked = ask(server.address, COMPLETIONS, "plain-2", &json!({"prompt": "leak"}));
    leaked.check_error(502, "answer_withheld", &[]);
    assert!(!leaked.body.contains(PLANTED), "{leaked:?}");
    for (body, param) in [
        (json!({"model": "my-service"}), "prompt"),
        (json!({"prompt": [1, 2]}), "prompt[0]"),
        (json!({"prompt": 7}), "prompt"),
    ] {
        let refused = ask(server.address, COMPLETIONS, "plain-3", &body);
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(refused.json()["error"]["param"], param, "{refused:?}");
    }
    assert_eq!(upstream.asked().len(), 2, "what was refused reached the model server");
}

#[test]
fn a_streamed_completion_is_watched_and_ends_honestly() {
    let upstream = Upstream::speaking(|body| {
        let (one, two) = PLANTED.split_at(9);
        let events = match body["prompt"].as_str() {
            Some("leak") => chunks(&[one, two]),
            Some("cut") => chunks(&["七天"]).split("data: [DONE]").next().unwrap()[..70].to_owned(),
            _ => chunks(&["七", "天"]),
        };
        ("200 OK", "text/event-stream", events)
    });
    let project = project(&upstream);
    let server = project.serve();
    let asks = |prompt: &str, trace: &str| {
        ask(server.address, COMPLETIONS, trace, &json!({"prompt": prompt, "stream": true}))
    };
    let good = asks("hi", "good-1");
    assert!(good.body.ends_with("data: [DONE]\n\n") && !good.body.contains("usage"), "{good:?}");
    assert_eq!(upstream.asked()[0]["stream_options"]["include_usage"], true);
    assert_eq!(record(&project, "good-1")["output"], "七天");
    let cut = asks("cut", "cut-1");
    assert!(cut.body.contains("upstream_cut_short") && !cut.body.contains("[DONE]"), "{cut:?}");
    let leak = asks("leak", "leak-1");
    assert!(leak.body.contains("answer_withheld"), "{leak:?}");
    assert!(!leak.body.contains(&PLANTED[9..]), "{leak:?}");
    assert_eq!(record(&project, "leak-1")["risk"][0]["kind"], "leak");
}

#[test]
fn embeddings_are_made_by_the_model_that_the_version_set_names() {
    let vectors = json!({"object": "list", "model": "e1-small",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAAA="}],
        "usage": {"prompt_tokens": 400, "total_tokens": 400}})
    .to_string();
    let answered = vectors.clone();
    let upstream = Upstream::by_rule(move |_| ("200 OK", answered.clone()));
    let project = project(&upstream);
    let server = project.serve();
    let body = json!({"model": "my-service", "input": ["退款政策", "send.mei@example.com"],
        "encoding_format": "base64", "dimensions": 2, "user": "mei"});
    let answer = ask(server.address, EMBEDDINGS, "vector-1", &body);
    assert_eq!((answer.status, &answer.body), (200, &vectors), "byte for byte");
    let mut expected = body;
    expected["model"] = json!("e1");
    assert_eq!(upstream.asked(), [expected]);
    assert!(upstream.heads()[0].starts_with("post /v1/embeddings http/1.1\n"));
    let record = record(&project, "vector-1");
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(400), &json!(0)));
    assert_eq!(record["cost_micro_usd"], 400, "by the price of that model: {record}");
    assert!(record["failure"].is_null() && record["contract_problem"].is_null(), "{record}");
    assert_eq!((&record["input"], &record["prompt_length"]), (&json!(""), &json!(24)), "{record}");
    let empty = ask(server.address, EMBEDDINGS, "vector-3", &json!({"input": []}));
    empty.check_error(400, "invalid_value", &["`input`"]);
    let streamed = json!({"input": "a", "stream": true});
    let refused = ask(server.address, EMBEDDINGS, "vector-4", &streamed);
    refused.check_error(400, "invalid_value", &["`stream`"]);
}

/// As clients send that count tokens themselves, in batches as large as OpenAI's API takes.
#[test]
fn tokens_are_embedded_as_they_are_however_many_there_are() {
    let vectors = json!({"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}).to_string();
    let upstream = Upstream::by_rule(move |_| ("200 OK", vectors.clone()));
    let project = project(&upstream);
    let server = project.serve();
    let text = |n: usize| (0..150).map(|token| n * 4 + token).collect::<Vec<usize>>();
    let many: Vec<_> = (0..2_000).map(text).collect();
    let inputs = [json!([[1, 2], [3]]), json!([7, 8, 9]), json!(many)];
    for (i, (input, tokens)) in inputs.iter().zip([3, 3, 300_000]).enumerate() {
        let trace = format!("tokens-{i}");
        let mut body = json!({"input": input, "model": "my-service", "user": "mei"});
        assert_eq!(ask(server.address, EMBEDDINGS, &trace, &body).status, 200);
        body["model"] = json!("e1");
        assert!(upstream.asked().last() == Some(&body), "{trace}");
        // The model server counted none.
        assert_eq!(record(&project, &trace)["tokens_in"], tokens, "{trace}");
    }
    let mut other = json!({"input": many});
    other["note"] = json!(vec![0; 40_000]);
    let refused = ask(server.address, EMBEDDINGS, "tokens-9", &other);
    refused.check_error(400, "request_too_complex", &["32768"]);
    let twice = br#"{"input": [1], "input": [2, 3]}"#;
    let bytes = request("POST", EMBEDDINGS, "", twice);
    let refused = client::open(server.address, &bytes).unwrap().finish().unwrap();
    refused.check_error(400, "duplicate_parameter", &["`input`"]);
}

#[test]
fn what_a_version_set_does_not_serve_is_said_with_what_to_use() {
    let upstream = Upstream::answering("hi");
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    let server = project.serve();
    let prompt = ask(server.address, COMPLETIONS, "no-1", &json!({"prompt": "hi"}));
    prompt.check_error(404, "endpoint_not_served", &["has a prompt", "/v1/chat/completions"]);
    assert_eq!(prompt.header("x-should-retry"), "false", "{prompt:?}");
    let vectors = ask(server.address, EMBEDDINGS, "no-2", &json!({"input": "hi"}));
    vectors.check_error(404, "endpoint_not_served", &["artifacts.model.embeddings"]);
    assert!(upstream.asked().is_empty());
    let other = project_of(
        &format!("kind: anthropic\n    base_url: http://{}/v1", upstream.address),
        "",
        "",
    );
    let server = other.serve();
    let chat_only = ask(server.address, COMPLETIONS, "no-3", &json!({"prompt": "hi"}));
    chat_only.check_error(404, "endpoint_not_served", &["chat completions only"]);
    other.edit("tidegate.yaml", "name: m1}", "name: m1, embeddings: e1}");
    other.run(&["version", "pack"]).fails(2, &["makes no embeddings"], &["kind `openai`"]);
}

#[test]
fn a_model_is_found_by_its_name_with_or_without_a_slash() {
    let upstream = Upstream::answering("hi");
    let project = project(&upstream);
    let server = project.serve();
    let get = |path: &str| client::get(server.address, path, "").unwrap();
    let expected =
        |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "tidegate"});
    for path in ["/v1/models/my-service", "/v1/models/my-service/"] {
        assert_eq!(get(path).json(), expected("my-service"), "{path}");
    }
    for path in ["/v1/models/desk/old", "/v1/models/desk%2Fold"] {
        assert_eq!(get(path).json(), expected("desk/old"), "{path}");
    }
    get("/v1/models/gpt-9").check_error(404, "model_not_found", &["`gpt-9`", "my-service"]);
    for path in ["/v1/models/", "/health/", "/readyz/", "/metrics/"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    let chat = json!({"messages": [{"role": "user", "content": "hi"}]});
    let slash = client::post(server.address, "/v1/chat/completions/", &chat).unwrap();
    assert_eq!(slash.text(), "hi", "{slash:?}");
    let wrong = client::get(server.address, "/v1/embeddings/", "").unwrap();
    wrong.check_error(405, "wrong_method", &["/v1/embeddings takes POST"]);
}

/// Every path of the document answers, to an empty request as well as it can.
#[test]
fn every_path_of_the_document_answers() {
    let upstream = Upstream::answering("hi");
    let project = project(&upstream);
    let server = project.serve();
    let document = client::get(server.address, "/openapi.json", "").unwrap().json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "{paths:?}");
    for (path, item) in paths {
        let path = path.replace("{id}", "my-service");
        match item.get("post") {
            // The client checks that the document has the status.
            Some(_) => {
                let answer = client::post(server.address, &path, &json!({})).unwrap();
                assert_eq!(answer.status, 400, "{path}: {answer:?}");
            }
            None => {
                assert_eq!(client::get(server.address, &path, "").unwrap().status, 200, "{path}")
            }
        }
    }
}

#[test]
fn tokens_of_a_message_are_counted_and_said_to_be_an_estimate() {
    let upstream = Upstream::answering("hi");
    let project = project(&upstream);
    let server = project.serve();
    let count =
        |body: &Value| client::post(server.address, "/v1/messages/count_tokens", body).unwrap();
    let messages = json!([{"role": "user", "content": "退款要多久?"}]);
    let short = count(&json!({"model": "my-service", "messages": messages}));
    let tokens = short.json()["input_tokens"].as_u64().unwrap();
    assert!((3..30).contains(&tokens), "{short:?}");
    assert!(short.header("x-tidegate-warning").contains("estimated"), "{short:?}");
    let tools = json!([{"name": "refund", "description": "Gives money back for an order.",
        "input_schema": {"type": "object", "properties": {"order": {"type": "string"}}}}]);
    let body = json!({"model": "my-service", "messages": messages, "system": "Be brief, be kind.",
        "tools": tools});
    let longer = count(&body).json()["input_tokens"].as_u64().unwrap();
    assert!(longer >= tokens + 12, "{longer} after {tokens}");
    let bad = count(&json!({"model": "my-service", "messages": 5}));
    assert_eq!((bad.status, &bad.json()["type"]), (400, &json!("error")), "{bad:?}");
    assert!(upstream.asked().is_empty());
}
