use super::*;
use proptest::prelude::*;
use serde_json::json;

const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

fn parse(body: &Value) -> Result<ChatRequest, RequestError> {
    read_request(body.to_string().as_bytes())
}

/// A request with one good message and these members besides.
fn with(members: &str) -> String {
    format!("{{\"messages\":{HI}{}{members}}}", if members.is_empty() { "" } else { "," })
}

fn check_error(body: &str, code: &str, param: Option<&str>) {
    let error = read_request(body.as_bytes()).expect_err(body);
    assert_eq!((error.code(), error.param()), (code, param), "{body}: {error}");
    let text = error.to_string();
    let lower = text.chars().next().is_some_and(|c| !c.is_uppercase());
    assert!(lower && !text.ends_with('.'), "{text}");
}

#[test]
fn the_seeds_body_has_no_model() {
    let text = "Give one safe release rule for a local LLM service.";
    let body = json!({ "messages": [{ "role": "user", "content": text }], "max_tokens": 80 });
    let request = parse(&body).unwrap();
    assert_eq!((request.model, request.stream, request.user), (None, false, None));
    assert_eq!(request.last_user_text, text);
    assert_eq!(request.input_chars, 51);
    assert_eq!(request.body["max_tokens"], 80);
}

#[test]
fn text_beyond_ascii_and_unknown_members_come_through_unchanged() {
    let body = json!({
        "model": "客服",
        "messages": [
            { "role": "system", "content": "你是客服", "name": "系统" },
            { "role": "user", "content": [
                { "type": "text", "text": "测试回滚" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } },
                { "type": "text", "text": "返金 🙂" }
            ] },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1" }] },
            { "role": "tool", "content": "{}", "tool_call_id": "c1" }
        ],
        "stream": true,
        "stream_options": { "include_usage": true, "other": 1 },
        "future_member": { "a": [1, 2.5, null, "\u{0}"] }
    });
    let request = parse(&body).unwrap();
    assert_eq!(Value::Object(request.body), body);
    assert_eq!(request.model.as_deref(), Some("客服"));
    assert_eq!(request.last_user_text, "测试回滚\n返金 🙂");
    assert_eq!(request.input_chars, 4 + 9 + 2);
    assert!(request.stream && request.include_usage);
}

#[test]
fn bytes_that_are_no_object() {
    check_error("", "invalid_json", None);
    check_error(" \n", "invalid_json", None);
    check_error("[]", "invalid_json", None);
    check_error("\"hi\"", "invalid_json", None);
    check_error("{\"messages\":", "invalid_json", None);
    check_error(&format!("{} {{}}", with("")), "invalid_json", None);
    check_error(&format!("{}1{}", "[".repeat(200), "]".repeat(200)), "invalid_json", None);
    let not_utf8 = read_request(b"{\"a\":\"\xFF\"}").unwrap_err();
    assert_eq!(not_utf8, RequestError::NotUtf8 { at: 6 });
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(read_request(deep.as_bytes()), Err(RequestError::TooDeep));
    assert_eq!(read_request(b"{}\n{"), Err(RequestError::NotJson { line: 2, column: 1 }));
}

#[test]
fn a_key_given_twice_is_refused_at_any_depth() {
    check_error(&with(r#""model":"a","model":"b""#), "duplicate_parameter", Some("model"));
    check_error(&with(r#""model":"a","mod\u0065l":"b""#), "duplicate_parameter", Some("model"));
    check_error(
        r#"{"messages":[{"role":"user","role":"system","content":"x"}]}"#,
        "duplicate_parameter",
        Some("role"),
    );
    // The same key in two objects is not twice.
    assert!(read_request(with(r#""metadata":{"messages":"x"}"#).as_bytes()).is_ok());
}

#[test]
fn a_private_key_of_the_parser_is_a_member_like_any_other() {
    let body = with(r#""x":{"$serde_json::private::RawValue":"{\"model\":\"b\"}"}"#);
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!(request.body["x"], json!({ "$serde_json::private::RawValue": "{\"model\":\"b\"}" }));
}

#[test]
fn members_that_only_the_operator_sets() {
    for name in CLOSED_MEMBERS {
        check_error(&with(&format!("\"{name}\":null")), "unsupported_parameter", Some(name));
    }
    check_error(&with(r#""API_Base":"x""#), "unsupported_parameter", Some("API_Base"));
    check_error(
        &with(r#""extra_body":{"api_base":"http://169.254.169.254"}"#),
        "unsupported_parameter",
        Some("extra_body.api_base"),
    );
    let deep = |param, members| check_error(&with(members), "unsupported_parameter", Some(param));
    deep(
        "extra_body.extra_body.kv_transfer_params",
        r#""extra_body":{"extra_body":{"kv_transfer_params":{"remote_host":"10.0.0.9"}}}"#,
    );
    deep("vllm_xargs[1].bootstrap_host", r#""vllm_xargs":[{},{"bootstrap_host":"x"}]"#);
    deep("tools[0].headers", r#""tools":[{"type":"mcp","headers":{"authorization":"x"}}]"#);
    let inside = r#""tools":[{"function":{"name":"f","lora_path":"x"}}]"#;
    deep("tools[0].function.lora_path", inside);
    let nested = r#""x":{"tools":[{"function":{"parameters":{"api_key":"x"}}}]}"#;
    deep("x.tools[0].function.parameters.api_key", nested);
}

#[test]
fn names_of_members_are_data_in_what_the_client_describes() {
    let schema = r#"{"type":"object","properties":{"headers":{"type":"object"},"api_key":{}}}"#;
    for member in [
        format!(
            r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#
        ),
        format!(r#""functions":[{{"name":"f","parameters":{schema}}}]"#),
        format!(
            r#""response_format":{{"type":"json_schema","json_schema":{{"schema":{schema}}}}}"#
        ),
        format!(r#""extra_body":{{"guided_json":{schema}}}"#),
        r#""metadata":{"api_base":"x","headers":"y"}"#.to_owned(),
        r#""stop":["api_key"]"#.to_owned(),
    ] {
        let read = read_request(with(&member).as_bytes());
        assert!(read.is_ok(), "{member}: {read:?}");
    }
    let said = r#"{"messages":[{"role":"user","content":"{\"headers\": {\"lora_path\": 1}}"}]}"#;
    assert!(read_request(said.as_bytes()).is_ok());
    let part = r#"{"messages":[{"role":"user","content":[{"type":"data","headers":{}}]}]}"#;
    assert!(read_request(part.as_bytes()).is_ok());
}

#[test]
fn model() {
    check_error(&with("\"model\":7"), "invalid_type", Some("model"));
    check_error(&with("\"model\":\"\""), "invalid_value", Some("model"));
    let model = |n: usize| with(&format!("\"model\":\"{}\"", "模".repeat(n)));
    assert!(read_request(model(256).as_bytes()).is_ok());
    check_error(&model(257), "invalid_value", Some("model"));
    assert_eq!(read_request(with("\"model\":null").as_bytes()).unwrap().model, None);
}

#[test]
fn messages() {
    let check = |messages: &str, code, param| {
        check_error(&format!("{{\"messages\":{messages}}}"), code, Some(param));
    };
    check_error("{}", "missing_required_parameter", Some("messages"));
    check("null", "invalid_type", "messages");
    check("{}", "invalid_type", "messages");
    check("[]", "invalid_value", "messages");
    check("[\"hi\"]", "invalid_type", "messages[0]");
    check(r#"[{"content":"hi"}]"#, "missing_required_parameter", "messages[0].role");
    check(r#"[{"role":"","content":"hi"}]"#, "invalid_value", "messages[0].role");
    check(r#"[{"role":1,"content":"hi"}]"#, "invalid_type", "messages[0].role");
    let content = "messages[0].content";
    check(r#"[{"role":"user"}]"#, "missing_required_parameter", content);
    check(r#"[{"role":"user","content":null}]"#, "invalid_type", content);
    check(r#"[{"role":"user","content":7}]"#, "invalid_type", content);
    check(r#"[{"role":"user","content":{}}]"#, "invalid_type", content);
    check(r#"[{"role":"user","content":[]}]"#, "invalid_value", content);
    check(r#"[{"role":"user","content":["a"]}]"#, "invalid_type", "messages[0].content[0]");
    check(
        r#"[{"role":"user","content":[{"text":"a"}]}]"#,
        "missing_required_parameter",
        "messages[0].content[0].type",
    );
    check(
        r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":1}]}]"#,
        "invalid_type",
        "messages[0].content[1].text",
    );
    check(r#"[{"role":"assistant","content":null,"tool_calls":[]}]"#, "invalid_type", content);
    let call = br#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]}"#;
    assert_eq!(read_request(call).unwrap().last_user_text, "");
}

#[test]
fn stream_and_counts() {
    let check_ok = |members: &str| assert!(read_request(with(members).as_bytes()).is_ok());
    check_error(&with("\"stream\":\"true\""), "invalid_type", Some("stream"));
    check_error(&with("\"stream\":1"), "invalid_type", Some("stream"));
    check_error(&with("\"n\":0"), "invalid_value", Some("n"));
    check_error(&with("\"n\":129"), "invalid_value", Some("n"));
    check_error(&with("\"n\":1.5"), "invalid_value", Some("n"));
    check_error(&with("\"n\":\"1\""), "invalid_type", Some("n"));
    check_error(&with("\"max_tokens\":-1"), "invalid_value", Some("max_tokens"));
    check_error(
        &with("\"max_completion_tokens\":\"80\""),
        "invalid_type",
        Some("max_completion_tokens"),
    );
    check_error(
        &with("\"stream_options\":{\"include_usage\":true}"),
        "invalid_value",
        Some("stream_options"),
    );
    check_error(
        &with("\"stream\":true,\"stream_options\":{\"include_usage\":1}"),
        "invalid_type",
        Some("stream_options.include_usage"),
    );
    check_ok("\"stream\":null,\"n\":null,\"max_tokens\":null,\"stream_options\":null");
    check_ok("\"n\":4");
    check_ok("\"stream\":true,\"n\":4,\"max_tokens\":1");
}

#[test]
fn user() {
    let check = |members: &str, user: Option<&str>| {
        let request = read_request(with(members).as_bytes()).unwrap();
        assert_eq!(request.user.as_deref(), user, "{members}");
    };
    check("", None);
    check("\"user\":null", None);
    check("\"user\":\"\",\"safety_identifier\":\"s\"", Some("s"));
    check("\"user\":\"u-1\",\"metadata\":{\"user_id\":\"m\"}", Some("u-1"));
    check("\"metadata\":{\"user_id\":\"m\"},\"safety_identifier\":\"s\"", Some("m"));
    check("\"user\":\"用户一\"", Some("用户一"));
    check_error(&with("\"user\":1"), "invalid_type", Some("user"));
    check_error(&with("\"metadata\":\"x\""), "invalid_type", Some("metadata"));
    check_error(&with("\"metadata\":{\"user_id\":1}"), "invalid_type", Some("metadata.user_id"));
}

#[test]
fn an_error_shows_no_text_of_the_request() {
    for body in [
        r#"{"messages":"my secret"}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":{"my secret":1}}]}]}"#,
        r#"{"messages":[{"role":"user","content":"my secret"}],"n":"my secret"}"#,
        r#"{"messages":[{"role":"user","content":"my secret}]"#,
    ] {
        let error = read_request(body.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let doubled = read_request(b"{\"a\\nb\":1,\"a\\nb\":2}").unwrap_err();
    assert_eq!(doubled.param(), Some("a\\u{a}b"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_request(&bytes);
        let _ = crate::forms::parse_short_chat(&bytes);
        let _ = crate::forms::parse_feedback(&bytes);
    }

    #[test]
    fn a_body_that_is_read_is_what_serde_json_reads(
        text in "\\PC{0,40}",
        number in any::<f64>(),
        int in any::<i64>(),
    ) {
        let number = if number.is_finite() { number } else { 0.0 };
        let body = json!({
            "messages": [{ "role": "user", "content": text }],
            "temperature": number,
            "seed": int,
            "x": [[], {}, true, null],
        });
        let expected: Value = serde_json::from_str(&body.to_string()).unwrap();
        let request = parse(&body).unwrap();
        prop_assert_eq!(Value::Object(request.body), expected);
        prop_assert_eq!(&request.last_user_text, &text);
        prop_assert_eq!(request.input_chars, text.chars().count() as u64);
    }
}

#[test]
fn of_a_long_text_the_beginning_is_read_and_all_is_counted() {
    let long = "退".repeat(USER_TEXT_MAX - 1);
    let content = json!([{"type": "text", "text": long}, {"type": "text", "text": "货"}]);
    let request = parse(&json!({"messages": [{"role": "user", "content": content}]})).unwrap();
    assert_eq!(request.last_user_text, format!("{long}\n"));
    assert_eq!(request.input_chars, USER_TEXT_MAX as u64 + 1);
}
