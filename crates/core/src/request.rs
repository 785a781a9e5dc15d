//! Request: an OpenAI request, normalised; unknown fields are kept.
//!
//! What is forwarded is always written anew from what was read here, never the client's bytes: so
//! the upstream cannot read another `model` than the one that was authorised. For the same reason
//! a key that stands twice in one object is refused, at any depth. Order of checks: bytes (empty,
//! UTF-8, JSON, depth, object, doubled keys), then members that clients must not set, then types
//! and values in the order model, messages, stream, numbers, user.
//!
//! Answers are read here too, whole and in pieces, since their shape is the other half of the same
//! API.

mod answer;
mod chat;
mod error;
mod forms;
mod strict_json;

pub use answer::{
    ANSWER_TEXT_MAX_BYTES, AnswerFacts, AnswerProblem, StreamFacts, TOOL_CALLS_MAX, content_text,
    read_answer,
};
pub use chat::{CLOSED_MEMBERS, ChatRequest, MODEL_MAX, parse_chat, subject_of};
pub use error::RequestError;
pub use forms::{BUDGET_MS_MAX, FeedbackRequest, SeedChat, parse_feedback, parse_seed_chat};
pub use strict_json::parse_json_object;
