//! The dialect of OpenAI's older completions: a prompt, and texts that go on with it. It goes on in
//! the same dialect; nothing is translated.
//!
//! A prompt in tokens is refused: nothing could look at it.

use crate::facts::{AnswerFacts, ChoicePiece, Piece};
use crate::members::{Members, list};
use crate::openai_chat::{answer_members, envelope, finish_of, others, read_members};
use crate::problem::AnswerProblem;
use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Most prompts of one request: OpenAI's API has 2,048 inputs at once.
const PROMPTS_MAX: usize = 2_048;
/// Members of a choice that are read, or repeat what is.
const CHOICE: [&str; 5] = ["index", "text", "finish_reason", "logprobs", "error"];

/// A completion request: its body, and what the gateway reads of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// Every member as the client sent it, known or not.
    pub body: Map<String, Value>,
    /// `model`; `None` when absent or null.
    pub model: Option<String>,
    /// `stream`.
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// Who the request is for, as of a chat completion.
    pub user: Option<String>,
    /// The prompts, one or several.
    pub prompts: Vec<String>,
    /// Their length, in characters.
    pub input_chars: u64,
}

/// Reads and checks a completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub fn read_request(bytes: &[u8]) -> Result<CompletionRequest, RequestError> {
    let body = parse_json_object(bytes)?;
    let read = read_members(&body)?;
    let prompts = prompts(&body)?;
    let input_chars = prompts.iter().map(|prompt| prompt.chars().count() as u64).sum();
    let crate::openai_chat::CommonMembers { model, stream, include_usage, user } = read;
    Ok(CompletionRequest { model, stream, include_usage, user, prompts, input_chars, body })
}

fn prompts(body: &Map<String, Value>) -> Result<Vec<String>, RequestError> {
    const EXPECTED: &str = "a string or a list of strings";
    let items = match body.get("prompt") {
        None | Some(Value::Null) => return Err(RequestError::missing("prompt", EXPECTED)),
        Some(Value::String(prompt)) => return Ok(vec![prompt.clone()]),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(RequestError::wrong_type("prompt", EXPECTED, other)),
    };
    if items.is_empty() || items.len() > PROMPTS_MAX {
        return Err(RequestError::bad_value("prompt", "1 to 2048 prompts are allowed"));
    }
    let text = |(i, item): (usize, &Value)| match item {
        Value::String(prompt) => Ok(prompt.clone()),
        Value::Number(_) | Value::Array(_) => Err(RequestError::bad_value(
            format!("prompt[{i}]"),
            "text is allowed: tokens cannot be looked at",
        )),
        other => Err(RequestError::wrong_type(format!("prompt[{i}]"), "a string", other)),
    };
    items.iter().enumerate().map(text).collect()
}

/// Reads a whole answer, a `text_completion`.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn read_answer(body: &[u8]) -> Result<AnswerFacts, AnswerProblem> {
    let piece = read_chunk(body)?;
    if piece.choices.is_empty() {
        return Err(AnswerProblem::NoChoices);
    }
    let mut facts = AnswerFacts::default();
    facts.push(piece)?;
    Ok(facts)
}

/// Reads the data of one server-sent event. One without choices is no problem: the last one brings
/// the usage.
///
/// # Errors
/// [`AnswerProblem`] when it is not JSON or is an error, also inside a choice.
pub fn read_chunk(data: &[u8]) -> Result<Piece, AnswerProblem> {
    let answer = answer_members(data)?;
    let mut piece = envelope(&answer);
    let choices =
        answer.get("choices").map(|choices| list(choices).ok_or(AnswerProblem::NoChoices));
    for (place, choice) in (0..).zip(choices.transpose()?.unwrap_or_default()) {
        let Some(choice) = Members::of(choice) else { continue };
        let finish = finish_of(&choice)?;
        piece.choices.push(ChoicePiece {
            index: choice.number("index").unwrap_or(place),
            text: choice.text("text").unwrap_or_default(),
            finish,
            other: others(&choice, &CHOICE),
            ..ChoicePiece::default()
        });
    }
    Ok(piece)
}
