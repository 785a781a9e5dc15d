//! The texts of answers and requests.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
