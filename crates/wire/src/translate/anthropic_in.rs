//! Anthropic's Messages API on the client's side, OpenAI's chat completions on the model server's.
//!
//! What differs, and what is made of it:
//!
//! - `system` becomes one system message, its blocks joined by an empty line.
//! - Results of tools become separate messages before what else the turn says. A result that failed
//!   is a JSON object that says so, since the API has no member for it. Pictures in results follow
//!   in the user's message, since results are texts.
//! - A call's `input` becomes `arguments`, JSON in a string, unchanged to the last digit.
//! - What the model thought earlier is passed on where the model server takes it.
//! - A turn that the client begins for the model (a last message of the assistant) is refused: the
//!   model would answer it instead of going on with it.
//! - Marks of what to cache are left out: these model servers cache by themselves.
//! - Of an answer, thoughts, text and calls become blocks in that order. The prompt's tokens
//!   exclude those of the cache, as in Anthropic's arithmetic.

mod answer;
mod messages;
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

/// A request in the other API's form, read and checked as if a client had sent it so.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it asks.
    pub chat: ChatRequest,
    /// What was left out.
    pub warnings: Warnings,
}

/// Reads a request of the Messages API and translates it.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(bytes: &[u8], server: &ChatServer) -> Result<Request, RequestError> {
    let body = parse_json_object(bytes)?;
    let mut warnings = Warnings::default();
    let object = Object::body(&body);
    settings::check_members(&object, &mut warnings)?;
    let messages = messages::read(&object, bytes, server, &mut warnings)?;
    let translated = settings::write(&object, messages, server, &mut warnings)?;
    Ok(Request { chat: check_request(translated)?, warnings })
}
