//! `evals.judge`: the model that judges answers of other models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model that judges answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgeConfig {
    /// The upstream that is asked.
    pub(crate) upstream: String,
    /// The model's name there.
    pub(crate) model: String,
    /// What the server must name itself in its answers; with another name nothing is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The judge's temperature; `null` sends none, which models that think ask for.
    #[serde(default = "coldest")]
    pub(crate) temperature: Option<f64>,
    /// How the server is asked for JSON.
    #[serde(default)]
    pub(crate) response_format: ResponseFormat,
    /// Longest verdict, tokens; what the model thinks before it is counted by most servers.
    #[serde(default = "longest")]
    pub(crate) max_tokens: u64,
}

/// How a server is asked for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResponseFormat {
    /// By the question alone.
    None,
    /// `{"type": "json_object"}`.
    #[default]
    JsonObject,
    /// The verdict's JSON Schema.
    JsonSchema,
}

#[expect(clippy::unnecessary_wraps, reason = "the key may be null")]
fn coldest() -> Option<f64> {
    Some(0.0)
}

fn longest() -> u64 {
    1_024
}
