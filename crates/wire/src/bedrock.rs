//! The dialect of Amazon Bedrock: Converse's answers, its errors, and the event stream that its
//! streams come in.

mod error;
mod events;
mod read;
pub(crate) mod shape;

pub use error::error_facts;
pub use events::{Broken, Decoder, Event, FRAME_MAX};
pub(crate) use read::{read_converse, read_events};
