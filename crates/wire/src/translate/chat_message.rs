//! Messages of a chat completion, as the APIs of clients give their parts.

use serde_json::{Map, Value, json};

/// A text as a part of a content.
pub(super) fn text_part(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// One text is a string: not every chat template takes lists.
pub(super) fn short(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [only] if only["type"] == "text" => only["text"].take(),
        _ => parts.into(),
    }
}

/// What a model said, thought and called; without a text where it only called.
pub(super) fn assistant_message(text: String, thought: String, calls: Vec<Value>) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let has_content = !text.is_empty() || calls.is_empty();
    message.insert("content".to_owned(), if has_content { text.into() } else { Value::Null });
    if !thought.is_empty() {
        message.insert("reasoning_content".to_owned(), thought.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    Value::Object(message)
}
