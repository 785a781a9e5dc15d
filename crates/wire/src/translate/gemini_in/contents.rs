//! The conversation.

use super::fields::{Fields, raw_list, raw_member};
use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_message::{assistant_message, short, text_part};
use crate::translate::node::{Node, is_neutral};
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Put between the parts of a system prompt.
const BETWEEN: &str = "\n\n";

pub(super) fn read(
    body: &Fields<'_>,
    bytes: &[u8],
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, RequestError> {
    let mut out = Vec::new();
    if let Some(system) = body.object("systemInstruction")? {
        out.extend(system_message(&system, warnings)?);
    }
    let contents = body.required("contents", "a list of at least one content")?;
    let raw = Raw::of(bytes);
    let (mut calls, mut last) = (Calls::default(), None);
    for (i, node) in body.list("contents")?.iter().enumerate() {
        let content = Fields::of(node)?;
        if let Some(other) = content.others(&["role", "parts"]).first() {
            return Err(other.untranslatable(NOTHING));
        }
        let role = content.get("role");
        let parts = content.list("parts")?;
        let raw = raw.parts(i);
        match role.as_ref().map(Node::text).transpose()? {
            // Results had a role for themselves before.
            None | Some("user" | "function") => {
                user(&content, &parts, &raw, &mut calls, &mut out, warnings)?;
            }
            Some("model") => out.push(model(&parts, &raw, server, &mut calls, warnings)?),
            Some(_) => {
                let why = "`user` and `model` are allowed";
                return Err(RequestError::bad_value(content.0.path("role"), why));
            }
        }
        last = role;
    }
    match last {
        _ if out.is_empty() => Err(contents.bad_value("at least one content is needed")),
        Some(role) if role.value == "model" => Err(role.untranslatable(
            "the model server's API cannot go on with an answer that the client began",
        )),
        Some(_) | None => Ok(out),
    }
}

/// The same request as it was written, for what must not change its form.
struct Raw<'a>(Vec<&'a RawValue>);

impl<'a> Raw<'a> {
    fn of(bytes: &'a [u8]) -> Raw<'a> {
        let body: Option<&RawValue> = serde_json::from_slice(bytes).ok();
        Raw(body.and_then(|body| raw_member(body, "contents")).map(raw_list).unwrap_or_default())
    }

    /// The parts of a content.
    fn parts(&self, content: usize) -> Vec<&'a RawValue> {
        let parts = self.0.get(content).and_then(|content| raw_member(content, "parts"));
        parts.map(raw_list).unwrap_or_default()
    }
}

/// A member of a part's call or result, as it was written.
fn written(raw: &[&RawValue], part: usize, kind: &str, member: &str, value: &Value) -> String {
    let raw = raw.get(part).and_then(|part| raw_member(part, kind));
    let raw = raw.and_then(|inner| raw_member(inner, member));
    raw.map_or_else(|| value.to_string(), |raw| raw.get().to_owned())
}

/// The calls so far, in their order.
#[derive(Default)]
struct Calls(Vec<Call>);

struct Call {
    id: String,
    name: String,
    /// Whether the client gave the id.
    is_named: bool,
    is_answered: bool,
}

impl Calls {
    /// The id of a call, which it gets where it has none.
    fn call(&mut self, given: Option<&str>, name: &str) -> String {
        let number = self.0.len();
        let id = given.map_or_else(|| self.free(number), str::to_owned);
        let (is_named, is_answered) = (given.is_some(), false);
        self.0.push(Call { id: id.clone(), name: name.to_owned(), is_named, is_answered });
        id
    }

    fn free(&self, number: usize) -> String {
        let mut ids = (number..).map(|number| format!("call_{number}"));
        let is_free = |id: &String| self.0.iter().all(|call| call.id != *id);
        ids.find(is_free).unwrap_or_default()
    }

    /// The id of the call that a result answers.
    fn answered(&mut self, given: Option<&str>, name: &str) -> Option<String> {
        let find = |is_it: &dyn Fn(&Call) -> bool| self.0.iter().position(is_it);
        let waits = |call: &Call| call.name == name && !call.is_answered;
        // A result without an id is first of all that of a call without one.
        let at = find(&|call| given == Some(call.id.as_str()))
            .or_else(|| find(&|call| waits(call) && !call.is_named))
            .or_else(|| find(&|call| waits(call) && given.is_none()));
        let call = self.0.get_mut(at?)?;
        call.is_answered = true;
        Some(call.id.clone())
    }
}

/// The members that a part may have beside what it says.
const BESIDE: [&str; 3] = ["thought", "thoughtSignature", "partMetadata"];

/// What a part is: its one member that says something.
fn kind<'a>(part: &Fields<'a>) -> Result<(&'static str, Node<'a>), RequestError> {
    let kinds = ["text", "inlineData", "fileData", "functionCall", "functionResponse"];
    let mut found = kinds.into_iter().filter_map(|kind| Some((kind, part.get(kind)?)));
    let first = found.next();
    if let Some((_, second)) = found.next() {
        return Err(second.bad_value("a part has one of them"));
    }
    let (kind, node) = first.ok_or_else(|| {
        let beside = |node: &&Node<'_>| !BESIDE.iter().any(|key| node.at == part.0.path(key));
        let others = part.others(&[]);
        let why = "`text`, `inlineData`, `fileData`, `functionCall` and `functionResponse` can be";
        let found = others.iter().find(beside).map(|node| node.untranslatable(why));
        found.unwrap_or_else(|| RequestError::missing(part.0.path("text"), "what the part says"))
    })?;
    let known = [&BESIDE[..], &[kind, "videoMetadata", "mediaResolution"]].concat();
    match part.others(&known).first() {
        Some(other) => Err(other.untranslatable(NOTHING)),
        None => Ok((kind, node)),
    }
}

/// Says which members beside it are left out of a part.
fn beside(part: &Fields<'_>, keys: &[&str], warnings: &mut Warnings) {
    for key in keys {
        if let Some(node) = part.get(key).filter(|node| !is_neutral(node.value)) {
            warnings.add(&node.at, LEFT_OUT);
        }
    }
}

fn system_message(
    content: &Fields<'_>,
    warnings: &mut Warnings,
) -> Result<Option<Value>, RequestError> {
    // Its role says nothing, whatever it is.
    content.only(&["role", "parts"], &[], warnings)?;
    let mut texts = Vec::new();
    for node in content.list("parts")? {
        let part = Fields::of(&node)?;
        match kind(&part)? {
            ("text", text) => texts.push(text.text()?),
            (_, other) => return Err(other.untranslatable("a system prompt is text")),
        }
        beside(&part, &BESIDE, warnings);
    }
    let joined = texts.join(BETWEEN);
    Ok((!joined.is_empty()).then(|| json!({ "role": "system", "content": joined })))
}

/// Results of tools as messages, then what the user says.
fn user(
    content: &Fields<'_>,
    parts: &[Node<'_>],
    raw: &[&RawValue],
    calls: &mut Calls,
    out: &mut Vec<Value>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    let mut said = Vec::new();
    for (j, node) in parts.iter().enumerate() {
        let part = Fields::of(node)?;
        let (kind, inner) = kind(&part)?;
        match kind {
            "text" => said.push(text_part(inner.text()?)),
            "inlineData" => said.push(inline(&Fields::of(&inner)?, warnings)?),
            "fileData" => said.push(file(&Fields::of(&inner)?, warnings)?),
            "functionResponse" => {
                let result = Fields::of(&inner)?;
                out.push(tool_result(&result, (raw, j), calls, warnings)?);
            }
            _ => return Err(inner.bad_value("a call is the model's, in a content of its role")),
        }
        let all = [&BESIDE[..], &["videoMetadata", "mediaResolution"]].concat();
        beside(&part, &all, warnings);
    }
    if parts.is_empty() {
        return Err(RequestError::missing(content.0.path("parts"), "a list of at least one part"));
    }
    if !said.is_empty() {
        out.push(json!({ "role": "user", "content": short(said) }));
    }
    Ok(())
}

/// Bytes as a picture, sound or a file. Google takes both alphabets of base64, others one.
fn inline(blob: &Fields<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    blob.only(&["mimeType", "data", "displayName"], &[], warnings)?;
    let mime = blob.required("mimeType", "a string")?;
    let data = blob.required_text("data")?.replace('-', "+").replace('_', "/");
    let kind = mime.text()?;
    let url = || format!("data:{kind};base64,{data}");
    let format = match kind {
        "audio/wav" | "audio/x-wav" => Some("wav"),
        "audio/mp3" | "audio/mpeg" => Some("mp3"),
        _ => None,
    };
    let name = blob.text("displayName")?;
    if let Some(format) = format {
        return Ok(json!({
            "type": "input_audio", "input_audio": { "data": data, "format": format },
        }));
    }
    if kind.starts_with("image/") {
        return Ok(json!({ "type": "image_url", "image_url": { "url": url() } }));
    }
    if kind == "application/pdf" {
        let file = json!({ "filename": name.unwrap_or("document.pdf"), "file_data": url() });
        return Ok(json!({ "type": "file", "file": file }));
    }
    Err(mime.untranslatable("pictures, PDF, and sound in WAV and MP3 can be; send text as `text`"))
}

fn file(file: &Fields<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    file.only(&["mimeType", "fileUri"], &["displayName"], warnings)?;
    let uri = file.required("fileUri", "a string")?;
    let address = uri.text()?;
    let is_googles = address.contains("://generativelanguage.googleapis.com/");
    if !address.starts_with("https://") && !address.starts_with("http://") || is_googles {
        return Err(uri.untranslatable("the file is at Google; send it as `inlineData`"));
    }
    if let Some(mime) = file.get("mimeType")
        && !mime.text()?.starts_with("image/")
    {
        return Err(mime.untranslatable("only a picture can be by its address"));
    }
    Ok(json!({ "type": "image_url", "image_url": { "url": address } }))
}

fn tool_result(
    result: &Fields<'_>,
    (raw, part): (&[&RawValue], usize),
    calls: &mut Calls,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    let known = ["id", "name", "response"];
    result.only(&known, &["scheduling"], warnings)?;
    let name = result.required("name", "a string")?;
    let id = calls.answered(result.text("id")?, name.text()?);
    let id = id.ok_or_else(|| name.bad_value("the name of an earlier call without a result is"))?;
    let response = result.required("response", "an object")?;
    response.object()?;
    let content = written(raw, part, "functionResponse", "response", response.value);
    Ok(json!({ "role": "tool", "tool_call_id": id, "content": content }))
}

fn model(
    parts: &[Node<'_>],
    raw: &[&RawValue],
    server: &ChatServer,
    calls: &mut Calls,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    let (mut said, mut thought, mut called) = (String::new(), String::new(), Vec::new());
    for (j, node) in parts.iter().enumerate() {
        let part = Fields::of(node)?;
        let (kind, inner) = kind(&part)?;
        match (kind, part.flag("thought")?) {
            ("text", true) if server.extensions => thought.push_str(inner.text()?),
            ("text", true) => warnings.add(&inner.at, LEFT_OUT),
            ("text", false) => said.push_str(inner.text()?),
            ("functionCall", _) => {
                let call = Fields::of(&inner)?;
                call.only(&["id", "name", "args"], &[], warnings)?;
                let name = call.required_text("name")?;
                let arguments = match call.get("args") {
                    None => "{}".to_owned(),
                    Some(args) => {
                        args.object()?;
                        written(raw, j, "functionCall", "args", args.value)
                    }
                };
                let id = calls.call(call.text("id")?, name);
                let function = json!({ "name": name, "arguments": arguments });
                called.push(json!({ "id": id, "type": "function", "function": function }));
            }
            _ => return Err(inner.untranslatable("`text` and `functionCall` can be the model's")),
        }
        beside(&part, &["thoughtSignature", "partMetadata"], warnings);
    }
    Ok(assistant_message(said, thought, called))
}
