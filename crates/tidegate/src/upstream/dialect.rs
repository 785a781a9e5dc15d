//! How the answers of each API are read, and in which form they go on.

use crate::clock::Clock;
use bytes::Bytes;
use std::collections::VecDeque;
#[cfg(feature = "bedrock")]
use tidegate_wire::bedrock::{Broken, Decoder, Event};
use tidegate_wire::openai_embeddings::EmbeddingFacts;
use tidegate_wire::sse::{DONE, Parser, SseEvent};
#[cfg(feature = "bedrock")]
use tidegate_wire::translate::converse_out;
use tidegate_wire::translate::{Step, anthropic_out, gemini_out};
use tidegate_wire::{AnswerFacts, AnswerProblem, ErrorFacts, Piece};
use tidegate_wire::{anthropic, gemini, openai_chat, openai_completions, openai_embeddings};

/// The API that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Chat completions, which go on as they come.
    Chat,
    /// OpenAI's older completions, which go on as they come.
    Completions,
    /// OpenAI's embeddings, which go on as they come.
    Embeddings,
    /// Anthropic's messages, which go on as chat completions.
    Anthropic,
    /// Anthropic's messages, which go on as they come.
    Messages,
    /// Google's Gemini API, which goes on as chat completions.
    Gemini,
    /// Bedrock's Converse, which goes on as chat completions.
    #[cfg(feature = "bedrock")]
    Converse,
}

impl Dialect {
    /// Reads the body of an answer whose status is an error.
    pub(super) fn error(self, body: &[u8]) -> ErrorFacts {
        match self {
            Dialect::Chat | Dialect::Completions | Dialect::Embeddings => ErrorFacts::of_body(body),
            Dialect::Anthropic | Dialect::Messages => anthropic::error_facts(body),
            Dialect::Gemini => gemini::error_facts(body),
            #[cfg(feature = "bedrock")]
            Dialect::Converse => tidegate_wire::bedrock::error_facts(body),
        }
    }

    /// Reads a whole answer; gives it in the form in which it goes on.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is none.
    pub(super) fn whole(self, body: Bytes) -> Result<(Bytes, AnswerFacts), AnswerProblem> {
        let body = match self {
            Dialect::Chat => body,
            Dialect::Completions => {
                let facts = openai_completions::read_answer(&body)?;
                return Ok((body, facts));
            }
            Dialect::Embeddings => {
                let EmbeddingFacts { usage, model, .. } = openai_embeddings::read_answer(&body)?;
                let mut facts = AnswerFacts::default();
                (facts.usage, facts.model) = (usage, model);
                return Ok((body, facts));
            }
            Dialect::Messages => {
                let facts = anthropic::read_answer(&body)?;
                return Ok((body, facts));
            }
            Dialect::Anthropic => anthropic_out::answer(&body, now_s())?.into(),
            Dialect::Gemini => gemini_out::answer(&body, now_s())?.into(),
            #[cfg(feature = "bedrock")]
            Dialect::Converse => converse_out::answer(&body, now_s())?.into(),
        };
        // What the client gets is what is looked at.
        let facts = openai_chat::read_answer(&body)?;
        Ok((body, facts))
    }

    /// What splits the bytes of a stream into events.
    pub(super) fn framing(self) -> Framing {
        match self {
            #[cfg(feature = "bedrock")]
            Dialect::Converse => Framing::Aws(Decoder::default()),
            _ => Framing::Sse(Parser::default()),
        }
    }

    /// A reader of a stream that begins now.
    pub(super) fn events(self) -> Events {
        let form = match self {
            // Embeddings are not streamed.
            Dialect::Chat | Dialect::Embeddings => Form::Chat,
            Dialect::Completions => Form::Completions,
            Dialect::Anthropic => Form::Anthropic(Box::new(anthropic_out::Stream::new(now_s()))),
            Dialect::Messages => Form::Messages(Box::default()),
            Dialect::Gemini => Form::Gemini(Box::new(gemini_out::Stream::new(now_s()))),
            #[cfg(feature = "bedrock")]
            Dialect::Converse => Form::Converse(Box::new(converse_out::Stream::new(now_s()))),
        };
        Events { form, chunks: VecDeque::new(), is_done: false }
    }
}

/// How a stream is split into events.
#[derive(Debug)]
pub(super) enum Framing {
    /// Server-sent events.
    Sse(Parser),
    /// AWS's event stream.
    #[cfg(feature = "bedrock")]
    Aws(Decoder),
}

/// Why it cannot be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unframed {
    /// An event is too long.
    TooLong,
    /// A checksum does not fit, or a frame is none.
    #[cfg(feature = "bedrock")]
    Broken,
}

impl Framing {
    /// More bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Unframed> {
        match self {
            Framing::Sse(parser) => parser.push(bytes).map_err(|_| Unframed::TooLong),
            #[cfg(feature = "bedrock")]
            Framing::Aws(decoder) => {
                decoder.push(bytes);
                Ok(())
            }
        }
    }

    /// The next event, where one is whole.
    pub(super) fn next_event(&mut self) -> Result<Option<SseEvent>, Unframed> {
        match self {
            Framing::Sse(parser) => Ok(parser.next_event()),
            #[cfg(feature = "bedrock")]
            Framing::Aws(decoder) => match decoder.next_event() {
                Ok(event) => {
                    Ok(event.map(|Event { data, is_error }| SseEvent::Data { is_error, data }))
                }
                Err(Broken::TooLong) => Err(Unframed::TooLong),
                Err(Broken::Checksum | Broken::NoFrame) => Err(Unframed::Broken),
            },
        }
    }

    /// What is unfinished at the end, where that may be an event.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        match self {
            Framing::Sse(parser) => parser.rest(),
            #[cfg(feature = "bedrock")]
            Framing::Aws(_) => None,
        }
    }
}

/// Now, seconds since the epoch: when an answer was made, for its readers.
fn now_s() -> u64 {
    Clock::Real.now().0 / 1_000
}

/// What has been read of a stream and has not gone on yet.
#[derive(Debug)]
pub(super) struct Events {
    form: Form,
    chunks: VecDeque<(Bytes, Piece)>,
    is_done: bool,
}

#[derive(Debug)]
enum Form {
    Chat,
    Completions,
    Anthropic(Box<anthropic_out::Stream>),
    Messages(Box<anthropic::EventReader>),
    Gemini(Box<gemini_out::Stream>),
    #[cfg(feature = "bedrock")]
    Converse(Box<converse_out::Stream>),
}

impl Events {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is an error, or nothing that the API has.
    pub(super) fn event(&mut self, data: Vec<u8>, is_error: bool) -> Result<(), AnswerProblem> {
        let read = match is_error {
            false => self.read(data.into()),
            true => {
                let data = Bytes::from(data);
                // An error event, in whatever form: what is no error by itself is one by its name.
                match self.read(data.clone()) {
                    Err(problem @ AnswerProblem::Error(_)) => Err(problem),
                    Ok(()) | Err(_) => Err(AnswerProblem::Error(ErrorFacts::of_body(&data))),
                }
            }
        };
        read.inspect_err(|_| self.chunks.clear())
    }

    fn read(&mut self, data: Bytes) -> Result<(), AnswerProblem> {
        let step = match &mut self.form {
            Form::Chat | Form::Completions if data.trim_ascii() == DONE => {
                self.is_done = true;
                return Ok(());
            }
            Form::Chat => {
                let says = openai_chat::read_chunk(&data)?;
                self.chunks.push_back((data, says));
                return Ok(());
            }
            Form::Completions => {
                let says = openai_completions::read_chunk(&data)?;
                self.chunks.push_back((data, says));
                return Ok(());
            }
            Form::Messages(reader) => {
                let says = reader.read(&data)?;
                self.is_done = reader.is_done();
                // The last event is written once the whole answer has been looked at.
                if !self.is_done {
                    self.chunks.push_back((data, says));
                }
                return Ok(());
            }
            Form::Anthropic(stream) => stream.event(&data)?,
            Form::Gemini(stream) => stream.event(&data)?,
            #[cfg(feature = "bedrock")]
            Form::Converse(stream) => stream.event(&data)?,
        };
        self.take(step);
        Ok(())
    }

    /// Reads what is unfinished at the end of the body, if anything. `is_finished`: every choice
    /// that began has its reason to end.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is an error, or nothing that the API has.
    pub(super) fn end(
        &mut self,
        rest: Option<Vec<u8>>,
        is_finished: bool,
    ) -> Result<(), AnswerProblem> {
        match &mut self.form {
            // A chunk that no blank line follows may be cut.
            Form::Chat | Form::Completions => {
                let is_done = |rest: Vec<u8>| rest.trim_ascii() == DONE;
                self.is_done |= rest.map_or(is_finished, is_done);
            }
            // An event that is whole counts, also where no blank line follows it.
            Form::Anthropic(_) | Form::Messages(_) | Form::Gemini(_) => {
                rest.map_or(Ok(()), |rest| self.read(rest.into()))?;
            }
            // Frames have a length: there is no unfinished one that counts.
            #[cfg(feature = "bedrock")]
            Form::Converse(_) => {}
        }
        if let Form::Gemini(stream) = &mut self.form {
            let step = stream.end()?;
            self.take(step);
        }
        Ok(())
    }

    fn take(&mut self, step: Step) {
        let Step { chunks, is_done } = step;
        self.chunks.extend(chunks.into_iter().map(|chunk| (chunk.data.into(), chunk.says)));
        self.is_done |= is_done;
    }

    /// The next chunk, with what it says.
    pub(super) fn next(&mut self) -> Option<(Bytes, Piece)> {
        self.chunks.pop_front()
    }

    /// Whether the stream has ended as it should.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }
}
