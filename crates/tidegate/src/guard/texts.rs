//! The texts of answers and requests.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use tidegate_core::guard::{Call, Heard, Part, Place, Said, Text};
use tidegate_wire::{AnswerFacts, ChoiceFacts};

/// Everything an answer says.
pub(crate) fn said_in(facts: &AnswerFacts) -> Said<'_> {
    let mut said = Said { windows: facts.windows().collect(), ..Said::default() };
    for ChoiceFacts { index, text, reasoning, refusal, tool_calls, finish: _ } in &facts.choices {
        let parts = [(Part::Reasoning, reasoning), (Part::Content, text), (Part::Refusal, refusal)];
        said.texts.extend(parts.map(|(part, text)| Text { choice: *index, part, text }));
        let choice = *index;
        said.calls.extend(tool_calls.iter().map(|call| Call {
            choice,
            name: &call.name,
            arguments: &call.arguments,
        }));
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
    // A plain completion has a prompt and no messages.
    if let Some(prompt) = body.get("prompt") {
        any_text(prompt, &mut |text| {
            heard.client.push(Cow::Borrowed(text));
            false
        });
    }
    heard
}

/// How much of a text is looked at for signals, bytes at its beginning and as many at its end: an
/// order to the model is near one of both, and a request waits while it is looked at.
const LOOKED_AT: usize = 1 << 17;

/// What a request brings that no request before it brought: the texts after the last answer.
pub(crate) fn asked_in(body: &Map<String, Value>) -> Vec<(Place, &str)> {
    let messages = body.get("messages").and_then(Value::as_array);
    let with_role = |message| (role(message), message);
    let newest = messages.into_iter().flatten().rev().map(with_role);
    let newest = newest.take_while(|(role, _)| *role != Some("assistant"));
    let mut texts = Vec::new();
    for (role, message) in newest {
        let place = match role {
            Some("tool" | "function") => Place::Tool,
            // The application's own words give orders.
            Some("system" | "developer") => continue,
            Some(_) | None => Place::User,
        };
        let content = message.get("content");
        let parts = content.and_then(Value::as_array).into_iter().flatten();
        let parts = parts.filter_map(|part| part.get("text").and_then(Value::as_str));
        for text in content.and_then(Value::as_str).into_iter().chain(parts) {
            texts.extend(ends(text).map(|text| (place, text)));
        }
    }
    // A plain completion has a text, or several, in place of messages.
    if let Some(prompt) = body.get("prompt") {
        any_text(prompt, &mut |text| {
            texts.extend(ends(text).map(|text| (Place::User, text)));
            false
        });
    }
    texts
}

fn role(message: &Value) -> Option<&str> {
    message.get("role").and_then(Value::as_str)
}

/// The text, or its ends where it is long.
pub(crate) fn ends(text: &str) -> impl Iterator<Item = &str> {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    let parts = match text.len() <= 2 * LOOKED_AT {
        true => [Some(text), None],
        false => {
            let (head, tail) = (boundary(LOOKED_AT), boundary(text.len() - LOOKED_AT));
            [Some(&text[..head]), Some(&text[tail..])]
        }
    };
    parts.into_iter().flatten()
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

/// Whether any text in a JSON document is such: read without a tree of it, which takes many times
/// the memory of the text. `None` where it is no JSON.
pub(crate) fn any_text_in(json: &str, is_such: impl FnMut(&str) -> bool) -> Option<bool> {
    let mut texts = Texts { is_such, is_found: false };
    let mut json = serde_json::Deserializer::from_str(json);
    (&mut texts).deserialize(&mut json).and_then(|()| json.end()).ok()?;
    Some(texts.is_found)
}

/// Looks at the texts of a document as they are read.
struct Texts<F> {
    is_such: F,
    is_found: bool,
}

impl<'de, F: FnMut(&str) -> bool> DeserializeSeed<'de> for &mut Texts<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str) -> bool> Visitor<'de> for &mut Texts<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.is_found = self.is_found || (self.is_such)(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(&mut *self)?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_brings_is_what_comes_after_the_last_answer() {
        let body = serde_json::json!({"messages": [
            {"role": "system", "content": "rules"},
            {"role": "user", "content": "old"},
            {"role": "assistant", "content": "answer"},
            {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "page"}]},
            {"role": "system", "content": "more rules"},
            {"role": "user", "content": [{"type": "text", "text": "new"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        ]});
        let asked = asked_in(body.as_object().unwrap());
        assert_eq!(asked, [(Place::User, "new"), (Place::Tool, "page")]);
        let body = serde_json::json!({"prompt": ["one", "two"]});
        let asked = asked_in(body.as_object().unwrap());
        assert_eq!(asked, [(Place::User, "one"), (Place::User, "two")]);
        let long = "退".repeat(LOOKED_AT);
        let looked: usize = ends(&long).map(str::len).sum();
        assert!(looked < 2 * LOOKED_AT + 8);
    }

    #[test]
    fn texts_of_a_document_are_looked_at_without_its_keys() {
        let check = |json: &str, expected| {
            assert_eq!(any_text_in(json, |text| text == "退款"), expected, "{json}");
        };
        check(r#"{"a": [1, -2.5, null, {"b": ["\u9000款", true]}]}"#, Some(true));
        check(r#"{"退款": {"退款": 1}}"#, Some(false));
        check(r#"["x", "退款""#, None);
        check(r#""退款" x"#, None);
        check("", None);
    }
}
