//! Answers and errors in the API's shape.

use crate::error_body::ErrorBody;
use crate::facts::{Finish, Usage};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A whole answer, or an event of a streamed one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Generated<'a> {
    pub(crate) candidates: [Candidate<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_metadata: Option<UsageShape>,
    pub(crate) model_version: &'a str,
    pub(crate) response_id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate<'a> {
    pub(crate) content: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) index: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Said<'a> {
    pub(crate) parts: Vec<SaidPart<'a>>,
    pub(crate) role: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum SaidPart<'a> {
    Text { text: &'a str },
    Thought { text: &'a str, thought: bool },
    Call { function_call: CallShape<'a> },
}

#[derive(Debug, Serialize)]
pub(crate) struct CallShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) args: &'a RawValue,
}

impl<'a> Generated<'a> {
    pub(crate) fn new(id: &'a str, model: &'a str, parts: Vec<SaidPart<'a>>) -> Generated<'a> {
        let content = Said { parts, role: "model" };
        let candidate = Candidate { content, finish_reason: None, index: 0 };
        Generated {
            candidates: [candidate],
            usage_metadata: None,
            model_version: model,
            response_id: id,
        }
    }

    /// The same with its end.
    pub(crate) fn ended(mut self, finish: Option<&Finish>, usage: Option<Usage>) -> Self {
        let [candidate] = &mut self.candidates;
        candidate.finish_reason = Some(finish_reason(finish));
        self.usage_metadata = usage.map(UsageShape::of);
        self
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Why an answer ended; the API says `STOP` where a tool is called.
fn finish_reason(finish: Option<&Finish>) -> &'static str {
    match finish {
        None | Some(Finish::Stop | Finish::ToolCalls) => "STOP",
        Some(Finish::Length) => "MAX_TOKENS",
        Some(Finish::ContentFilter) => "SAFETY",
        Some(Finish::Error | Finish::Other(_)) => "OTHER",
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageShape {
    prompt_token_count: u64,
    candidates_token_count: u64,
    total_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cached_content_token_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl UsageShape {
    fn of(usage: Usage) -> UsageShape {
        let Usage { tokens_in, tokens_out, cache_read_in, reasoning_out, .. } = usage;
        let thoughts = reasoning_out.min(tokens_out);
        UsageShape {
            prompt_token_count: tokens_in,
            candidates_token_count: tokens_out - thoughts,
            total_token_count: tokens_in.saturating_add(tokens_out),
            cached_content_token_count: cache_read_in,
            thoughts_token_count: thoughts,
        }
    }
}

/// Writes `{"error": {"code", "message", "status", "details"}}`: the body of an error, and the last
/// event of a stream that breaks. Tidegate's own code and the member at fault are in the details,
/// as Google has them.
pub fn write_error(error: &ErrorBody<'_>) -> Vec<u8> {
    let ErrorBody { status, message, param, code, trace_id, retry_after_s } = error;
    let mut metadata = Map::new();
    for (key, value) in [("param", param), ("trace_id", trace_id)] {
        metadata.extend(value.map(|value| (key.to_owned(), Value::from(value))));
    }
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code,
        "domain": "tidegate",
        "metadata": metadata,
    })];
    details.extend(retry_after_s.map(|seconds| {
        json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{seconds}s"),
        })
    }));
    let word = status_word(*status);
    let error = json!({ "code": status, "message": message, "status": word, "details": details });
    json!({ "error": error }).to_string().into_bytes()
}

fn status_word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        502 | 503 => "UNAVAILABLE",
        400..500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
