//! What the API's answers hold. A stream's events are answers as well, each with what is new and
//! with the tokens so far.

use super::error::{error_facts, error_of};
use crate::facts::{Finish, TOKENS_MAX, Tier, Usage};
use crate::members::{Members, list};
use crate::problem::{AnswerProblem, ErrorFacts, members_of};
use serde_json::value::RawValue;

/// An answer, or an event of a stream.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    /// The parts of the first candidate.
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) finish: Option<Finish>,
    /// Why the prompt was refused, where the server explains it.
    pub(crate) refusal: Option<String>,
    pub(crate) usage: Option<Usage>,
    /// Whether there is a candidate, or a reason why there is none.
    pub(crate) is_answer: bool,
}

#[derive(Debug)]
pub(crate) enum Part<'a> {
    Text(String),
    Thought(String),
    Call {
        id: Option<String>,
        name: String,
        args: Option<&'a RawValue>,
        /// To be sent back with the call.
        signature: Option<String>,
    },
    /// What a translated request cannot ask for: pictures, code that the server ran.
    Other,
}

impl<'a> Part<'a> {
    fn of(raw: &'a RawValue) -> Part<'a> {
        let part = Members::of(raw).unwrap_or_default();
        if let Some(call) = part.get("functionCall") {
            let call = Members::of(call).unwrap_or_default();
            return Part::Call {
                id: call.text("id"),
                name: call.text("name").unwrap_or_default(),
                args: call.get("args"),
                signature: part.text("thoughtSignature"),
            };
        }
        match part.text("text") {
            Some(text) if part.get("thought").is_some_and(|raw| raw.get() == "true") => {
                Part::Thought(text)
            }
            Some(text) => Part::Text(text),
            None => Part::Other,
        }
    }
}

/// Reads an answer or an event.
///
/// # Errors
/// [`AnswerProblem`] when it is not a JSON object or is an error, also as a reason to end.
pub(crate) fn read_answer(body: &[u8]) -> Result<Answer<'_>, AnswerProblem> {
    // Errors come in a list where answers would.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(AnswerProblem::Error(error_facts(body)));
    }
    let answer = members_of(body)?;
    if answer.get("error").is_some() {
        return Err(AnswerProblem::Error(error_of(&answer)));
    }
    let candidates = answer.list("candidates");
    let candidate = candidates.first().and_then(|raw| Members::of(raw));
    let feedback = answer.object("promptFeedback");
    let blocked = feedback.as_ref().and_then(|feedback| feedback.text("blockReason"));
    let is_answer = candidate.is_some() || blocked.is_some();
    let candidate = candidate.unwrap_or_default();
    let content = candidate.object("content").unwrap_or_default();
    let parts = content.get("parts").and_then(list).unwrap_or_default();
    let message = candidate.text("finishMessage");
    let finish = candidate.text("finishReason").map(|reason| finish_of(&reason, message));
    let refusal = feedback.and_then(|feedback| feedback.text("blockReasonMessage"));
    Ok(Answer {
        id: answer.text("responseId"),
        model: answer.text("modelVersion"),
        parts: parts.into_iter().map(Part::of).collect(),
        finish: finish.transpose()?.flatten().or(blocked.map(|_| Finish::ContentFilter)),
        refusal,
        usage: usage_of(&answer),
        is_answer,
    })
}

/// Tokens in the common form. The prompt's count includes what was read from a cache; what tools
/// brought and what was thought are counted apart.
fn usage_of(answer: &Members<'_>) -> Option<Usage> {
    let usage = answer.object("usageMetadata")?;
    let count = |key| usage.number(key).filter(|count| *count <= TOKENS_MAX);
    let prompt = count("promptTokenCount")?;
    let tools = count("toolUsePromptTokenCount").unwrap_or(0);
    let thoughts = count("thoughtsTokenCount").unwrap_or(0);
    let audio = |key| {
        let parts = usage.list(key).into_iter().filter_map(Members::of);
        let sound = parts.filter(|part| part.text("modality").as_deref() == Some("AUDIO"));
        let counts = sound.filter_map(|part| part.number("tokenCount"));
        counts.filter(|count| *count <= TOKENS_MAX).fold(0, u64::saturating_add)
    };
    Some(Usage {
        tokens_in: prompt + tools,
        tokens_out: count("candidatesTokenCount").unwrap_or(0) + thoughts,
        cache_read_in: count("cachedContentTokenCount").unwrap_or(0).min(prompt),
        cache_write_in: 0,
        reasoning_out: thoughts,
        cache_hour_in: 0,
        audio_in: audio("promptTokensDetails").min(prompt),
        audio_out: audio("candidatesTokensDetails"),
        tier: usage.text("trafficType").map(|tier| Tier::parse(&tier)).unwrap_or_default(),
    })
}

/// A `finishReason` in the common form; those that say that the model failed are errors.
fn finish_of(reason: &str, message: Option<String>) -> Result<Option<Finish>, AnswerProblem> {
    Ok(Some(match reason {
        "FINISH_REASON_UNSPECIFIED" => return Ok(None),
        "STOP" => Finish::Stop,
        "MAX_TOKENS" | "CONTINUATION" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE" => {
            let code = Some(reason.to_ascii_lowercase());
            let facts = ErrorFacts { code, message, ..ErrorFacts::default() };
            return Err(AnswerProblem::Error(facts));
        }
        other => Finish::Other(other.to_ascii_lowercase().chars().take(64).collect()),
    }))
}
