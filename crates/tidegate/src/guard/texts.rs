//! The texts of answers and requests.

use serde_json::{Map, Value};
use std::borrow::Cow;
use tidegate_core::guard::{Call, Heard, Part, Said, Text};
use tidegate_wire::{AnswerFacts, ChoiceFacts};

/// Everything an answer says.
pub(crate) fn said_in(facts: &AnswerFacts) -> Said<'_> {
    let mut said = Said { windows: facts.windows().collect(), ..Said::default() };
    for ChoiceFacts { index, text, reasoning, refusal, tool_calls, finish: _ } in &facts.choices {
        let parts = [(Part::Reasoning, reasoning), (Part::Content, text), (Part::Refusal, refusal)];
        said.texts.extend(parts.map(|(part, text)| Text { choice: *index, part, text }));
        let calls = tool_calls.iter();
        said.calls.extend(calls.map(|call| Call { name: &call.name, arguments: &call.arguments }));
    }
    said
}

/// Everything the messages of a request say.
pub(crate) fn heard_in<'a>(body: &'a Map<String, Value>, system_prompt: &'a str) -> Heard<'a> {
    let mut heard = Heard { system: vec![system_prompt.into()], ..Heard::default() };
    let messages = body.get("messages").and_then(Value::as_array);
    for message in messages.into_iter().flatten() {
        let role = message.get("role").and_then(Value::as_str);
        let texts = match role {
            Some("system" | "developer") => &mut heard.system,
            Some(_) | None => &mut heard.client,
        };
        any_text(message, &mut |text| {
            texts.push(Cow::Borrowed(text));
            false
        });
    }
    heard
}

/// Whether any text in a JSON value is such. serde_json bounds the depth at 127.
pub(crate) fn any_text<'a>(value: &'a Value, is_such: &mut impl FnMut(&'a str) -> bool) -> bool {
    match value {
        Value::String(text) => is_such(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_such)),
        Value::Object(map) => map.values().any(|item| any_text(item, is_such)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
