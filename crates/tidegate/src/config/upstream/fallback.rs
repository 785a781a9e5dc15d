//! Models that answer where the version set's own does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A model that answers where the version set's own does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FallbackModel {
    /// Name of its upstream.
    pub(crate) upstream: String,
    /// The model's name.
    pub(crate) name: String,
    /// More members for every request to it; those of the version set's own model are not sent.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, Value>,
}
