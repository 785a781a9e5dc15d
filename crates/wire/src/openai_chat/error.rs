//! The error envelope.

use serde_json::{Map, Value, json};

/// What an error says to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBody<'a> {
    /// What was given and what is allowed; no secret, no prompt.
    pub message: &'a str,
    /// `type`.
    pub kind: &'a str,
    /// The member of the request at fault.
    pub param: Option<&'a str>,
    /// `code`.
    pub code: &'a str,
    /// The request's trace id, by which its record is found.
    pub trace_id: Option<&'a str>,
}

/// Writes `{"error": {"message", "type", "param", "code"}}`, and `trace_id` in it where there is
/// one: inside, since the OpenAI SDKs hand out the inner object.
pub fn write_error(error: &ErrorBody<'_>) -> Vec<u8> {
    let ErrorBody { message, kind, param, code, trace_id } = error;
    let mut inner = Map::new();
    inner.insert("message".to_owned(), (*message).into());
    inner.insert("type".to_owned(), (*kind).into());
    inner.insert("param".to_owned(), param.map_or(Value::Null, Value::from));
    inner.insert("code".to_owned(), (*code).into());
    if let Some(trace_id) = trace_id {
        inner.insert("trace_id".to_owned(), (*trace_id).into());
    }
    json!({ "error": inner }).to_string().into_bytes()
}
