//! Streams: what chunks say, as events.

use super::Echo;
use super::answer::{
    Head, Status, function_call, item_id, message, reasoning, refusal_part, text_part,
};
use crate::facts::{ANSWER_TEXT_MAX_BYTES, Piece};
use crate::problem::AnswerProblem;
use crate::translate::blocks::{Blocks, Kind, Op};
use serde_json::{Value, json};

/// An event for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field, which repeats the type.
    pub name: &'static str,
    /// Its data.
    pub data: Vec<u8>,
}

/// A stream that is being translated.
#[derive(Debug)]
pub struct Events {
    id: String,
    created: u64,
    model: String,
    echo: Echo,
    has_begun: bool,
    /// The number of the next event.
    sequence: u64,
    blocks: Blocks,
    open: Option<Open>,
    /// The items that have ended.
    output: Vec<Value>,
    kept_bytes: usize,
}

/// The item that is open.
#[derive(Debug)]
struct Open {
    kind: Kind,
    id: String,
    /// Its text or arguments so far: the end repeats them.
    text: String,
}

impl Events {
    /// A stream that begins now, of a response with this id; `created` is when, seconds since the
    /// epoch.
    pub fn new(id: impl Into<String>, created: u64, echo: Echo) -> Events {
        Events {
            id: id.into(),
            created,
            model: String::new(),
            echo,
            has_begun: false,
            sequence: 0,
            blocks: Blocks::default(),
            open: None,
            output: Vec::new(),
            kept_bytes: 0,
        }
    }

    /// What a chunk says, as events; often one.
    ///
    /// # Errors
    /// [`AnswerProblem`] when the calls of the stream are mixed or too many, or there is more text
    /// than the last event can hold.
    pub fn piece(&mut self, says: &Piece) -> Result<Vec<Event>, AnswerProblem> {
        let mut out = Vec::new();
        self.begin(says.model.as_deref(), &mut out);
        for op in self.blocks.piece(says)? {
            self.op(op, &mut out)?;
        }
        Ok(out)
    }

    /// The events of a good end.
    ///
    /// # Errors
    /// As of [`Events::piece`].
    pub fn end(&mut self) -> Result<Vec<Event>, AnswerProblem> {
        let mut out = Vec::new();
        self.begin(None, &mut out);
        for op in self.blocks.end() {
            self.op(op, &mut out)?;
        }
        let status = Status::of(self.blocks.finish());
        let response = self.response(status);
        let name = match status {
            Status::Incomplete => "response.incomplete",
            Status::Completed | Status::InProgress => "response.completed",
        };
        self.event(name, json!({ "response": response }), &mut out);
        Ok(out)
    }

    /// An error in the middle: the stream ends with it.
    pub fn error(&mut self, code: &str, message: &str) -> Event {
        let mut out = Vec::new();
        let members = json!({ "code": code, "message": message, "param": null });
        self.event("error", members, &mut out);
        out.remove(0)
    }

    fn begin(&mut self, model: Option<&str>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.model = model.unwrap_or_default().to_owned();
        for name in ["response.created", "response.in_progress"] {
            let response = self.response(Status::InProgress);
            self.event(name, json!({ "response": response }), out);
        }
    }

    fn response(&self, status: Status) -> Value {
        let Events { id, created, model, echo, .. } = self;
        let head = Head { id, created: *created, model, echo };
        let finish = self.blocks.finish().filter(|_| status != Status::InProgress);
        let usage = self.blocks.usage().filter(|_| status != Status::InProgress);
        head.response(status, self.output.clone(), finish, usage)
    }

    fn event(&mut self, name: &'static str, members: Value, out: &mut Vec<Event>) {
        let mut data = json!({ "type": name, "sequence_number": self.sequence });
        if let (Value::Object(data), Value::Object(members)) = (&mut data, members) {
            data.extend(members);
        }
        self.sequence += 1;
        out.push(Event { name, data: data.to_string().into_bytes() });
    }

    fn op(&mut self, op: Op, out: &mut Vec<Event>) -> Result<(), AnswerProblem> {
        match op {
            Op::Begin(kind) => self.begin_item(kind, out),
            Op::More(more) => self.add(&more, out)?,
            Op::End => self.end_item(out),
        }
        Ok(())
    }

    fn begin_item(&mut self, kind: Kind, out: &mut Vec<Event>) {
        let place = self.output.len();
        let prefix = match kind {
            Kind::Reasoning => "rs",
            Kind::Text | Kind::Refusal => "msg",
            Kind::Call { .. } => "fc",
        };
        let id = item_id(prefix, &self.id, place);
        let (item, part) = match &kind {
            Kind::Reasoning => {
                (reasoning(&id, ""), Some(json!({ "type": "reasoning_text", "text": "" })))
            }
            Kind::Text => {
                let part =
                    json!({ "type": "output_text", "text": "", "annotations": [], "logprobs": [] });
                (message(&id, Status::InProgress, Vec::new()), Some(part))
            }
            Kind::Refusal => {
                let part = json!({ "type": "refusal", "refusal": "" });
                (message(&id, Status::InProgress, Vec::new()), Some(part))
            }
            Kind::Call { number: _, id: call_id, name } => {
                let call_id = call_id.as_deref();
                (function_call(&id, call_id, name, "", Status::InProgress), None)
            }
        };
        let members = json!({ "output_index": place, "item": item });
        self.event("response.output_item.added", members, out);
        if let Some(part) = part {
            let members =
                json!({ "item_id": id, "output_index": place, "content_index": 0, "part": part });
            self.event("response.content_part.added", members, out);
        }
        self.open = Some(Open { kind, id, text: String::new() });
    }

    fn add(&mut self, more: &str, out: &mut Vec<Event>) -> Result<(), AnswerProblem> {
        let place = self.output.len();
        let Some(open) = &mut self.open else { return Ok(()) };
        self.kept_bytes += more.len();
        if self.kept_bytes > ANSWER_TEXT_MAX_BYTES {
            return Err(AnswerProblem::Untranslatable(
                "it has more text than its last event holds",
            ));
        }
        open.text.push_str(more);
        let mut members = json!({ "item_id": open.id, "output_index": place });
        let name = match open.kind {
            Kind::Reasoning => "response.reasoning_text.delta",
            Kind::Text => "response.output_text.delta",
            Kind::Refusal => "response.refusal.delta",
            Kind::Call { .. } => "response.function_call_arguments.delta",
        };
        match open.kind {
            Kind::Reasoning | Kind::Refusal => members["content_index"] = 0.into(),
            Kind::Text => {
                members["content_index"] = 0.into();
                members["logprobs"] = json!([]);
            }
            Kind::Call { .. } => {}
        }
        members["delta"] = more.into();
        self.event(name, members, out);
        Ok(())
    }

    fn end_item(&mut self, out: &mut Vec<Event>) {
        let place = self.output.len();
        let Some(Open { kind, id, text }) = self.open.take() else { return };
        let status = Status::of(self.blocks.finish());
        let at = |key: &str, value: Value| {
            let mut members = json!({ "item_id": id, "output_index": place, "content_index": 0 });
            members[key] = value;
            members
        };
        let (item, done, part) = match &kind {
            Kind::Reasoning => {
                let part = json!({ "type": "reasoning_text", "text": text });
                let done = ("response.reasoning_text.done", at("text", text.as_str().into()));
                (reasoning(&id, &text), done, Some(part))
            }
            Kind::Text => {
                let mut members = at("text", text.as_str().into());
                members["logprobs"] = json!([]);
                let part = text_part(&text);
                let content = part.clone().into_iter().collect();
                (message(&id, status, content), ("response.output_text.done", members), part)
            }
            Kind::Refusal => {
                let part = refusal_part(&text);
                let done = ("response.refusal.done", at("refusal", text.as_str().into()));
                (message(&id, status, part.clone().into_iter().collect()), done, part)
            }
            Kind::Call { number: _, id: call_id, name } => {
                let arguments = if text.is_empty() { "{}" } else { &text };
                let members = json!({
                    "item_id": id, "output_index": place, "name": name, "arguments": arguments,
                });
                let item = function_call(&id, call_id.as_deref(), name, arguments, status);
                (item, ("response.function_call_arguments.done", members), None)
            }
        };
        let part = part.map(|part| at("part", part));
        self.event(done.0, done.1, out);
        if let Some(part) = part {
            self.event("response.content_part.done", part, out);
        }
        let members = json!({ "output_index": place, "item": item });
        self.event("response.output_item.done", members, out);
        self.output.push(item);
    }
}
