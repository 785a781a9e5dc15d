//! What is kept of one request.

use crate::degrade::DegradeLevel;
use crate::guard::{RiskEvent, Signal};
use crate::ids::{ChangeId, TraceId, UnixMs};
use crate::money::Charge;
use crate::observe::Timing;
use crate::retrieval::{Cited, Claims};
use crate::route::{Arm, Cohort};
use crate::upstream::Failure;
use crate::version_set::NamedSet;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::collections::BTreeMap;

/// One tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedToolCall {
    /// The name that the model called it by.
    pub name: String,
    /// Whether the version set allows it.
    pub allowed: bool,
}

/// What a request brings of a tool that an earlier answer called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedToolResult {
    /// The tool.
    pub name: String,
    /// From the end of the answer that called it to this request, µs: the tool's time and the
    /// client's.
    pub took_us: u64,
    /// Whether the tool failed; absent where its result does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
}

/// What the version set's index had for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRetrieval {
    /// The chunks that the model was shown, in the order of their numbers, as `refunds.md#2`.
    pub chunks: Vec<String>,
    /// What the answer cites: of the chunks, and of what the model was not shown.
    #[serde(default)]
    pub cited: Cited,
    /// What the answer claims; absent where it was not looked at: nothing was found, it was a
    /// refusal, or it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
    /// Why the index was not searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Why it was searched by words alone, where the set searches by meaning as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_only: Option<String>,
}

/// That another model answered, since the version set's own did not. The request counts as the own
/// model's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFallback {
    /// The upstream of the model that answered, by its name in the project.
    pub upstream: String,
    /// The model that answered.
    pub model: String,
    /// How its answer failed after it began; absent where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What became of an answer that broke the contract where the model is asked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairResult {
    /// The second answer keeps the contract, and is what the client got.
    Repaired,
    /// The second answer is no better; the client got what it would have got of the first.
    Broken,
    /// The second call failed, or the client left before its end.
    Failed,
    /// The model was not asked again: no time, no retry was left, or the answer is kept back for
    /// something else.
    NotAsked,
}

impl RepairResult {
    /// All of them.
    pub const ALL: [RepairResult; 4] = [
        RepairResult::Repaired,
        RepairResult::Broken,
        RepairResult::Failed,
        RepairResult::NotAsked,
    ];

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RepairResult::Repaired => "repaired",
            RepairResult::Broken => "broken",
            RepairResult::Failed => "failed",
            RepairResult::NotAsked => "not_asked",
        }
    }
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
    /// The caller's tenant; absent where no credential names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user; a pseudonym where the name is personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the caller's key; absent where callers need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which arm answered.
    pub arm: Arm,
    /// The version set, in JSON as `version_set`.
    #[serde(flatten, with = "answered_by")]
    pub set: NamedSet,
    /// The release that was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<ChangeId>,
    /// The cohort of the subject it was split by; absent where there was none, and it was not
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<Cohort>,
    /// HTTP status that the client got.
    pub status: u16,
    /// `None` when the version set's own model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The fallback that answered instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<RecordedFallback>,
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
    /// What was used and what it cost, by parts; absent where no model server was called, and in
    /// records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
    /// The level that the service was degraded to; absent where nothing was switched off. Such a
    /// request is compared with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<DegradeLevel>,
    /// How long the parts took.
    pub timing: Timing,
    /// Whether it was answered from the cache: no model was asked, and it cost nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// What was found for it; absent where nothing was searched. The index is `index_v` of the
    /// version set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<RecordedRetrieval>,
    /// Tools the answer calls.
    pub tool_calls: Vec<RecordedToolCall>,
    /// Results of tools that it brings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_results: Vec<RecordedToolResult>,
    /// `finish_reason` of the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// `model` the upstream said it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// The upstream's own error message, after the upstream's name: the first 200 characters,
    /// redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_said: Option<String>,
    /// Why the output contract was broken, by the first answer where there were two; absent when
    /// kept or not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_problem: Option<String>,
    /// What became of asking once more for it; absent where it was not asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairResult>,
    /// Whether it was a refusal.
    pub refused: bool,
    /// Whether the answer contains personal data or a secret that the request did not contain.
    pub pii: bool,
    /// Whether personal data or secrets of the answer were replaced before it went out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Risk events seen.
    pub risk: Vec<RiskEvent>,
    /// What was worth counting in the request and its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Signal>,
    /// Length of the input in characters.
    pub prompt_length: u64,
    /// Length of the output in characters.
    pub response_length: u64,
    /// How its answer was to be drawn, such as `temperature`, where the request was one text of a
    /// user and nothing else that changes the answer: with `input` it can be asked again. Absent
    /// where it brought more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoding: Option<BTreeMap<String, Number>>,
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

/// The version set in a record: an object under `version_set`. Earlier records have its id there,
/// and its names beside it as `keys`.
mod answered_by {
    use crate::ids::VersionSetId;
    use crate::version_set::{NamedSet, VersionKeys};
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(serde::Serialize)]
    struct Written<'a> {
        version_set: &'a NamedSet,
    }

    #[derive(Deserialize)]
    struct Read {
        version_set: Named,
        #[serde(default)]
        keys: VersionKeys,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Object(NamedSet),
        Id(VersionSetId),
    }

    pub(super) fn serialize<S: Serializer>(set: &NamedSet, to: S) -> Result<S::Ok, S::Error> {
        Written { version_set: set }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NamedSet, D::Error> {
        let Read { version_set, keys } = Read::deserialize(from)?;
        Ok(match version_set {
            Named::Object(set) => set,
            Named::Id(id) => NamedSet { id, keys },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version_set::VersionKeys;
    use serde_json::{Value, json};

    /// A record as the version before wrote it.
    const EARLIER: &str = r#"{"trace_id":"t-1","request_id":"r-1","at":1000,"arm":"stable",
        "version_set":"vs-0f3a9c21d4e7","keys":{"code":"dev","prompt":"v2","model":"m1",
        "index":"v1"},"status":200,"streamed":false,"tokens_in":1,"tokens_out":2,
        "tokens_estimated":false,"cost_micro_usd":3,"timing":{"queue_us":0,"retrieval_us":0,
        "first_token_us":0,"generation_us":0,"total_us":9},"tool_calls":[],"refused":false,
        "pii":false,"risk":[],"prompt_length":4,"response_length":5}"#;

    #[test]
    fn an_earlier_record_is_read_and_written_with_an_object() {
        let record: Record = serde_json::from_str(EARLIER).unwrap();
        let [code, prompt, model, index] = ["dev", "v2", "m1", "v1"].map(str::to_owned);
        assert_eq!(record.set.keys, VersionKeys { code, prompt, model, index });
        let written = serde_json::to_value(&record).unwrap();
        assert_eq!(
            written["version_set"],
            json!({"id": "vs-0f3a9c21d4e7", "code_v": "dev", "prompt_v": "v2", "model_v": "m1",
                   "index_v": "v1"})
        );
        assert_eq!(written["keys"], Value::Null);
        assert_eq!(serde_json::from_value::<Record>(written).unwrap(), record);
    }

    #[test]
    fn a_record_without_a_version_set_is_refused() {
        let without = EARLIER.replace("version_set", "version");
        assert!(serde_json::from_str::<Record>(&without).is_err());
        let wrong = EARLIER.replace("vs-0f3a9c21d4e7", "../etc/passwd");
        assert!(serde_json::from_str::<Record>(&wrong).is_err());
    }
}
