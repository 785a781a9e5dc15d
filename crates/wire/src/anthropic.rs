//! The dialect of Anthropic's Messages API.

mod answer;
mod error;
mod read;
mod request;
pub(crate) mod shape;
pub(crate) mod write;

pub use answer::{EventReader, event_name, read_answer};
pub use error::error_facts;
pub(crate) use read::{
    Block, BlockDelta, Event, Message, Tokens, finish_of, read_event, read_message,
};
pub use request::{
    MessagesRequest, bound_length, read_request, replace_system, system_text, wrap_last_user,
};
pub use write::write_error;
