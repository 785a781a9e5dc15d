//! `risk.moderation`: a guard outside of this process, asked over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is sent to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// What a request brings, before it goes to the model server.
    Requests,
    /// Answers, before they go to the client; of a stream its end at least.
    Answers,
}

/// An endpoint with OpenAI's moderations API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModerationConfig {
    /// Its address, for example `https://api.openai.com/v1/moderations`.
    pub(crate) url: String,
    /// The environment variable with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_env: Option<String>,
    /// The model that it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// What is sent to it.
    #[serde(default = "requests")]
    pub(crate) on: Vec<Side>,
    /// How long it is waited for, ms.
    #[serde(default = "deadline")]
    pub(crate) deadline_ms: u64,
    /// Whether addresses of link-local and metadata services are called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) any_address: bool,
}

fn requests() -> Vec<Side> {
    vec![Side::Requests]
}

/// A moderation model answers in some 200 ms, and every request waits for it.
fn deadline() -> u64 {
    1_000
}
