//! The pieces of a streamed chat completion as blocks that follow each other, as other APIs have
//! them: a block ends before the next begins.
//!
//! A server that comes back to an earlier call, or goes on with the name of a call after its
//! arguments began, is stopped: what is looked at and what the client puts together would not be
//! the same call.

use crate::facts::{
    CallPiece, ChoicePiece, Finish, Piece, TOOL_CALLS_MAX, TOOL_NAME_MAX_BYTES, Usage, cut,
};
use crate::problem::AnswerProblem;

const MIXED: AnswerProblem =
    AnswerProblem::Untranslatable("its stream mixes the pieces of several tool calls");

/// What happens to blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Begin(Kind),
    /// More of the text, or of the arguments, of the block that is open; never empty.
    More(String),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Reasoning,
    Text,
    Refusal,
    Call {
        /// Its number among the calls, from 0.
        number: usize,
        /// As the server calls it, where it does.
        id: Option<String>,
        name: String,
    },
}

/// A stream so far.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Option<Open>,
    /// The choice that is translated: the first that came.
    choice: Option<u64>,
    calls: usize,
    /// The calls that have ended.
    ended: Vec<Call>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

/// The block that is open.
#[derive(Debug)]
enum Open {
    Reasoning,
    Text,
    Refusal,
    Call(Call),
}

#[derive(Debug)]
struct Call {
    /// As the server numbers it.
    index: Option<u64>,
    id: Option<String>,
    name: String,
    /// Whether its beginning is given out: when its name is complete.
    has_begun: bool,
}

impl Blocks {
    /// What a piece does.
    ///
    /// # Errors
    /// [`AnswerProblem`] when the calls of the stream are mixed, or too many.
    pub(super) fn piece(&mut self, says: &Piece) -> Result<Vec<Op>, AnswerProblem> {
        let mut out = Vec::new();
        self.usage = says.usage.or(self.usage);
        for choice in &says.choices {
            if *self.choice.get_or_insert(choice.index) == choice.index {
                self.choice_piece(choice, &mut out)?;
            }
        }
        Ok(out)
    }

    /// Ends what is open.
    pub(super) fn end(&mut self) -> Vec<Op> {
        let mut out = Vec::new();
        self.close(&mut out);
        out
    }

    /// Why the answer ended, as far as it is known.
    pub(super) fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// Tokens, as far as they are known.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether a tool is called.
    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    fn choice_piece(
        &mut self,
        choice: &ChoicePiece,
        out: &mut Vec<Op>,
    ) -> Result<(), AnswerProblem> {
        let ChoicePiece { index: _, text, reasoning, refusal, calls, finish, other: _ } = choice;
        if !reasoning.is_empty() {
            if !matches!(self.open, Some(Open::Reasoning)) {
                self.begin(Open::Reasoning, Kind::Reasoning, out);
            }
            out.push(Op::More(reasoning.clone()));
        }
        if !text.is_empty() {
            if !matches!(self.open, Some(Open::Text)) {
                self.begin(Open::Text, Kind::Text, out);
            }
            out.push(Op::More(text.clone()));
        }
        if !refusal.is_empty() {
            if !matches!(self.open, Some(Open::Refusal)) {
                self.begin(Open::Refusal, Kind::Refusal, out);
            }
            out.push(Op::More(refusal.clone()));
        }
        for call in calls {
            self.call(call, out)?;
        }
        self.finish = finish.clone().or(self.finish.take());
        Ok(())
    }

    fn call(&mut self, piece: &CallPiece, out: &mut Vec<Op>) -> Result<(), AnswerProblem> {
        let CallPiece { index, id, name, arguments } = piece;
        match &mut self.open {
            Some(Open::Call(call)) if call.goes_on_with(piece) => {
                call.id = call.id.take().or_else(|| id.clone());
                if call.name != *name && !name.is_empty() {
                    if call.has_begun {
                        return Err(MIXED);
                    }
                    let left = TOOL_NAME_MAX_BYTES.saturating_sub(call.name.len());
                    call.name.push_str(cut(name, left));
                }
            }
            _ => {
                self.close(out);
                if self.ended.iter().any(|call| call.goes_on_with(piece)) {
                    return Err(MIXED);
                }
                if self.calls == TOOL_CALLS_MAX {
                    return Err(AnswerProblem::TooManyToolCalls);
                }
                self.calls += 1;
                let (id, name) = (id.clone(), name.clone());
                self.open = Some(Open::Call(Call { index: *index, id, name, has_begun: false }));
            }
        }
        if !arguments.is_empty() {
            self.begin_call(out);
            out.push(Op::More(arguments.clone()));
        }
        Ok(())
    }

    /// Gives out the beginning of the call that is open, once.
    fn begin_call(&mut self, out: &mut Vec<Op>) {
        let Some(Open::Call(call)) = &mut self.open else { return };
        if !std::mem::replace(&mut call.has_begun, true) {
            let (id, name) = (call.id.clone(), call.name.clone());
            out.push(Op::Begin(Kind::Call { number: self.calls - 1, id, name }));
        }
    }

    fn begin(&mut self, open: Open, kind: Kind, out: &mut Vec<Op>) {
        self.close(out);
        self.open = Some(open);
        out.push(Op::Begin(kind));
    }

    fn close(&mut self, out: &mut Vec<Op>) {
        self.begin_call(out);
        if let Some(open) = self.open.take() {
            if let Open::Call(call) = open {
                self.ended.push(call);
            }
            out.push(Op::End);
        }
    }
}

impl Call {
    /// Whether a piece is of this call: the rule by which facts join pieces.
    fn goes_on_with(&self, piece: &CallPiece) -> bool {
        let same_id = match (&piece.id, &self.id) {
            (Some(new), Some(old)) => new == old,
            (Some(_), None) | (None, Some(_)) | (None, None) => true,
        };
        let same_index = match piece.index {
            Some(index) => self.index == Some(index),
            None => piece.id.is_some() && self.id.is_some() || piece.name.is_empty(),
        };
        same_id && same_index
    }
}
