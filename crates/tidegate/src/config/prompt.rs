//! The `config.yaml` of a prompt's version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `prompts/<version>/config.yaml`; values that may be written as text or as a number are text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PromptConfig {
    /// The prompt's own version, for example `"2.0"`.
    pub(crate) version: Option<String>,
    /// The model it was written for; used where `artifacts.model.name` is not set.
    pub(crate) model: Option<String>,
    /// Sampling temperature, 0 to 2.
    pub(crate) temperature: Option<f64>,
    /// Longest answer, tokens.
    pub(crate) max_tokens: Option<u64>,
    /// Gate thresholds by metric (`accuracy`, …), 0 to 1.
    pub(crate) thresholds: BTreeMap<String, f64>,
    /// Cases of the prompt itself.
    pub(crate) test_cases: Vec<PromptCase>,
    /// Lints that do not count for this prompt, each with the reason.
    pub(crate) lint_off: BTreeMap<String, String>,
}

/// A case in a prompt's `config.yaml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PromptCase {
    /// What the user says.
    pub(crate) input: String,
    /// The answer contains every one of these.
    pub(crate) expected_keywords: Vec<String>,
    /// None of these does.
    pub(crate) forbidden_keywords: Vec<String>,
    /// The answer contains this text.
    pub(crate) expected_contains: Option<String>,
    /// Longest answer, characters.
    pub(crate) max_length: Option<u64>,
}
