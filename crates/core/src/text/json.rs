//! Texts in JSON.

use serde_json::Value;

/// Every text in a JSON value, at all depths, in order. serde_json bounds the depth at 127.
pub fn texts_in(value: &Value) -> Vec<&str> {
    let mut texts = Vec::new();
    add(value, &mut texts);
    texts
}

fn add<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| add(item, texts)),
        Value::Object(members) => members.values().for_each(|item| add(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
