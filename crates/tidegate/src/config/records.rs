//! `records`: what is kept of requests, and which of them are not answered without.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Records {
    /// Whether redacted input and output are kept, or only lengths.
    pub(crate) content: bool,
    /// Tenants whose content is never kept.
    pub(crate) opt_out_tenants: Vec<String>,
    /// How long records are kept, days.
    pub(crate) retention_days: u32,
    /// What happens to a request whose admission cannot be written.
    pub(crate) audit: Audit,
    /// Tenants that are audited strictly, whatever `audit` says.
    pub(crate) audit_tenants: Vec<String>,
}

/// What is written of a request before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audit {
    /// Nothing: its record follows within milliseconds, and what a kill loses is counted.
    #[default]
    Counted,
    /// Its admission, or it is answered 503.
    Strict,
}

impl Records {
    /// Whether a request of a tenant waits for its admission.
    pub(crate) fn audits(&self, tenant: Option<&str>) -> bool {
        let is_named = |tenant| self.audit_tenants.iter().any(|named| named == tenant);
        self.audit == Audit::Strict || tenant.is_some_and(is_named)
    }
}

impl Default for Records {
    fn default() -> Self {
        Records {
            content: true,
            opt_out_tenants: Vec::new(),
            retention_days: 30,
            audit: Audit::Counted,
            audit_tenants: Vec::new(),
        }
    }
}
