//! OpenAI's Responses API on the client's side, chat completions on the model server's. Stateless:
//! nothing is stored, and what needs a store is refused clearly.
//!
//! What differs, and what is made of it:
//!
//! - `instructions` and messages of the system and developer become messages; items become
//!   messages and calls, those of one turn together.
//! - A reasoning item of an earlier answer is left out, or passed on where the model server takes
//!   thoughts; what is encrypted in it is OpenAI's.
//! - Tools are functions only: those that OpenAI runs, and custom ones, are refused.
//! - An answer's thoughts, text, refusal and calls become items in that order, and a stream's
//!   events are those of the API, numbered; the last holds the whole answer.
//! - What a request asked for is repeated in the answer, as the API does.

mod answer;
mod items;
mod settings;
mod stream;

#[cfg(test)]
mod tests;

pub use answer::answer;
pub use stream::{Event, Events};

use super::ChatServer;
use super::node::Object;
use super::warnings::Warnings;
use crate::openai_chat::{ChatRequest, check_request};
use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use serde_json::{Map, Value};

/// A request in the other API's form, read and checked as if a client had sent it so.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it asks.
    pub chat: ChatRequest,
    /// What its answer repeats.
    pub echo: Echo,
    /// What was left out.
    pub warnings: Warnings,
}

/// What an answer repeats of its request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Echo(pub(super) Map<String, Value>);

/// Reads a request of the Responses API and translates it.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(bytes: &[u8], server: &ChatServer) -> Result<Request, RequestError> {
    let body = parse_json_object(bytes)?;
    let mut warnings = Warnings::default();
    let object = Object::body(&body);
    settings::check_members(&object, &mut warnings)?;
    let messages = items::read(&object, server, &mut warnings)?;
    let translated = settings::write(&object, messages, server, &mut warnings)?;
    Ok(Request { chat: check_request(translated)?, echo: settings::echo(&object), warnings })
}
