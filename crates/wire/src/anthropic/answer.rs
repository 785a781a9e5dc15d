//! What an answer says, whole or event by event, where the client speaks this dialect as well and
//! gets the bytes unchanged.

use super::read::{Block, BlockDelta, Event, Tokens, read_event, read_message};
use crate::facts::{AnswerFacts, CallPiece, ChoicePiece, Piece, TOOL_NAME_MAX_BYTES, cut};
use crate::problem::{AnswerProblem, members_of};

#[cfg(test)]
mod tests;

/// Reads a whole answer.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn read_answer(body: &[u8]) -> Result<AnswerFacts, AnswerProblem> {
    let message = read_message(body)?;
    let mut choice = ChoicePiece { finish: message.finish, ..ChoicePiece::default() };
    for (index, block) in (0..).zip(message.blocks) {
        add_block(&mut choice, index, block);
    }
    choice.refusal.extend(message.refusal);
    let (usage, model) = (message.tokens.usage(), message.model);
    let mut facts = AnswerFacts::default();
    facts.push(Piece { choices: vec![choice], usage, model, ..Piece::default() })?;
    Ok(facts)
}

/// The name under which an event is sent: its type, where that is a word.
pub fn event_name(data: &[u8]) -> Option<String> {
    let name = members_of(data).ok()?.text("type")?;
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_word && !name.is_empty()).then_some(name)
}

/// A reader of a stream's events.
#[derive(Debug, Default)]
pub struct EventReader {
    tokens: Tokens,
    is_done: bool,
}

impl EventReader {
    /// Reads the data of one event. A ping, and what is not known, says nothing.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is not a JSON object, or is an error.
    pub fn read(&mut self, data: &[u8]) -> Result<Piece, AnswerProblem> {
        let (mut piece, mut choice) = (Piece::default(), ChoicePiece::default());
        match read_event(data)? {
            Event::Start { id: _, model, tokens } => {
                // The answer's tokens are counted at its end.
                self.tokens.update(tokens);
                piece.so_far = self.tokens.so_far().map(Box::new);
                piece.model = model;
                return Ok(piece);
            }
            Event::BlockStart { index, block } => add_block(&mut choice, index, block),
            Event::BlockDelta { index, delta } => add_delta(&mut choice, index, delta),
            Event::Delta { finish, refusal, tokens } => {
                self.tokens.update(tokens);
                piece.usage = self.tokens.usage();
                choice.finish = finish;
                choice.refusal.extend(refusal);
            }
            Event::Stop => {
                self.is_done = true;
                return Ok(piece);
            }
            Event::BlockStop { index: _ } | Event::Other => return Ok(piece),
        }
        piece.choices.push(choice);
        Ok(piece)
    }

    /// Whether `message_stop` has come: a stream that ends before it was cut short.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

fn add_block(choice: &mut ChoicePiece, index: u64, block: Block<'_>) {
    match block {
        Block::Text(text, others) => {
            choice.text.push_str(&text);
            choice.other.extend(others.map(|raw| raw.get()));
        }
        // A signature and what is encrypted say nothing that could be read.
        Block::Thinking { text, signature: _ } => choice.reasoning.push_str(&text),
        Block::Redacted { data: _ } => {}
        Block::ToolUse { id, name, input } => {
            let name = cut(&name, TOOL_NAME_MAX_BYTES).to_owned();
            // In a stream the input follows, and is empty here.
            let input = input.map(|raw| raw.get()).filter(|input| *input != "{}");
            let arguments = input.unwrap_or_default().to_owned();
            choice.calls.push(CallPiece { index: Some(index), id, name, arguments });
        }
        Block::Other(raw) => choice.other.push_str(raw.get()),
    }
}

fn add_delta(choice: &mut ChoicePiece, index: u64, delta: BlockDelta<'_>) {
    match delta {
        BlockDelta::Text(text) => choice.text.push_str(&text),
        BlockDelta::Thinking(text) => choice.reasoning.push_str(&text),
        BlockDelta::Signature(_) => {}
        BlockDelta::InputJson(arguments) => {
            choice.calls.push(CallPiece { index: Some(index), arguments, ..CallPiece::default() });
        }
        BlockDelta::Other(raw) => choice.other.push_str(raw.get()),
    }
}
