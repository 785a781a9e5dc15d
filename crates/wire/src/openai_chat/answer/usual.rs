//! The usual form of an answer, read in one pass: text, why it ended, tokens.
//!
//! Whatever is not of that form – tool calls, lists of parts, errors, a value of another type, a
//! member given twice, half of a surrogate pair – gives `None`, and is read by the reader that
//! takes everything. That reader goes over each text four times, which is most of what reading an
//! answer costs. What this one gives is the same, which a test holds.

use super::TOKENS_MAX;
use crate::facts::{ChoicePiece, Finish, Piece, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An answer or a chunk with the members that say something; any other may be there too.
#[derive(Deserialize)]
struct Usual {
    object: Option<String>,
    error: Option<IgnoredAny>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    error: Option<IgnoredAny>,
    message: Option<Message>,
    delta: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    audio: Option<IgnoredAny>,
    tool_calls: Option<Vec<IgnoredAny>>,
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// A whole answer of the usual form.
pub(super) fn answer(body: &[u8]) -> Option<Piece> {
    let usual = Usual::of(body)?;
    let choices = usual.choices?;
    if choices.is_empty() {
        return None;
    }
    let pieces = (0..).zip(choices).map(|(index, choice)| {
        let Choice { index: _, error, message, delta: _, finish_reason } = choice;
        piece(index, error, message?, finish_reason)
    });
    Some(Piece {
        choices: pieces.collect::<Option<_>>()?,
        usage: usual.usage.and_then(Tokens::read),
        model: filled(usual.model),
    })
}

/// A chunk of the usual form.
pub(super) fn chunk(data: &[u8]) -> Option<Piece> {
    let usual = Usual::of(data)?;
    let choices = usual.choices.unwrap_or_default();
    let pieces = (0..).zip(choices).map(|(place, choice)| {
        let Choice { index, error, message, delta, finish_reason } = choice;
        piece(index.unwrap_or(place), error, delta.or(message)?, finish_reason)
    });
    Some(Piece {
        choices: pieces.collect::<Option<_>>()?,
        usage: usual.usage.and_then(Tokens::read),
        model: filled(usual.model),
    })
}

impl Usual {
    fn of(body: &[u8]) -> Option<Usual> {
        // Members that are skipped are not looked at by serde_json, so the bytes are before.
        let usual: Usual = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
        let is_error = usual.error.is_some() || usual.object.as_deref() == Some("error");
        (!is_error).then_some(usual)
    }
}

impl Tokens {
    fn read(self) -> Option<Usage> {
        let count = |given: Option<u64>| given.filter(|count| *count <= TOKENS_MAX);
        let tokens_in = count(self.prompt_tokens)?;
        Some(Usage { tokens_in, tokens_out: count(self.completion_tokens)? })
    }
}

fn piece(
    index: u64,
    error: Option<IgnoredAny>,
    message: Message,
    finish_reason: Option<String>,
) -> Option<ChoicePiece> {
    let Message {
        content,
        reasoning_content,
        reasoning,
        refusal,
        audio,
        tool_calls,
        function_call,
    } = message;
    let says_more = error.is_some()
        || audio.is_some()
        || function_call.is_some()
        || tool_calls.is_some_and(|calls| !calls.is_empty());
    let finish = finish_reason.as_deref().and_then(Finish::parse);
    if says_more || finish == Some(Finish::Error) {
        return None;
    }
    Some(ChoicePiece {
        index,
        text: content.unwrap_or_default(),
        reasoning: filled(reasoning_content).or(reasoning).unwrap_or_default(),
        refusal: refusal.unwrap_or_default(),
        calls: Vec::new(),
        finish,
    })
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
