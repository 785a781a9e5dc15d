//! Edits of a request: what is added or changed is, and everything else stays as the client sent
//! it, where it was: the order of messages and parts, their kinds, and members nobody here knows.

use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// The two members that bound an answer's length: the older and the newer.
pub const LENGTH_MEMBERS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
/// What is put between two texts that become one.
const BETWEEN: &str = "\n\n";

/// Text of a message's `content`: a string, or the text parts of a list, one a line; empty for
/// anything else.
pub fn content_text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            String::new()
        }
    }
}

/// The text of the system prompts that a request has; empty for none.
pub fn system_text(body: &Map<String, Value>) -> String {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let system = messages.filter(|message| is_system(message));
    let texts: Vec<String> = system.map(|message| content_text(message.get("content"))).collect();
    texts.join("\n")
}

/// Puts a system prompt in the place of those there are.
pub fn replace_system(body: &mut Map<String, Value>, system: &str) {
    if let Some(Value::Array(messages)) = body.get_mut("messages") {
        messages.retain(|message| !is_system(message));
        messages.insert(0, system_message(system));
    }
}

/// A system message with this text.
pub fn system_message(text: &str) -> Value {
    json!({ "role": "system", "content": text })
}

pub(super) fn is_system(message: &Value) -> bool {
    matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
}

/// Makes one of the system messages at the beginning: several chat templates allow one only.
/// Texts are joined by an empty line; where one of them is a list of parts, all of it is. Members
/// that only a later message has are kept.
pub fn merge_leading_system(messages: &mut Vec<Value>) {
    let leading = messages.iter().take_while(|message| is_system(message)).count();
    if leading < 2 {
        return;
    }
    let mut rest = messages.split_off(1);
    let others = rest.drain(..leading - 1);
    let Some(Value::Object(first)) = messages.first_mut() else { return };
    for other in others {
        let Value::Object(other) = other else { continue };
        for (key, value) in other {
            if key == "content" {
                let before = first.remove("content").unwrap_or(Value::Null);
                first.insert(key, joined(before, value));
            } else if !first.contains_key(&key) {
                first.insert(key, value);
            }
        }
    }
    messages.append(&mut rest);
}

fn joined(before: Value, after: Value) -> Value {
    let parts = |content: Value| match content {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(parts) => parts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    match (before, after) {
        (Value::String(before), Value::String(after)) => {
            let empty = before.is_empty() || after.is_empty();
            Value::String(format!("{before}{}{after}", if empty { "" } else { BETWEEN }))
        }
        (before, after) => {
            let mut all = parts(before);
            all.extend(parts(after));
            Value::Array(all)
        }
    }
}

/// What a template makes of a user's text.
pub trait Template {
    /// Why it cannot.
    type Error;
    /// The text of a message, rendered.
    ///
    /// # Errors
    /// As the template's.
    fn text(&self, input: &str) -> Result<String, Self::Error>;
    /// What the template puts before the text and after it; `None` where the template does not use
    /// it.
    ///
    /// # Errors
    /// As the template's.
    fn frame(&self, input: &str) -> Result<Option<(String, String)>, Self::Error>;
}

/// Why a template could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrapError<E> {
    /// There is no user message.
    NoUserMessage,
    /// The last one's content is neither text nor a list of parts.
    NoText,
    /// The template says why.
    Template(E),
}

/// Puts the text of the last user message into a template. A text becomes what the template makes
/// of it. In a list of parts, what the template has before the text goes before the first text
/// part's, and what it has after it after the last one's: captions stay with their pictures.
///
/// # Errors
/// [`WrapError`].
pub fn wrap_last_user<T: Template>(
    messages: &mut [Value],
    template: &T,
) -> Result<(), WrapError<T::Error>> {
    let is_user =
        |message: &&mut Value| message.get("role").and_then(Value::as_str) == Some("user");
    let last = messages.iter_mut().rev().find(is_user).and_then(Value::as_object_mut);
    let message = last.ok_or(WrapError::NoUserMessage)?;
    let content = message.entry("content").or_insert(Value::Null);
    match content {
        Value::Null => *content = template.text("").map_err(WrapError::Template)?.into(),
        Value::String(text) => *text = template.text(text).map_err(WrapError::Template)?,
        Value::Array(parts) => wrap_parts(parts, template).map_err(WrapError::Template)?,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(WrapError::NoText),
    }
    Ok(())
}

fn wrap_parts<T: Template>(parts: &mut Vec<Value>, template: &T) -> Result<(), T::Error> {
    let places: Vec<usize> =
        (0..parts.len()).filter(|at| part_text(&parts[*at]).is_some()).collect();
    let texts: Vec<&str> = places.iter().filter_map(|at| part_text(&parts[*at])).collect();
    let input = texts.join("\n");
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        let text = template.text("")?;
        if !text.is_empty() {
            parts.insert(0, json!({ "type": "text", "text": text }));
        }
        return Ok(());
    };
    match template.frame(&input)? {
        Some((before, after)) => {
            change_text(&mut parts[*first], |text| text.insert_str(0, &before));
            change_text(&mut parts[*last], |text| text.push_str(&after));
        }
        None => {
            // The template says all there is to say: one text, in the first one's place.
            let text = template.text(&input)?;
            change_text(&mut parts[*first], |first| *first = text);
            for at in places[1..].iter().rev() {
                parts.remove(*at);
            }
        }
    }
    Ok(())
}

fn part_text(part: &Value) -> Option<&str> {
    let is_text = part.get("type").and_then(Value::as_str) == Some("text");
    part.get("text").and_then(Value::as_str).filter(|_| is_text)
}

fn change_text(part: &mut Value, change: impl FnOnce(&mut String)) {
    if let Some(Value::String(text)) = part.get_mut("text") {
        change(text);
    }
}

/// Fills in members that the request does not have or has as null. Of the two that bound an
/// answer's length a request needs one.
pub fn fill(body: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    let absent = |body: &Map<String, Value>, key: &str| body.get(key).is_none_or(Value::is_null);
    let length_given = LENGTH_MEMBERS.iter().any(|key| !absent(body, key));
    for (key, value) in defaults {
        let is_length = LENGTH_MEMBERS.contains(&key.as_str());
        if absent(body, key) && !(is_length && length_given) {
            body.insert(key.clone(), value.clone());
        }
    }
}

/// Bounds the length of the answer that the request asks for, in tokens.
///
/// # Errors
/// The member that is not a whole number.
pub fn bound_length(body: &mut Map<String, Value>, max_tokens: u64) -> Result<(), &'static str> {
    for key in LENGTH_MEMBERS {
        match body.get_mut(key) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_u64() {
                Some(given) if given <= max_tokens => {}
                Some(_) => *value = max_tokens.into(),
                None => return Err(key),
            },
        }
    }
    Ok(())
}

/// Sets whether the answer is to be streamed; without, nothing of a stream is asked for.
pub fn set_stream(body: &mut Map<String, Value>, stream: bool) {
    if stream {
        body.insert("stream".to_owned(), Value::Bool(true));
    } else {
        body.shift_remove("stream");
        body.shift_remove("stream_options");
    }
}

/// Asks for a stream's usage; false when the request did so already.
pub fn ask_for_usage(body: &mut Map<String, Value>) -> bool {
    if asks_for_usage(body) {
        return false;
    }
    match body.entry("stream_options").or_insert(Value::Null) {
        Value::Object(options) => drop(options.insert("include_usage".to_owned(), true.into())),
        options => *options = json!({ "include_usage": true }),
    }
    true
}

/// Whether a stream's usage is asked for.
pub fn asks_for_usage(body: &Map<String, Value>) -> bool {
    let options = body.get("stream_options");
    options.and_then(|options| options.get("include_usage")).and_then(Value::as_bool) == Some(true)
}
