//! The conversation: who said what, in turns.

use super::Options;
use super::settings::cache_control;
use crate::anthropic::shape::{Block, Content, Message, Role, Source};
use crate::request_error::RequestError;
use crate::translate::chat_request::{
    ChatCall, Part, call, leave_out, no_other_answer, other_kind, parts,
};
use crate::translate::data_url::DataUrl;
use crate::translate::node::{Node, Object};
use crate::translate::warnings::Warnings;
use std::borrow::Cow;

/// Pictures that the API reads.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

pub(in crate::translate) struct Conversation<'a> {
    pub(in crate::translate) system: Option<Content<'a>>,
    pub(in crate::translate) messages: Vec<Message<'a>>,
    /// Whether the calls that the last results answer come without the thinking before them.
    pub(in crate::translate) has_unsigned_call: bool,
}

struct Turn<'a> {
    role: Role,
    results: Vec<Block<'a>>,
    blocks: Vec<Block<'a>>,
}

pub(in crate::translate) fn read<'a>(
    body: &Object<'a>,
    options: &Options,
    warnings: &mut Warnings,
) -> Result<Conversation<'a>, RequestError> {
    let messages = body.required("messages", "a list of at least one message")?;
    let mut system = Vec::new();
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for node in messages.list()? {
        let message = node.object()?;
        let role = message.required("role", "a string")?;
        match role.text()? {
            "system" | "developer" => {
                let texts = system_blocks(&message, warnings)?;
                let follows_user = turns.last().is_some_and(|turn| turn.role != Role::Assistant);
                if options.system_later && follows_user {
                    push(&mut turns, Role::System, Vec::new(), texts);
                    continue;
                }
                if !turns.is_empty() {
                    let what = "of a later system message is moved to the first: the model takes \
                                it there only";
                    warnings.add(&message.path("content"), what);
                }
                system.extend(texts);
            }
            "user" => {
                let blocks = user_blocks(&message, warnings)?;
                push(&mut turns, Role::User, Vec::new(), blocks);
            }
            "assistant" => {
                let blocks = assistant_blocks(&message, warnings)?;
                push(&mut turns, Role::Assistant, Vec::new(), blocks);
            }
            "tool" => {
                let result = tool_result(&message, warnings)?;
                push(&mut turns, Role::User, vec![result], Vec::new());
            }
            _ => {
                return Err(role.untranslatable(
                    "`system`, `developer`, `user`, `assistant` and `tool` can be",
                ));
            }
        }
    }
    if turns.is_empty() {
        return Err(messages.untranslatable("the model server's API needs a message of a user"));
    }
    let has_unsigned_call = has_unsigned_call(&turns);
    let message = |turn: Turn<'a>| {
        let Turn { role, mut results, blocks } = turn;
        results.extend(blocks);
        Message { role, content: Content::of(results) }
    };
    Ok(Conversation {
        system: (!system.is_empty()).then(|| Content::of(system)),
        messages: turns.into_iter().map(message).collect(),
        has_unsigned_call,
    })
}

fn push<'a>(
    turns: &mut Vec<Turn<'a>>,
    role: Role,
    results: Vec<Block<'a>>,
    blocks: Vec<Block<'a>>,
) {
    if results.is_empty() && blocks.is_empty() {
        return;
    }
    match turns.last_mut() {
        Some(turn) if turn.role == role => {
            turn.results.extend(results);
            turn.blocks.extend(blocks);
        }
        Some(_) | None => turns.push(Turn { role, results, blocks }),
    }
}

fn has_unsigned_call(turns: &[Turn<'_>]) -> bool {
    let last = turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let is_answered = turns.last().is_some_and(|turn| !turn.results.is_empty());
    let is_signed = |block: &Block<'_>| {
        matches!(block, Block::Thinking { .. } | Block::RedactedThinking { .. })
    };
    is_answered && last.is_some_and(|turn| !turn.blocks.first().is_some_and(is_signed))
}

fn text_block<'a>(text: &'a str) -> Option<Block<'a>> {
    // The API refuses empty texts.
    let is_said = !text.is_empty();
    is_said.then_some(Block::Text { text: Cow::Borrowed(text), cache_control: None })
}

fn text_part<'a>(
    part: &Object<'a>,
    key: &str,
    warnings: &mut Warnings,
) -> Result<Option<Block<'a>>, RequestError> {
    leave_out(part, &["type", key, "cache_control"], warnings);
    let text = part.required_text(key)?;
    let block = || Block::Text { text: Cow::Borrowed(text), cache_control: cache_control(part) };
    Ok((!text.is_empty()).then(block))
}

fn system_blocks<'a>(
    message: &Object<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Block<'a>>, RequestError> {
    leave_out(message, &["role", "content"], warnings);
    let mut blocks = Vec::new();
    for part in parts(&message.required("content", "a string or a list of parts")?)? {
        blocks.extend(match part {
            Part::Text(text) => text_block(text),
            Part::Part(part, "text") => text_part(&part, "text", warnings)?,
            Part::Part(part, _) => return Err(other_kind(&part, "a system prompt is text")),
        });
    }
    Ok(blocks)
}

fn user_blocks<'a>(
    message: &Object<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Block<'a>>, RequestError> {
    leave_out(message, &["role", "content"], warnings);
    let content = message.required("content", "a string or a list of parts")?;
    let mut blocks = Vec::new();
    for part in parts(&content)? {
        blocks.extend(match part {
            Part::Text(text) => text_block(text),
            Part::Part(part, kind) => user_part(&part, kind, warnings)?,
        });
    }
    if blocks.is_empty() {
        return Err(content.untranslatable("the model server's API takes no empty message"));
    }
    Ok(blocks)
}

fn user_part<'a>(
    part: &Object<'a>,
    kind: &str,
    warnings: &mut Warnings,
) -> Result<Option<Block<'a>>, RequestError> {
    match kind {
        "text" => text_part(part, "text", warnings),
        "image_url" => image(part, warnings).map(Some),
        "file" => document(part, warnings).map(Some),
        _ => Err(other_kind(part, "`text`, `image_url` and `file` can be")),
    }
}

fn image<'a>(part: &Object<'a>, warnings: &mut Warnings) -> Result<Block<'a>, RequestError> {
    leave_out(part, &["type", "image_url", "cache_control"], warnings);
    let image = part.required("image_url", "an object")?.object()?;
    if image.text("detail")? != Some("auto") {
        leave_out(&image, &["url"], warnings);
    }
    let node = image.required("url", "a string")?;
    let url = node.text()?;
    let source = match DataUrl::parse(url) {
        Some(DataUrl { media_type, data }) if IMAGES.contains(&media_type) => {
            Source::Base64 { media_type, data }
        }
        Some(_) => return Err(node.untranslatable("JPEG, PNG, GIF and WebP images can be")),
        None if url.starts_with("https://") || url.starts_with("http://") => Source::Url { url },
        None => return Err(node.bad_value("an address, or a `data:` URL in base64 is allowed")),
    };
    Ok(Block::Image { source, cache_control: cache_control(part) })
}

fn document<'a>(part: &Object<'a>, warnings: &mut Warnings) -> Result<Block<'a>, RequestError> {
    leave_out(part, &["type", "file", "cache_control"], warnings);
    let file = part.required("file", "an object")?.object()?;
    if let Some(id) = file.get("file_id") {
        return Err(id.untranslatable("the file is at OpenAI; send it as `file_data`"));
    }
    let node = file.required("file_data", "a string")?;
    let source = match DataUrl::parse(node.text()?) {
        Some(DataUrl { media_type: media_type @ "application/pdf", data }) => {
            Source::Base64 { media_type, data }
        }
        Some(_) => {
            return Err(node.untranslatable("PDF files can be; send others as text or image"));
        }
        None => return Err(node.bad_value("a `data:` URL in base64 is allowed")),
    };
    Ok(Block::Document {
        source,
        title: file.text("filename")?,
        cache_control: cache_control(part),
    })
}

fn assistant_blocks<'a>(
    message: &Object<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Block<'a>>, RequestError> {
    no_other_answer(message)?;
    let mut blocks = Vec::new();
    for node in message.list("thinking_blocks")? {
        blocks.push(thinking(&node)?);
    }
    // The blocks say it as well, and signed.
    let said: &[&str] = if blocks.is_empty() { &[] } else { &["reasoning_content", "reasoning"] };
    let known = ["role", "content", "refusal", "tool_calls", "thinking_blocks"];
    leave_out(message, &[&known, said].concat(), warnings);
    for part in message.get("content").map(|node| parts(&node)).transpose()?.unwrap_or_default() {
        blocks.extend(match part {
            Part::Text(text) => text_block(text),
            Part::Part(part, kind @ ("text" | "refusal")) => text_part(&part, kind, warnings)?,
            Part::Part(part, _) => {
                return Err(other_kind(&part, "an assistant's `text` and `refusal` can be"));
            }
        });
    }
    blocks.extend(message.text("refusal")?.and_then(text_block));
    for node in message.list("tool_calls")? {
        blocks.push(tool_use(&node, warnings)?);
    }
    Ok(blocks)
}

/// What the model thought, as an earlier answer brought it: signed, so it must not be changed.
fn thinking<'a>(node: &Node<'a>) -> Result<Block<'a>, RequestError> {
    let block = node.object()?;
    let kind = block.required("type", "a string")?;
    match kind.text()? {
        "thinking" => Ok(Block::Thinking {
            thinking: block.required_text("thinking")?,
            signature: block.required_text("signature")?,
        }),
        "redacted_thinking" => Ok(Block::RedactedThinking { data: block.required_text("data")? }),
        _ => Err(kind.bad_value("`thinking` and `redacted_thinking` are allowed")),
    }
}

fn tool_use<'a>(node: &Node<'a>, warnings: &mut Warnings) -> Result<Block<'a>, RequestError> {
    let ChatCall { object, id, name, arguments } = call(node, warnings)?;
    let cache_control = cache_control(&object);
    Ok(Block::ToolUse { id: safe_id(id), name, input: arguments, cache_control })
}

/// An id as the API takes it: letters, digits, `_` and `-`. Some servers' ids have dots and colons.
fn safe_id(id: &str) -> Cow<'_, str> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.chars().all(is_safe) {
        return Cow::Borrowed(id);
    }
    let mut safe = String::new();
    for c in id.chars() {
        if is_safe(c) {
            safe.push(c);
        } else {
            safe.push_str(&format!("_{:x}", u32::from(c)));
        }
    }
    Cow::Owned(safe)
}

fn tool_result<'a>(
    message: &Object<'a>,
    warnings: &mut Warnings,
) -> Result<Block<'a>, RequestError> {
    let known = ["role", "content", "tool_call_id", "name", "is_error", "cache_control"];
    leave_out(message, &known, warnings);
    let mut blocks = Vec::new();
    for part in parts(&message.required("content", "a string or a list of parts")?)? {
        blocks.extend(match part {
            Part::Text(text) => text_block(text),
            Part::Part(part, kind) => user_part(&part, kind, warnings)?,
        });
    }
    Ok(Block::ToolResult {
        tool_use_id: safe_id(message.required_text("tool_call_id")?),
        content: (!blocks.is_empty()).then(|| Content::of(blocks)),
        is_error: message.flag("is_error")?,
        cache_control: cache_control(message),
    })
}
