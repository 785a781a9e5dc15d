//! A prompt as LangSmith gives it and LangChain serialises it: `{"lc": 1, "type": "constructor",
//! "id": […, "ChatPromptTemplate"], "kwargs": {…}}`, also inside `{"manifest": …}` or in a sequence
//! with its model.

use super::Imported;
use super::chat::{Message, take};
use super::template::Syntax;
use serde_json::{Map, Value};

pub(super) fn read(value: &Value) -> Result<Imported, String> {
    let mut imported = Imported::default();
    let prompt = match value.get("manifest") {
        Some(manifest) => {
            if let Some(object) = value.as_object() {
                let known = ["manifest", "commit_hash", "owner", "repo", "examples", "is_draft"];
                imported.rest("", object, &known);
                imported.describe(object, &["commit_hash"]);
            }
            manifest
        }
        None => value,
    };
    let (kind, kwargs) = constructor("the prompt", prompt)?;
    match kind {
        "RunnableSequence" => {
            let first = kwargs.get("first").ok_or("the sequence has no `first`")?;
            prompt_of(&mut imported, first)?;
            let middle = kwargs.get("middle").and_then(Value::as_array).into_iter().flatten();
            for (i, step) in middle.chain(kwargs.get("last")).enumerate() {
                model_of(&mut imported, &format!("step {}", i + 2), step);
            }
        }
        _ => prompt_of(&mut imported, prompt)?,
    }
    Ok(imported)
}

/// The kind of a serialised object, and what it was made with.
fn constructor<'a>(
    place: &str,
    value: &'a Value,
) -> Result<(&'a str, &'a Map<String, Value>), String> {
    let id = value.get("id").and_then(Value::as_array).and_then(|id| id.last()?.as_str());
    let kwargs = value.get("kwargs").and_then(Value::as_object);
    match (id, kwargs) {
        (Some(id), Some(kwargs)) => Ok((id, kwargs)),
        _ => Err(format!("{place} is not an object that LangChain serialised")),
    }
}

fn prompt_of(imported: &mut Imported, prompt: &Value) -> Result<(), String> {
    let (kind, kwargs) = constructor("the prompt", prompt)?;
    for key in ["partial_variables", "output_parser", "schema_", "tools"] {
        if kwargs.get(key).is_some_and(|value| !super::is_empty(value)) {
            imported
                .lose(key, "fixed variables, schemas, tools and parsers are not in a prompt here");
        }
    }
    let mut syntax = None;
    let mut messages = Vec::new();
    match kind {
        "ChatPromptTemplate" | "StructuredPrompt" => {
            let list = kwargs.get("messages").and_then(Value::as_array);
            for (i, message) in list.ok_or("the prompt has no `messages`")?.iter().enumerate() {
                message_of(
                    imported,
                    &format!("messages[{i}]"),
                    message,
                    &mut messages,
                    &mut syntax,
                )?;
            }
        }
        "PromptTemplate" => {
            let text = template_of(imported, "template", prompt, &mut syntax)?;
            let place = "template".to_owned();
            messages.push(Message { role: "user".to_owned(), text, place, line: 1 });
        }
        other => return Err(format!("a `{other}` is no prompt")),
    }
    take(imported, &messages, syntax.unwrap_or(Syntax::FString));
    Ok(())
}

fn message_of(
    imported: &mut Imported,
    place: &str,
    message: &Value,
    messages: &mut Vec<Message>,
    syntax: &mut Option<Syntax>,
) -> Result<(), String> {
    let (kind, kwargs) = constructor(place, message)?;
    let role = match kind {
        "SystemMessagePromptTemplate" | "SystemMessage" => "system",
        "HumanMessagePromptTemplate" | "HumanMessage" => "user",
        "AIMessagePromptTemplate" | "AIMessage" => "assistant",
        "ChatMessagePromptTemplate" | "ChatMessage" => {
            kwargs.get("role").and_then(Value::as_str).unwrap_or("no role")
        }
        "MessagesPlaceholder" => {
            let name = kwargs.get("variable_name").and_then(Value::as_str).unwrap_or("no name");
            imported.note(
                place,
                format!(
                    "the placeholder `{name}`: earlier messages of the client are sent before its \
                     last one"
                ),
            );
            return Ok(());
        }
        other => {
            imported.lose(place, format!("a message of kind `{other}`"));
            return Ok(());
        }
    };
    let text = match (kwargs.get("prompt"), kwargs.get("content")) {
        (Some(Value::Array(parts)), _) => {
            let mut texts = Vec::new();
            for (i, part) in parts.iter().enumerate() {
                texts.push(template_of(imported, &format!("{place}.prompt[{i}]"), part, syntax)?);
            }
            texts.join("\n")
        }
        (Some(prompt), _) => template_of(imported, place, prompt, syntax)?,
        // What was no template has no variables: its braces are text.
        (None, Some(Value::String(text))) => match syntax {
            Some(Syntax::Braces) => text.clone(),
            Some(Syntax::FString) | None => text.replace('{', "{{").replace('}', "}}"),
        },
        (None, _) => return Err(format!("{place} has no text")),
    };
    messages.push(Message { role: role.to_owned(), text, place: place.to_owned(), line: 1 });
    Ok(())
}

/// The text of a template; all of a prompt must be in one syntax.
fn template_of(
    imported: &mut Imported,
    place: &str,
    prompt: &Value,
    syntax: &mut Option<Syntax>,
) -> Result<String, String> {
    let (kind, kwargs) = constructor(place, prompt)?;
    let Some(text) = kwargs.get("template").and_then(Value::as_str) else {
        imported.lose(place, format!("a `{kind}` without a text"));
        return Ok(String::new());
    };
    let named = kwargs.get("template_format").and_then(Value::as_str).unwrap_or("f-string");
    let this = match named {
        "f-string" => Syntax::FString,
        "mustache" | "jinja2" => Syntax::Braces,
        other => return Err(format!("{place}: templates of `{other}`")),
    };
    match syntax {
        Some(before) if *before != this => {
            Err(format!("{place}: its templates are of two formats, `{named}` and another"))
        }
        _ => {
            *syntax = Some(this);
            Ok(text.to_owned())
        }
    }
}

/// The model of a sequence: its name and settings.
fn model_of(imported: &mut Imported, place: &str, step: &Value) {
    match constructor(place, step) {
        Ok(("RunnableBinding", kwargs)) => {
            if kwargs.get("kwargs").is_some_and(|value| !super::is_empty(value)) {
                imported
                    .lose(format!("{place}.kwargs"), "what the model is bound to, such as tools");
            }
            if let Some(bound) = kwargs.get("bound") {
                model_of(imported, place, bound);
            }
        }
        Ok((kind, kwargs)) if kind.starts_with("Chat") || kind.ends_with("LLM") => {
            let mut settings = Map::new();
            for (key, value) in kwargs {
                match value.get("type").is_some_and(|kind| kind == "secret") {
                    true => imported.note(format!("{place}.{key}"), "a key: `upstreams` name it"),
                    false => drop(settings.insert(key.clone(), value.clone())),
                }
            }
            imported.settings(place, &settings);
        }
        Ok((kind, _)) => imported.lose(place, format!("a step of kind `{kind}`")),
        Err(problem) => imported.lose(place, problem),
    }
}
