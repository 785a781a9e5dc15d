//! Google's Gemini API on the client's side, OpenAI's chat completions on the model server's.
//!
//! What differs, and what is made of it:
//!
//! - The model and whether to stream are in the path, which the caller reads.
//! - Members may be written as Google's clients do (`systemInstruction`) or as its documents do
//!   (`system_instruction`), and a list of one as that one: Google's servers take both.
//! - `systemInstruction` becomes one system message, its parts joined by an empty line.
//! - A call without an id gets one, and a result without one answers the first call of its name
//!   that has none yet. A call's `args` and a result's `response` become JSON in a string,
//!   unchanged to the last digit.
//! - A schema of Google's kind becomes JSON Schema: types in small letters, `nullable` as a type.
//! - Tools are functions only: those that Google runs are refused. Of several allowed functions the
//!   others are not offered.
//! - Filters that are switched off say nothing to a server without them; any other safety setting
//!   is refused, since its reader relies on it.
//! - A turn that the client begins for the model is refused: the model would answer it.
//! - Of an answer, thoughts come where they are asked for. A streamed call comes whole, when its
//!   arguments are complete. The prompt's tokens include those of the cache, and thoughts are
//!   counted apart from the answer's, as in Google's arithmetic.

mod answer;
mod contents;
mod fields;
mod schema;
mod settings;
mod stream;
mod tools;

#[cfg(test)]
mod tests;

pub use answer::answer;
pub use stream::Events;

use super::ChatServer;
use super::node::Object;
use super::warnings::Warnings;
use crate::openai_chat::{ChatRequest, check_request};
use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use fields::Fields;

/// What the path of a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a> {
    /// The model, without `models/`.
    pub model: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

/// A request in the other API's form, read and checked as if a client had sent it so.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it asks.
    pub chat: ChatRequest,
    /// Whether its answer shows what the model thought.
    pub shows_thoughts: bool,
    /// What was left out.
    pub warnings: Warnings,
}

/// Reads a request of the Gemini API and translates it.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(
    bytes: &[u8],
    path: &Path<'_>,
    server: &ChatServer,
) -> Result<Request, RequestError> {
    let body = parse_json_object(bytes)?;
    let mut warnings = Warnings::default();
    let body = Fields(Object::body(&body));
    settings::check_members(&body, path, &mut warnings)?;
    let messages = contents::read(&body, bytes, server, &mut warnings)?;
    let settings::Written { body: translated, shows_thoughts } =
        settings::write(&body, path, messages, server, &mut warnings)?;
    Ok(Request { chat: check_request(translated)?, shows_thoughts, warnings })
}
