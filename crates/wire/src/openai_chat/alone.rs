//! A request that is one text of a user and numbers: what is kept of it is enough to ask it again.

use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Members that change no answer.
const BESIDE: [&str; 9] = [
    "messages",
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "store",
    "safety_identifier",
    "prompt_cache_key",
];
/// Members that say how an answer is drawn, each a number.
const DECODING: [&str; 12] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "repeat_penalty",
    "seed",
    "n",
];

/// How the answer is to be drawn, where the request is one message of a user, of text, and has
/// nothing else that changes the answer; `None` otherwise.
pub fn decoding_alone(body: &Map<String, Value>) -> Option<BTreeMap<String, Number>> {
    let [Value::Object(message)] = body.get("messages")?.as_array()?.as_slice() else {
        return None;
    };
    let is_part = |part: &Value| part["type"] == "text" && part["text"].is_string();
    let is_text = match message.get("content")? {
        Value::String(_) => true,
        Value::Array(parts) => parts.iter().all(is_part),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    if !is_text || message.len() != 2 || message.get("role")? != "user" {
        return None;
    }
    let mut decoding = BTreeMap::new();
    for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::Number(number) if DECODING.contains(&name.as_str()) => {
                decoding.insert(name.clone(), number.clone());
            }
            _ if BESIDE.contains(&name.as_str()) => {}
            _ => return None,
        }
    }
    Some(decoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(body: Value, expected: Option<Value>) {
        let Value::Object(map) = &body else { panic!("no object") };
        let found = decoding_alone(map).map(|decoding| json!(decoding));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn one_text_and_numbers_are_all_of_a_request() {
        let asks = |more: Value| {
            let mut body = json!({"messages": [{"role": "user", "content": "退货?"}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        check(asks(json!({})), Some(json!({})));
        check(
            asks(json!({"temperature": 0.2, "n": 1, "seed": null, "stream": true, "user": "mei"})),
            Some(json!({"temperature": 0.2, "n": 1})),
        );
        let parts = json!([{"type": "text", "text": "退"}, {"type": "text", "text": "货"}]);
        check(json!({"messages": [{"role": "user", "content": parts}]}), Some(json!({})));
        for more in [
            json!({"tools": []}),
            json!({"response_format": {"type": "json_object"}}),
            json!({"temperature": "hot"}),
            json!({"stop": ["x"]}),
            json!({"logit_bias": {}}),
            json!({"of_tomorrow": 1}),
        ] {
            check(asks(more), None);
        }
        let user = json!({"role": "user", "content": "a"});
        let image = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]);
        for messages in [
            json!([]),
            json!("a"),
            json!([user, {"role": "assistant", "content": "b"}, user]),
            json!([{"role": "system", "content": "s"}, user]),
            json!([{"role": "assistant", "content": "a"}]),
            json!([{"role": "user", "content": "a", "name": "mei"}]),
            json!([{"role": "user", "content": image}]),
            json!([{"role": "user", "content": null}]),
            json!([{"role": "user"}]),
            json!(["a"]),
        ] {
            check(json!({ "messages": messages }), None);
        }
        check(json!({}), None);
    }
}
