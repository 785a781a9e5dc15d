//! What is read off any answer, whoever gets it.

use crate::guard::any_text_in;
use tidegate_core::guard::detect_refusal;
use tidegate_wire::{AnswerFacts, TextKind};

/// Whether an answer is a refusal.
pub(super) fn is_refusal(facts: &AnswerFacts) -> bool {
    facts.is_refusal() || refuses(facts.text())
}

/// Whether a text is a refusal; one that is JSON is asked text by text.
fn refuses(text: &str) -> bool {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let refused = is_json.then(|| any_text_in(text, detect_refusal)).flatten();
    refused.unwrap_or_else(|| detect_refusal(text))
}

/// Length of what is said to the user, in characters: texts and refusals of all choices.
pub(super) fn answer_length(facts: &AnswerFacts) -> u64 {
    let said = |kind| matches!(kind, TextKind::Answer | TextKind::Refusal);
    let texts = facts.texts().filter(|(kind, _)| said(*kind));
    texts.map(|(_, text)| text.chars().count() as u64).sum()
}
