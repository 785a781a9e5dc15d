//! Translation between dialects, pair by pair.
//!
//! A request is translated as a whole or refused: what the other API cannot express is an error
//! that names the member. A member is left out with a warning where the answer means the same
//! without it (`seed`: at best the same words again); the rule is not whether the other API would
//! complain, but whether the reader of the answer would be misled. Nothing is left out in silence,
//! other than what says nothing: null, and values that are the default.

mod blocks;
mod chat_message;
mod chat_request;
mod chunks;
mod data_url;
mod node;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod warnings;

pub mod anthropic_in;
pub mod anthropic_out;
pub mod converse_out;
pub mod gemini_in;
pub mod gemini_out;
pub mod responses_in;

pub use chunks::{Chunk, Step};
pub use warnings::{Warning, Warnings};

/// A request in the other API's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The body to send.
    pub body: Vec<u8>,
    /// What was left out.
    pub warnings: Warnings,
}

/// What a model server that speaks chat completions takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatServer {
    /// Whether it takes members that OpenAI's API does not have (`top_k`, `reasoning_content`), as
    /// vLLM, SGLang and llama.cpp do.
    pub extensions: bool,
    /// Whether the model takes `reasoning_effort`.
    pub reasoning: bool,
    /// Whether the answer is bounded by `max_completion_tokens`, as OpenAI's models that think
    /// demand, and not by `max_tokens`.
    pub newer_length: bool,
}
