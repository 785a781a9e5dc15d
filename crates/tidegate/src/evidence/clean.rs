//! Redaction of everything a pack is made from, in one place and before anything is written.
//!
//! Every text that a person or a model wrote is redacted: requests, answers, prompts, reasons,
//! reports. Three kinds of text are left as they are: names that our own types check (digests,
//! version sets, change ids), numbers written as text, and `by`, the name of the person who is
//! accountable for an order. Users are replaced by pseudonyms that hold within one release, so that
//! a reader sees who is the same person and not who that is.

use super::data::{GateOutput, PackData};
use super::error::{EvidenceError, Result};
use super::journal::{JournalLine, Step, steps};
use super::samples::Origin;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_core::evidence::Record;
use tidegate_core::ids::{Digest, TraceId, VersionSetId};
use tidegate_core::text::redact;

/// Keys whose texts are ids, numbers or accountable names.
const KEPT_KEYS: [&str; 35] = [
    "applied",
    "at",
    "by",
    "candidate",
    "cases",
    "cases_digest",
    "change_id",
    "code",
    "compute_cost",
    "cost_squared",
    "counts_as",
    "digest",
    "event",
    "first_token_log_squared",
    "from",
    "hash",
    "input_cost",
    "kind",
    "latency_log_squared",
    "manifest",
    "metric",
    "output_cost",
    "policy",
    "prev",
    "report",
    "run_id",
    "salt",
    "service",
    "set",
    "squares",
    "stable",
    "to",
    "tokens_squared",
    "total_cost",
    "version_set",
];

/// The key of a trace id, which must stay one.
const TRACE_KEY: &str = "trace_id";

/// Pack data that went through redaction; the only thing files are made from.
#[derive(Clone)]
pub(crate) struct CleanData {
    data: PackData,
    /// The release's journal, redacted where it had to be.
    pub(super) journal: Vec<JournalLine>,
    /// Its decisions, from the redacted journal.
    pub(super) steps: Vec<Step>,
}

impl std::ops::Deref for CleanData {
    type Target = PackData;
    fn deref(&self) -> &PackData {
        &self.data
    }
}

impl CleanData {
    /// Redacts.
    ///
    /// # Errors
    /// When a journal entry cannot be read or a value cannot be written as JSON.
    pub(crate) fn new(mut data: PackData) -> Result<CleanData> {
        let salt = data.release.plan.salt.clone();
        let journal: Vec<JournalLine> =
            data.entries.iter().map(clean_entry).collect::<Result<_>>()?;
        let steps = steps(&journal)?;
        data.release = clean(&data.release)?;
        data.incident = data.incident.as_ref().map(clean).transpose()?;
        data.eval = data.eval.as_ref().map(clean).transpose()?;
        data.junit = data.junit.as_deref().map(redact);
        for gate in &mut data.gates {
            let GateOutput { name, level: _, status: _, text } = gate;
            *name = redact(name);
            *text = redact(text);
        }
        for record in data.failing.iter_mut().chain(&mut data.representative) {
            *record = clean_record(record, &salt)?;
        }
        for packed in [&mut data.from, &mut data.to].into_iter().flatten() {
            packed.label = redact(&packed.label);
            for content in packed.blobs.values_mut() {
                if let Ok(text) = std::str::from_utf8(content) {
                    *content = redact(text).into_bytes();
                }
            }
        }
        data.buckets = data.buckets.into_iter().map(|bucket| bucket.redacted(redact)).collect();
        for gap in &mut data.gaps {
            *gap = redact(gap);
        }
        Ok(CleanData { data, journal, steps })
    }

    /// Where its samples are sent again.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { service: &self.data.service, base_url: &self.data.base_url }
    }
}

/// The value with its texts redacted.
pub(super) fn clean<T: Serialize + DeserializeOwned>(value: &T) -> Result<T> {
    let mut json = serde_json::to_value(value).map_err(EvidenceError::NotRedacted)?;
    redact_value(&mut json);
    serde_json::from_value(json).map_err(EvidenceError::NotRedacted)
}

/// A journal entry with its body redacted. One that holds nothing to redact keeps every byte, so
/// that its hash can be checked.
pub(super) fn clean_entry(entry: &tidegate_core::journal::Entry) -> Result<JournalLine> {
    let unreadable = |source| EvidenceError::Entry { seq: entry.seq, source };
    let before: Value = serde_json::from_str(&entry.body).map_err(unreadable)?;
    let mut after = before.clone();
    redact_value(&mut after);
    let redacted = before != after;
    let body = if redacted { after.to_string() } else { entry.body.clone() };
    let (seq, at, prev, hash) = (entry.seq, entry.at, entry.prev.clone(), entry.hash.clone());
    Ok(JournalLine { seq, at, prev, hash, body, redacted })
}

fn redact_value(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => *text = redact(text),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                if let (TRACE_KEY, Some(id)) = (key.as_str(), member.as_str()) {
                    *member = Value::String(harmless_trace(id));
                } else if !(member.is_string() && KEPT_KEYS.contains(&key.as_str())) {
                    redact_value(member);
                }
            }
        }
    }
}

/// A trace id that reads like personal data would name a file; a digest of it does instead.
fn harmless_trace(id: &str) -> String {
    match redact(id) == id {
        true => id.to_owned(),
        false => format!("trace-{}", Digest::of(id.as_bytes()).short(12)),
    }
}

/// What a user is called in the packs of one release.
pub(super) fn pseudonym_in(salt: &str, user: &str) -> String {
    let hash = Digest::of_parts(&[salt.as_bytes(), user.as_bytes()]);
    format!("user-{}", hash.short(12))
}

/// A record with its texts redacted and its user behind a pseudonym. Redacting twice changes
/// nothing, so it does not matter that the gateway did it before.
pub(super) fn clean_record(record: &Record, salt: &str) -> Result<Record> {
    let mut record = record.clone();
    let name = harmless_trace(record.trace_id.as_str());
    record.trace_id = TraceId::parse(&name).unwrap_or(record.trace_id);
    record.user = record.user.map(|user| pseudonym_in(salt, &user));
    let user = record.user.clone();
    // The digits of a version set's id may read like a telephone number.
    let set_id = record.set.id.clone();
    if let Ok(harmless) = VersionSetId::parse("vs-aaaaaaaaaaaa") {
        record.set.id = harmless;
    }
    let mut record: Record = clean(&record)?;
    record.set.id = set_id;
    record.user = user;
    Ok(record)
}
