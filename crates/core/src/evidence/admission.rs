//! What is kept of a request before it is answered.

use crate::ids::{ChangeId, TraceId, UnixMs};
use crate::route::Arm;
use crate::version_set::NamedSet;
use serde::{Deserialize, Serialize};

/// That a request was taken on: who, when, by which version set. It is on disk before the first
/// byte of an answer where the tenant is audited, and makes way for the request's record. It has
/// nothing of what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The business id (`x-trace-id`), given or made.
    pub trace_id: TraceId,
    /// `x-request-id`, given or made; redacted as in a record.
    pub request_id: String,
    /// When the request came in.
    pub at: UnixMs,
    /// The caller's tenant; absent where no credential names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user; a pseudonym where the name is personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which arm it goes to.
    pub arm: Arm,
    /// The arm's version set.
    #[serde(rename = "version_set")]
    pub set: NamedSet,
    /// The release that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<ChangeId>,
}
