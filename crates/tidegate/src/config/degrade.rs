//! `degrade`: what each level of `tidegate degrade` switches off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers of so many tokens are a few paragraphs: the service stays of use, and no answer holds a
/// place for long.
const MAX_TOKENS: u64 = 512;

/// What the levels switch off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DegradeConfig {
    /// Longest answer from level 1 on, tokens.
    pub(crate) max_tokens: u64,
    /// The model that answers from level 2 on, of the same upstream; left out, the version set's.
    pub(crate) model: Option<String>,
    /// Users, tenants and names of keys that are served at level 3; without any, everyone is.
    pub(crate) allow: Vec<String>,
    /// What everyone is answered at level 4; left out, a sentence in the language of the request.
    pub(crate) text: Option<String>,
}

impl Default for DegradeConfig {
    fn default() -> Self {
        DegradeConfig { max_tokens: MAX_TOKENS, model: None, allow: Vec::new(), text: None }
    }
}
