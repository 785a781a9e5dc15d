//! What an answer shows: refusals and risk events.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A kind of risk event; a small closed list, it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskKind {
    /// A planted token or secret stands in the answer. Deterministic: one is enough.
    Leak,
    /// The answer calls a tool that the version set does not allow. Deterministic.
    UnauthorisedTool,
    /// The answer repeats the system prompt: an injection worked, or is likely to have.
    /// Probabilistic (n-gram overlap), so it is a rate, not a red line.
    PromptEcho,
}

impl RiskKind {
    /// Whether one event is enough to act (requirements R132, R165–R167).
    pub fn is_red_line(self) -> bool {
        match self {
            RiskKind::Leak | RiskKind::UnauthorisedTool => true,
            RiskKind::PromptEcho => false,
        }
    }

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RiskKind::Leak => "leak",
            RiskKind::UnauthorisedTool => "unauthorised_tool",
            RiskKind::PromptEcho => "prompt_echo",
        }
    }
}

/// One risk event, with what was seen; the detail never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskEvent {
    /// What happened.
    pub kind: RiskKind,
    /// What was seen, safe to show.
    pub detail: String,
}

/// What to look for in answers of one version set.
#[derive(Debug, Clone, Default)]
pub struct Detectors {
    /// Texts that must never appear in an answer (planted tokens, known secrets).
    pub planted: Vec<String>,
    /// Tools the version set allows; `None` when it names no tools and none are checked.
    pub allowed_tools: Option<BTreeSet<String>>,
    /// The rendered system prompt, for the echo check; empty for none.
    pub system_prompt: String,
}

impl Detectors {
    /// What stands in an answer that should not.
    pub fn inspect(&self, answer: &str, tool_calls: &[&str]) -> Vec<RiskEvent> {
        let _ = (answer, tool_calls);
        Vec::new()
    }
}

/// Whether the answer is a refusal, in English, Chinese or Japanese.
pub fn detect_refusal(answer: &str) -> bool {
    let _ = answer;
    false
}

/// Which share (0 to 1) of the system prompt's n-grams stand in the answer.
pub fn overlap_share(answer: &str, system_prompt: &str) -> f64 {
    let _ = (answer, system_prompt);
    0.0
}
