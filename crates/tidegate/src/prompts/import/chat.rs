//! A list of chat messages, which all formats come to.

use super::Imported;
use super::template::{Part, Parts, Syntax, is_input, ours, parts};
use serde_json::Value;
use std::collections::BTreeSet;

/// A message of the other tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Who says it.
    pub(super) role: String,
    /// What, as a template.
    pub(super) text: String,
    /// Where it was.
    pub(super) place: String,
    /// The first line of the text in its file; 1 where places name a member.
    pub(super) line: usize,
}

/// promptfoo's messages: `[{"role": "system", "content": "…"}, …]`.
pub(super) fn read(value: &Value) -> Result<Imported, String> {
    let mut imported = Imported::default();
    let messages = messages(&mut imported, "", value)?;
    take(&mut imported, &messages, Syntax::Braces);
    Ok(imported)
}

/// The messages of a list; parts of a content that are no text are lost.
pub(super) fn messages(
    imported: &mut Imported,
    place: &str,
    value: &Value,
) -> Result<Vec<Message>, String> {
    let Some(items) = value.as_array() else {
        return Err(format!("{place}: a list of messages is needed"));
    };
    let mut messages = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place = format!("{place}[{i}]");
        let Some(object) = item.as_object() else {
            return Err(format!("{place} is not a message with `role` and `content`"));
        };
        let Some(role) = object.get("role").and_then(Value::as_str) else {
            return Err(format!("{place} has no `role`"));
        };
        imported.rest(&place, object, &["role", "content", "type"]);
        let mut message =
            Message { role: role.to_owned(), text: String::new(), place: place.clone(), line: 1 };
        match object.get("content") {
            Some(Value::String(text)) => message.text.clone_from(text),
            Some(Value::Array(parts)) => {
                let mut texts = Vec::new();
                for (j, part) in parts.iter().enumerate() {
                    match part.get("text").and_then(Value::as_str) {
                        Some(text) => texts.push(text),
                        None => imported.lose(
                            format!("{place}.content[{j}]"),
                            "a part that is no text: prompts here are texts",
                        ),
                    }
                }
                message.text = texts.join("\n");
            }
            Some(_) | None => return Err(format!("{place} has no `content` that is text")),
        }
        message.place = format!("{place}.content");
        messages.push(message);
    }
    Ok(messages)
}

/// Takes the messages as system prompt and user template; gives the variable that became the user's
/// text.
pub(super) fn take(
    imported: &mut Imported,
    messages: &[Message],
    syntax: Syntax,
) -> Option<String> {
    let last_user = messages.iter().rposition(|message| role(message) == "user");
    let mut system: Vec<(&Message, Parts)> = Vec::new();
    let mut user = None;
    for (i, message) in messages.iter().enumerate() {
        let read = || parts(&message.text, syntax, &message.place, message.line);
        match role(message) {
            "system" => system.push((message, read())),
            "user" if Some(i) == last_user => user = Some((message, read())),
            "user" | "assistant" => imported.lose(
                &message.place,
                format!(
                    "an example ({}): a version has a system prompt and one user template; \
                    write the example into system.md",
                    message.role
                ),
            ),
            other => imported.lose(&message.place, format!("a message of role `{other}`")),
        }
    }
    for (_, read) in &mut system {
        imported.lost.append(&mut read.lost);
    }
    if system.len() > 1 {
        imported.note(&system[1].0.place, "several system messages became one, a blank line apart");
    }
    system_text(imported, &system);
    if system.is_empty() {
        imported.lose("messages", "there is no system message, and system.md must not be empty");
    }
    match user {
        Some((message, mut read)) => {
            imported.lost.append(&mut read.lost);
            user_text(imported, message, &read)
        }
        None => {
            imported.user = "{{ input }}".to_owned();
            imported.note("messages", "there is no user message: the user's text is sent as it is");
            None
        }
    }
}

fn role(message: &Message) -> &str {
    match message.role.to_lowercase().as_str() {
        "system" | "developer" => "system",
        "user" | "human" => "user",
        "assistant" | "ai" | "model" => "assistant",
        _ => &message.role,
    }
}

fn variables(parts: &[Part]) -> BTreeSet<&str> {
    let names = parts.iter().filter_map(|part| match part {
        Part::Variable(name) => Some(name.as_str()),
        Part::Text(_) => None,
    });
    names.collect()
}

fn system_text(imported: &mut Imported, system: &[(&Message, Parts)]) {
    let mut texts = Vec::new();
    for (message, read) in system {
        for name in variables(&read.parts) {
            match is_input(name) {
                true => imported.lose(
                    &message.place,
                    format!(
                        "`{name}` in the system prompt: text of users gets no system authority"
                    ),
                ),
                false => note_metadata(imported, &message.place, name),
            }
        }
        let (text, split) = ours(&read.parts, |name| format!("metadata.{name}"));
        note_split(imported, &message.place, split);
        texts.push(text);
    }
    imported.system = texts.join("\n\n");
}

fn user_text(imported: &mut Imported, message: &Message, read: &Parts) -> Option<String> {
    let names = variables(&read.parts);
    let inputs: Vec<&str> = names.iter().copied().filter(|name| is_input(name)).collect();
    let input = match inputs.as_slice() {
        [one] => Some(*one),
        [] if names.len() == 1 => names.first().copied(),
        [] => None,
        several => {
            let listed = several.join("`, `");
            imported.lose(
                &message.place,
                format!("which of `{listed}` is the user's text: rename the others"),
            );
            None
        }
    };
    for name in &names {
        match input == Some(name) {
            true if *name == "input" => {}
            true => imported.note(&message.place, format!("`{name}` is now `{{{{ input }}}}`")),
            false => note_metadata(imported, &message.place, name),
        }
    }
    if input.is_none() && inputs.is_empty() {
        imported.lose(&message.place, "the user's text is nowhere: no variable is called like it");
    }
    let (text, split) = ours(&read.parts, |name| match input == Some(name) {
        true => "input".to_owned(),
        false => format!("metadata.{name}"),
    });
    note_split(imported, &message.place, split);
    imported.user = text;
    input.map(str::to_owned)
}

fn note_metadata(imported: &mut Imported, place: &str, name: &str) {
    let what =
        format!("`{name}` is now `{{{{ metadata.{name} }}}}`: clients send it as `metadata`");
    imported.note(place, what);
}

fn note_split(imported: &mut Imported, place: &str, split: usize) {
    if split > 0 {
        imported.note(place, format!("two braces in a row got a space between, {split} times"));
    }
}
