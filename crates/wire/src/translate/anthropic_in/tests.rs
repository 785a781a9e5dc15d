use super::*;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

const SERVER: ChatServer = ChatServer { extensions: true, reasoning: true, newer_length: false };

fn with(key: &str, value: Value) -> Value {
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let mut body = json!({ "model": "m", "max_tokens": 9, "messages": messages });
    body[key] = value;
    body
}

fn translated(body: &Value) -> Result<Request, RequestError> {
    request(body.to_string().as_bytes(), &SERVER)
}

/// The body is refused, and this member is named.
fn refused(body: &Value, param: &str) {
    let error = translated(body).expect_err(&body.to_string());
    assert_eq!(error.param(), Some(param), "{error}");
}

fn block_refused(role: &str, block: Value, param: &str) {
    let message = json!({ "role": role, "content": [block] });
    let end = json!({ "role": "user", "content": "hi" });
    refused(&with("messages", json!([message, end])), &format!("messages[0].content[0].{param}"));
}

#[test]
fn what_the_other_api_cannot_say_is_refused() {
    refused(&with("mcp_servers", json!([{ "url": "https://a" }])), "mcp_servers");
    refused(&with("container", json!("c")), "container");
    refused(&with("inference_geo", json!("eu")), "inference_geo");
    refused(&with("no_such_member", json!(1)), "no_such_member");
    refused(&with("api_base", json!("https://a")), "api_base");
    refused(&with("max_tokens", json!(0)), "max_tokens");
    refused(&with("output_config", json!({ "task_budget": 1 })), "output_config.task_budget");
    let tool = json!([{ "type": "bash_20250124", "name": "bash" }]);
    refused(&with("tools", tool), "tools[0].type");
    let image = |kind: &str| json!({ "type": "image", "source": { "type": kind, "file_id": "f" } });
    block_refused("user", image("file"), "source.type");
    block_refused("user", json!({ "type": "container_upload", "file_id": "f" }), "type");
    block_refused("user", json!({ "type": "search_result", "source": "a" }), "type");
    block_refused("assistant", json!({ "type": "server_tool_use", "id": "s" }), "type");
    let reference = json!([{ "type": "tool_reference", "tool_name": "f" }]);
    let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": reference });
    block_refused("user", result, "content[0].type");
    let prefill =
        json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "{" }]);
    refused(&with("messages", prefill), "messages[1].role");
}

#[test]
fn values_of_a_wrong_type_are_named() {
    for (key, value) in [
        ("model", json!(7)),
        ("max_tokens", json!("9")),
        ("max_tokens", json!(-1)),
        ("messages", json!("hi")),
        ("messages", json!([])),
        ("system", json!(7)),
        ("stop_sequences", json!("x")),
        ("stream", json!(1)),
        ("temperature", json!("warm")),
        ("tools", json!({})),
        ("metadata", json!("u")),
        ("thinking", json!(true)),
        ("output_config", json!([])),
    ] {
        refused(&with(key, value), key);
    }
    refused(&json!({ "model": "m", "max_tokens": 9 }), "messages");
    refused(&json!({ "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }] }), "model");
    refused(
        &json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] }),
        "max_tokens",
    );
    refused(&with("messages", json!([{ "role": "robot", "content": "x" }])), "messages[0].role");
    block_refused("user", json!({ "type": "text" }), "text");
    block_refused("user", json!({ "text": "x" }), "type");
    block_refused(
        "assistant",
        json!({ "type": "tool_use", "id": "t", "name": "f", "input": "{}" }),
        "input",
    );
    block_refused("assistant", json!({ "type": "tool_use", "name": "f", "input": {} }), "id");
    block_refused("user", json!({ "type": "tool_result", "content": "x" }), "tool_use_id");
}

#[test]
fn bytes_that_are_no_object_are_refused_as_for_any_api() {
    let refused = |body: &[u8]| request(body, &SERVER).unwrap_err();
    assert_eq!(refused(b""), RequestError::Empty);
    assert_eq!(refused(b"[]"), RequestError::NotObject { found: "a list" });
    assert_eq!(
        refused(br#"{"model":"a","model":"b"}"#),
        RequestError::DuplicateKey { key: "model".to_owned() }
    );
    assert_eq!(refused("[".repeat(200).as_bytes()), RequestError::TooDeep);
}

#[test]
fn what_is_read_of_it_is_read_as_of_a_chat_completion() {
    let mut body = with("metadata", json!({ "user_id": "u-7" }));
    body["stream"] = json!(true);
    let chat = translated(&body).unwrap().chat;
    assert_eq!((chat.user.as_deref(), chat.model.as_deref()), (Some("u-7"), Some("m")));
    assert!(chat.stream && chat.include_usage);
    assert_eq!(chat.last_user_text, "hi");
}

#[test]
fn a_result_that_failed_is_read_as_one() {
    let call = json!({ "type": "tool_use", "id": "t", "name": "f", "input": {} });
    let result = |is_error: bool| {
        let mut result = json!({ "type": "tool_result", "tool_use_id": "t", "content": "没有" });
        result["is_error"] = json!(is_error);
        result
    };
    let failed = |is_error: bool| {
        let messages = json!([
            { "role": "assistant", "content": [call] },
            { "role": "user", "content": [result(is_error)] },
        ]);
        let chat = translated(&with("messages", messages)).unwrap().chat;
        crate::openai_chat::tool_results(&chat.body)[0].failed
    };
    assert_eq!((failed(true), failed(false)), (Some(true), None));
}

#[test]
fn errors_have_the_types_of_the_api() {
    use crate::ErrorBody;
    use crate::anthropic::{error_facts, write_error};
    let check = |status: u16, kind: &str| {
        let (param, trace_id) = (Some("messages"), Some("t-1"));
        let code = "invalid_value";
        let retry_after_s = None;
        let error = ErrorBody { status, message: "不", param, code, trace_id, retry_after_s };
        let body = write_error(&error);
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&value["type"], &value["request_id"]), (&json!("error"), &json!("t-1")));
        assert_eq!(value["error"]["param"], "messages");
        let facts = error_facts(&body);
        assert_eq!((facts.kind.as_deref(), facts.message.as_deref()), (Some(kind), Some("不")));
    };
    check(400, "invalid_request_error");
    check(422, "invalid_request_error");
    check(401, "authentication_error");
    check(403, "permission_error");
    check(404, "not_found_error");
    check(413, "request_too_large");
    check(429, "rate_limit_error");
    check(500, "api_error");
    check(502, "api_error");
    check(503, "overloaded_error");
    check(504, "timeout_error");
}

const WORDS: &[&str] = &[
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "image",
    "source",
    "base64",
    "url",
    "media_type",
    "data",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "name",
    "id",
    "input",
    "system",
    "user",
    "assistant",
    "thinking",
    "signature",
    "redacted_thinking",
    "tools",
    "input_schema",
    "tool_choice",
    "any",
    "tool",
    "metadata",
    "user_id",
    "output_config",
    "effort",
    "format",
    "json_schema",
    "schema",
    "document",
    "title",
    "is_error",
    "stop_sequences",
    "budget_tokens",
];

proptest! {
    #[test]
    fn no_request_panics(
        body in any_json(WORDS),
        part in any_json(WORDS),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        key in 0..WORDS.len(),
    ) {
        let _ = request(&bytes, &SERVER);
        let _ = translated(&body);
        let _ = translated(&with(WORDS[key], part.clone()));
        let end = json!({ "role": "user", "content": "x" });
        let _ = translated(&with("messages", json!([part.clone(), end])));
        let assistant = json!({ "role": "assistant", "content": [part.clone()] });
        let _ = translated(&with("messages", json!([assistant, end])));
        let _ = translated(&with("messages", json!([{ "role": "user", "content": [part] }])));
    }
}
