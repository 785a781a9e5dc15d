//! Guard: answers and requests as plain texts for the core's chain, what is kept back, who is
//! refused after a forbidden tool call, and names behind pseudonyms.

mod bans;
mod texts;

pub(crate) use bans::Bans;
pub(crate) use texts::{any_text, any_text_in, heard_in, said_in};

use crate::config::Block;
use tidegate_core::guard::{RiskEvent, RiskKind};
use tidegate_core::ids::Digest;
use tidegate_core::text::has_pii;

/// Whether an answer with these events is kept from the client.
pub(crate) fn blocks(block: &[Block], events: &[RiskEvent]) -> bool {
    let blocked = |kind| match kind {
        RiskKind::Leak => block.contains(&Block::Planted),
        RiskKind::UnauthorisedTool => block.contains(&Block::Tools),
        RiskKind::PromptRecited => block.contains(&Block::Prompt),
        RiskKind::Secret => block.contains(&Block::Secrets),
        RiskKind::Identity => block.contains(&Block::Ids),
        RiskKind::PromptEcho => false,
    };
    events.iter().any(|event| blocked(event.kind))
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
