//! `environments`: where the service runs, by name, for the smoke test and the stages of `ci`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place where the service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    /// Where it answers, without `/v1`: `https://staging.example.com`.
    pub(crate) base_url: String,
    /// Environment variable that holds a key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_env: Option<String>,
}
