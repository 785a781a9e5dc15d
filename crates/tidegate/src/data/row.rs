//! A line → its object, or why it is none; its texts.

use super::lines::{LINE_MAX, Line};
use serde_json::Value;
use std::hash::BuildHasher;
use std::ops::Range;
use tidegate_core::data::push_letters;
use tidegate_core::text::texts_in;
use tidegate_wire::{RequestError, parse_json_object};

/// Problems with the schema that are said of one line.
const SAID: usize = 3;

/// A line that is an object.
pub(super) struct Row {
    value: Value,
    /// Letters and digits of all its texts, one after another.
    letters: Vec<u8>,
    /// Where each text's are.
    parts: Vec<Range<usize>>,
}

impl Row {
    /// Of a line.
    ///
    /// # Errors
    /// Why it is no object, in words that follow the line's number.
    pub(super) fn read(line: &Line<'_>) -> Result<Row, String> {
        if line.text.len() > LINE_MAX {
            return Err(format!("longer than {} MiB", LINE_MAX >> 20));
        }
        let value = Value::Object(parse_json_object(line.text).map_err(|error| why(&error))?);
        let (mut letters, mut parts) = (Vec::with_capacity(line.text.len()), Vec::new());
        for text in texts_in(&value) {
            let start = letters.len();
            push_letters(text, &mut letters);
            parts.push(start..letters.len());
        }
        Ok(Row { value, letters, parts })
    }

    /// What the row breaks of a schema.
    pub(super) fn breaks(&self, schema: &jsonschema::Validator) -> Option<String> {
        if schema.is_valid(&self.value) {
            return None;
        }
        let mut errors = schema.iter_errors(&self.value);
        let said: Vec<String> =
            errors.by_ref().take(SAID).map(|error| crate::gate::describe_schema(&error)).collect();
        let more = if errors.next().is_some() { "; and more" } else { "" };
        Some(format!("{}{more}", said.join("; ")))
    }

    /// Its texts, at all depths, in order.
    pub(super) fn texts(&self) -> Vec<&str> {
        texts_in(&self.value)
    }

    /// The letters of each text.
    pub(super) fn letters_of_texts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &self.letters[part.clone()])
    }

    /// The letters of all texts, one after another.
    pub(super) fn letters(&self) -> &[u8] {
        &self.letters
    }

    /// A hash that rows with the same content have in common, whatever the order of their keys.
    pub(super) fn hash(&self, state: &impl BuildHasher) -> u64 {
        state.hash_one(&self.value)
    }

    /// Whether the content is the same, whatever the order of keys.
    pub(super) fn is_same(&self, other: &Row) -> bool {
        self.value == other.value
    }
}

/// What reading a line says, where a request's body would say it of a body.
fn why(error: &RequestError) -> String {
    match error {
        RequestError::NotUtf8 { at } => format!("not valid UTF-8 at byte {at}"),
        RequestError::NotJson { line: _, column } => format!("not valid JSON at column {column}"),
        RequestError::NotObject { found } => format!("{found}; a JSON object is expected"),
        RequestError::TooDeep => "nested too deeply; at most 127 levels are allowed".to_owned(),
        other => other.to_string().replacen("the body has", "has", 1),
    }
}
