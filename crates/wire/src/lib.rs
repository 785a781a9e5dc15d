//! `tidegate-wire` is how models are spoken to: what a request asks, what an answer says, and how
//! an error is written, in the API dialects that clients and model servers use.
//!
//! Pure functions over bytes: no HTTP, no async runtime, no clock and no keys; transport,
//! authentication and deadlines are the caller's. A dialect is a module ([`openai_chat`]) with the
//! same verbs as every other: read a request, edit it, decode an answer whole or piece by piece
//! into [`AnswerFacts`], write an answer, write an error. Nothing else reads an answer's bytes, so
//! no two parts of Tidegate can disagree on what an answer says.
//!
//! Requests are read strictly, since the model server must not read another request than the one
//! that was let in. Answers are read leniently: servers differ, members that are not known are left
//! alone, and a value that is not expected counts as absent.

mod error_body;
mod facts;
mod members;
mod problem;
mod request_error;
mod strict_json;

pub mod again;
pub mod anthropic;
pub mod bedrock;
pub mod forms;
pub mod gemini;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_moderations;
pub mod sse;
pub mod translate;

pub use error_body::ErrorBody;
pub use facts::{
    ANSWER_TEXT_MAX_BYTES, AnswerFacts, CallPiece, ChoiceFacts, ChoicePiece, Finish, Piece,
    Progress, TOOL_CALLS_MAX, TOOL_NAME_MAX_BYTES, TextKind, Tier, ToolCall, Usage,
    WINDOW_OVERLAP_BYTES,
};
pub use problem::{AnswerProblem, ErrorFacts};
pub use request_error::RequestError;
pub use strict_json::{VALUES_MAX, json_values, parse_json_object, tree_bytes};
