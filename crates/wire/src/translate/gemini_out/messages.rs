//! The conversation: contents of the user and of the model, in turns.

use super::Options;
use crate::gemini::shape::{
    Blob, Content, File, FunctionCall, FunctionResponse, Part as Said, Response, Role,
};
use crate::request_error::RequestError;
use crate::translate::chat_request::{
    Part, call, leave_out, no_other_answer, other_kind, parts, strict_object,
};
use crate::translate::data_url::DataUrl;
use crate::translate::node::{Node, Object};
use crate::translate::warnings::Warnings;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What Google documents for calls that no Gemini model made.
const UNSIGNED: &str = "skip_thought_signature_validator";

pub(super) struct Conversation<'a> {
    pub(super) system: Option<Content<'a>>,
    pub(super) contents: Vec<Content<'a>>,
}

/// The names of the calls so far, by id.
type Calls<'a> = BTreeMap<&'a str, &'a str>;

pub(super) fn read<'a>(
    body: &Object<'a>,
    options: &Options,
    warnings: &mut Warnings,
) -> Result<Conversation<'a>, RequestError> {
    let messages = body.required("messages", "a list of at least one message")?;
    let (mut system, mut contents, mut calls) = (Vec::new(), Vec::new(), Calls::new());
    for node in messages.list()? {
        let message = node.object()?;
        let role = message.required("role", "a string")?;
        match role.text()? {
            "system" | "developer" => {
                if !contents.is_empty() {
                    let what = "of a later system message is moved to the first: the Gemini API \
                                has one only";
                    warnings.add(&message.path("content"), what);
                }
                texts(&message, "a system prompt is text", &mut system, warnings)?;
            }
            "user" => push(&mut contents, Role::User, user(&message, warnings)?),
            "assistant" => {
                let said = assistant(&message, options, &mut calls, warnings)?;
                push(&mut contents, Role::Model, said);
            }
            "tool" => push(&mut contents, Role::User, vec![tool(&message, &calls, warnings)?]),
            _ => {
                return Err(role.untranslatable(
                    "`system`, `developer`, `user`, `assistant` and `tool` can be",
                ));
            }
        }
    }
    if contents.is_empty() {
        return Err(messages.untranslatable("the Gemini API needs a message of a user"));
    }
    let system = (!system.is_empty()).then_some(Content { role: None, parts: system });
    Ok(Conversation { system, contents })
}

fn push<'a>(contents: &mut Vec<Content<'a>>, role: Role, parts: Vec<Said<'a>>) {
    match contents.last_mut() {
        _ if parts.is_empty() => {}
        Some(last) if last.role == Some(role) => last.parts.extend(parts),
        Some(_) | None => contents.push(Content { role: Some(role), parts }),
    }
}

fn text(text: &str) -> Option<Said<'_>> {
    (!text.is_empty()).then_some(Said::Text { text })
}

fn text_part<'a>(
    part: &Object<'a>,
    key: &str,
    warnings: &mut Warnings,
) -> Result<Option<Said<'a>>, RequestError> {
    leave_out(part, &["type", key], warnings);
    part.required_text(key).map(text)
}

/// The texts of a message that may have nothing else.
fn texts<'a>(
    message: &Object<'a>,
    why: &'static str,
    out: &mut Vec<Said<'a>>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    leave_out(message, &["role", "content"], warnings);
    for part in parts(&message.required("content", "a string or a list of parts")?)? {
        out.extend(match part {
            Part::Text(said) => text(said),
            Part::Part(part, "text") => text_part(&part, "text", warnings)?,
            Part::Part(part, _) => return Err(other_kind(&part, why)),
        });
    }
    Ok(())
}

fn user<'a>(message: &Object<'a>, warnings: &mut Warnings) -> Result<Vec<Said<'a>>, RequestError> {
    leave_out(message, &["role", "content"], warnings);
    let content = message.required("content", "a string or a list of parts")?;
    let mut out = Vec::new();
    for part in parts(&content)? {
        out.extend(match part {
            Part::Text(said) => text(said),
            Part::Part(part, "text") => text_part(&part, "text", warnings)?,
            Part::Part(part, "image_url") => Some(image(&part, warnings)?),
            Part::Part(part, "input_audio") => Some(audio(&part, warnings)?),
            Part::Part(part, "file") => Some(file(&part, warnings)?),
            Part::Part(part, _) => {
                let why = "`text`, `image_url`, `input_audio` and `file` can be";
                return Err(other_kind(&part, why));
            }
        });
    }
    if out.is_empty() {
        return Err(content.untranslatable("the Gemini API takes no empty message"));
    }
    Ok(out)
}

fn inline<'a>(node: &Node<'a>) -> Result<Said<'a>, RequestError> {
    match DataUrl::parse(node.text()?) {
        Some(DataUrl { media_type, data }) if !media_type.is_empty() => {
            Ok(Said::Inline { inline_data: Blob { mime_type: media_type, data } })
        }
        Some(_) | None => Err(node.bad_value("a `data:` URL in base64 with its type is allowed")),
    }
}

fn image<'a>(part: &Object<'a>, warnings: &mut Warnings) -> Result<Said<'a>, RequestError> {
    leave_out(part, &["type", "image_url"], warnings);
    let image = part.required("image_url", "an object")?.object()?;
    if image.text("detail")? != Some("auto") {
        leave_out(&image, &["url"], warnings);
    }
    let node = image.required("url", "a string")?;
    let url = node.text()?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return inline(&node);
    }
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let mime_type = match ending.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        _ => {
            return Err(node.untranslatable(
                "the Gemini API needs the type of a picture, which the address does not say; \
                 send it as a `data:` URL",
            ));
        }
    };
    Ok(Said::File { file_data: File { mime_type, file_uri: url } })
}

fn audio<'a>(part: &Object<'a>, warnings: &mut Warnings) -> Result<Said<'a>, RequestError> {
    leave_out(part, &["type", "input_audio"], warnings);
    let audio = part.required("input_audio", "an object")?.object()?;
    let format = audio.required("format", "a string")?;
    let mime_type = match format.text()? {
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        _ => return Err(format.bad_value("`wav` and `mp3` are allowed")),
    };
    let data = audio.required_text("data")?;
    Ok(Said::Inline { inline_data: Blob { mime_type, data } })
}

fn file<'a>(part: &Object<'a>, warnings: &mut Warnings) -> Result<Said<'a>, RequestError> {
    leave_out(part, &["type", "file"], warnings);
    let file = part.required("file", "an object")?.object()?;
    leave_out(&file, &["file_id", "file_data"], warnings);
    if let Some(id) = file.get("file_id") {
        return Err(id.untranslatable("the file is at OpenAI; send it as `file_data`"));
    }
    inline(&file.required("file_data", "a string")?)
}

fn assistant<'a>(
    message: &Object<'a>,
    options: &Options,
    calls: &mut Calls<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Said<'a>>, RequestError> {
    no_other_answer(message)?;
    leave_out(message, &["role", "content", "refusal", "tool_calls"], warnings);
    let mut out = Vec::new();
    for part in message.get("content").map(|node| parts(&node)).transpose()?.unwrap_or_default() {
        out.extend(match part {
            Part::Text(said) => text(said),
            Part::Part(part, kind @ ("text" | "refusal")) => text_part(&part, kind, warnings)?,
            Part::Part(part, _) => {
                return Err(other_kind(&part, "an assistant's `text` and `refusal` can be"));
            }
        });
    }
    out.extend(message.text("refusal")?.and_then(text));
    for (n, node) in message.list("tool_calls")?.iter().enumerate() {
        let call = call(node, warnings)?;
        calls.insert(call.id, call.name);
        let extra = call.object.get("extra_content").map(|node| node.object()).transpose()?;
        let google = extra.and_then(|extra| extra.get("google"));
        let google = google.map(|node| node.object()).transpose()?;
        let signed = google.map(|google| google.text("thought_signature")).transpose()?.flatten();
        // Of calls at the same time the first is signed.
        let mark = (options.marks_unsigned_calls && n == 0).then_some(UNSIGNED);
        out.push(Said::Call {
            function_call: FunctionCall { id: call.id, name: call.name, args: call.arguments },
            thought_signature: signed.or(mark),
        });
    }
    Ok(out)
}

fn tool<'a>(
    message: &Object<'a>,
    calls: &Calls<'a>,
    warnings: &mut Warnings,
) -> Result<Said<'a>, RequestError> {
    leave_out(message, &["role", "content", "tool_call_id", "name", "is_error"], warnings);
    let node = message.required("tool_call_id", "a string")?;
    let id = node.text()?;
    let name = calls.get(id).copied().or(message.text("name")?);
    let name = name.ok_or_else(|| node.untranslatable("no earlier message has a call with it"))?;
    let mut text = String::new();
    for part in parts(&message.required("content", "a string or a list of parts")?)? {
        text.push_str(match part {
            Part::Text(text) => text,
            Part::Part(part, "text") => part.required_text("text")?,
            Part::Part(part, _) => {
                return Err(other_kind(&part, "a result of a tool is text"));
            }
        });
    }
    let response = if message.flag("is_error")? {
        Response::Error { error: Cow::Owned(text) }
    } else {
        match strict_object(&text) {
            Some(raw) => Response::Given(raw.to_owned()),
            None => Response::Result { result: Cow::Owned(text) },
        }
    };
    Ok(Said::Response { function_response: FunctionResponse { id, name, response } })
}
