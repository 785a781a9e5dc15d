//! The conversation: items as messages.

use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_message::{assistant_message, short};
use crate::translate::chat_request::leave_out;
use crate::translate::node::{Node, Object};
use crate::translate::warnings::{LEFT_OUT, Warnings};
use serde_json::{Value, json};

/// What the model said between two turns of others: one message.
#[derive(Default)]
struct Said {
    text: String,
    thought: String,
    calls: Vec<Value>,
    is_any: bool,
}

impl Said {
    /// Ends the turn.
    fn flush(&mut self, out: &mut Vec<Value>) {
        let Said { text, thought, calls, is_any } = std::mem::take(self);
        if !is_any {
            return;
        }
        out.push(assistant_message(text, thought, calls));
    }
}

pub(super) fn read(
    body: &Object<'_>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, RequestError> {
    let mut out = Vec::new();
    if let Some(instructions) = body.text("instructions")?.filter(|text| !text.is_empty()) {
        out.push(json!({ "role": "system", "content": instructions }));
    }
    let input = body.required("input", "a string or a list of items")?;
    if input.value.is_string() {
        out.push(json!({ "role": "user", "content": input.text()? }));
        return Ok(out);
    }
    let items = input.list()?;
    if items.is_empty() {
        return Err(input.bad_value("at least one item is needed"));
    }
    let mut said = Said::default();
    for node in items {
        item(&node, server, &mut said, &mut out, warnings)?;
    }
    said.flush(&mut out);
    Ok(out)
}

fn item(
    node: &Node<'_>,
    server: &ChatServer,
    said: &mut Said,
    out: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    let item = node.object()?;
    let kind = item.get("type");
    match kind.as_ref().map(|kind| kind.text()).transpose()? {
        None | Some("message") => message(&item, said, out, warnings),
        Some("function_call") => {
            leave_out(&item, &["type", "id", "call_id", "name", "arguments", "status"], warnings);
            let name = item.required_text("name")?;
            let arguments = item.required_text("arguments")?;
            let function = json!({ "name": name, "arguments": arguments });
            let id = item.required_text("call_id")?;
            said.calls.push(json!({ "id": id, "type": "function", "function": function }));
            said.is_any = true;
            Ok(())
        }
        Some("function_call_output") => {
            leave_out(&item, &["type", "id", "call_id", "output", "status"], warnings);
            said.flush(out);
            let id = item.required_text("call_id")?;
            let output = item.required("output", "a string or a list of texts")?;
            let content = match output.value {
                Value::String(text) => text.clone(),
                _ => texts(&output, "a result of a tool is text")?.join("\n"),
            };
            out.push(json!({ "role": "tool", "tool_call_id": id, "content": content }));
            Ok(())
        }
        Some("reasoning") => {
            let known = ["type", "id", "status", "summary", "content", "encrypted_content"];
            leave_out(&item, &known, warnings);
            let mut thought = Vec::new();
            for key in ["content", "summary"] {
                if let Some(list) = item.get(key).filter(|_| thought.is_empty()) {
                    thought = texts(&list, "what was thought is text")?;
                }
            }
            if server.extensions {
                said.thought.push_str(&thought.join("\n"));
            } else {
                warnings.add(&item.path("content"), LEFT_OUT);
            }
            Ok(())
        }
        Some("item_reference") => Err(node.untranslatable("nothing is stored here; send the item")),
        Some(_) => Err(RequestError::Untranslatable {
            param: item.path("type"),
            why: "`message`, `function_call`, `function_call_output` and `reasoning` can be",
        }),
    }
}

/// The texts of a list that has nothing else.
fn texts(list: &Node<'_>, why: &'static str) -> Result<Vec<String>, RequestError> {
    let mut texts = Vec::new();
    for node in list.list()? {
        let part = node.object()?;
        match part.get("text") {
            Some(text) => texts.push(text.text()?.to_owned()),
            None => return Err(node.untranslatable(why)),
        }
    }
    Ok(texts)
}

fn message(
    item: &Object<'_>,
    said: &mut Said,
    out: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    leave_out(item, &["type", "id", "role", "content", "status", "phase"], warnings);
    let role = item.required("role", "a string")?;
    let content = item.required("content", "a string or a list of parts")?;
    match role.text()? {
        "assistant" => {
            said.is_any = true;
            if content.value.is_string() {
                said.text.push_str(content.text()?);
                return Ok(());
            }
            for node in content.list()? {
                let part = node.object()?;
                let kind = part.required("type", "a string")?;
                match kind.text()? {
                    "output_text" | "input_text" => said.text.push_str(part.required_text("text")?),
                    "refusal" => said.text.push_str(part.required_text("refusal")?),
                    _ => return Err(kind.bad_value("`output_text` and `refusal` are allowed")),
                }
            }
            Ok(())
        }
        role @ ("user" | "system" | "developer") => {
            said.flush(out);
            let content = match content.value {
                Value::String(_) => content.value.clone(),
                _ => short(parts(&content, warnings)?),
            };
            out.push(json!({ "role": role, "content": content }));
            Ok(())
        }
        _ => Err(role.bad_value("`user`, `assistant`, `system` and `developer` are allowed")),
    }
}

fn parts(content: &Node<'_>, warnings: &mut Warnings) -> Result<Vec<Value>, RequestError> {
    let mut parts = Vec::new();
    for node in content.list()? {
        let part = node.object()?;
        let kind = part.required("type", "a string")?;
        parts.push(match kind.text()? {
            "input_text" => {
                leave_out(&part, &["type", "text"], warnings);
                json!({ "type": "text", "text": part.required_text("text")? })
            }
            "input_image" => image(&part, warnings)?,
            "input_file" => file(&part, warnings)?,
            _ => {
                return Err(
                    kind.untranslatable("`input_text`, `input_image` and `input_file` can be")
                );
            }
        });
    }
    Ok(parts)
}

fn image(part: &Object<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    leave_out(part, &["type", "image_url", "file_id", "detail"], warnings);
    if let Some(id) = part.get("file_id") {
        return Err(id.untranslatable("the file is at OpenAI; send it as `image_url`"));
    }
    let mut image = json!({ "url": part.required_text("image_url")? });
    if let Some(detail) = part.text("detail")? {
        image["detail"] = detail.into();
    }
    Ok(json!({ "type": "image_url", "image_url": image }))
}

fn file(part: &Object<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    leave_out(part, &["type", "file_data", "file_id", "file_url", "filename"], warnings);
    for key in ["file_id", "file_url"] {
        if let Some(node) = part.get(key) {
            return Err(node.untranslatable("the file is elsewhere; send it as `file_data`"));
        }
    }
    let mut file = json!({ "file_data": part.required_text("file_data")? });
    if let Some(name) = part.text("filename")? {
        file["filename"] = name.into();
    }
    Ok(json!({ "type": "file", "file": file }))
}
