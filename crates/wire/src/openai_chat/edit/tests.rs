use super::*;
use std::convert::Infallible;

/// `<…>` around the text, or a text that does not use it.
struct Angles(bool);

impl Template for Angles {
    type Error = Infallible;
    fn text(&self, input: &str) -> Result<String, Infallible> {
        Ok(if self.0 { format!("<{input}>") } else { "fixed".to_owned() })
    }
    fn frame(&self, _input: &str) -> Result<Option<(String, String)>, Infallible> {
        Ok(self.0.then(|| ("<".to_owned(), ">".to_owned())))
    }
}

fn check_wrap(content: Value, expected: Value) {
    let mut messages = vec![json!({"role": "user", "content": content, "name": "n"})];
    wrap_last_user(&mut messages, &Angles(true)).unwrap();
    assert_eq!(messages, [json!({"role": "user", "content": expected, "name": "n"})]);
}

#[test]
fn parts_keep_their_order_kinds_and_members() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}, "x": 1});
    let text = |text: &str| json!({"type": "text", "text": text, "cache_control": {"a": 1}});
    check_wrap(
        json!([text("A:"), image("a"), text("B:"), image("b"), text("which?")]),
        json!([text("<A:"), image("a"), text("B:"), image("b"), text("which?>")]),
    );
    check_wrap(json!([image("a"), text("what?")]), json!([image("a"), text("<what?>")]));
    check_wrap(json!([image("a")]), json!([{"type": "text", "text": "<>"}, image("a")]));
    check_wrap(
        json!([{"type": "new", "text": "x"}]),
        json!([
            {"type": "text", "text": "<>"}, {"type": "new", "text": "x"}
        ]),
    );
    check_wrap(json!("a"), json!("<a>"));
    check_wrap(Value::Null, json!("<>"));
}

#[test]
fn a_template_without_the_text_takes_its_place() {
    let mut messages = vec![json!({"role": "user", "content": [
        {"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"},
    ]})];
    wrap_last_user(&mut messages, &Angles(false)).unwrap();
    let expected = json!([{"type": "text", "text": "fixed"}, {"type": "image_url"}]);
    assert_eq!(messages[0]["content"], expected);
}

#[test]
fn what_cannot_be_wrapped() {
    let wrap = |message: Value| wrap_last_user(&mut [message], &Angles(true)).unwrap_err();
    assert_eq!(wrap(json!({"role": "system", "content": "a"})), WrapError::NoUserMessage);
    assert_eq!(wrap(json!({"role": "user", "content": 7})), WrapError::NoText);
}

fn check_merge(messages: Value, expected: Value) {
    let mut messages = messages.as_array().unwrap().clone();
    merge_leading_system(&mut messages);
    assert_eq!(Value::Array(messages), expected);
}

#[test]
fn leading_system_messages_become_one() {
    let user = json!({"role": "user", "content": "hi"});
    let system = |content: Value| json!({"role": "system", "content": content});
    check_merge(
        json!([system(json!("a")), system(json!("b")), user]),
        json!([system(json!("a\n\nb")), user]),
    );
    check_merge(
        json!([system(json!("a")), {"role": "developer", "content": "b", "name": "n"}, user]),
        json!([{"role": "system", "content": "a\n\nb", "name": "n"}, user]),
    );
    let part = |text: &str| json!({"type": "text", "text": text, "cache_control": {}});
    check_merge(
        json!([system(json!("a")), system(json!([part("b")])), user]),
        json!([system(json!([{"type": "text", "text": "a"}, part("b")])), user]),
    );
    // A later one is where it is for a reason.
    let late = json!([system(json!("a")), user, system(json!("b")), user]);
    check_merge(late.clone(), late);
    check_merge(json!([user]), json!([user]));
    check_merge(json!([]), json!([]));
}

#[test]
fn usage_is_asked_for_once() {
    let check = |body: Value, asked: bool, expected: Value| {
        let mut body = body.as_object().unwrap().clone();
        assert_eq!(ask_for_usage(&mut body), asked);
        assert_eq!(Value::Object(body), expected);
    };
    let with = json!({"stream_options": {"include_usage": true}});
    check(json!({}), true, with.clone());
    check(json!({"stream_options": null}), true, with.clone());
    check(with.clone(), false, with);
    check(
        json!({"stream_options": {"include_usage": false, "x": 1}}),
        true,
        json!({"stream_options": {"include_usage": true, "x": 1}}),
    );
}

#[test]
fn system_prompts_are_read_and_replaced() {
    let messages = json!([{"role": "system", "content": "旧"}, {"role": "user", "content": "q"}]);
    let mut body = Map::from_iter([("messages".to_owned(), messages)]);
    assert_eq!(system_text(&body), "旧");
    replace_system(&mut body, "新");
    assert_eq!(system_text(&body), "新");
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
}
