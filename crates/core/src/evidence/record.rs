//! What is kept of one request (requirements R170–R174).

use crate::guard::RiskEvent;
use crate::ids::{ChangeId, TraceId, UnixMs, VersionSetId};
use crate::observe::Timing;
use crate::route::{Arm, Cohort};
use crate::upstream::Failure;
use crate::version_set::VersionKeys;
use serde::{Deserialize, Serialize};

/// One tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedToolCall {
    /// The tool.
    pub name: String,
    /// Whether the version set allows it.
    pub allowed: bool,
}

/// One request: who, what, when, by which version set, how it ended. Input and output are redacted
/// before the record is made, and absent where the tenant opted out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The business id (`x-trace-id`), given or made.
    pub trace_id: TraceId,
    /// `x-request-id`, given or made.
    pub request_id: String,
    /// W3C trace context, when the client sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When it came in.
    pub at: UnixMs,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user; a pseudonym where the name is personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The arm.
    pub arm: Arm,
    /// The version set.
    pub version_set: VersionSetId,
    /// Its names for people.
    pub keys: VersionKeys,
    /// The release that was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<ChangeId>,
    /// The cohort of the subject it was split by; absent where there was none, and it was not
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<Cohort>,
    /// HTTP status that the client got.
    pub status: u16,
    /// `None` when it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether it was streamed.
    pub streamed: bool,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Answer tokens.
    pub tokens_out: u64,
    /// Whether the tokens are estimated because the upstream reported none.
    pub tokens_estimated: bool,
    /// Cost, millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// How long the parts took.
    pub timing: Timing,
    /// Tools the answer calls.
    pub tool_calls: Vec<RecordedToolCall>,
    /// `finish_reason` of the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// `model` the upstream said it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// What the upstream said of its own fault, with its name: the first 200 characters, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_said: Option<String>,
    /// Why the output contract was broken; absent when kept or not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_problem: Option<String>,
    /// Whether it was a refusal.
    pub refused: bool,
    /// Whether personal data or a secret stood in the answer that the request did not hold.
    pub pii: bool,
    /// Risk events seen.
    pub risk: Vec<RiskEvent>,
    /// Length of the input in characters.
    pub prompt_length: u64,
    /// Length of the output in characters.
    pub response_length: u64,
    /// The request's last user text, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The answer's text, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl Record {
    /// Whether it is worth a regression case: it failed, broke the contract, or was a risk event.
    pub fn is_failing(&self) -> bool {
        let says_something =
            |f: Failure| f.is_rejection() || f.fault() != crate::upstream::FaultOwner::Client;
        self.failure.is_some_and(says_something)
            || self.contract_problem.is_some()
            || !self.risk.is_empty()
    }
}
