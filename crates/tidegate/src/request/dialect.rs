//! The API that a client speaks. Requests are read into chat completions, and answers and errors
//! are written back in the client's own form; all between is the same.

use super::google::Sends;
use super::problem::{Next, Problem};
use crate::upstream::Form;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use tidegate_core::ids::{TraceId, UnixMs};
use tidegate_wire::openai_chat::{self, ChatRequest, USER_TEXT_MAX};
use tidegate_wire::openai_completions::{self, CompletionRequest};
use tidegate_wire::openai_embeddings::{self, EmbeddingRequest};
use tidegate_wire::translate::{ChatServer, Warnings, anthropic_in, gemini_in, responses_in};
use tidegate_wire::{AnswerProblem, ErrorBody, Piece, RequestError, anthropic, gemini, sse};

/// What a translation left out of a request, a header each.
const X_WARNING: HeaderName = HeaderName::from_static("x-tidegate-warning");
/// The event that a message ends with.
const STOP: &str = "message_stop";
const STOP_DATA: &[u8] = br#"{"type":"message_stop"}"#;
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
    /// OpenAI's older completions.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// Anthropic's messages.
    Anthropic,
    /// OpenAI's responses, without what needs the server to keep them.
    Responses,
    /// Google's Gemini API.
    Google(Sends),
}

/// What an answer has of its request.
#[derive(Debug, Clone, Default)]
pub(super) struct Echo {
    /// What it repeats.
    repeated: responses_in::Echo,
    /// Whether it shows what the model thought.
    shows_thoughts: bool,
}

/// A request in the form in which it goes on: a chat completion, or its own.
#[derive(Default)]
pub(super) struct Asks {
    /// What it asks.
    pub(super) chat: ChatRequest,
    /// The JSON of it.
    pub(super) text: Bytes,
    /// Tokens to embed, which the values do not have.
    pub(super) tokens: Option<Tokens>,
    /// What was left out.
    pub(super) warnings: Warnings,
    /// What the answer has of it.
    pub(super) echo: Echo,
    /// The message that it was, for model servers that speak its API.
    pub(super) message: Option<Message>,
}

/// The input of an embedding request, where it is in tokens: as it is written.
pub(super) struct Tokens {
    /// A list of numbers, or of lists of them.
    pub(super) text: Bytes,
    /// How many there are.
    pub(super) count: u64,
}

/// A message of Anthropic's API as its client sent it.
pub(super) struct Message {
    /// Its JSON.
    pub(super) text: Bytes,
    /// Why it cannot be a chat completion, where it cannot.
    pub(super) untranslatable: Option<Box<RequestError>>,
}

/// Which answer is written: what is known of it before it is made.
pub(super) struct Named<'a> {
    /// Its trace.
    pub(super) trace: &'a TraceId,
    /// When its request came.
    pub(super) at: UnixMs,
    /// What it has of its request.
    pub(super) echo: &'a Echo,
}

impl Dialect {
    /// Its name, which no other has.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "chat completions",
            Dialect::Completions => "completions",
            Dialect::Embeddings => "embeddings",
            Dialect::Anthropic => "messages",
            Dialect::Responses => "responses",
            Dialect::Google(_) => "generate content",
        }
    }

    /// What makes a request of a caller another than its others: the body, and what the path says.
    pub(super) fn identity<'a>(self, bytes: &'a [u8], model: Option<&str>) -> Cow<'a, [u8]> {
        match (self, model) {
            (Dialect::Google(sends), Some(model)) => {
                let path = format!("{model}\n{sends:?}\n");
                Cow::Owned([path.as_bytes(), bytes].concat())
            }
            (_, _) => Cow::Borrowed(bytes),
        }
    }

    /// Reads a request; `model` is the one in its path.
    ///
    /// # Errors
    /// [`RequestError`], which names the member at fault as the client knows it.
    pub(super) fn read(self, bytes: &Bytes, model: Option<&str>) -> Result<Asks, RequestError> {
        match self {
            Dialect::OpenAi => {
                let chat = openai_chat::read_request(bytes)?;
                Ok(Asks { chat, text: bytes.clone(), ..Asks::default() })
            }
            Dialect::Completions => {
                let CompletionRequest {
                    body,
                    model,
                    stream,
                    include_usage,
                    user,
                    prompts,
                    input_chars,
                } = openai_completions::read_request(bytes)?;
                let last = prompts.last().map(String::as_str).unwrap_or_default();
                let last_user_text = last.chars().take(USER_TEXT_MAX).collect();
                let chat = ChatRequest {
                    body,
                    model,
                    stream,
                    include_usage,
                    user,
                    last_user_text,
                    input_chars,
                };
                Ok(Asks { chat, text: bytes.clone(), ..Asks::default() })
            }
            Dialect::Embeddings => {
                let read = openai_embeddings::read_request(bytes)?;
                let EmbeddingRequest { body, tokens, model, user, input_chars, .. } = read;
                let count = read.input_tokens;
                let (text, tokens) = match tokens {
                    Some(openai_embeddings::Tokens { at, rest, .. }) => {
                        (rest.into(), Some(Tokens { text: bytes.slice(at), count }))
                    }
                    None => (bytes.clone(), None),
                };
                // Inputs are documents more often than questions: they are not kept.
                let chat = ChatRequest { body, model, user, input_chars, ..ChatRequest::default() };
                Ok(Asks { chat, text, tokens, ..Asks::default() })
            }
            Dialect::Anthropic => read_message(bytes),
            Dialect::Responses => {
                let responses_in::Request { chat, echo, warnings } =
                    responses_in::request(bytes, &SERVER)?;
                let echo = Echo { repeated: echo, ..Echo::default() };
                Ok(Asks { text: written(&chat), chat, warnings, echo, ..Asks::default() })
            }
            Dialect::Google(sends) => {
                let model = model.unwrap_or_default();
                let path = gemini_in::Path { model, stream: sends != Sends::Whole };
                let gemini_in::Request { chat, shows_thoughts, warnings } =
                    gemini_in::request(bytes, &path, &SERVER)?;
                let echo = Echo { shows_thoughts, ..Echo::default() };
                Ok(Asks { text: written(&chat), chat, warnings, echo, ..Asks::default() })
            }
        }
    }

    /// The form in which its requests go on.
    pub(super) fn form(self) -> Form {
        match self {
            Dialect::OpenAi | Dialect::Anthropic | Dialect::Responses | Dialect::Google(_) => {
                Form::Chat
            }
            Dialect::Completions => Form::Completions,
            Dialect::Embeddings => Form::Embeddings,
        }
    }

    /// Writes a whole answer in this form.
    ///
    /// # Errors
    /// [`AnswerProblem`] when this form has no way to say it.
    pub(super) fn answer(self, body: Bytes, named: &Named<'_>) -> Result<Bytes, AnswerProblem> {
        let Named { trace, at, echo } = *named;
        let translated = match self {
            Dialect::OpenAi | Dialect::Completions | Dialect::Embeddings => return Ok(body),
            Dialect::Anthropic => anthropic_in::answer(&body, &format!("msg_{trace}")),
            Dialect::Responses => {
                let (id, created) = (format!("resp_{trace}"), at.0 / 1_000);
                responses_in::answer(&body, &id, created, &echo.repeated)
            }
            Dialect::Google(_) => gemini_in::answer(&body, trace.as_str(), echo.shows_thoughts),
        };
        translated.map(Bytes::from)
    }

    /// Writes an error in this form.
    pub(super) fn error(self, problem: &Problem, trace: Option<&TraceId>) -> Vec<u8> {
        let body = ErrorBody {
            status: problem.status.as_u16(),
            message: &problem.message,
            param: problem.param.as_deref(),
            code: problem.upstream_code.as_deref().unwrap_or(problem.code.as_str()),
            trace_id: trace.map(TraceId::as_str),
            retry_after_s: match problem.next {
                Next::RetryAfter(seconds) | Next::Bounded(Some(seconds), _) => Some(seconds),
                _ => None,
            },
        };
        match self {
            Dialect::OpenAi | Dialect::Completions | Dialect::Embeddings | Dialect::Responses => {
                problem.envelope(trace)
            }
            Dialect::Anthropic => anthropic::write_error(&body),
            Dialect::Google(_) => gemini::write_error(&body),
        }
    }

    /// Adds the headers that clients of this form read.
    pub(super) fn put_ids(self, headers: &mut HeaderMap, trace: &TraceId) {
        if let (Dialect::Anthropic, Ok(id)) = (self, HeaderValue::from_str(trace.as_str())) {
            headers.insert(REQUEST_ID, id);
        }
    }

    /// A stream in this form.
    pub(super) fn stream(self, named: &Named<'_>, hides_usage: bool) -> StreamForm {
        let Named { trace, at, echo } = *named;
        match self {
            Dialect::OpenAi | Dialect::Completions | Dialect::Embeddings => {
                StreamForm::OpenAi { hides_usage }
            }
            Dialect::Anthropic => {
                let events = anthropic_in::Events::new(format!("msg_{trace}"));
                StreamForm::Anthropic(Box::new(events))
            }
            Dialect::Responses => {
                let (id, created) = (format!("resp_{trace}"), at.0 / 1_000);
                let events = responses_in::Events::new(id, created, echo.repeated.clone());
                StreamForm::Responses(Box::new(events))
            }
            Dialect::Google(sends) => {
                let events = gemini_in::Events::new(trace.as_str(), echo.shows_thoughts);
                let list = (sends == Sends::List).then_some(List::default());
                StreamForm::Google { events: Box::new(events), list }
            }
        }
    }
}

/// Reads a message of Anthropic's API.
fn read_message(bytes: &Bytes) -> Result<Asks, RequestError> {
    let message = |untranslatable| Message { text: bytes.clone(), untranslatable };
    match anthropic_in::request(bytes, &SERVER) {
        Ok(anthropic_in::Request { chat, warnings }) => {
            let (text, message) = (written(&chat), Some(message(None)));
            Ok(Asks { text, chat, warnings, message, ..Asks::default() })
        }
        Err(why @ RequestError::Untranslatable { .. }) => {
            let text = bytes.clone();
            let message = Some(message(Some(Box::new(why))));
            Ok(Asks { chat: untranslated(bytes)?, text, message, ..Asks::default() })
        }
        Err(error) => Err(error),
    }
}

/// A message that cannot be a chat completion, with what guards, limits and records read of it.
fn untranslated(bytes: &Bytes) -> Result<ChatRequest, RequestError> {
    let anthropic::MessagesRequest { body, model, stream, user, last_user_text, input_chars } =
        anthropic::read_request(bytes)?;
    let (model, include_usage) = (Some(model), true);
    Ok(ChatRequest { body, model, stream, include_usage, user, last_user_text, input_chars })
}

/// Says what was left out of a request.
pub(super) fn put_warnings(headers: &mut HeaderMap, warnings: &Warnings) {
    warnings.iter().for_each(|warning| put_warning(headers, &warning.to_string()));
}

/// Says one thing of an answer that its reader may have to know.
pub(super) fn put_warning(headers: &mut HeaderMap, warning: &str) {
    if let Ok(value) = HeaderValue::from_str(warning) {
        headers.append(X_WARNING, value);
    }
}

/// The JSON of a request.
fn written(chat: &ChatRequest) -> Bytes {
    // Values that were read from JSON can be written as JSON.
    serde_json::to_vec(&chat.body).unwrap_or_default().into()
}

/// The events of a stream, in the client's form.
pub(super) enum StreamForm {
    /// Chunks, as the model server sent them.
    OpenAi {
        /// Whether the client did not ask for the usage.
        hides_usage: bool,
    },
    /// Events of a message, as the model server sent them.
    Messages,
    /// Events of a message.
    Anthropic(Box<anthropic_in::Events>),
    /// Events of a response.
    Responses(Box<responses_in::Events>),
    /// Answers of Google's API, each with what is new.
    Google {
        /// What becomes them.
        events: Box<gemini_in::Events>,
        /// The list that they are in; `None` for events.
        list: Option<List>,
    },
}

/// A JSON list that grows.
#[derive(Debug, Default)]
pub(super) struct List {
    has_begun: bool,
}

impl List {
    fn write(&mut self, item: &[u8], out: &mut Vec<u8>) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        out.extend_from_slice(if is_first { b"[" } else { b",\n" });
        out.extend_from_slice(item);
    }
}

/// Writes answers of Google's API.
fn write_answers(answers: Vec<Vec<u8>>, list: &mut Option<List>, out: &mut Vec<u8>) {
    for answer in answers {
        match list {
            Some(list) => list.write(&answer, out),
            None => sse::write_event(out, &answer),
        }
    }
}

/// Ends the list of answers, where they are in one.
fn end_answers(list: &Option<List>, out: &mut Vec<u8>) {
    out.extend_from_slice(list.as_ref().map_or(b"", |_| b"]"));
}

impl StreamForm {
    /// The media type.
    pub(super) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            StreamForm::Google { list: Some(_), .. } => "application/json",
            StreamForm::OpenAi { .. }
            | StreamForm::Messages
            | StreamForm::Anthropic(_)
            | StreamForm::Responses(_)
            | StreamForm::Google { list: None, .. } => "text/event-stream; charset=utf-8",
        })
    }

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
            StreamForm::Messages => match anthropic::event_name(data) {
                Some(name) => sse::write_named_event(out, &name, data),
                None => sse::write_event(out, data),
            },
            StreamForm::Anthropic(events) => {
                let events = events.piece(says)?;
                events.iter().for_each(|event| write(event, out));
            }
            StreamForm::Responses(events) => write_all(events.piece(says)?, out),
            StreamForm::Google { events, list } => write_answers(events.piece(says)?, list, out),
        }
        Ok(())
    }

    /// Writes a sign of life.
    pub(super) fn ping(&self, out: &mut Vec<u8>) {
        match self {
            StreamForm::OpenAi { .. } | StreamForm::Responses(_) => sse::write_ping(out),
            StreamForm::Messages | StreamForm::Anthropic(_) => {
                write(&anthropic_in::Events::ping(), out);
            }
            // Google's SDK takes a comment for the beginning of an error.
            StreamForm::Google { .. } => out.push(b'\n'),
        }
    }

    /// Writes a good end.
    ///
    /// # Errors
    /// [`AnswerProblem`] when this form has no way to say it.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), AnswerProblem> {
        match self {
            StreamForm::OpenAi { .. } => sse::write_event(out, sse::DONE),
            StreamForm::Messages => sse::write_named_event(out, STOP, STOP_DATA),
            StreamForm::Anthropic(events) => {
                events.end().iter().for_each(|event| write(event, out));
            }
            StreamForm::Responses(events) => write_all(events.end()?, out),
            StreamForm::Google { events, list } => {
                write_answers(events.end()?, list, out);
                end_answers(list, out);
            }
        }
        Ok(())
    }

    /// Writes the error that the stream ends with.
    pub(super) fn error(&mut self, problem: &Problem, trace: Option<&TraceId>, out: &mut Vec<u8>) {
        match self {
            StreamForm::OpenAi { .. } => {
                sse::write_event(out, &Dialect::OpenAi.error(problem, trace));
            }
            StreamForm::Messages | StreamForm::Anthropic(_) => {
                let data = Dialect::Anthropic.error(problem, trace);
                sse::write_named_event(out, "error", &data);
            }
            StreamForm::Responses(events) => {
                let code = problem.upstream_code.as_deref().unwrap_or(problem.code.as_str());
                write_all(vec![events.error(code, &problem.message)], out);
            }
            StreamForm::Google { events: _, list } => {
                let error = Dialect::Google(Sends::Whole).error(problem, trace);
                write_answers(vec![error], list, out);
                end_answers(list, out);
            }
        }
    }
}

fn write_all(events: Vec<responses_in::Event>, out: &mut Vec<u8>) {
    for event in events {
        sse::write_named_event(out, event.name, &event.data);
    }
}

fn write(event: &anthropic_in::Event, out: &mut Vec<u8>) {
    sse::write_named_event(out, event.name, &event.data);
}
