//! The dialect of Google's Gemini API: `generateContent` and `streamGenerateContent`.

mod error;
mod read;
pub(crate) mod shape;
pub(crate) mod write;

pub use error::error_facts;
pub(crate) use read::{Answer, Part, read_answer};
pub use write::write_error;
