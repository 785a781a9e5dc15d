//! `sentinel`: when the model behind stable is asked the fixed cases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// When the model behind stable is asked the fixed cases, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SentinelConfig {
    /// How often the server asks, such as `6h`; left out, only `tidegate sentinel run` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<String>,
    /// The fixed cases, as CSV or JSONL; left out, those of `evals`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cases: Option<PathBuf>,
    /// How often each is asked in a run; the first run asks once more.
    pub(crate) repeats: u32,
}

impl Default for SentinelConfig {
    fn default() -> Self {
        SentinelConfig { every: None, cases: None, repeats: 2 }
    }
}
