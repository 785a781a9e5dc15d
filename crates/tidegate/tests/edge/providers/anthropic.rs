//! Model servers that speak Anthropic's Messages API.

use super::{
    PLANTED, ask, ask_at, calls, check_refusals_and_warnings, everything, project_on, record,
    run_tools, streamed,
};
use crate::project::{Project, Server};
use crate::upstream::Upstream;
use serde_json::{Value, json};

const JSON: &str = "application/json";

fn project(upstream: &Upstream) -> (Project, Server) {
    project_on(upstream, "kind: anthropic\n    max_tokens: 512")
}

fn message(content: &Value, stop: &str) -> String {
    json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-x",
        "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 85, "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 12}},
    })
    .to_string()
}

fn said(text: &str) -> String {
    message(&json!([{"type": "text", "text": text}]), "end_turn")
}

/// The events of a streamed message with these deltas of its text.
fn events(texts: &[&str], is_ended: bool) -> String {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "msg_01", "type": "message",
            "role": "assistant", "model": "claude-x", "content": [],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(texts.iter().map(|text| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": text}})
    }));
    if is_ended {
        events.extend([
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 20}}),
            json!({"type": "message_stop"}),
        ]);
    }
    let event =
        |data: &Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

#[test]
fn everything_that_a_user_asks_is_asked_in_the_apis_form_and_counted_by_its_arithmetic() {
    let upstream = Upstream::by_rule(|_| ("200 OK", said("{\"answer\":\"猫\"}")));
    let (project, server) = project(&upstream);
    let answer = ask(&server, "all-1", &everything());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"answer\":\"猫\"}"));
    let usage = &answer.json()["usage"];
    assert_eq!(usage["prompt_tokens"], 100, "the cache is part of the prompt: {usage}");
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 85, "{usage}");
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 12, "{usage}");
    let head = &upstream.heads()[0];
    assert!(head.starts_with("post /v1/messages http/1.1\n"), "{head}");
    assert!(head.contains("anthropic-version: 2023-06-01\n"), "{head}");
    let asked = &upstream.asked()[0];
    assert_eq!((&asked["model"], &asked["max_tokens"]), (&json!("m1"), &json!(300)));
    assert!(asked["system"].to_string().contains("Be brief."), "{asked}");
    let parts = &asked["messages"][0]["content"];
    assert_eq!((&parts[0]["text"], &parts[1]["type"]), (&json!("这是什么?"), &json!("image")));
    assert_eq!(parts[1]["source"]["media_type"], "image/png", "{asked}");
    assert_eq!(asked["output_config"]["format"]["type"], "json_schema", "{asked}");
    assert_eq!(asked["output_config"]["effort"], "high", "{asked}");
    assert_eq!(asked["thinking"]["type"], "adaptive", "{asked}");
    assert!(asked.get("seed").is_none() && asked.get("n").is_none(), "{asked}");
    assert_eq!(answer.headers("x-tidegate-warning").len(), 1, "{answer:?}");
    assert!(answer.header("x-tidegate-warning").contains("`seed`"), "{answer:?}");
    let record = record(&project, "all-1");
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(100), &json!(20)));
    assert_eq!(record["cost_micro_usd"], 400, "{record}");
    assert_eq!(record["upstream_model"], "claude-x", "{record}");
}

#[test]
fn parallel_tools_and_their_results_keep_their_places() {
    let upstream = Upstream::by_rule(|body| {
        let turns = body["messages"].as_array().unwrap().len();
        let call = |id: &str, name: &str| {
            let input = json!({"city": "東京"});
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        };
        let answer = match turns {
            1 => message(&json!([call("toolu_1", "weather"), call("toolu_2", "time")]), "tool_use"),
            _ => said("晴れ"),
        };
        ("200 OK", answer)
    });
    let (_project, server) = project(&upstream);
    let (first, second) = run_tools(&server);
    let expected = json!({"city": "東京"});
    assert_eq!(
        calls(&first),
        [("weather".to_owned(), expected.clone()), ("time".to_owned(), expected)]
    );
    assert_eq!(first.json()["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((second.status, second.text().as_str()), (200, "晴れ"), "{second:?}");
    let asked = &upstream.asked()[1];
    assert_eq!(asked["tools"].as_array().unwrap().len(), 2, "{asked}");
    let turns = asked["messages"].as_array().unwrap();
    let kinds: Vec<&Value> = turns.iter().map(|turn| &turn["role"]).collect();
    assert_eq!(kinds, ["user", "assistant", "user"], "{asked}");
    let ids = |turn: &Value, key: &str| -> Vec<Value> {
        turn["content"].as_array().unwrap().iter().map(|block| block[key].clone()).collect()
    };
    assert_eq!(ids(&turns[1], "id"), ["toolu_1", "toolu_2"], "{asked}");
    assert_eq!(ids(&turns[2], "tool_use_id"), ["toolu_1", "toolu_2"], "{asked}");
}

#[test]
fn a_stream_is_passed_on_watched_and_ended_honestly() {
    let upstream = Upstream::speaking(|body| {
        let text = body["messages"][0]["content"].to_string();
        let (one, two) = PLANTED.split_at(9);
        let events = match () {
            () if text.contains("leak") => events(&[one, two], true),
            () if text.contains("cut") => events(&["七天"], false),
            () => events(&["七", "天"], true),
        };
        ("200 OK", "text/event-stream", events)
    });
    let (project, server) = project(&upstream);
    let asks = |text: &str, trace: &str| {
        let messages = json!([{"role": "user", "content": text}]);
        ask(&server, trace, &json!({"messages": messages, "stream": true}))
    };
    let good = asks("hi", "good-1");
    assert_eq!(streamed(&good), ("七天".to_owned(), true), "{good:?}");
    assert!(!good.body.contains("usage"), "nobody asked for it: {good:?}");
    let good = record(&project, "good-1");
    assert_eq!((&good["tokens_in"], &good["output"]), (&json!(100), &json!("七天")), "{good}");
    assert_eq!(good["tokens_estimated"], false, "{good}");
    let cut = asks("cut", "cut-1");
    assert_eq!(streamed(&cut), ("七天".to_owned(), false), "{cut:?}");
    assert!(cut.body.contains("upstream_cut_short"), "{cut:?}");
    let cut = record(&project, "cut-1");
    assert_eq!(cut["failure"], "cut_short");
    // The prompt was counted at the beginning, the answer would have been at its end.
    assert_eq!((&cut["tokens_in"], &cut["tokens_out"]), (&json!(100), &json!(2)), "{cut}");
    assert_eq!(cut["tokens_estimated"], true, "{cut}");
    let leak = asks("leak", "leak-1");
    assert!(leak.body.contains("answer_withheld"), "{leak:?}");
    assert!(!streamed(&leak).0.contains(PLANTED) && !streamed(&leak).1, "{leak:?}");
    assert_eq!(record(&project, "leak-1")["risk"][0]["kind"], "leak");
}

#[test]
fn refusals_and_warnings_name_the_member() {
    let upstream = Upstream::by_rule(|_| ("200 OK", said("hi")));
    let (project, server) = project(&upstream);
    check_refusals_and_warnings(&server, &project, &upstream);
    let sampled = json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 0.5});
    let warned = ask(&server, "sampling-1", &sampled);
    assert!(warned.header("x-tidegate-warning").contains("`temperature`"), "{warned:?}");
}

#[test]
fn errors_of_the_api_keep_their_meaning() {
    let upstream = Upstream::by_rule(|body| {
        let error = |kind: &str, message: &str| {
            json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
        };
        match body["messages"][0]["content"].to_string() {
            text if text.contains("busy") => ("529 x", error("overloaded_error", "Overloaded")),
            text if text.contains("fast") => ("429 x", error("rate_limit_error", "SECRET")),
            text if text.contains("long") => {
                ("400 x", error("invalid_request_error", "prompt is too long: 9 > 8"))
            }
            text if text.contains("poor") => {
                ("400 x", error("invalid_request_error", "Your credit balance is too low"))
            }
            _ => ("401 x", error("authentication_error", "invalid x-api-key")),
        }
    });
    let (project, server) = project(&upstream);
    for (text, status, code, failure) in [
        ("busy", 502, "upstream_error", "server_error"),
        ("fast", 429, "upstream_rate_limited", "rate_limited"),
        ("long", 400, "context_length_exceeded", "refused"),
        ("poor", 503, "upstream_account_limit", "account_limit"),
        ("key", 502, "upstream_credential", "credential"),
    ] {
        let trace = format!("error-{text}");
        let answer =
            ask(&server, &trace, &json!({"messages": [{"role": "user", "content": text}]}));
        answer.check_error(status, code, &[]);
        assert!(!answer.body.contains("SECRET"), "{answer:?}");
        assert_eq!(record(&project, &trace)["failure"], failure, "{text}");
    }
}

/// A client of one API and a model server of another, neither of them OpenAI's.
#[test]
fn a_client_of_the_responses_api_reaches_it_as_well() {
    let upstream = Upstream::speaking(|body| match body["stream"].as_bool() {
        Some(true) => ("200 OK", "text/event-stream", events(&["七天"], true)),
        _ => ("200 OK", JSON, said("七天")),
    });
    let (_project, server) = project(&upstream);
    let body = json!({"model": "my-service", "input": "退款?"});
    let whole = ask_at(&server, "/v1/responses", "response-1", &body);
    assert_eq!(whole.json()["output"][0]["content"][0]["text"], "七天", "{whole:?}");
    let body = json!({"model": "my-service", "input": "退款?", "stream": true});
    let streamed = ask_at(&server, "/v1/responses", "response-2", &body);
    assert!(streamed.body.contains("event: response.completed"), "{streamed:?}");
}
