//! `cache`: answers that are given again to the same request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How answers are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheConfig {
    /// Memory for answers, MiB; 0 for no cache.
    pub(crate) max_mb: u64,
    /// How long an answer is given again, s.
    pub(crate) ttl_s: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig { max_mb: 0, ttl_s: 300 }
    }
}
