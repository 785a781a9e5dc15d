use super::*;
use proptest::prelude::*;

fn read(body: &Value) -> Result<MessagesRequest, RequestError> {
    read_request(body.to_string().as_bytes())
}

fn with(key: &str, value: Value) -> Value {
    let messages = json!([{ "role": "user", "content": "你好" }]);
    let mut body = json!({ "model": "m", "max_tokens": 9, "messages": messages });
    body[key] = value;
    body
}

#[test]
fn what_is_read() {
    let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": "1234" });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let other = json!({ "type": "tool_result", "content": [text("56")] });
    let mut body = with(
        "messages",
        json!([
            { "role": "user", "content": [text("第一"), { "type": "image" }, text("行")] },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "input": {} }] },
            { "role": "user", "content": [result, other] },
        ]),
    );
    body["metadata"] = json!({ "user_id": "u-1" });
    body["stream"] = json!(true);
    body["mcp_servers"] = json!([{ "url": "https://a" }]);
    let request = read(&body).unwrap();
    assert_eq!(Value::Object(request.body.clone()), body);
    assert_eq!((request.model.as_str(), request.user.as_deref()), ("m", Some("u-1")));
    assert!(request.stream);
    assert_eq!((request.last_user_text.as_str(), request.input_chars), ("第一\n行", 10));
}

#[test]
fn a_long_text_is_read_in_part_and_counted_whole() {
    let long = "退".repeat(USER_TEXT_MAX + 5);
    let request = read(&with("messages", json!([{ "role": "user", "content": long }]))).unwrap();
    assert_eq!(request.last_user_text.chars().count(), USER_TEXT_MAX);
    assert_eq!(request.input_chars, USER_TEXT_MAX as u64 + 5);
}

#[test]
fn what_is_refused() {
    let refused = |body: &Value, param: &str| {
        assert_eq!(read(body).expect_err(param).param(), Some(param));
    };
    refused(&with("model", json!(7)), "model");
    refused(&with("model", json!("")), "model");
    refused(&with("max_tokens", json!(1.5)), "max_tokens");
    refused(&with("messages", json!([])), "messages");
    refused(&with("messages", json!([7])), "messages[0]");
    refused(&with("messages", json!([{ "content": "x" }])), "messages[0].role");
    refused(&with("messages", json!([{ "role": "user" }])), "messages[0].content");
    refused(&with("stream", json!("yes")), "stream");
    refused(&with("metadata", json!({ "user_id": 7 })), "metadata.user_id");
    refused(&with("api_base", json!("https://a")), "api_base");
    refused(&with("API_KEY", json!("k")), "API_KEY");
    refused(
        &json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] }),
        "max_tokens",
    );
}

#[test]
fn a_system_prompt_keeps_its_mark_for_the_cache() {
    let replaced = |system: Value| {
        let mut body = with("system", system).as_object().cloned().unwrap();
        replace_system(&mut body, "新");
        assert_eq!(system_text(&body), "新");
        body["system"].clone()
    };
    assert_eq!(replaced(json!("old")), json!("新"));
    let mark = json!({ "type": "ephemeral", "ttl": "1h" });
    let blocks = json!([
        { "type": "text", "text": "a", "cache_control": { "type": "ephemeral" } },
        { "type": "text", "text": "b", "cache_control": mark },
        { "type": "text", "text": "c" },
    ]);
    assert_eq!(system_text(with("system", blocks.clone()).as_object().unwrap()), "a\nb\nc");
    let expected = json!([{ "type": "text", "text": "新", "cache_control": mark }]);
    assert_eq!(replaced(blocks), expected);
}

struct Quoted;

impl Template for Quoted {
    type Error = ();
    fn text(&self, input: &str) -> Result<String, ()> {
        Ok(format!("<{input}>"))
    }
    fn frame(&self, _: &str) -> Result<Option<(String, String)>, ()> {
        Ok(Some(("<".to_owned(), ">".to_owned())))
    }
}

#[test]
fn results_of_tools_are_not_put_into_a_template() {
    let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": "r" });
    let mut messages = vec![
        json!({ "role": "user", "content": "问" }),
        json!({ "role": "assistant", "content": "x" }),
        json!({ "role": "user", "content": [result] }),
    ];
    let before = messages[2].clone();
    wrap_last_user(&mut messages, &Quoted).unwrap();
    assert_eq!((&messages[0]["content"], &messages[2]), (&json!("<问>"), &before));
    messages[2]["content"] = json!([result, { "type": "text", "text": "再问" }]);
    wrap_last_user(&mut messages, &Quoted).unwrap();
    assert_eq!(messages[2]["content"][1]["text"], "<再问>");
    let mut none = vec![before];
    assert_eq!(wrap_last_user(&mut none, &Quoted), Err(WrapError::NoUserMessage));
}

#[test]
fn a_bound_of_length_bounds_thinking_as_well() {
    let bounded = |given: u64, budget: u64, max_tokens: u64| {
        let mut body = with("max_tokens", json!(given)).as_object().cloned().unwrap();
        let thinking = json!({ "type": "enabled", "budget_tokens": budget });
        body.insert("thinking".to_owned(), thinking);
        bound_length(&mut body, max_tokens).unwrap();
        let budget = body["thinking"]["budget_tokens"].as_u64().unwrap();
        (body["max_tokens"].as_u64().unwrap(), budget)
    };
    assert_eq!(bounded(100, 50, 1000), (100, 50));
    assert_eq!(bounded(5000, 2000, 3000), (3000, 2000));
    assert_eq!(bounded(5000, 4000, 3000), (3000, 2999));
    let mut odd = with("max_tokens", json!("9")).as_object().cloned().unwrap();
    assert_eq!(bound_length(&mut odd, 5), Err("max_tokens"));
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in "[\\[\\]{}:,\"a0 ]{0,40}",
    ) {
        let _ = read_request(&bytes);
        let body = format!("{{\"model\":\"m\",\"max_tokens\":1,\"messages\":{text}}}");
        let _ = read_request(body.as_bytes());
    }
}
