//! The usual form of an answer, read in one pass: text, why it ended, tokens.
//!
//! Whatever is not of that form – a member that is not named here, tool calls, lists of parts,
//! errors, a value of another type, a member given twice, half of a surrogate pair – gives `None`,
//! and is read by the reader that takes everything. That one goes over each text four times, which
//! is most of what reading an answer costs. What this one gives is the same, which a test holds.

use crate::facts::{ChoicePiece, Finish, Piece, TOKENS_MAX, Tier, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An answer or a chunk with no other members than these. A member that only some servers send may
/// be there without a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual {
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    object: Option<String>,
    #[serde(rename = "created")]
    _created: Option<IgnoredAny>,
    model: Option<String>,
    system_fingerprint: Option<String>,
    service_tier: Option<String>,
    #[serde(rename = "provider")]
    _provider: Option<IgnoredAny>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    error: Option<IgnoredAny>,
    prompt_logprobs: Option<IgnoredAny>,
    kv_transfer_params: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    index: Option<u64>,
    error: Option<IgnoredAny>,
    message: Option<Message>,
    delta: Option<Message>,
    finish_reason: Option<String>,
    #[serde(rename = "logprobs")]
    _logprobs: Option<IgnoredAny>,
    stop_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    #[serde(rename = "role")]
    _role: Option<IgnoredAny>,
    content: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    annotations: Option<Vec<IgnoredAny>>,
    audio: Option<IgnoredAny>,
    tool_calls: Option<Vec<IgnoredAny>>,
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    cache_hour_tokens: Option<u64>,
}

/// A whole answer of the usual form, with its `system_fingerprint`.
pub(super) fn answer(body: &[u8]) -> Option<(Piece, Option<String>)> {
    let Usual { choices, usage, model, system_fingerprint, service_tier, .. } = Usual::of(body)?;
    let choices = choices.filter(|choices| !choices.is_empty())?;
    let pieces = (0..).zip(choices).map(|(index, mut choice)| {
        let message = choice.message.take()?;
        choice.piece(index, message)
    });
    let piece = whole(pieces.collect::<Option<_>>()?, usage, model, service_tier.as_deref())?;
    Some((piece, filled(system_fingerprint)))
}

/// A chunk of the usual form.
pub(super) fn chunk(data: &[u8]) -> Option<Piece> {
    let Usual { choices, usage, model, service_tier, .. } = Usual::of(data)?;
    let pieces = (0..).zip(choices.unwrap_or_default()).map(|(place, mut choice)| {
        let message = choice.delta.take().or(choice.message.take())?;
        choice.piece(choice.index.unwrap_or(place), message)
    });
    whole(pieces.collect::<Option<_>>()?, usage, model, service_tier.as_deref())
}

fn whole(
    choices: Vec<ChoicePiece>,
    usage: Option<Tokens>,
    model: Option<String>,
    tier: Option<&str>,
) -> Option<Piece> {
    let tier = tier.map(Tier::parse).unwrap_or_default();
    let (usage, model) = (usage.and_then(|tokens| tokens.read(tier)), filled(model));
    Some(Piece { choices, usage, model, ..Piece::default() })
}

impl Usual {
    fn of(body: &[u8]) -> Option<Usual> {
        // Members that are skipped are not looked at by serde_json, so the bytes are before.
        let usual: Usual = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
        let says_more = usual.error.is_some()
            || usual.object.as_deref() == Some("error")
            || usual.prompt_logprobs.is_some()
            || usual.kv_transfer_params.is_some();
        (!says_more).then_some(usual)
    }
}

impl Tokens {
    fn read(self, tier: Tier) -> Option<Usage> {
        let count = |given: Option<u64>| given.filter(|count| *count <= TOKENS_MAX);
        let (tokens_in, tokens_out) = (count(self.prompt_tokens)?, count(self.completion_tokens)?);
        let prompt = self.prompt_tokens_details.as_ref();
        let answer = self.completion_tokens_details.as_ref();
        let detail = |count: Option<Option<u64>>, of: u64| count.flatten().unwrap_or(0).min(of);
        Some(Usage {
            tokens_in,
            tokens_out,
            cache_read_in: detail(prompt.map(|details| details.cached_tokens), tokens_in),
            cache_write_in: detail(prompt.map(|details| details.cache_write_tokens), tokens_in),
            reasoning_out: detail(answer.map(|details| details.reasoning_tokens), tokens_out),
            cache_hour_in: detail(prompt.map(|details| details.cache_hour_tokens), tokens_in),
            audio_in: detail(prompt.map(|details| details.audio_tokens), tokens_in),
            audio_out: detail(answer.map(|details| details.audio_tokens), tokens_out),
            tier,
        })
    }
}

impl Choice {
    fn piece(&self, index: u64, message: Message) -> Option<ChoicePiece> {
        let finish = self.finish_reason.as_deref().and_then(Finish::parse);
        let says_more = self.error.is_some() || self.stop_reason.is_some();
        if says_more || message.says_more() || finish == Some(Finish::Error) {
            return None;
        }
        Some(ChoicePiece {
            index,
            text: message.content.unwrap_or_default(),
            reasoning: filled(message.reasoning_content).or(message.reasoning).unwrap_or_default(),
            refusal: message.refusal.unwrap_or_default(),
            calls: Vec::new(),
            finish,
            other: String::new(),
        })
    }
}

impl Message {
    /// Whether it has more than texts of one kind each.
    fn says_more(&self) -> bool {
        let is_list =
            |items: &Option<Vec<IgnoredAny>>| items.as_ref().is_some_and(|items| !items.is_empty());
        let is_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        self.audio.is_some()
            || self.function_call.is_some()
            || is_list(&self.tool_calls)
            || is_list(&self.annotations)
            || (is_text(&self.reasoning_content) && is_text(&self.reasoning))
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
