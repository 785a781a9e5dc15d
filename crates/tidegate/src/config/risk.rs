//! `risk`: what must never happen, and what is done when it does.

use super::moderation::ModerationConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::text::PrivateKind;

/// What a black signal shuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnBlack {
    /// The whole service, until an operator opens it again.
    #[default]
    Service,
    /// Only the candidate: it is rolled back and stable goes on.
    Candidate,
}

/// What must never happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RiskConfig {
    /// Texts planted in prompts or documents that must never appear in an answer.
    pub(crate) planted: Vec<String>,
    /// What a black signal shuts.
    pub(crate) on_black: OnBlack,
    /// Words and phrases that are counted in requests and answers, or block them.
    pub(crate) words: Vec<String>,
    /// Requests that are refused, and answers that are kept from the client, because of what they
    /// hold.
    pub(crate) block: Vec<Block>,
    /// What is replaced in answers by its mark, where the request did not hold it.
    pub(crate) redact: Vec<Redact>,
    /// An endpoint that is asked what texts hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) moderation: Option<ModerationConfig>,
    /// For how long a caller is refused after a tool call that is not allowed, s, 0 to 86400;
    /// 0 for not at all.
    pub(crate) ban_s: u64,
}

impl Default for RiskConfig {
    fn default() -> Self {
        RiskConfig {
            planted: Vec::new(),
            words: Vec::new(),
            on_black: OnBlack::default(),
            block: blocked_by_default(),
            redact: Vec::new(),
            moderation: None,
            ban_s: BAN_S,
        }
    }
}

/// Kept back unless the project says otherwise: what proves itself and harms at once.
const BLOCKED: [Block; 2] = [Block::Planted, Block::Tools];
/// Five minutes: an attack is over, and who was banned by mistake comes back the same day.
const BAN_S: u64 = 300;

/// The default of `risk.block`.
pub(crate) fn blocked_by_default() -> Vec<Block> {
    BLOCKED.to_vec()
}

/// Whether it is the default of `risk.block`.
pub(crate) fn is_blocked_by_default(block: &[Block]) -> bool {
    block == BLOCKED
}

/// What is replaced in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Redact {
    /// API keys, tokens, private keys and passwords.
    Secrets,
    /// Numbers of payment cards, bank accounts, identity cards and passports.
    Ids,
    /// All of that, e-mail addresses and phone numbers.
    Personal,
}

impl Redact {
    /// The kinds that it means.
    pub(crate) fn kinds(self) -> &'static [PrivateKind] {
        use PrivateKind::{Card, Email, Iban, Id, Key, Number, Password, Phone};
        match self {
            Redact::Secrets => &[Key, Password],
            Redact::Ids => &[Id, Card, Iban, Number],
            Redact::Personal => &[Key, Password, Id, Card, Iban, Number, Email, Phone],
        }
    }
}

/// What a request may be refused for, or an answer kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Block {
    /// Planted texts.
    Planted,
    /// Calls of tools that are not allowed.
    Tools,
    /// The system prompt, recited.
    Prompt,
    /// API keys, tokens and private keys.
    Secrets,
    /// Payment cards and identity numbers.
    Ids,
    /// Answers with any personal data or secret that the request did not hold.
    Personal,
    /// Requests and answers with a word of the list.
    Words,
    /// Requests with a phrase that injections use.
    Injection,
    /// Requests with text that no reader sees.
    HiddenText,
    /// Answers that break the output contract.
    Contract,
    /// Tool calls whose arguments break the tool's schema.
    Arguments,
    /// What the moderation endpoint flags.
    Moderation,
    /// What that endpoint gave no answer for in time.
    ModerationUnreachable,
}
