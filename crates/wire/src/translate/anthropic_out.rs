//! OpenAI's chat completions on the client's side, Anthropic's Messages API on the model server's.
//!
//! What differs, and what is made of it:
//!
//! - System and developer messages at the beginning become `system`. Later ones stay where they are
//!   if the model takes them and they follow a user's turn; otherwise they join the first.
//! - Messages of one role in a row become one turn, results of tools first, as the API demands.
//! - A call's `arguments`, JSON in a string, become `input` unchanged, to the last digit.
//! - An id that the API would refuse has each odd character replaced, the same in call and result.
//! - `reasoning_effort` becomes what the model takes: an effort, or a budget of tokens.
//! - Of an answer, texts and thoughts are joined; a thought's signature comes in `thinking_blocks`,
//!   which the next request brings back. Tokens of the prompt include those of the cache, as in
//!   OpenAI's arithmetic. A turn that met a bound of any kind ends by `length`, a refusal by
//!   `content_filter`. What only the model server's own tools bring is left out: no translated
//!   request can ask for it.
//! - Sampling parameters are left out where the model takes none, which is since API version
//!   2026-10-21 every model.

pub(super) mod answer;
pub(super) mod messages;
pub(super) mod settings;
mod stream;
pub(super) mod tools;

#[cfg(test)]
mod tests;

pub use answer::answer;
pub use stream::Stream;

use super::Translated;
use super::chat_request::max_tokens;
use super::node::Object;
use super::warnings::Warnings;
use crate::anthropic::shape;
use crate::request_error::RequestError;
use serde_json::{Map, Value};

/// What the model takes: it differs by model and by the version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `max_tokens` of a request that does not say: the API demands one.
    pub max_tokens_default: u64,
    /// Whether it takes `temperature`, `top_p` and `top_k`: API version 2023-06-01 with models
    /// before Opus 4.7.
    pub sampling: bool,
    /// How it is asked to think.
    pub thinking: Thinking,
    /// Whether it takes system messages after a user's turn: models since Opus 4.8.
    pub system_later: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It decides itself, within an effort: models since Opus 4.6.
    Adaptive,
    /// Within a budget of tokens: models before.
    Budget,
    /// It cannot think, or shall not.
    Never,
}

/// Translates a chat completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(body: &Map<String, Value>, options: &Options) -> Result<Translated, RequestError> {
    let mut warnings = Warnings::default();
    let body = Object::body(body);
    settings::check_members(&body, &mut warnings)?;
    let conversation = messages::read(&body, options, &mut warnings)?;
    let (tools, tool_choice) = tools::read(&body)?;
    let max_tokens = max_tokens(&body)?.unwrap_or(options.max_tokens_default);
    let is_forced =
        matches!(&tool_choice, Some(choice) if ["any", "tool"].contains(&choice.r#type));
    let unsigned =
        is_forced || conversation.has_unsigned_call && options.thinking == Thinking::Budget;
    let asked = settings::Asked { max_tokens, cannot_think: unsigned };
    let (thinking, effort) = settings::thinking(&body, options, &asked, &mut warnings)?;
    let is_thinking = thinking.as_ref().is_some_and(settings::is_on);
    let sampling = settings::sampling(&body, options.sampling, is_thinking, &mut warnings)?;
    let request = shape::Request {
        model: body.required_text("model")?,
        max_tokens,
        system: conversation.system,
        messages: conversation.messages,
        tools,
        tool_choice,
        thinking,
        output_config: shape::OutputConfig { effort, format: settings::format(&body)? },
        stop_sequences: settings::stops(&body)?,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        metadata: settings::user(&body, &mut warnings)?,
        service_tier: settings::service_tier(&body, &mut warnings)?,
        stream: body.flag("stream")?,
    };
    // Strings and numbers only: this cannot fail.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    Ok(Translated { body, warnings })
}
