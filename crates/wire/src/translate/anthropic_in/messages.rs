//! The conversation.

use crate::members::{Members, list};
use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_message::{assistant_message, short, text_part};
use crate::translate::chat_request::leave_out;
use crate::translate::node::{Node, Object};
use crate::translate::warnings::{LEFT_OUT, Warnings};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Put between the blocks of a system prompt.
const BETWEEN: &str = "\n\n";

pub(super) fn read(
    body: &Object<'_>,
    bytes: &[u8],
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, RequestError> {
    let mut out = Vec::new();
    if let Some(system) = body.get("system") {
        out.extend(system_message(&system, warnings)?);
    }
    let messages = body.required("messages", "a list of at least one message")?;
    let raw = Raw::of(bytes);
    let mut last = None;
    for (i, node) in messages.list()?.into_iter().enumerate() {
        let message = node.object()?;
        leave_out(&message, &["role", "content"], warnings);
        let role = message.required("role", "a string")?;
        let content = message.required("content", "a string or a list of blocks")?;
        match role.text()? {
            "user" => user(&content, &mut out, warnings)?,
            "assistant" => out.push(assistant(&content, &raw, i, server, warnings)?),
            "system" => out.extend(system_message(&content, warnings)?),
            _ => return Err(role.bad_value("`user`, `assistant` and `system` are allowed")),
        }
        last = Some(role);
    }
    match last {
        None => Err(messages.bad_value("at least one message is needed")),
        Some(role) if role.value == "assistant" => Err(role.untranslatable(
            "the model server's API cannot go on with an answer that the client began",
        )),
        Some(_) => Ok(out),
    }
}

/// The same request as it was written, for what must not change its form.
struct Raw<'a>(Vec<&'a RawValue>);

impl<'a> Raw<'a> {
    fn of(bytes: &'a [u8]) -> Raw<'a> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let body = serde_json::from_str(text).ok().and_then(Members::of);
        Raw(body.map(|body| body.list("messages")).unwrap_or_default())
    }

    /// The input of a call, where its message and block are.
    fn input(&self, message: usize, block: usize) -> Option<&'a str> {
        let message = self.0.get(message).and_then(|raw| Members::of(raw))?;
        let block = message.get("content").and_then(list)?.get(block).copied()?;
        Some(Members::of(block)?.get("input")?.get())
    }
}

enum Block<'a> {
    Text(&'a str),
    Block(Object<'a>, Node<'a>),
}

fn blocks<'a>(content: &Node<'a>) -> Result<Vec<Block<'a>>, RequestError> {
    if content.value.is_string() {
        return Ok(vec![Block::Text(content.text()?)]);
    }
    let mut blocks = Vec::new();
    for node in content.list()? {
        let block = node.object()?;
        let kind = block.required("type", "a string")?;
        blocks.push(Block::Block(block, kind));
    }
    Ok(blocks)
}

fn text<'a>(block: &Object<'a>, warnings: &mut Warnings) -> Result<&'a str, RequestError> {
    leave_out(block, &["type", "text"], warnings);
    block.required_text("text")
}

fn system_message(
    content: &Node<'_>,
    warnings: &mut Warnings,
) -> Result<Option<Value>, RequestError> {
    let mut texts = Vec::new();
    for block in blocks(content)? {
        texts.push(match block {
            Block::Text(text) => text,
            Block::Block(block, kind) if kind.text()? == "text" => text(&block, warnings)?,
            Block::Block(_, kind) => return Err(kind.bad_value("`text` is allowed")),
        });
    }
    let joined = texts.join(BETWEEN);
    Ok((!joined.is_empty()).then(|| json!({ "role": "system", "content": joined })))
}

/// Results of tools as messages, then what the user says.
fn user(
    content: &Node<'_>,
    out: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    let (mut pictures, mut parts) = (Vec::new(), Vec::new());
    for block in blocks(content)? {
        match block {
            Block::Text(text) => parts.push(text_part(text)),
            Block::Block(block, kind) if kind.text()? == "tool_result" => {
                out.push(tool_result(&block, &mut pictures, warnings)?);
            }
            Block::Block(block, kind) => parts.extend(part(&block, &kind, warnings)?),
        }
    }
    pictures.append(&mut parts);
    if !pictures.is_empty() {
        out.push(json!({ "role": "user", "content": short(pictures) }));
    }
    Ok(())
}

/// What a user's block becomes; several parts where a document is made of blocks.
fn part(
    block: &Object<'_>,
    kind: &Node<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, RequestError> {
    match kind.text()? {
        "text" => Ok(vec![text_part(text(block, warnings)?)]),
        "image" => Ok(vec![image(block, warnings)?]),
        "document" => document(block, warnings),
        _ => Err(kind.untranslatable("`text`, `image`, `document` and `tool_result` can be")),
    }
}

fn image(block: &Object<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    leave_out(block, &["type", "source"], warnings);
    let source = block.required("source", "an object")?.object()?;
    let kind = source.required("type", "a string")?;
    let url = match kind.text()? {
        "base64" => data_url(&source)?,
        "url" => source.required_text("url")?.to_owned(),
        _ => return Err(kind.untranslatable("`base64` and `url` can be; files are at Anthropic")),
    };
    Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
}

fn data_url(source: &Object<'_>) -> Result<String, RequestError> {
    let (kind, data) = (source.required_text("media_type")?, source.required_text("data")?);
    Ok(format!("data:{kind};base64,{data}"))
}

fn document(block: &Object<'_>, warnings: &mut Warnings) -> Result<Vec<Value>, RequestError> {
    leave_out(block, &["type", "source", "title", "context"], warnings);
    let source = block.required("source", "an object")?.object()?;
    let (title, context) = (block.text("title")?, block.text("context")?);
    let kind = source.required("type", "a string")?;
    // Only a file has a name in the other API; a text says what it is.
    let heads = || title.into_iter().chain(context).map(text_part);
    match kind.text()? {
        "base64" => {
            let name = title.unwrap_or("document.pdf");
            let file = json!({ "filename": name, "file_data": data_url(&source)? });
            let file = json!({ "type": "file", "file": file });
            Ok(context.map(text_part).into_iter().chain([file]).collect())
        }
        "text" => Ok(heads().chain([text_part(source.required_text("data")?)]).collect()),
        "content" => {
            let mut parts: Vec<Value> = heads().collect();
            for block in blocks(&source.required("content", "a string or a list of blocks")?)? {
                match block {
                    Block::Text(text) => parts.push(text_part(text)),
                    Block::Block(block, kind) => parts.extend(part(&block, &kind, warnings)?),
                }
            }
            Ok(parts)
        }
        _ => Err(kind.untranslatable("`base64`, `text` and `content` can be")),
    }
}

/// A tool's result as a message; its pictures are put aside.
fn tool_result(
    block: &Object<'_>,
    pictures: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    leave_out(block, &["type", "tool_use_id", "content", "is_error"], warnings);
    let id = block.required_text("tool_use_id")?;
    let mut texts = Vec::new();
    let content = block.get("content").map(|content| blocks(&content)).transpose()?;
    for inner in content.unwrap_or_default() {
        match inner {
            Block::Text(text) => texts.push(text.to_owned()),
            Block::Block(inner, kind) => {
                for part in part(&inner, &kind, warnings)? {
                    match part.get("text").and_then(Value::as_str) {
                        Some(text) => texts.push(text.to_owned()),
                        None => {
                            pictures.push(text_part(&format!("From the result of `{id}`:")));
                            pictures.push(part);
                        }
                    }
                }
            }
        }
    }
    let text = texts.join("\n");
    let content = match block.flag("is_error")? {
        true => json!({ "is_error": true, "content": text }).to_string(),
        false => text,
    };
    Ok(json!({ "role": "tool", "tool_call_id": id, "content": content }))
}

fn assistant(
    content: &Node<'_>,
    raw: &Raw<'_>,
    at: usize,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    let (mut said, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    for (j, block) in blocks(content)?.into_iter().enumerate() {
        let (block, kind) = match block {
            Block::Text(text) => {
                said.push_str(text);
                continue;
            }
            Block::Block(block, kind) => (block, kind),
        };
        match kind.text()? {
            "text" => said.push_str(text(&block, warnings)?),
            "tool_use" => calls.push(tool_call(&block, raw.input(at, j), warnings)?),
            "thinking" if server.extensions => thought.push_str(block.required_text("thinking")?),
            // Encrypted, or for a server that takes no thoughts.
            key @ ("thinking" | "redacted_thinking") => {
                warnings.add(&block.path(key), LEFT_OUT);
            }
            _ => return Err(kind.untranslatable("`text`, `thinking` and `tool_use` can be")),
        }
    }
    Ok(assistant_message(said, thought, calls))
}

fn tool_call(
    block: &Object<'_>,
    raw: Option<&str>,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    leave_out(block, &["type", "id", "name", "input", "caller"], warnings);
    let input = block.required("input", "an object")?;
    input.object()?;
    let arguments = raw.map_or_else(|| input.value.to_string(), str::to_owned);
    let function = json!({ "name": block.required_text("name")?, "arguments": arguments });
    Ok(json!({ "id": block.required_text("id")?, "type": "function", "function": function }))
}
