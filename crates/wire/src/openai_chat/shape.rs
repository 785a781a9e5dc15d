//! The shape of an answer and of its chunks, as translations write it: with every member that the
//! API's own clients look for.

use crate::facts::{Finish, Usage};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// What every chunk of an answer repeats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envelope<'a> {
    pub(crate) id: &'a str,
    /// When the answer began, seconds since the epoch.
    pub(crate) created: u64,
    pub(crate) model: &'a str,
}

/// What a choice says, or what a chunk adds to it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Text::is_absent")]
    pub(crate) content: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_absent")]
    pub(crate) refusal: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<Cow<'a, str>>,
    /// The same with the model server's signatures, to be sent back with the next request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) thinking_blocks: Vec<ThinkingBlock<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<Call<'a>>,
}

/// A text that may be there as null.
#[derive(Debug, Default, Serialize)]
#[serde(untagged)]
pub(crate) enum Text<'a> {
    #[default]
    Absent,
    Null,
    Said(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// The text, or null where it is empty.
    pub(crate) fn or_null(text: impl Into<Cow<'a, str>>) -> Text<'a> {
        let text = text.into();
        if text.is_empty() { Text::Null } else { Text::Said(text) }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Text::Absent)
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ThinkingBlock<'a> {
    Thinking {
        /// Its number, in chunks only: OpenAI's SDK refuses a list in a chunk without.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        thinking: Cow<'a, str>,
        signature: Cow<'a, str>,
    },
    RedactedThinking {
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        data: Cow<'a, str>,
    },
}

/// A tool call, or a piece of one.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Call<'a> {
    /// Its number, in chunks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<&'static str>,
    pub(crate) function: Function<'a>,
    /// What the model server wants back with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExtraContent<'a> {
    pub(crate) google: GoogleExtra<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct GoogleExtra<'a> {
    pub(crate) thought_signature: Cow<'a, str>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) arguments: Cow<'a, str>,
}

#[derive(Serialize)]
struct Shape<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageShape>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a Said<'a>>,
    logprobs: (),
    #[serde(serialize_with = "finish_reason")]
    finish_reason: Option<&'a Finish>,
}

fn finish_reason<S: Serializer>(
    finish: &Option<&Finish>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    finish.map(Finish::as_str).serialize(serializer)
}

#[derive(Serialize)]
struct UsageShape {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: AnswerDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
    /// What OpenAI's API does not have: it is read where the answer is billed.
    #[serde(skip_serializing_if = "is_none")]
    cache_hour_tokens: u64,
    #[serde(skip_serializing_if = "is_none")]
    audio_tokens: u64,
}

#[derive(Serialize)]
struct AnswerDetails {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "is_none")]
    audio_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none(tokens: &u64) -> bool {
    *tokens == 0
}

impl UsageShape {
    fn of(usage: Usage) -> UsageShape {
        let Usage {
            tokens_in,
            tokens_out,
            cache_read_in,
            cache_write_in,
            reasoning_out,
            cache_hour_in,
            audio_in,
            audio_out,
            tier: _,
        } = usage;
        UsageShape {
            prompt_tokens: tokens_in,
            completion_tokens: tokens_out,
            total_tokens: tokens_in.saturating_add(tokens_out),
            prompt_tokens_details: PromptDetails {
                cached_tokens: cache_read_in,
                cache_write_tokens: cache_write_in,
                cache_hour_tokens: cache_hour_in,
                audio_tokens: audio_in,
            },
            completion_tokens_details: AnswerDetails {
                reasoning_tokens: reasoning_out,
                audio_tokens: audio_out,
            },
        }
    }
}

impl Envelope<'_> {
    fn write(&self, object: &'static str, choices: &[Choice<'_>], usage: Option<Usage>) -> Vec<u8> {
        let Envelope { id, created, model } = *self;
        let service_tier = usage.and_then(|usage| usage.tier.name());
        let usage = usage.map(UsageShape::of);
        let shape = Shape { id, object, created, model, service_tier, choices, usage };
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(&shape).unwrap_or_default()
    }

    /// A whole answer.
    pub(crate) fn answer(
        &self,
        said: &Said<'_>,
        finish: Option<&Finish>,
        usage: Option<Usage>,
    ) -> Vec<u8> {
        let (message, delta) = (Some(said), None);
        let choice = Choice { index: 0, message, delta, logprobs: (), finish_reason: finish };
        self.write("chat.completion", &[choice], usage)
    }

    /// A chunk that adds to the answer.
    pub(crate) fn chunk(&self, said: &Said<'_>, finish: Option<&Finish>) -> Vec<u8> {
        let (message, delta) = (None, Some(said));
        let choice = Choice { index: 0, message, delta, logprobs: (), finish_reason: finish };
        self.write("chat.completion.chunk", &[choice], None)
    }

    /// The chunk with the usage and no choice.
    pub(crate) fn usage_chunk(&self, usage: Usage) -> Vec<u8> {
        self.write("chat.completion.chunk", &[], Some(usage))
    }
}
