//! A chat completion request: what of it must be understood to serve it.
//!
//! What is forwarded is always written from what was read here, never the client's bytes: so
//! the model server cannot read another `model` than the one that was authorised. For the same
//! reason a key that is given twice in one object is refused, at any depth. Order of checks: bytes
//! (empty, UTF-8, JSON, depth, object, doubled keys), then members that clients must not set, then
//! types and values in the order model, messages, stream, numbers, user.

use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Longest `model` accepted, in characters.
pub const MODEL_MAX: usize = 256;
/// Most that is read of the last user text, in characters: more than a record keeps.
pub const USER_TEXT_MAX: usize = 72 * 1024;

/// Members that choose where a request goes, with which credential, which weights answer it, or how
/// the model's server builds the prompt. They are the operator's (CVE-2024-6587, CVE-2026-108719,
/// CVE-2026-115918). The first lines are of proxies and clients, then of vLLM, SGLang and
/// TensorRT-LLM, whose servers take prompts' state from any host that a request names.
pub const CLOSED_MEMBERS: [&str; 22] = [
    "api_base",
    "base_url",
    "api_key",
    "headers",
    "extra_headers",
    "extra_query",
    "callback_url",
    "custom_llm_provider",
    "chat_template",
    "chat_template_kwargs",
    "kv_transfer_params",
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
    "data_parallel_rank",
    "disagg_prefill_dp_rank",
    "disaggregated_params",
    "lora_path",
    "lora_request",
    "adapter_id",
    "custom_logit_processor",
    "logits_processors",
];

/// Members that hold the client's own data, where any key is just a key: nothing in them is looked
/// at. Of a tool only its schema is such ([`is_data`]).
const DATA_MEMBERS: [&str; 5] =
    ["messages", "metadata", "response_format", "guided_json", "structured_outputs"];

/// Most choices of one unstreamed answer, as in the OpenAI API.
const CHOICES_MAX: u64 = 128;

/// An OpenAI chat completion request: its body, and what the gateway reads of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatRequest {
    /// Every member as the client sent it, known or not.
    pub body: Map<String, Value>,
    /// `model`; `None` when absent or null.
    pub model: Option<String>,
    /// `stream`.
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// Who the request is for: `user`, else `metadata.user_id`, else `safety_identifier`; as the
    /// client sent it.
    pub user: Option<String>,
    /// Text of the last message with role `user`, its text parts joined by line ends, its first
    /// [`USER_TEXT_MAX`] characters; empty when there is none.
    pub last_user_text: String,
    /// Length of the text of all messages, in characters.
    pub input_chars: u64,
}

/// Reads and checks a chat completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub fn read_request(bytes: &[u8]) -> Result<ChatRequest, RequestError> {
    check_request(parse_json_object(bytes)?)
}

/// Checks the members of a chat completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub fn check_request(body: Map<String, Value>) -> Result<ChatRequest, RequestError> {
    refuse_closed(&body, "")?;
    let model = read_model(&body)?;
    let (last_user_text, input_chars) = read_messages(&body)?;
    let (stream, include_usage) = read_stream(&body)?;
    read_counts(&body)?;
    let user = read_user(&body)?;
    Ok(ChatRequest { model, stream, include_usage, user, last_user_text, input_chars, body })
}

/// The members that requests of all OpenAI's APIs share.
pub(crate) struct CommonMembers {
    pub(crate) model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) user: Option<String>,
}

/// Reads the shared members, and refuses those that clients must not set.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub(crate) fn read_members(body: &Map<String, Value>) -> Result<CommonMembers, RequestError> {
    refuse_closed(body, "")?;
    let model = read_model(body)?;
    let (stream, include_usage) = read_stream(body)?;
    read_counts(body)?;
    Ok(CommonMembers { model, stream, include_usage, user: read_user(body)? })
}

/// Refuses closed members at any depth: servers and proxies unpack `extra_body` and the like.
fn refuse_closed(map: &Map<String, Value>, prefix: &str) -> Result<(), RequestError> {
    for (key, value) in map {
        let param = || if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if CLOSED_MEMBERS.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            return Err(RequestError::Closed { param: param() });
        }
        if matches!(value, Value::Object(_) | Value::Array(_)) && !is_data(prefix, key) {
            refuse_closed_in(value, &param())?;
        }
    }
    Ok(())
}

fn refuse_closed_in(value: &Value, at: &str) -> Result<(), RequestError> {
    match value {
        Value::Object(map) => refuse_closed(map, at),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(i, item)| refuse_closed_in(item, &format!("{at}[{i}]")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Whether a member's value is the client's data: a member of the body or of what is merged into
/// it, or the schema of a tool.
fn is_data(prefix: &str, key: &str) -> bool {
    match prefix {
        "" | "extra_body" => DATA_MEMBERS.contains(&key),
        _ => {
            let prefix = prefix.strip_prefix("extra_body.").unwrap_or(prefix);
            let is_tool = |list: &str, rest: &str| {
                let after = prefix.strip_prefix(list).and_then(|at| at.strip_prefix('['));
                after.and_then(|at| at.split_once(']')).is_some_and(|(_, at)| at == rest)
            };
            key == "parameters" && (is_tool("tools", ".function") || is_tool("functions", ""))
        }
    }
}

/// The member, with null read as absent, as OpenAI's own clients send it.
fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn read_model(body: &Map<String, Value>) -> Result<Option<String>, RequestError> {
    match given(body, "model") {
        None => Ok(None),
        Some(Value::String(model)) if (1..=MODEL_MAX).contains(&model.chars().count()) => {
            Ok(Some(model.clone()))
        }
        Some(Value::String(_)) => {
            Err(RequestError::bad_value("model", "1 to 256 characters are allowed"))
        }
        Some(other) => Err(RequestError::wrong_type("model", "a string", other)),
    }
}

fn read_messages(body: &Map<String, Value>) -> Result<(String, u64), RequestError> {
    const EXPECTED: &str = "a list of at least one message";
    let messages = match body.get("messages") {
        None => return Err(RequestError::missing("messages", EXPECTED)),
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(RequestError::wrong_type("messages", EXPECTED, other)),
    };
    if messages.is_empty() {
        return Err(RequestError::bad_value("messages", "at least one message is needed"));
    }
    let mut last_user = Vec::new();
    let mut input_chars = 0;
    for (i, message) in messages.iter().enumerate() {
        let (role, texts) = read_message(i, message)?;
        let chars: usize = texts.iter().map(|text| text.chars().count()).sum();
        // What joins them counts as well.
        input_chars += (chars + texts.len().saturating_sub(1)) as u64;
        if role == "user" {
            last_user = texts;
        }
    }
    Ok((joined(&last_user), input_chars))
}

/// The texts joined by line ends, as far as they are read.
fn joined(texts: &[&str]) -> String {
    let mut joined = String::new();
    let mut left = USER_TEXT_MAX;
    for (at, text) in texts.iter().enumerate() {
        if at > 0 && left > 0 {
            joined.push('\n');
            left -= 1;
        }
        let end = text.char_indices().nth(left).map_or(text.len(), |(end, _)| end);
        joined.push_str(&text[..end]);
        left -= text[..end].chars().count();
    }
    joined
}

/// The role and texts of one message.
fn read_message(i: usize, message: &Value) -> Result<(&str, Vec<&str>), RequestError> {
    let Value::Object(message) = message else {
        return Err(RequestError::wrong_type(format!("messages[{i}]"), "an object", message));
    };
    let role = match message.get("role") {
        Some(Value::String(role)) if !role.is_empty() => role.as_str(),
        Some(Value::String(_)) => {
            let param = format!("messages[{i}].role");
            return Err(RequestError::bad_value(param, "it must not be empty"));
        }
        Some(other) => {
            return Err(RequestError::wrong_type(format!("messages[{i}].role"), "a string", other));
        }
        None => return Err(RequestError::missing(format!("messages[{i}].role"), "a string")),
    };
    Ok((role, read_content(i, message)?))
}

fn read_content(i: usize, message: &Map<String, Value>) -> Result<Vec<&str>, RequestError> {
    const EXPECTED: &str = "a string, a list of parts, or null beside `tool_calls`";
    let param = || format!("messages[{i}].content");
    match message.get("content") {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(parts)) if parts.is_empty() => {
            Err(RequestError::bad_value(param(), "at least one part is needed"))
        }
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (j, part) in parts.iter().enumerate() {
                texts.extend(read_part(i, j, part)?);
            }
            Ok(texts)
        }
        None | Some(Value::Null) if speaks_otherwise(message) => Ok(Vec::new()),
        None => Err(RequestError::missing(param(), EXPECTED)),
        Some(other) => Err(RequestError::wrong_type(param(), EXPECTED, other)),
    }
}

/// Whether a message without content says something by another member.
fn speaks_otherwise(message: &Map<String, Value>) -> bool {
    matches!(given(message, "tool_calls"), Some(Value::Array(calls)) if !calls.is_empty())
        || ["function_call", "audio", "refusal"].iter().any(|key| given(message, key).is_some())
}

/// The text of one part; `None` for an image, a sound or a file.
fn read_part(i: usize, j: usize, part: &Value) -> Result<Option<&str>, RequestError> {
    let param = |key: &str| format!("messages[{i}].content[{j}]{key}");
    let Value::Object(part) = part else {
        return Err(RequestError::wrong_type(param(""), "an object", part));
    };
    let text = |key: &str| match part.get(key) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(RequestError::wrong_type(param(&format!(".{key}")), "a string", other)),
        None => Err(RequestError::missing(param(&format!(".{key}")), "a string")),
    };
    match text("type")? {
        Some("text") => text("text"),
        Some("refusal") => text("refusal"),
        Some(_) | None => Ok(None),
    }
}

fn read_stream(body: &Map<String, Value>) -> Result<(bool, bool), RequestError> {
    let boolean = |map: &Map<String, Value>, key: &str, param: &str| match given(map, key) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(RequestError::wrong_type(param, "a boolean", other)),
    };
    let stream = boolean(body, "stream", "stream")?;
    match given(body, "stream_options") {
        None => Ok((stream, false)),
        Some(Value::Object(_)) if !stream => Err(RequestError::bad_value(
            "stream_options",
            "it is allowed only where `stream` is true",
        )),
        Some(Value::Object(options)) => {
            Ok((true, boolean(options, "include_usage", "stream_options.include_usage")?))
        }
        Some(other) => Err(RequestError::wrong_type("stream_options", "an object", other)),
    }
}

/// Checks the numbers that change how much an answer costs or how it is read.
fn read_counts(body: &Map<String, Value>) -> Result<(), RequestError> {
    for key in ["max_tokens", "max_completion_tokens"] {
        match given(body, key) {
            None => {}
            Some(Value::Number(number)) if number.as_u64().is_some_and(|n| n > 0) => {}
            Some(Value::Number(_)) => {
                return Err(RequestError::bad_value(key, "an integer from 1 up is allowed"));
            }
            Some(other) => return Err(RequestError::wrong_type(key, "an integer", other)),
        }
    }
    match given(body, "n") {
        None => Ok(()),
        Some(Value::Number(n)) => match n.as_u64() {
            Some(1..=CHOICES_MAX) => Ok(()),
            Some(_) | None => {
                Err(RequestError::bad_value("n", "an integer from 1 to 128 is allowed"))
            }
        },
        Some(other) => Err(RequestError::wrong_type("n", "an integer", other)),
    }
}

fn read_user(body: &Map<String, Value>) -> Result<Option<String>, RequestError> {
    let metadata = match given(body, "metadata") {
        None => None,
        Some(Value::Object(metadata)) => given(metadata, "user_id"),
        Some(other) => return Err(RequestError::wrong_type("metadata", "an object", other)),
    };
    let candidates = [
        ("user", given(body, "user")),
        ("metadata.user_id", metadata),
        ("safety_identifier", given(body, "safety_identifier")),
    ];
    let mut user = None;
    for (param, value) in candidates {
        match value {
            None => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => user = user.or_else(|| Some(text.clone())),
            Some(other) => return Err(RequestError::wrong_type(param, "a string", other)),
        }
    }
    Ok(user)
}
