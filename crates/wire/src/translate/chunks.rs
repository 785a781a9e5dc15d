//! Chunks of an answer, as translations of streams give them.

use crate::facts::{Finish, Piece, Usage};
use crate::openai_chat::read_chunk;
use crate::openai_chat::shape::{Envelope, Said};
use crate::problem::AnswerProblem;

/// One chunk for the client, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// A `chat.completion.chunk`.
    pub data: Vec<u8>,
    /// What the one reader of chunks reads in it: what the client gets is what was looked at.
    pub says: Piece,
}

/// What an event of the model server's stream becomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Chunks, often one; none where the event says nothing to a client (a ping).
    pub chunks: Vec<Chunk>,
    /// Whether the stream is done: `[DONE]` comes next.
    pub is_done: bool,
}

/// What is the same in all chunks of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
}

impl Head {
    pub(super) fn envelope(&self) -> Envelope<'_> {
        Envelope { id: &self.id, created: self.created, model: &self.model }
    }

    pub(super) fn chunk(
        &self,
        said: &Said<'_>,
        finish: Option<&Finish>,
    ) -> Result<Chunk, AnswerProblem> {
        chunk(self.envelope().chunk(said, finish))
    }

    pub(super) fn usage_chunk(&self, usage: Usage) -> Result<Chunk, AnswerProblem> {
        chunk(self.envelope().usage_chunk(usage))
    }
}

fn chunk(data: Vec<u8>) -> Result<Chunk, AnswerProblem> {
    let says = read_chunk(&data)?;
    Ok(Chunk { data, says })
}
