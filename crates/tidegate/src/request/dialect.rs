//! The API that a client speaks. Requests are read into chat completions, and answers and errors
//! are written back in the client's own form; all between is the same.

use super::problem::Problem;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tidegate_core::ids::TraceId;
use tidegate_wire::openai_chat::{self, ChatRequest};
use tidegate_wire::translate::{ChatServer, Warnings, anthropic_in};
use tidegate_wire::{AnswerProblem, Piece, RequestError, anthropic, sse};

/// What a translation left out of a request, a header each.
const X_WARNING: HeaderName = HeaderName::from_static("x-tidegate-warning");
/// The name that Anthropic's clients know a request by.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Model servers differ in what they take beyond OpenAI's API; this is what all of them take.
const SERVER: ChatServer = ChatServer { extensions: false, reasoning: true, newer_length: false };

/// An API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dialect {
    /// OpenAI's chat completions, which model servers speak as well.
    #[default]
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

/// A request as a chat completion.
pub(super) struct Asks {
    /// What it asks.
    pub(super) chat: ChatRequest,
    /// The JSON of it.
    pub(super) text: Bytes,
    /// What was left out.
    pub(super) warnings: Warnings,
}

impl Dialect {
    /// Reads a request.
    ///
    /// # Errors
    /// [`RequestError`], which names the member at fault as the client knows it.
    pub(super) fn read(self, bytes: &Bytes) -> Result<Asks, RequestError> {
        match self {
            Dialect::OpenAi => {
                let (text, warnings) = (bytes.clone(), Warnings::default());
                Ok(Asks { chat: openai_chat::read_request(bytes)?, text, warnings })
            }
            Dialect::Anthropic => {
                let anthropic_in::Request { chat, warnings } =
                    anthropic_in::request(bytes, &SERVER)?;
                // Values that were read from JSON can be written as JSON.
                let text = serde_json::to_vec(&chat.body).unwrap_or_default().into();
                Ok(Asks { chat, text, warnings })
            }
        }
    }

    /// Writes a whole chat completion in this form.
    ///
    /// # Errors
    /// [`AnswerProblem`] when this form has no way to say it.
    pub(super) fn answer(self, body: Bytes, trace: &TraceId) -> Result<Bytes, AnswerProblem> {
        match self {
            Dialect::OpenAi => Ok(body),
            Dialect::Anthropic => anthropic_in::answer(&body, &message_id(trace)).map(Bytes::from),
        }
    }

    /// Writes an error in this form.
    pub(super) fn error(self, problem: &Problem, trace: Option<&TraceId>) -> Vec<u8> {
        match self {
            Dialect::OpenAi => problem.envelope(trace),
            Dialect::Anthropic => anthropic::write_error(&anthropic::ErrorBody {
                status: problem.status.as_u16(),
                message: &problem.message,
                param: problem.param.as_deref(),
                code: problem.upstream_code.as_deref().unwrap_or(problem.code.as_str()),
                trace_id: trace.map(TraceId::as_str),
            }),
        }
    }

    /// Adds the headers that clients of this form read.
    pub(super) fn put_ids(self, headers: &mut HeaderMap, trace: &TraceId) {
        if let (Dialect::Anthropic, Ok(id)) = (self, HeaderValue::from_str(trace.as_str())) {
            headers.insert(REQUEST_ID, id);
        }
    }

    /// A stream in this form.
    pub(super) fn stream(self, trace: &TraceId, hides_usage: bool) -> StreamForm {
        match self {
            Dialect::OpenAi => StreamForm::OpenAi { hides_usage },
            Dialect::Anthropic => {
                StreamForm::Anthropic(Box::new(anthropic_in::Events::new(message_id(trace))))
            }
        }
    }
}

/// Says what was left out of a request.
pub(super) fn put_warnings(headers: &mut HeaderMap, warnings: &Warnings) {
    for warning in warnings.iter() {
        if let Ok(value) = HeaderValue::from_str(&warning.to_string()) {
            headers.append(X_WARNING, value);
        }
    }
}

fn message_id(trace: &TraceId) -> String {
    format!("msg_{trace}")
}

/// The events of a stream, in the client's form.
pub(super) enum StreamForm {
    /// Chunks, as the model server sent them.
    OpenAi {
        /// Whether the client did not ask for the usage.
        hides_usage: bool,
    },
    /// Events of a message.
    Anthropic(Box<anthropic_in::Events>),
}

impl StreamForm {
    /// Writes a chunk.
    ///
    /// # Errors
    /// [`AnswerProblem`] when this form has no way to say it.
    pub(super) fn chunk(
        &mut self,
        data: &[u8],
        says: &Piece,
        out: &mut Vec<u8>,
    ) -> Result<(), AnswerProblem> {
        match self {
            StreamForm::OpenAi { hides_usage: false } => sse::write_event(out, data),
            StreamForm::OpenAi { hides_usage: true } => {
                if let Some(shown) = openai_chat::hide_usage(data) {
                    sse::write_event(out, &shown);
                }
            }
            StreamForm::Anthropic(events) => {
                let events = events.piece(says)?;
                events.iter().for_each(|event| write(event, out));
            }
        }
        Ok(())
    }

    /// Writes a sign of life.
    pub(super) fn ping(&self, out: &mut Vec<u8>) {
        match self {
            StreamForm::OpenAi { .. } => sse::write_ping(out),
            StreamForm::Anthropic(_) => write(&anthropic_in::Events::ping(), out),
        }
    }

    /// Writes a good end.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            StreamForm::OpenAi { .. } => sse::write_event(out, sse::DONE),
            StreamForm::Anthropic(events) => {
                events.end().iter().for_each(|event| write(event, out));
            }
        }
    }

    /// Writes the error that the stream ends with.
    pub(super) fn error(&self, problem: &Problem, trace: Option<&TraceId>, out: &mut Vec<u8>) {
        match self {
            StreamForm::OpenAi { .. } => {
                sse::write_event(out, &Dialect::OpenAi.error(problem, trace));
            }
            StreamForm::Anthropic(_) => {
                let data = Dialect::Anthropic.error(problem, trace);
                sse::write_named_event(out, "error", &data);
            }
        }
    }
}

fn write(event: &anthropic_in::Event, out: &mut Vec<u8>) {
    sse::write_named_event(out, event.name, &event.data);
}
