//! Upstreams: clients of model servers. One call in, one answer or one stream of chunks out; what a
//! result means is decided in `tidegate_core::upstream`.

mod anthropic;
#[cfg(feature = "bedrock")]
mod bedrock;
mod bounds;
mod completion;
mod dialect;
mod embedder;
mod endpoints;
mod fault;
mod fixed;
mod flight;
mod gemini;
mod metered;
mod moderation;
mod openai;
mod pieces;
mod replay;
mod retriever;
mod setup;
mod simulated;
#[cfg(test)]
mod testing;
mod transport;

use crate::clock::Clock;
use crate::config;
use bytes::Bytes;
use http::HeaderValue;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::upstream::Failure;
use tidegate_core::version_set::VersionKeys;
use tidegate_wire::translate::Warnings;
use tidegate_wire::{AnswerFacts, RequestError, openai_chat};

pub(crate) use bounds::BODY_SMALL;
pub(crate) use embedder::Embedder;
pub(crate) use endpoints::Endpoints;
pub(crate) use fixed::fixed;
pub(crate) use flight::EndpointChange;
pub(crate) use metered::{cost, metered, tier_of};
pub(crate) use moderation::Moderation;
pub(crate) use pieces::{PieceSender, Pieces};
pub(crate) use retriever::Retriever;
pub(crate) use setup::SetupError;
pub(crate) use transport::{Probe, ProbeReply};

/// The API in whose form a call and its answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// A chat completion.
    #[default]
    Chat,
    /// One of OpenAI's older completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// A message of Anthropic's API.
    Messages,
}

/// One call, ready to send.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Whose form the body has.
    pub(crate) form: Form,
    /// The request in that form, usually as an OpenAI chat completion: model, messages, everything
    /// rendered, `stream` set. A stream's usage is asked for by the upstream, which knows whether
    /// it can be.
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
    /// Tokens to embed, as JSON; `input` of the body is null.
    pub(crate) tokens: Option<Bytes>,
    /// Features that the client of a message asks for, as `anthropic-beta` lists them.
    pub(crate) betas: Option<HeaderValue>,
    /// About how long its JSON is, bytes: a text that grows takes twice its memory.
    pub(crate) expected_bytes: usize,
    /// Whether a stream is wanted.
    pub(crate) stream: bool,
    /// Whether it was sent before and failed.
    pub(crate) is_retry: bool,
    /// The endpoints that it was sent to before, by number.
    pub(crate) tried: Vec<usize>,
    /// Whether the client has less patience than the version set's limits.
    pub(crate) is_hurried: bool,
    /// The version set's names, for simulated faults.
    pub(crate) keys: VersionKeys,
    /// W3C trace context to pass on.
    pub(crate) traceparent: Option<String>,
    /// Trace id to pass on; none for calls of our own.
    pub(crate) trace_id: Option<String>,
    /// Request id to pass on.
    pub(crate) request_id: String,
    /// Deadlines.
    pub(crate) deadlines: Deadlines,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// Until the first byte of the answer.
    pub(crate) first_byte: Duration,
    /// Between two events of a stream that bring the answer further.
    pub(crate) idle: Duration,
    /// For the whole answer.
    pub(crate) total: Duration,
}

/// How long the upstream took, measured here; simulated upstreams report simulated time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Elapsed {
    /// Until the first token, or the whole body where it was not streamed.
    pub(crate) first_token: Duration,
    /// Until the end.
    pub(crate) total: Duration,
}

/// An upstream's failure.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamError {
    /// What it was.
    pub(crate) failure: Failure,
    /// The upstream's HTTP status, where there was one.
    pub(crate) status: Option<u16>,
    /// One sentence in our words, safe to show to anyone.
    pub(crate) message: String,
    /// What the upstream said of it.
    pub(crate) said: Box<UpstreamSaid>,
    /// What its API cannot say, where the request was not sent for that.
    pub(crate) untranslatable: Option<Box<RequestError>>,
    /// How long the upstream asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// How long it took to fail.
    pub(crate) elapsed: Elapsed,
    /// Whether two connections were closed on the request: it may be what ends the upstream.
    pub(crate) sent_twice: bool,
    /// Whether no connection was made: the request was not sent at all.
    pub(crate) is_unsent: bool,
    /// The endpoint that was called, by number.
    pub(crate) endpoint: Option<usize>,
}

/// The upstream's own description of its fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UpstreamSaid {
    /// Its code, a word: OpenAI's own where it means the same.
    pub(crate) code: Option<String>,
    /// Its words: the first 200 characters, redacted; for operators, and for clients only where
    /// the project says so.
    pub(crate) text: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The body, JSON with at least one choice: as the upstream sent it where it speaks chat
    /// completions, else translated.
    pub(crate) body: Bytes,
    /// What it says.
    pub(crate) facts: AnswerFacts,
    /// How long it took.
    pub(crate) elapsed: Elapsed,
    /// What was left out of the request.
    pub(crate) warnings: Warnings,
}

/// A piece of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// One server-sent event.
    Data {
        /// Its data, JSON, without `data:`.
        bytes: Bytes,
        /// What it says.
        says: tidegate_wire::Piece,
    },
    /// A sign of life without data.
    Ping,
    /// The stream ended as it should (`[DONE]`).
    Done(Elapsed),
    /// It did not. Nothing follows.
    Failed(UpstreamError),
}

/// What a call gives.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Everything at once.
    Whole(Answer),
    /// In pieces.
    Stream(Pieces),
}

impl Reply {
    /// The same with what was left out of the request.
    fn warning(mut self, left_out: Warnings) -> Reply {
        match &mut self {
            Reply::Whole(Answer { warnings, .. }) | Reply::Stream(Pieces { warnings, .. }) => {
                *warnings = left_out;
            }
        }
        self
    }
}

/// A client of one model server; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// A server with an OpenAI-compatible API.
    OpenAi(Arc<openai::OpenAi>),
    /// A server that speaks Anthropic's API.
    Anthropic(Arc<anthropic::Anthropic>),
    /// A server that speaks Google's API.
    Gemini(Arc<gemini::Gemini>),
    /// Amazon Bedrock.
    #[cfg(feature = "bedrock")]
    Bedrock(Arc<bedrock::Bedrock>),
    /// Recorded answers.
    Replay(Arc<replay::Replay>),
    /// Answers by rule.
    Simulated(Arc<simulated::Simulated>),
}

impl Upstream {
    /// Makes the client. Reads the replay file and the key's environment variable here, so that a
    /// missing one is an error at the start and not at the first request.
    pub(crate) fn new(
        name: &str,
        config: &config::Upstream,
        root: &Path,
        clock: &Clock,
    ) -> Result<Upstream, SetupError> {
        Ok(match config {
            config::Upstream::Openai { base_url, api_key_env, stream_usage, reach, .. } => {
                let api_key_env = api_key_env.as_deref();
                Upstream::OpenAi(Arc::new(openai::OpenAi::new(
                    name,
                    base_url,
                    api_key_env,
                    *stream_usage,
                    reach.http2,
                )?))
            }
            config::Upstream::Azure(config) => {
                Upstream::OpenAi(Arc::new(openai::OpenAi::at_azure(name, config)?))
            }
            config::Upstream::Anthropic(config) => {
                Upstream::Anthropic(Arc::new(anthropic::Anthropic::new(name, config)?))
            }
            config::Upstream::Gemini(config) => {
                Upstream::Gemini(Arc::new(gemini::Gemini::new(name, config)?))
            }
            #[cfg(feature = "bedrock")]
            config::Upstream::Bedrock(config) => {
                Upstream::Bedrock(Arc::new(bedrock::Bedrock::new(name, config)?))
            }
            #[cfg(not(feature = "bedrock"))]
            config::Upstream::Bedrock(_) => {
                return Err(SetupError::NotBuilt { name: name.to_owned(), kind: "bedrock" });
            }
            config::Upstream::Replay { path, latency_ms, ms_per_token } => {
                Upstream::Replay(Arc::new(replay::Replay::new(
                    name,
                    &root.join(path),
                    *latency_ms,
                    *ms_per_token,
                    clock,
                )?))
            }
            config::Upstream::Simulated(simulated) => {
                Upstream::Simulated(Arc::new(simulated::Simulated::new(simulated, clock)))
            }
        })
    }

    /// Whether it takes calls of this form.
    pub(crate) fn takes(&self, form: Form) -> bool {
        match form {
            Form::Chat => true,
            Form::Completions | Form::Embeddings => matches!(self, Upstream::OpenAi(_)),
            Form::Messages => matches!(self, Upstream::Anthropic(_)),
        }
    }

    /// Whether the times of the answer to this request are measured, or were recorded.
    fn is_timed(&self, body: &serde_json::Map<String, serde_json::Value>) -> bool {
        match self {
            Upstream::Replay(replay) => replay.is_timed(body),
            _ => true,
        }
    }

    /// Makes one call, once; retries are the caller's.
    pub(crate) async fn call(&self, mut call: Call) -> Result<Reply, UpstreamError> {
        if call.stream && matches!(self, Upstream::Replay(_) | Upstream::Simulated(_)) {
            openai_chat::ask_for_usage(&mut call.body);
        }
        match self {
            Upstream::OpenAi(upstream) => upstream.call(call).await,
            Upstream::Anthropic(upstream) => upstream.call(call).await,
            Upstream::Gemini(upstream) => upstream.call(call).await,
            #[cfg(feature = "bedrock")]
            Upstream::Bedrock(upstream) => upstream.call(call).await,
            Upstream::Replay(upstream) => upstream.call(call).await,
            Upstream::Simulated(upstream) => upstream.call(call).await,
        }
    }

    /// Asks how many tokens a message has; `None` where its server does not count.
    pub(crate) async fn count(&self, call: Call) -> Option<Result<u64, UpstreamError>> {
        match self {
            Upstream::Anthropic(upstream) => Some(upstream.count(call).await),
            #[cfg(feature = "bedrock")]
            Upstream::Bedrock(_) => None,
            Upstream::OpenAi(_)
            | Upstream::Gemini(_)
            | Upstream::Replay(_)
            | Upstream::Simulated(_) => None,
        }
    }

    /// Whether its server answers a request for this path with a 2xx in time.
    async fn is_up(&self, path: &str, within: Duration) -> bool {
        match self.transport() {
            Some(transport) => transport.is_up(path, within).await,
            None => true,
        }
    }

    /// Calls its server whatever its name resolves to.
    fn call_any_address(&self) {
        if let Some(transport) = self.transport() {
            transport.call_any_address();
        }
    }

    /// The way to its server.
    fn transport(&self) -> Option<&transport::Transport> {
        Some(match self {
            Upstream::OpenAi(upstream) => &upstream.transport,
            Upstream::Anthropic(upstream) => &upstream.transport,
            Upstream::Gemini(upstream) => &upstream.transport,
            #[cfg(feature = "bedrock")]
            Upstream::Bedrock(upstream) => &upstream.transport,
            Upstream::Replay(_) | Upstream::Simulated(_) => return None,
        })
    }
}
