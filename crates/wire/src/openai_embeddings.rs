//! The dialect of OpenAI's embeddings: texts become vectors. It goes on in the same dialect.
//!
//! Inputs in tokens are let in, as several clients send nothing else: an embedding is no answer to
//! a user, so that nothing has to be looked at in it. They are up to 300,000 numbers, so that they
//! are not read into values, but stay as they are written.

use crate::facts::TOKENS_MAX;
use crate::facts::Usage;
use crate::members::Members;
use crate::openai_chat::{answer_members, read_members};
use crate::problem::AnswerProblem;
use crate::request_error::RequestError;
use crate::strict_json::{self, parse_json_object};
use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::ops::Range;

#[cfg(test)]
mod tests;

/// Most inputs of one request, as in OpenAI's API.
pub const INPUTS_MAX: usize = 2_048;

/// An embedding request: its body, and what the gateway reads of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// Every member as the client sent it, known or not; `input` is null where it is tokens.
    pub body: Map<String, Value>,
    /// An `input` that is nothing but tokens.
    pub tokens: Option<Tokens>,
    /// `model`; `None` when absent or null.
    pub model: Option<String>,
    /// Who the request is for, as of a chat completion.
    pub user: Option<String>,
    /// How many inputs there are, 1 to [`INPUTS_MAX`].
    pub inputs: usize,
    /// Length of those that are texts, in characters.
    pub input_chars: u64,
    /// Length of those that are tokens, in tokens.
    pub input_tokens: u64,
}

/// Reads and checks an embedding request.
///
/// # Errors
/// [`RequestError`], which names the member at fault and what is allowed there.
pub fn read_request(bytes: &[u8]) -> Result<EmbeddingRequest, RequestError> {
    let tokens = Tokens::of(bytes);
    let body = parse_json_object(tokens.as_ref().map_or(bytes, |tokens| &tokens.rest))?;
    let crate::openai_chat::CommonMembers { model, stream, include_usage: _, user } =
        read_members(&body)?;
    if stream {
        return Err(RequestError::bad_value("stream", "embeddings are not streamed"));
    }
    let read = match &tokens {
        Some(tokens) => Inputs { inputs: tokens.inputs, chars: 0, tokens: tokens.count },
        None => inputs(&body)?,
    };
    let Inputs { inputs, chars: input_chars, tokens: input_tokens } = read;
    Ok(EmbeddingRequest { body, tokens, model, user, inputs, input_chars, input_tokens })
}

/// Memory that a request takes once it is read beside its text, bytes; see
/// [`tree_bytes`](crate::tree_bytes).
pub fn tree_bytes(text: &[u8]) -> usize {
    match Tokens::of(text) {
        Some(tokens) => tokens.rest.len() + strict_json::tree_bytes(&tokens.rest),
        None => strict_json::tree_bytes(text),
    }
}

/// An `input` that is nothing but tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Where it is in the text.
    pub at: Range<usize>,
    /// The text with null in its place.
    pub rest: Vec<u8>,
    inputs: usize,
    count: u64,
}

impl Tokens {
    /// `None` also where the text is not JSON, or `input` is there twice: that is found by whoever
    /// reads the rest.
    fn of(text: &[u8]) -> Option<Tokens> {
        let members: Members<'_> = serde_json::from_slice(text).ok()?;
        let input = members.get("input")?.get();
        let is_of_tokens =
            |byte| matches!(byte, b'0'..=b'9' | b',' | b'[' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        if !input.bytes().all(is_of_tokens) {
            return None;
        }
        let (inputs, count) = match serde_json::from_str::<Vec<Token>>(input) {
            Ok(tokens) => (1, tokens.len()),
            Err(_) => {
                let lists: Vec<Vec<Token>> = serde_json::from_str(input).ok()?;
                let is_sound = lists.len() <= INPUTS_MAX && lists.iter().all(|l| !l.is_empty());
                (lists.len(), is_sound.then(|| lists.iter().map(Vec::len).sum())?)
            }
        };
        let start = input.as_ptr().addr() - text.as_ptr().addr();
        let at = start..start + input.len();
        let rest = [&text[..at.start], b"null", &text[at.end..]].concat();
        (count > 0).then_some(Tokens { at, rest, inputs, count: count as u64 })
    }
}

/// A token, of which only that it is one is read: a list of them takes no memory.
struct Token;

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
        u64::deserialize(deserializer).map(|_| Token)
    }
}

#[derive(Default)]
struct Inputs {
    inputs: usize,
    chars: u64,
    tokens: u64,
}

fn inputs(body: &Map<String, Value>) -> Result<Inputs, RequestError> {
    const EXPECTED: &str = "a string, or a list of strings or tokens";
    const EMPTY: &str = "it must not be empty";
    let items = match body.get("input") {
        None | Some(Value::Null) => return Err(RequestError::missing("input", EXPECTED)),
        Some(Value::String(text)) if text.is_empty() => {
            return Err(RequestError::bad_value("input", EMPTY));
        }
        Some(Value::String(text)) => {
            return Ok(Inputs { inputs: 1, chars: text.chars().count() as u64, tokens: 0 });
        }
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(RequestError::bad_value("input", EMPTY));
        }
        Some(Value::Array(items)) => items,
        Some(other) => return Err(RequestError::wrong_type("input", EXPECTED, other)),
    };
    if items.iter().all(is_token) {
        return Ok(Inputs { inputs: 1, chars: 0, tokens: items.len() as u64 });
    }
    if items.len() > INPUTS_MAX {
        return Err(RequestError::bad_value("input", "at most 2048 inputs are allowed"));
    }
    let mut read = Inputs { inputs: items.len(), ..Inputs::default() };
    for (i, item) in items.iter().enumerate() {
        match item {
            Value::String(text) if !text.is_empty() => read.chars += text.chars().count() as u64,
            Value::Array(tokens) if !tokens.is_empty() && tokens.iter().all(is_token) => {
                read.tokens += tokens.len() as u64;
            }
            Value::String(_) => {
                return Err(RequestError::bad_value(format!("input[{i}]"), EMPTY));
            }
            other => {
                let expected = "a string or a list of tokens";
                return Err(RequestError::wrong_type(format!("input[{i}]"), expected, other));
            }
        }
    }
    Ok(read)
}

/// A whole number from 0 up, however it is written: `5.0` is one in JSON Schema.
fn is_token(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number >= 0.0 && number.fract() == 0.0)
}

/// What an answer is, apart from its vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingFacts {
    /// How many vectors there are.
    pub vectors: usize,
    /// `model` as the server names itself.
    pub model: Option<String>,
    /// Tokens of the inputs; there are none of an answer. `None` where the server reported none.
    pub usage: Option<Usage>,
}

/// Reads an answer.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn read_answer(body: &[u8]) -> Result<EmbeddingFacts, AnswerProblem> {
    let answer = answer_members(body)?;
    let vectors = answer.list("data").len();
    if vectors == 0 {
        return Err(AnswerProblem::NoContent);
    }
    let usage = answer.object("usage").and_then(|usage| usage.number("prompt_tokens"));
    let usage = usage.filter(|tokens_in| *tokens_in <= TOKENS_MAX);
    let usage = usage.map(|tokens_in| Usage { tokens_in, ..Usage::default() });
    Ok(EmbeddingFacts { vectors, model: answer.text("model"), usage })
}
