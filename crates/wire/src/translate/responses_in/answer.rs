//! Whole answers, and the shape of items that streams share.

use super::Echo;
use crate::facts::{Finish, Usage};
use crate::openai_chat::read_answer;
use crate::problem::AnswerProblem;
use serde_json::{Map, Value, json};

/// Translates a whole chat completion into a response of this id; `created` is when it came,
/// seconds since the epoch.
///
/// # Errors
/// [`AnswerProblem`]: what it is instead, or why it cannot be said in the other API.
pub fn answer(body: &[u8], id: &str, created: u64, echo: &Echo) -> Result<Vec<u8>, AnswerProblem> {
    let facts = read_answer(body)?;
    if facts.text_cut {
        return Err(AnswerProblem::Untranslatable("it has more text than is read of an answer"));
    }
    let mut output = Vec::new();
    let finish = facts.finish();
    let status = Status::of(finish);
    if let Some(choice) = facts.choices.first() {
        if !choice.reasoning.is_empty() {
            output.push(reasoning(&item_id("rs", id, output.len()), &choice.reasoning));
        }
        for part in [text_part(&choice.text), refusal_part(&choice.refusal)].into_iter().flatten() {
            output.push(message(&item_id("msg", id, output.len()), status, vec![part]));
        }
        for call in &choice.tool_calls {
            let item = item_id("fc", id, output.len());
            let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
            output.push(function_call(&item, call.id(), &call.name, arguments, status));
        }
    }
    let head = Head { id, created, model: facts.model.as_deref().unwrap_or_default(), echo };
    Ok(head.response(status, output, finish, facts.usage).to_string().into_bytes())
}

/// How far a response, or an item of it, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    pub(super) fn of(finish: Option<&Finish>) -> Status {
        match finish {
            Some(Finish::Length | Finish::ContentFilter) => Status::Incomplete,
            Some(Finish::Stop | Finish::ToolCalls | Finish::Error | Finish::Other(_)) | None => {
                Status::Completed
            }
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete => "incomplete",
        }
    }
}

/// What all states of a response share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) id: &'a str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) echo: &'a Echo,
}

impl Head<'_> {
    /// The response in a state.
    pub(super) fn response(
        &self,
        status: Status,
        output: Vec<Value>,
        finish: Option<&Finish>,
        usage: Option<Usage>,
    ) -> Value {
        let reason = match finish {
            Some(Finish::Length) => json!({ "reason": "max_output_tokens" }),
            Some(Finish::ContentFilter) => json!({ "reason": "content_filter" }),
            Some(Finish::Stop | Finish::ToolCalls | Finish::Error | Finish::Other(_)) | None => {
                Value::Null
            }
        };
        let mut response = Map::new();
        let mut put = |key: &str, value: Value| drop(response.insert(key.to_owned(), value));
        put("id", self.id.into());
        put("object", "response".into());
        put("created_at", self.created.into());
        put("status", status.as_str().into());
        put("error", Value::Null);
        put("incomplete_details", reason);
        // What the request did not say is as if it had.
        put("instructions", Value::Null);
        put("metadata", json!({}));
        put("parallel_tool_calls", true.into());
        put("tool_choice", "auto".into());
        put("tools", json!([]));
        put("text", json!({ "format": { "type": "text" } }));
        put("temperature", Value::Null);
        put("top_p", Value::Null);
        for (key, value) in &self.echo.0 {
            if !value.is_null() {
                put(key, value.clone());
            }
        }
        put("previous_response_id", Value::Null);
        put("store", false.into());
        put("truncation", "disabled".into());
        put("model", self.model.into());
        put("output", output.into());
        put("usage", usage.map_or(Value::Null, usage_shape));
        Value::Object(response)
    }
}

fn usage_shape(usage: Usage) -> Value {
    let Usage { tokens_in, tokens_out, cache_read_in, cache_write_in, reasoning_out, .. } = usage;
    json!({
        "input_tokens": tokens_in,
        "input_tokens_details": {
            "cached_tokens": cache_read_in,
            "cache_write_tokens": cache_write_in,
        },
        "output_tokens": tokens_out,
        "output_tokens_details": { "reasoning_tokens": reasoning_out },
        "total_tokens": tokens_in.saturating_add(tokens_out),
    })
}

/// The id of an item, by its place.
pub(super) fn item_id(kind: &str, response: &str, place: usize) -> String {
    format!("{kind}_{response}_{place}")
}

pub(super) fn text_part(text: &str) -> Option<Value> {
    let part = || json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    (!text.is_empty()).then(part)
}

pub(super) fn refusal_part(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({ "type": "refusal", "refusal": text }))
}

pub(super) fn message(id: &str, status: Status, content: Vec<Value>) -> Value {
    json!({
        "id": id,
        "type": "message",
        "status": status.as_str(),
        "role": "assistant",
        "content": content,
    })
}

pub(super) fn reasoning(id: &str, text: &str) -> Value {
    let content: Vec<Value> = (!text.is_empty())
        .then(|| json!({ "type": "reasoning_text", "text": text }))
        .into_iter()
        .collect();
    json!({ "id": id, "type": "reasoning", "summary": [], "content": content })
}

pub(super) fn function_call(
    id: &str,
    call_id: Option<&str>,
    name: &str,
    arguments: &str,
    status: Status,
) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status.as_str(),
        // Results name it: where the server gives none, the item's serves.
        "call_id": call_id.unwrap_or(id),
        "name": name,
        "arguments": arguments,
    })
}
