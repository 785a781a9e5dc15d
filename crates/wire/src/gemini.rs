//! The dialect of Google's Gemini API: `generateContent` and `streamGenerateContent`.

mod read;
pub(crate) mod shape;

pub(crate) use read::{Answer, Part, read_answer};
