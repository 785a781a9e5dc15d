//! What the API's answers and events hold, read leniently: members that are not known are left
//! alone, and a value that is not expected counts as absent.

use super::error::error_of;
use crate::facts::{Finish, TOKENS_MAX, Tier, Usage};
use crate::members::{Members, text};
use crate::problem::{AnswerProblem, members_of};
use serde_json::value::RawValue;

/// Tokens as far as the server has reported them. Of its counts the input excludes what was read
/// from a cache or written to one; every event's counts are totals so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tokens {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    cache_hour: Option<u64>,
    tier: Option<Tier>,
}

impl Tokens {
    /// Of Bedrock, which counts alike and names otherwise.
    pub(crate) fn of_bedrock(usage: Option<&Members<'_>>) -> Tokens {
        let Some(usage) = usage else { return Tokens::default() };
        let count = |key| usage.number(key).filter(|count| *count <= TOKENS_MAX);
        Tokens {
            input: count("inputTokens"),
            cache_read: count("cacheReadInputTokens"),
            cache_write: count("cacheWriteInputTokens"),
            output: count("outputTokens"),
            ..Tokens::default()
        }
    }

    fn of(usage: Option<&Members<'_>>) -> Tokens {
        let Some(usage) = usage else { return Tokens::default() };
        let count = |key| usage.number(key).filter(|count| *count <= TOKENS_MAX);
        let details = usage.object("output_tokens_details");
        let thinking = details.and_then(|details| details.number("thinking_tokens"));
        Tokens {
            input: count("input_tokens"),
            cache_read: count("cache_read_input_tokens"),
            cache_write: count("cache_creation_input_tokens"),
            output: count("output_tokens"),
            thinking,
            cache_hour: usage
                .object("cache_creation")
                .and_then(|written| written.number("ephemeral_1h_input_tokens"))
                .filter(|count| *count <= TOKENS_MAX),
            tier: usage.text("service_tier").map(|tier| Tier::parse(&tier)),
        }
    }

    /// Takes later counts in place of earlier ones.
    pub(crate) fn update(&mut self, later: Tokens) {
        let Tokens { input, cache_read, cache_write, output, thinking, cache_hour, tier } = later;
        self.cache_hour = cache_hour.or(self.cache_hour);
        self.tier = tier.or(self.tier);
        self.input = input.or(self.input);
        self.cache_read = cache_read.or(self.cache_read);
        self.cache_write = cache_write.or(self.cache_write);
        self.output = output.or(self.output);
        self.thinking = thinking.or(self.thinking);
    }

    /// The counts in the common form; `None` where the server does not say both.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.output.and_then(|_| self.so_far())
    }

    /// The same while the answer is on its way, of which nothing may be counted yet.
    pub(crate) fn so_far(&self) -> Option<Usage> {
        let (read, write) = (self.cache_read.unwrap_or(0), self.cache_write.unwrap_or(0));
        let tokens_out = self.output.unwrap_or(0);
        Some(Usage {
            tokens_in: self.input? + read + write,
            tokens_out,
            cache_read_in: read,
            cache_write_in: write,
            reasoning_out: self.thinking.unwrap_or(0).min(tokens_out),
            cache_hour_in: self.cache_hour.unwrap_or(0).min(write),
            audio_in: 0,
            audio_out: 0,
            tier: self.tier.unwrap_or_default(),
        })
    }
}

/// One block of an answer's content, or its beginning.
#[derive(Debug)]
pub(crate) enum Block<'a> {
    Text(String, Others<'a>),
    Thinking {
        text: String,
        signature: String,
    },
    Redacted {
        data: String,
    },
    ToolUse {
        id: Option<String>,
        name: String,
        input: Option<&'a RawValue>,
    },
    /// What only the server's own tools bring.
    Other(&'a RawValue),
}

/// Members of a text block that are no text: citations.
pub(crate) type Others<'a> = Option<&'a RawValue>;

impl<'a> Block<'a> {
    fn of(raw: &'a RawValue) -> Block<'a> {
        let block = Members::of(raw).unwrap_or_default();
        match block.text("type").as_deref() {
            Some("text") => {
                Block::Text(block.text("text").unwrap_or_default(), block.get("citations"))
            }
            Some("thinking") => Block::Thinking {
                text: block.text("thinking").unwrap_or_default(),
                signature: block.text("signature").unwrap_or_default(),
            },
            Some("redacted_thinking") => {
                Block::Redacted { data: block.text("data").unwrap_or_default() }
            }
            Some("tool_use") => Block::ToolUse {
                id: block.text("id"),
                name: block.text("name").unwrap_or_default(),
                input: block.get("input"),
            },
            Some(_) | None => Block::Other(raw),
        }
    }
}

/// More of a block.
#[derive(Debug)]
pub(crate) enum BlockDelta<'a> {
    Text(String),
    Thinking(String),
    Signature(String),
    InputJson(String),
    Other(&'a RawValue),
}

impl<'a> BlockDelta<'a> {
    fn of(raw: &'a RawValue) -> BlockDelta<'a> {
        let delta = Members::of(raw).unwrap_or_default();
        let text = |key| delta.text(key).unwrap_or_default();
        match delta.text("type").as_deref() {
            Some("text_delta") => BlockDelta::Text(text("text")),
            Some("thinking_delta") => BlockDelta::Thinking(text("thinking")),
            Some("signature_delta") => BlockDelta::Signature(text("signature")),
            Some("input_json_delta") => BlockDelta::InputJson(text("partial_json")),
            Some(_) | None => BlockDelta::Other(raw),
        }
    }
}

/// An event of a stream.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Start {
        id: Option<String>,
        model: Option<String>,
        tokens: Tokens,
    },
    BlockStart {
        index: u64,
        block: Block<'a>,
    },
    BlockDelta {
        index: u64,
        delta: BlockDelta<'a>,
    },
    BlockStop {
        index: u64,
    },
    Delta {
        finish: Option<Finish>,
        refusal: Option<String>,
        tokens: Tokens,
    },
    Stop,
    /// A ping, or an event of a kind that is not known.
    Other,
}

/// Reads the data of one event.
///
/// # Errors
/// [`AnswerProblem`] when it is not a JSON object, or is an error.
pub(crate) fn read_event(data: &[u8]) -> Result<Event<'_>, AnswerProblem> {
    let event = object_of(data)?;
    let index = event.number("index").unwrap_or(0);
    Ok(match event.text("type").as_deref() {
        Some("message_start") => {
            let message = event.object("message").unwrap_or_default();
            let tokens = Tokens::of(message.object("usage").as_ref());
            Event::Start { id: message.text("id"), model: message.text("model"), tokens }
        }
        Some("content_block_start") => match event.get("content_block") {
            Some(block) => Event::BlockStart { index, block: Block::of(block) },
            None => Event::Other,
        },
        Some("content_block_delta") => match event.get("delta") {
            Some(delta) => Event::BlockDelta { index, delta: BlockDelta::of(delta) },
            None => Event::Other,
        },
        Some("content_block_stop") => Event::BlockStop { index },
        Some("message_delta") => {
            let delta = event.object("delta").unwrap_or_default();
            let tokens = Tokens::of(event.object("usage").as_ref());
            Event::Delta { finish: finish(&delta), refusal: refusal(&delta), tokens }
        }
        Some("message_stop") => Event::Stop,
        Some(_) | None => Event::Other,
    })
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) blocks: Vec<Block<'a>>,
    pub(crate) finish: Option<Finish>,
    /// Why the model refused, where the server explains it.
    pub(crate) refusal: Option<String>,
    pub(crate) tokens: Tokens,
}

/// Reads a whole answer.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub(crate) fn read_message(body: &[u8]) -> Result<Message<'_>, AnswerProblem> {
    let message = object_of(body)?;
    let content = message.get("content").and_then(crate::members::list);
    let blocks = content.ok_or(AnswerProblem::NoContent)?;
    Ok(Message {
        id: message.text("id"),
        model: message.text("model"),
        blocks: blocks.into_iter().map(Block::of).collect(),
        finish: finish(&message),
        refusal: refusal(&message),
        tokens: Tokens::of(message.object("usage").as_ref()),
    })
}

/// The members of an answer or event that is not an error.
fn object_of(body: &[u8]) -> Result<Members<'_>, AnswerProblem> {
    let members = members_of(body)?;
    let is_error = members.text("type").as_deref() == Some("error");
    if is_error || members.get("error").is_some() {
        return Err(AnswerProblem::Error(error_of(&members)));
    }
    Ok(members)
}

fn finish(members: &Members<'_>) -> Option<Finish> {
    members.text("stop_reason").and_then(|reason| finish_of(&reason))
}

fn refusal(members: &Members<'_>) -> Option<String> {
    members.object("stop_details").and_then(|details| details.get("explanation")).and_then(text)
}

/// A `stop_reason` in the common form. A turn that is paused is not complete, as one that met a
/// bound; only the server's own tools bring it.
pub(crate) fn finish_of(reason: &str) -> Option<Finish> {
    Some(match reason.trim() {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        // Not `Finish::parse`: the words of another API mean nothing here.
        "" => return None,
        other => Finish::Other(other.chars().take(64).collect()),
    })
}
