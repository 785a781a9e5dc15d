//! A request that goes on in its own dialect: what of it must be understood to serve it, and the
//! edits that a version set makes. Everything else stays as the client sent it: what the model
//! server can do with it is the model server's.

use crate::openai_chat::{
    CLOSED_MEMBERS, MODEL_MAX, Template, USER_TEXT_MAX, WrapError, wrap_last_user as wrap,
};
use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// A request of the Messages API.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagesRequest {
    /// Every member as the client sent it, known or not.
    pub body: Map<String, Value>,
    /// `model`.
    pub model: String,
    /// `stream`.
    pub stream: bool,
    /// `metadata.user_id`, as the client sent it.
    pub user: Option<String>,
    /// Text of the last turn in which a user says something, its blocks joined by line ends, its
    /// first [`USER_TEXT_MAX`] characters; empty when there is none. A turn that only has results
    /// of tools says nothing.
    pub last_user_text: String,
    /// Length of the text of all messages, results of tools with it, in characters.
    pub input_chars: u64,
}

/// Reads and checks a request.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub fn read_request(bytes: &[u8]) -> Result<MessagesRequest, RequestError> {
    let body = parse_json_object(bytes)?;
    let closed = |key: &&String| CLOSED_MEMBERS.iter().any(|name| name.eq_ignore_ascii_case(key));
    if let Some(param) = body.keys().find(closed) {
        return Err(RequestError::Closed { param: param.clone() });
    }
    let model = match body.get("model") {
        None => return Err(RequestError::missing("model", "a string")),
        Some(Value::String(model)) if (1..=MODEL_MAX).contains(&model.chars().count()) => {
            model.clone()
        }
        Some(Value::String(_)) => {
            return Err(RequestError::bad_value("model", "1 to 256 characters are allowed"));
        }
        Some(other) => return Err(RequestError::wrong_type("model", "a string", other)),
    };
    read_max_tokens(&body)?;
    let (last_user_text, input_chars) = read_messages(&body)?;
    let stream = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(stream)) => *stream,
        Some(other) => return Err(RequestError::wrong_type("stream", "a boolean", other)),
    };
    let user = read_user(&body)?;
    Ok(MessagesRequest { model, stream, user, last_user_text, input_chars, body })
}

fn read_max_tokens(body: &Map<String, Value>) -> Result<(), RequestError> {
    match body.get("max_tokens") {
        Some(Value::Number(number)) if number.as_u64().is_some() => Ok(()),
        Some(Value::Number(_)) => {
            Err(RequestError::bad_value("max_tokens", "an integer from 0 up is allowed"))
        }
        Some(other) => Err(RequestError::wrong_type("max_tokens", "an integer", other)),
        None => Err(RequestError::missing("max_tokens", "an integer")),
    }
}

fn read_messages(body: &Map<String, Value>) -> Result<(String, u64), RequestError> {
    const EXPECTED: &str = "a list of at least one message";
    let messages = match body.get("messages") {
        None => return Err(RequestError::missing("messages", EXPECTED)),
        Some(Value::Array(messages)) if messages.is_empty() => {
            return Err(RequestError::bad_value("messages", "at least one message is needed"));
        }
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(RequestError::wrong_type("messages", EXPECTED, other)),
    };
    let (mut last_user_text, mut input_chars) = (String::new(), 0);
    for (i, message) in messages.iter().enumerate() {
        let Value::Object(members) = message else {
            return Err(RequestError::wrong_type(format!("messages[{i}]"), "an object", message));
        };
        let role = match members.get("role") {
            Some(Value::String(role)) if !role.is_empty() => role,
            Some(Value::String(_)) | None => {
                return Err(RequestError::missing(format!("messages[{i}].role"), "a string"));
            }
            Some(other) => {
                let param = format!("messages[{i}].role");
                return Err(RequestError::wrong_type(param, "a string", other));
            }
        };
        let content = match members.get("content") {
            Some(content @ (Value::String(_) | Value::Array(_))) => content,
            Some(other) => {
                let (param, expected) =
                    (format!("messages[{i}].content"), "a string or a list of blocks");
                return Err(RequestError::wrong_type(param, expected, other));
            }
            None => {
                let param = format!("messages[{i}].content");
                return Err(RequestError::missing(param, "a string or a list of blocks"));
            }
        };
        let said = own_text(content);
        input_chars += (said.chars().count() + results_chars(content)) as u64;
        if role == "user" && !said.is_empty() {
            last_user_text = said.chars().take(USER_TEXT_MAX).collect();
        }
    }
    Ok((last_user_text, input_chars))
}

/// What a turn says itself.
fn own_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// How long the texts of the results of tools in a turn are, in characters.
fn results_chars(content: &Value) -> usize {
    let blocks = content.as_array().into_iter().flatten();
    let results = blocks.filter_map(|block| block.get("content"));
    results.map(|content| own_text(content).chars().count()).sum()
}

fn read_user(body: &Map<String, Value>) -> Result<Option<String>, RequestError> {
    match body.get("metadata") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(metadata)) => match metadata.get("user_id") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(user)) => Ok(Some(user.clone()).filter(|user| !user.is_empty())),
            Some(other) => Err(RequestError::wrong_type("metadata.user_id", "a string", other)),
        },
        Some(other) => Err(RequestError::wrong_type("metadata", "an object", other)),
    }
}

/// The text of the system prompt; empty for none.
pub fn system_text(body: &Map<String, Value>) -> String {
    body.get("system").map(own_text).unwrap_or_default()
}

/// Puts a system prompt in the place of the one there is. A mark that the model server shall cache
/// what comes before it is kept: without it the client would pay for the whole prompt each time.
pub fn replace_system(body: &mut Map<String, Value>, system: &str) {
    let blocks = body.get("system").and_then(Value::as_array).into_iter().flatten();
    let mark = blocks.filter_map(|block| block.get("cache_control")).next_back().cloned();
    let system = match mark {
        Some(mark) => json!([{ "type": "text", "text": system, "cache_control": mark }]),
        None => system.into(),
    };
    body.insert("system".to_owned(), system);
}

/// Puts the text of the last turn in which a user says something into a template.
///
/// # Errors
/// [`WrapError`]; without such a turn, [`WrapError::NoUserMessage`].
pub fn wrap_last_user<T: Template>(
    messages: &mut [Value],
    template: &T,
) -> Result<(), WrapError<T::Error>> {
    let speaks = |message: &Value| {
        let is_user = message.get("role").and_then(Value::as_str) == Some("user");
        is_user && message.get("content").is_some_and(|content| !own_text(content).is_empty())
    };
    let last = messages.iter().rposition(speaks).ok_or(WrapError::NoUserMessage)?;
    wrap(&mut messages[last..=last], template)
}

/// Bounds the length of the answer that the request asks for, in tokens. A budget of thinking,
/// which is part of it and must be smaller, is bounded with it.
///
/// # Errors
/// The member that is not a whole number.
pub fn bound_length(body: &mut Map<String, Value>, max_tokens: u64) -> Result<(), &'static str> {
    let given = body.get("max_tokens").and_then(Value::as_u64).ok_or("max_tokens")?;
    if given <= max_tokens {
        return Ok(());
    }
    body.insert("max_tokens".to_owned(), max_tokens.into());
    if let Some(budget) = body.get_mut("thinking").and_then(|it| it.get_mut("budget_tokens"))
        && budget.as_u64().is_some_and(|budget| budget >= max_tokens)
    {
        *budget = max_tokens.saturating_sub(1).into();
    }
    Ok(())
}
