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
    /// Users whose content is never kept: as clients name them, or as records do.
    pub(crate) opt_out_users: Vec<String>,
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
    /// Whether what a user of a tenant says and is answered is kept; `kept_as` gives what records
    /// call a user.
    pub(crate) fn keeps_content(
        &self,
        tenant: Option<&str>,
        user: Option<&str>,
        kept_as: impl Fn(&str) -> String,
    ) -> bool {
        let is_in = |names: &[String], name: &str| names.iter().any(|named| named == name);
        let users = &self.opt_out_users;
        let has_opted_out =
            |user: &str| !users.is_empty() && (is_in(users, user) || is_in(users, &kept_as(user)));
        self.content
            && !tenant.is_some_and(|tenant| is_in(&self.opt_out_tenants, tenant))
            && !user.is_some_and(has_opted_out)
    }

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
            opt_out_users: Vec::new(),
            retention_days: 30,
            audit: Audit::Counted,
            audit_tenants: Vec::new(),
        }
    }
}
