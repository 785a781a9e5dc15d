//! Streams: what chunks say, as answers of the API, each with what is new.

use super::answer::args;
use crate::facts::{ANSWER_TEXT_MAX_BYTES, Finish, Piece};
use crate::gemini::write::{CallShape, Generated, SaidPart};
use crate::problem::AnswerProblem;
use crate::translate::blocks::{Blocks, Kind, Op};

/// A stream that is being translated.
#[derive(Debug)]
pub struct Events {
    id: String,
    model: String,
    shows_thoughts: bool,
    blocks: Blocks,
    open: Option<Kind>,
    /// The arguments of the call that is open: the API has no pieces of them.
    arguments: String,
    kept_bytes: usize,
}

impl Events {
    /// A stream that begins now, of an answer with this id.
    pub fn new(id: impl Into<String>, shows_thoughts: bool) -> Events {
        Events {
            id: id.into(),
            model: String::new(),
            shows_thoughts,
            blocks: Blocks::default(),
            open: None,
            arguments: String::new(),
            kept_bytes: 0,
        }
    }

    /// What a chunk says, as the data of events; often one, none while a call comes.
    ///
    /// # Errors
    /// [`AnswerProblem`] when the calls of the stream are mixed or too many, or one is none.
    pub fn piece(&mut self, says: &Piece) -> Result<Vec<Vec<u8>>, AnswerProblem> {
        if let Some(model) = says.model.as_ref().filter(|_| self.model.is_empty()) {
            self.model.clone_from(model);
        }
        let ops = self.blocks.piece(says)?;
        let mut out = Vec::new();
        for op in ops {
            self.op(op, &mut out)?;
        }
        Ok(out)
    }

    /// The events of a good end: the last has the reason and the tokens.
    ///
    /// # Errors
    /// As of [`Events::piece`].
    pub fn end(&mut self) -> Result<Vec<Vec<u8>>, AnswerProblem> {
        let mut out = Vec::new();
        for op in self.blocks.end() {
            self.op(op, &mut out)?;
        }
        // Clients join the texts of all events: the last has one, too.
        let last = Generated::new(&self.id, &self.model, vec![SaidPart::Text { text: "" }]);
        out.push(last.ended(self.blocks.finish(), self.blocks.usage()).written());
        Ok(out)
    }

    fn op(&mut self, op: Op, out: &mut Vec<Vec<u8>>) -> Result<(), AnswerProblem> {
        match op {
            Op::Begin(kind) => self.open = Some(kind),
            Op::More(text) => match self.open {
                Some(Kind::Reasoning) if !self.shows_thoughts => {}
                Some(Kind::Reasoning) => {
                    out.push(self.said(SaidPart::Thought { text: &text, thought: true }));
                }
                Some(Kind::Text | Kind::Refusal) | None => {
                    out.push(self.said(SaidPart::Text { text: &text }));
                }
                Some(Kind::Call { .. }) => {
                    self.kept_bytes += text.len();
                    if self.kept_bytes > ANSWER_TEXT_MAX_BYTES {
                        return Err(AnswerProblem::Untranslatable(
                            "its calls have more arguments than are kept of an answer",
                        ));
                    }
                    self.arguments.push_str(&text);
                }
            },
            Op::End => {
                let arguments = std::mem::take(&mut self.arguments);
                let Some(Kind::Call { number: _, id, name }) = self.open.take() else {
                    return Ok(());
                };
                match args(&arguments) {
                    Ok(args) => {
                        let function_call = CallShape { id: id.as_deref(), name: &name, args };
                        out.push(self.said(SaidPart::Call { function_call }));
                    }
                    // The rest of its arguments did not come, and the finish reason says so.
                    Err(_) if self.blocks.finish() == Some(&Finish::Length) => {}
                    Err(problem) => return Err(problem),
                }
            }
        }
        Ok(())
    }

    fn said(&self, part: SaidPart<'_>) -> Vec<u8> {
        Generated::new(&self.id, &self.model, vec![part]).written()
    }
}
