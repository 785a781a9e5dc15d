//! Streams: what chunks say, as events.

use super::answer::call_id;
use crate::anthropic::write::{AnswerBlock, Delta, EventShape, Message, StopReason, UsageShape};
use crate::facts::{Piece, Usage};
use crate::problem::AnswerProblem;
use crate::translate::blocks::{Blocks, Kind, Op};
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
    blocks: Blocks,
    /// The number of the block that is open, or else of the next.
    index: u64,
    /// The block that is open.
    open: Option<Kind>,
}

impl Events {
    /// A stream that begins now, of a message with this id.
    pub fn new(id: impl Into<String>) -> Events {
        let blocks = Blocks::default();
        Events { id: id.into(), has_begun: false, blocks, index: 0, open: None }
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
        for op in self.blocks.piece(says)? {
            self.op(op, &mut out);
        }
        Ok(out)
    }

    /// The events of a good end.
    pub fn end(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        self.begin(None, &mut out);
        for op in self.blocks.end() {
            self.op(op, &mut out);
        }
        let stop_reason = StopReason::of(self.blocks.finish(), self.blocks.has_calls());
        let usage = UsageShape::of(self.blocks.usage().unwrap_or_default());
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

    fn op(&mut self, op: Op, out: &mut Vec<Event>) {
        let index = self.index;
        let shape = match &op {
            Op::Begin(kind) => {
                let content_block = match kind {
                    Kind::Reasoning => AnswerBlock::Thinking { thinking: "", signature: "" },
                    Kind::Text | Kind::Refusal => AnswerBlock::Text { text: "" },
                    Kind::Call { number, id, name } => {
                        let id = call_id(id.as_deref(), &self.id, *number);
                        let input = serde_json::from_str("{}").unwrap_or(RawValue::NULL);
                        AnswerBlock::ToolUse { id, name, input }
                    }
                };
                self.open = Some(kind.clone());
                EventShape::ContentBlockStart { index, content_block }
            }
            Op::More(text) => {
                let delta = match self.open {
                    Some(Kind::Reasoning) => Delta::Thinking { thinking: text },
                    Some(Kind::Text | Kind::Refusal) | None => Delta::Text { text },
                    Some(Kind::Call { .. }) => Delta::InputJson { partial_json: text },
                };
                EventShape::ContentBlockDelta { index, delta }
            }
            Op::End => {
                self.index += 1;
                EventShape::ContentBlockStop { index }
            }
        };
        out.push(Event::of(&shape));
    }
}
