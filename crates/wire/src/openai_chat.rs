//! The dialect of OpenAI's chat completions, and of the many servers that speak it more or less.

mod alone;
mod answer;
mod conversation;
mod edit;
mod error;
mod request;
pub(crate) mod shape;
mod texts;
mod tool_results;
mod write;

pub use alone::decoding_alone;
pub(crate) use answer::{answer_members, envelope, finish_of, others};
pub use answer::{hide_usage, read_answer, read_chunk};
pub use conversation::conversation_head;
pub use edit::{
    LENGTH_MEMBERS, Template, WrapError, ask_for_usage, asks_for_usage, bound_length, content_text,
    fill, merge_leading_system, replace_system, set_stream, system_message, system_text,
    wrap_last_user,
};
pub use error::{ErrorBody, write_error};
pub use request::{
    CLOSED_MEMBERS, ChatRequest, MODEL_MAX, USER_TEXT_MAX, check_request, read_request,
};
pub(crate) use request::{CommonMembers, read_members};
pub use texts::{Form, chunk_like, with_texts};
pub use tool_results::{ToolResult, tool_results};
pub use write::{Completion, write_answer, write_chunks};
