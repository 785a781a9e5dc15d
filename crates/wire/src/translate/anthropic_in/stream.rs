//! Streams: what chunks say, as events.
//!
//! Blocks follow each other, as the API's clients expect: a block ends before the next begins. A
//! server that comes back to an earlier call, or goes on with the name of a call after its
//! arguments began, is stopped: what is looked at and what the client puts together would not be
//! the same call.

use super::answer::call_id;
use crate::anthropic::write::{AnswerBlock, Delta, EventShape, Message, StopReason, UsageShape};
use crate::facts::{
    CallPiece, ChoicePiece, Finish, Piece, TOOL_CALLS_MAX, TOOL_NAME_MAX_BYTES, Usage, cut,
};
use crate::problem::AnswerProblem;
use serde_json::value::RawValue;

/// An event for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field.
    pub name: &'static str,
    /// Its data.
    pub data: Vec<u8>,
}

impl Event {
    fn of(shape: &EventShape<'_>) -> Event {
        // Strings and numbers only: this cannot fail.
        Event { name: shape.name(), data: serde_json::to_vec(shape).unwrap_or_default() }
    }
}

/// A stream that is being translated.
#[derive(Debug)]
pub struct Events {
    id: String,
    has_begun: bool,
    /// The number of the next block.
    next: u64,
    open: Option<Open>,
    /// The choice that is translated: the first that came.
    choice: Option<u64>,
    calls: usize,
    /// The calls that have ended.
    ended: Vec<Call>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

/// The block that is being written.
#[derive(Debug)]
enum Open {
    Text,
    Thinking,
    Call(Call),
}

#[derive(Debug)]
struct Call {
    /// As the server numbers it.
    index: Option<u64>,
    id: Option<String>,
    name: String,
    /// Whether its beginning is written: when its name is complete.
    is_written: bool,
}

impl Events {
    /// A stream that begins now, of a message with this id.
    pub fn new(id: impl Into<String>) -> Events {
        Events {
            id: id.into(),
            has_begun: false,
            next: 0,
            open: None,
            choice: None,
            calls: 0,
            ended: Vec::new(),
            finish: None,
            usage: None,
        }
    }

    /// A sign of life, as the API sends it.
    pub fn ping() -> Event {
        Event::of(&EventShape::Ping)
    }

    /// What a chunk says, as events; often one.
    ///
    /// # Errors
    /// [`AnswerProblem`] when the calls of the stream are mixed, or too many.
    pub fn piece(&mut self, says: &Piece) -> Result<Vec<Event>, AnswerProblem> {
        let mut out = Vec::new();
        self.begin(says.model.as_deref(), &mut out);
        self.usage = says.usage.or(self.usage);
        for choice in &says.choices {
            if *self.choice.get_or_insert(choice.index) == choice.index {
                self.choice_piece(choice, &mut out)?;
            }
        }
        Ok(out)
    }

    /// The events of a good end.
    pub fn end(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        self.begin(None, &mut out);
        self.close(&mut out);
        let stop_reason = StopReason::of(self.finish.as_ref(), self.calls > 0);
        let usage = UsageShape::of(self.usage.unwrap_or_default());
        out.push(Event::of(&EventShape::message_delta(stop_reason, usage)));
        out.push(Event::of(&EventShape::MessageStop));
        out
    }

    fn begin(&mut self, model: Option<&str>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        // The counts follow at the end.
        let message = Message {
            id: &self.id,
            r#type: "message",
            role: "assistant",
            model: model.unwrap_or_default(),
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: (),
            usage: UsageShape::of(Usage::default()),
        };
        out.push(Event::of(&EventShape::MessageStart { message }));
    }

    fn choice_piece(
        &mut self,
        choice: &ChoicePiece,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerProblem> {
        let ChoicePiece { index: _, text, reasoning, refusal, calls, finish, other: _ } = choice;
        if !reasoning.is_empty() {
            if !matches!(self.open, Some(Open::Thinking)) {
                let block = AnswerBlock::Thinking { thinking: "", signature: "" };
                self.start(Open::Thinking, block, out);
            }
            self.delta(Delta::Thinking { thinking: reasoning }, out);
        }
        for text in [text, refusal].into_iter().filter(|text| !text.is_empty()) {
            if !matches!(self.open, Some(Open::Text)) {
                self.start(Open::Text, AnswerBlock::Text { text: "" }, out);
            }
            self.delta(Delta::Text { text }, out);
        }
        for call in calls {
            self.call(call, out)?;
        }
        self.finish = finish.clone().or(self.finish.take());
        Ok(())
    }

    fn call(&mut self, piece: &CallPiece, out: &mut Vec<Event>) -> Result<(), AnswerProblem> {
        const MIXED: AnswerProblem =
            AnswerProblem::Untranslatable("its stream mixes the pieces of several tool calls");
        let CallPiece { index, id, name, arguments } = piece;
        match &mut self.open {
            Some(Open::Call(call)) if call.goes_on_with(piece) => {
                call.id = call.id.take().or_else(|| id.clone());
                if call.name != *name && !name.is_empty() {
                    if call.is_written {
                        return Err(MIXED);
                    }
                    let left = TOOL_NAME_MAX_BYTES.saturating_sub(call.name.len());
                    call.name.push_str(cut(name, left));
                }
            }
            _ => {
                if self.ended.iter().any(|call| call.goes_on_with(piece)) {
                    return Err(MIXED);
                }
                if self.calls == TOOL_CALLS_MAX {
                    return Err(AnswerProblem::TooManyToolCalls);
                }
                self.close(out);
                self.calls += 1;
                let (id, name) = (id.clone(), name.clone());
                let call = Call { index: *index, id, name, is_written: false };
                self.open = Some(Open::Call(call));
            }
        }
        if !arguments.is_empty() {
            self.write_call(out);
            self.delta(Delta::InputJson { partial_json: arguments }, out);
        }
        Ok(())
    }

    /// Writes the beginning of the call that is open, once.
    fn write_call(&mut self, out: &mut Vec<Event>) {
        let Some(Open::Call(call)) = &mut self.open else { return };
        if std::mem::replace(&mut call.is_written, true) {
            return;
        }
        let id = call_id(call.id.as_deref(), &self.id, self.calls - 1);
        let input = serde_json::from_str("{}").unwrap_or(RawValue::NULL);
        let content_block = AnswerBlock::ToolUse { id, name: &call.name, input };
        out.push(Event::of(&EventShape::ContentBlockStart { index: self.next, content_block }));
    }

    fn start(&mut self, open: Open, content_block: AnswerBlock<'_>, out: &mut Vec<Event>) {
        self.close(out);
        self.open = Some(open);
        out.push(Event::of(&EventShape::ContentBlockStart { index: self.next, content_block }));
    }

    fn delta(&self, delta: Delta<'_>, out: &mut Vec<Event>) {
        out.push(Event::of(&EventShape::ContentBlockDelta { index: self.next, delta }));
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        self.write_call(out);
        if let Some(open) = self.open.take() {
            if let Open::Call(call) = open {
                self.ended.push(call);
            }
            out.push(Event::of(&EventShape::ContentBlockStop { index: self.next }));
            self.next += 1;
        }
    }
}

impl Call {
    /// Whether a piece is of this call: the rule by which facts join pieces, with one call open.
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
