//! Answers, events and errors in the API's shape.

use crate::error_body::ErrorBody;
use crate::facts::{Finish, Usage};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A whole answer, or the beginning of a streamed one.
#[derive(Debug, Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) id: &'a str,
    pub(crate) r#type: &'static str,
    pub(crate) role: &'static str,
    pub(crate) model: &'a str,
    pub(crate) content: Vec<AnswerBlock<'a>>,
    pub(crate) stop_reason: Option<StopReason>,
    /// Which stop sequence it met: chat completions do not say.
    pub(crate) stop_sequence: (),
    pub(crate) usage: UsageShape,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum AnswerBlock<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    ToolUse { id: String, name: &'a str, input: &'a RawValue },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StopReason {
    EndTurn,
    MaxTokens,
    ToolUse,
    Refusal,
}

impl StopReason {
    /// The reason of an answer; several servers say `stop` where they call a tool.
    pub(crate) fn of(finish: Option<&Finish>, has_calls: bool) -> StopReason {
        match finish {
            Some(Finish::Length) => StopReason::MaxTokens,
            Some(Finish::ContentFilter) => StopReason::Refusal,
            Some(Finish::Stop | Finish::ToolCalls | Finish::Error | Finish::Other(_)) | None => {
                if has_calls {
                    StopReason::ToolUse
                } else {
                    StopReason::EndTurn
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct UsageShape {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl UsageShape {
    pub(crate) fn of(usage: Usage) -> UsageShape {
        let Usage { tokens_in, tokens_out, cache_read_in, cache_write_in, reasoning_out, .. } =
            usage;
        UsageShape {
            input_tokens: tokens_in.saturating_sub(cache_read_in.saturating_add(cache_write_in)),
            cache_creation_input_tokens: cache_write_in,
            cache_read_input_tokens: cache_read_in,
            output_tokens: tokens_out,
            output_tokens_details: OutputDetails { thinking_tokens: reasoning_out },
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum EventShape<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: u64, content_block: AnswerBlock<'a> },
    ContentBlockDelta { index: u64, delta: Delta<'a> },
    ContentBlockStop { index: u64 },
    MessageDelta { delta: MessageDelta, usage: UsageShape },
    MessageStop,
    Ping,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Debug, Serialize)]
pub(crate) struct MessageDelta {
    stop_reason: StopReason,
    stop_sequence: (),
}

impl EventShape<'_> {
    pub(crate) fn message_delta(stop_reason: StopReason, usage: UsageShape) -> Self {
        let delta = MessageDelta { stop_reason, stop_sequence: () };
        EventShape::MessageDelta { delta, usage }
    }

    /// The `event` field, which repeats the type.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            EventShape::MessageStart { .. } => "message_start",
            EventShape::ContentBlockStart { .. } => "content_block_start",
            EventShape::ContentBlockDelta { .. } => "content_block_delta",
            EventShape::ContentBlockStop { .. } => "content_block_stop",
            EventShape::MessageDelta { .. } => "message_delta",
            EventShape::MessageStop => "message_stop",
            EventShape::Ping => "ping",
        }
    }
}

/// Writes `{"type": "error", "error": {"type", "message", …}, "request_id"}`: the body of an error,
/// and the data of an `error` event. The type follows from the status, as in the API's own errors.
pub fn write_error(error: &ErrorBody<'_>) -> Vec<u8> {
    let ErrorBody { status, message, param, code, trace_id, retry_after_s: _ } = error;
    let mut inner = Map::new();
    inner.insert("type".to_owned(), error_type(*status).into());
    inner.insert("message".to_owned(), (*message).into());
    inner.insert("code".to_owned(), (*code).into());
    if let Some(param) = param {
        inner.insert("param".to_owned(), (*param).into());
    }
    let request_id = trace_id.map_or(Value::Null, Value::from);
    json!({ "type": "error", "error": inner, "request_id": request_id }).to_string().into_bytes()
}

fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}
