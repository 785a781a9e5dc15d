use super::*;
use crate::parse_json_object;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

const OPTIONS: Options = Options {
    max_tokens_default: 4096,
    sampling: true,
    thinking: Thinking::Adaptive,
    system_later: false,
};

fn translated(body: &Value) -> Result<Value, RequestError> {
    let body = parse_json_object(body.to_string().as_bytes()).unwrap();
    request(&body, &OPTIONS).map(|out| serde_json::from_slice(&out.body).unwrap())
}

fn with(key: &str, value: Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    body[key] = value;
    body
}

/// The body is refused, and this member is named.
fn refused(body: &Value, param: &str) {
    let error = translated(body).expect_err(&body.to_string());
    assert_eq!(error.param(), Some(param), "{error}");
}

fn message_refused(message: Value, param: &str) {
    refused(&with("messages", json!([message])), &format!("messages[0].{param}"));
}

fn part_refused(part: Value, param: &str) {
    message_refused(json!({ "role": "user", "content": [part] }), &format!("content[0]{param}"));
}

#[test]
fn what_changes_the_answer_and_cannot_be_said_is_refused() {
    refused(&with("logit_bias", json!({ "50256": -100 })), "logit_bias");
    refused(&with("logprobs", json!(true)), "logprobs");
    refused(&with("n", json!(2)), "n");
    refused(&with("audio", json!({ "voice": "alloy" })), "audio");
    refused(&with("modalities", json!(["text", "audio"])), "modalities[1]");
    refused(&with("functions", json!([{ "name": "f" }])), "functions");
    refused(&with("function_call", json!("auto")), "function_call");
    refused(&with("web_search_options", json!({ "user_location": 1 })), "web_search_options");
    refused(&with("guided_json", json!({ "type": "object" })), "guided_json");
    refused(&with("no_such_member", json!(1)), "no_such_member");
    refused(&with("response_format", json!({ "type": "json_object" })), "response_format.type");
    refused(&with("stop", json!(["END", " \n"])), "stop[1]");
    refused(&with("tools", json!([{ "type": "custom", "custom": {} }])), "tools[0].type");
    let odd = json!([{ "type": "function", "function": { "name": "f", "examples": [1] } }]);
    refused(&with("tools", odd), "tools[0].function.examples");
    let custom = json!({ "type": "custom", "custom": { "name": "f" } });
    refused(&with("tool_choice", custom), "tool_choice.type");
}

#[test]
fn messages_that_cannot_be_said_are_refused() {
    message_refused(json!({ "role": "function", "content": "x" }), "role");
    message_refused(json!({ "role": "user", "content": "" }), "content");
    message_refused(
        json!({ "role": "user", "content": [{ "type": "text", "text": "" }] }),
        "content",
    );
    message_refused(json!({ "role": "tool", "content": "x" }), "tool_call_id");
    message_refused(
        json!({ "role": "assistant", "function_call": { "name": "f" } }),
        "function_call",
    );
    message_refused(json!({ "role": "assistant", "audio": { "id": "a" } }), "audio");
    let image = json!([{ "type": "image_url", "image_url": { "url": "https://a/b" } }]);
    message_refused(json!({ "role": "system", "content": image }), "content[0].type");
    message_refused(json!({ "role": "assistant", "content": image }), "content[0].type");
    part_refused(json!({ "type": "input_audio", "input_audio": {} }), ".type");
    part_refused(json!({ "type": "file", "file": { "file_id": "f-1" } }), ".file.file_id");
    let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    part_refused(image("data:image/svg+xml;base64,AA"), ".image_url.url");
    part_refused(image("file:///etc/passwd"), ".image_url.url");
    let file = |data: &str| json!({ "type": "file", "file": { "file_data": data } });
    part_refused(file("data:text/csv;base64,AA"), ".file.file_data");
    part_refused(file("JVBERi0="), ".file.file_data");
    let only_system = json!([{ "role": "system", "content": "x" }]);
    refused(&with("messages", only_system), "messages");
}

#[test]
fn arguments_must_be_an_object() {
    let check = |arguments: Value, fits: bool| {
        let call = json!({ "id": "c", "function": { "name": "f", "arguments": arguments } });
        let message = json!({ "role": "assistant", "tool_calls": [call] });
        if fits {
            translated(&with("messages", json!([message]))).unwrap();
        } else {
            message_refused(message, "tool_calls[0].function.arguments");
        }
    };
    for fits in ["{}", "", " ", " {\"a\":1}\n"] {
        check(json!(fits), true);
    }
    for odd in ["[]", "1", "\"x\"", "{", "{}{}", "{'a':1}", r#"{"a":1,"a":2}"#, r#"{"a":"\ud83d"}"#]
    {
        check(json!(odd), false);
    }
    check(json!({ "a": 1 }), false);
    check(json!(format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))), false);
}

#[test]
fn values_of_a_wrong_type_are_named() {
    for (key, value) in [
        ("max_tokens", json!("9")),
        ("stop", json!(7)),
        ("temperature", json!("warm")),
        ("reasoning_effort", json!("utmost")),
        ("stream", json!("yes")),
        ("user", json!(7)),
        ("service_tier", json!(7)),
        ("response_format", json!("json")),
        ("tools", json!({})),
        ("tool_choice", json!("any")),
        ("parallel_tool_calls", json!("no")),
        ("thinking", json!("on")),
    ] {
        refused(&with(key, value), key);
    }
    refused(&json!({ "messages": [{ "role": "user", "content": "hi" }] }), "model");
    refused(&json!({ "model": "m" }), "messages");
}

#[test]
fn a_budget_leaves_half_for_the_answer() {
    let check = |max_tokens: u64, budget: Option<u64>| {
        let mut body = with("reasoning_effort", json!("medium"));
        body["max_tokens"] = json!(max_tokens);
        let body = parse_json_object(body.to_string().as_bytes()).unwrap();
        let out = request(&body, &Options { thinking: Thinking::Budget, ..OPTIONS }).unwrap();
        let sent: Value = serde_json::from_slice(&out.body).unwrap();
        assert_eq!(sent["thinking"]["budget_tokens"].as_u64(), budget, "{max_tokens}");
        assert_eq!(out.warnings.is_empty(), budget.is_some());
    };
    check(100_000, Some(8192));
    check(10_000, Some(5000));
    check(2048, Some(1024));
    check(2047, None);
    check(0, None);
}

#[test]
fn an_odd_id_is_replaced_the_same_in_call_and_result() {
    let call = json!({ "id": "函.f:0", "function": { "name": "f", "arguments": "{}" } });
    let messages = json!([
        { "role": "assistant", "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "函.f:0", "content": "x" },
    ]);
    let out = translated(&with("messages", messages)).unwrap();
    assert_eq!(out["messages"][0]["content"][0]["id"], "_51fd_2ef_3a0");
    assert_eq!(out["messages"][1]["content"][0]["tool_use_id"], "_51fd_2ef_3a0");
}

const WORDS: &[&str] = &[
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "file",
    "file_data",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "tool_call_id",
    "tools",
    "tool_choice",
    "parameters",
    "system",
    "user",
    "assistant",
    "tool",
    "thinking_blocks",
    "thinking",
    "signature",
    "reasoning_effort",
    "high",
    "none",
    "response_format",
    "json_schema",
    "schema",
    "stop",
    "metadata",
    "user_id",
    "allowed_tools",
    "mode",
    "auto",
    "temperature",
    "cache_control",
    "stream",
];

proptest! {
    #[test]
    fn no_request_panics(
        body in any_json(WORDS),
        messages in any_json(WORDS),
        key in 0..WORDS.len(),
    ) {
        let mut map = body.as_object().cloned().unwrap_or_default();
        map.insert("model".to_owned(), "m".into());
        let _ = request(&map, &OPTIONS);
        map.insert("messages".to_owned(), json!([{ "role": "user", "content": "hi" }, messages]));
        let _ = request(&map, &OPTIONS);
        let _ = translated(&with(WORDS[key], messages));
    }
}
