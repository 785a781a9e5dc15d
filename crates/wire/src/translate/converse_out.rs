//! OpenAI's chat completions on the client's side, Amazon Bedrock's Converse on the model server's.
//!
//! Converse is Anthropic's API in other words, so the conversation, tools and answers are read as
//! those are ([`super::anthropic_out`]) and written in its form. What differs:
//!
//! - The model and whether to stream are in the path, which is the caller's.
//! - Pictures and documents come as bytes; addresses are refused.
//! - A mark of what to cache becomes a point after what it marks.
//! - There is no schema of the answer, no `tool_choice: none` and no bound to one call at a time.
//! - Thinking and `top_k` are fields of the model's own maker, here of Anthropic's.
//! - An answer has neither an id nor the model's name.

mod request;

pub use request::request;

use super::chunks::Step;
use super::{anthropic_out, anthropic_out::Thinking};
use crate::bedrock::{read_converse, read_events};
use crate::problem::AnswerProblem;
use std::collections::BTreeSet;

/// What the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether it takes `temperature` and `top_p`.
    pub sampling: bool,
    /// How it is asked to think.
    pub thinking: Thinking,
}

/// Translates a whole answer; `created` is when it came, seconds since the epoch.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn answer(body: &[u8], created: u64) -> Result<Vec<u8>, AnswerProblem> {
    anthropic_out::answer::written(read_converse(body)?, created)
}

/// Most blocks of an answer whose beginning is remembered.
const BLOCKS_MAX: usize = 4096;

/// A stream that is being translated; it is complete when a step says that it is done.
#[derive(Debug)]
pub struct Stream {
    events: anthropic_out::Stream,
    begun: BTreeSet<u64>,
}

impl Stream {
    /// A stream that begins now; `created` is when, seconds since the epoch.
    pub fn new(created: u64) -> Stream {
        Stream { events: anthropic_out::Stream::new(created), begun: BTreeSet::new() }
    }

    /// Translates the data of one event, as [`crate::bedrock::Decoder`] gives it.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is an error, or not an event.
    pub fn event(&mut self, data: &[u8]) -> Result<Step, AnswerProblem> {
        let mut all = Step::default();
        let begun = &mut self.begun;
        for event in read_events(data, |index| begun.insert(index))? {
            let Step { chunks, is_done } = self.events.take(event)?;
            all.chunks.extend(chunks);
            all.is_done |= is_done;
        }
        match self.begun.len() > BLOCKS_MAX {
            true => Err(AnswerProblem::TooManyParts),
            false => Ok(all),
        }
    }
}
