//! A prompt as Langfuse's API gives it: `{"type": "chat", "prompt": […], "config": {…}}`.

use super::Imported;
use super::chat::{Message, messages, take};
use super::template::Syntax;
use serde_json::Value;

const KNOWN: [&str; 17] = [
    "id",
    "name",
    "version",
    "type",
    "prompt",
    "config",
    "labels",
    "tags",
    "createdAt",
    "updatedAt",
    "createdBy",
    "projectId",
    "isActive",
    "commitMessage",
    "resolutionGraph",
    "created_at",
    "updated_at",
];

pub(super) fn read(value: &Value) -> Result<Imported, String> {
    let object = value.as_object().ok_or("the file is not an object")?;
    let mut imported = Imported::default();
    imported.describe(object, &["name", "version", "labels", "tags", "commitMessage"]);
    imported.rest("", object, &KNOWN);
    match object.get("config") {
        Some(Value::Object(config)) => imported.settings("config", config),
        Some(Value::Null) | None => {}
        Some(_) => imported.lose("config", "not an object"),
    }
    let messages = match object.get("prompt") {
        Some(Value::String(text)) => {
            // A text prompt is what the user would say.
            vec![Message {
                role: "user".to_owned(),
                text: text.clone(),
                place: "prompt".to_owned(),
                line: 1,
            }]
        }
        Some(Value::Array(items)) => {
            let mut kept = Vec::new();
            for (i, item) in items.iter().enumerate() {
                match item.get("type").and_then(Value::as_str) {
                    Some("placeholder") => placeholder(&mut imported, i, item),
                    _ => kept.push(item.clone()),
                }
            }
            messages(&mut imported, "prompt", &Value::Array(kept))?
        }
        Some(_) | None => return Err("there is no `prompt` that is a text or a list".to_owned()),
    };
    if messages.iter().any(|message| message.text.contains("@@@langfusePrompt:")) {
        imported.lose("prompt", "a reference to another prompt of Langfuse: resolve it first");
    }
    take(&mut imported, &messages, Syntax::Braces);
    Ok(imported)
}

/// Where the conversation so far goes: the gateway keeps it between the system prompt and the last
/// user text.
fn placeholder(imported: &mut Imported, i: usize, item: &Value) {
    let name = item.get("name").and_then(Value::as_str).unwrap_or("no name");
    let what = format!(
        "the placeholder `{name}`: earlier messages of the client are sent before its last one"
    );
    imported.note(format!("prompt[{i}]"), what);
}
