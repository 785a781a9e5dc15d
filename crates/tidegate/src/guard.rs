//! Guard: answers and requests as plain texts for the core's chain, what is kept back, who is
//! refused after a forbidden tool call, and names behind pseudonyms.

mod bans;
mod texts;

pub(crate) use bans::Bans;
pub(crate) use texts::{any_text, any_text_in, asked_in, ends, heard_in, said_in};

use crate::config::Block;
use tidegate_core::guard::{RiskEvent, RiskKind, Signal, SignalKind};
use tidegate_core::ids::Digest;
use tidegate_core::text::has_pii;

/// What a kind of event is blocked by; `None` for what is counted only.
pub(crate) fn block_of(kind: RiskKind) -> Option<Block> {
    match kind {
        RiskKind::Leak => Some(Block::Planted),
        RiskKind::UnauthorisedTool => Some(Block::Tools),
        RiskKind::PromptRecited => Some(Block::Prompt),
        RiskKind::Secret => Some(Block::Secrets),
        RiskKind::Identity => Some(Block::Ids),
        RiskKind::PromptEcho => None,
    }
}

/// What a kind of signal is blocked by.
pub(crate) fn block_of_signal(kind: SignalKind) -> Block {
    match kind {
        SignalKind::HiddenText => Block::HiddenText,
        SignalKind::Injection => Block::Injection,
        SignalKind::Word => Block::Words,
        SignalKind::Moderation => Block::Moderation,
        SignalKind::ModerationUnreachable => Block::ModerationUnreachable,
    }
}

/// For what a request is refused; `None` when it may be sent.
pub(crate) fn refused_for(block: &[Block], signals: &[Signal]) -> Option<Block> {
    signals.iter().map(|signal| block_of_signal(signal.kind)).find(|it| block.contains(it))
}

/// For what an answer is kept from the client; `None` when it may go on.
pub(crate) fn withheld_for(
    block: &[Block],
    events: &[RiskEvent],
    signals: &[Signal],
    gives_away: bool,
) -> Option<Block> {
    let events = events.iter().filter_map(|event| block_of(event.kind));
    let signals = signals.iter().map(|signal| block_of_signal(signal.kind));
    let personal = gives_away.then_some(Block::Personal);
    events.chain(signals).chain(personal).find(|it| block.contains(it))
}

/// A user's name as it is kept: itself, or a pseudonym where it is personal data. The pseudonym is
/// the same in all records of a service, so that one user's requests are found together.
pub(crate) fn kept_user(service: &str, user: &str) -> String {
    if has_pii(user) { pseudonym("user", &[service, user]) } else { user.to_owned() }
}

/// A name that says who is the same and not who that is: the word and 12 hex digits.
pub(crate) fn pseudonym(word: &str, parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    format!("{word}-{}", Digest::of_parts(&parts).short(12))
}
