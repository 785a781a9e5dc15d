//! Text: what is done with a text whoever wrote it – folding, language, tokens, redaction.
//!
//! Nothing here knows of requests, answers or releases; everything that reads texts uses these.

mod escape;
mod fold;
mod json;
mod language;
mod redact;
mod tokens;

pub use escape::markup_escape;
pub(crate) use fold::ascii_at_start;
pub use fold::{folded, folded_head, is_hidden, is_invisible, readings, unescaped};
pub use json::texts_in;
pub use language::{Language, language_of};
pub use redact::{Private, PrivateKind, Wants, find_private, has_pii, redact, redact_wanted};
pub use tokens::{estimate_tokens, is_wide};
