//! The result of an eval run, its failure table and its verdict.

use super::agreement::JudgeRecord;
use super::case::{Case, Risk, Severity};
use super::noise::{PairedTest, Repeats, Stability};
use super::policy::HeldTo;
use super::rows::Rows;
use super::score::{CORRECT_FROM, CheckResult, ROUNDING, fails_hard};
use super::slice::SliceRow;
use crate::ids::{Digest, UnixMs, VersionSetId};
use crate::upstream::Failure;
use serde::ser::{Error as _, SerializeSeq as _, SerializeStruct as _};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case as it was asked.
    pub case: Case,
    /// The answer; absent when there was none.
    pub actual: Option<String>,
    /// Why there was none, or why one that came could not be judged: neither a right nor a wrong
    /// answer.
    pub error: Option<String>,
    /// What the last try met, where there was no answer; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Unanswered>,
    /// 0 to 1; see [`super::mean_score`] and [`super::legacy_score`].
    pub score: f64,
    /// What each of the case's checks found.
    pub checks: Vec<CheckResult>,
    /// End-to-end time, ms.
    pub latency_ms: u64,
    /// Tokens of prompt and answer together, where the model server reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What it cost, US dollars, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// How its repeats went; absent where it was asked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
}

/// How a case without an answer was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// What the last try met; absent where nothing was sent.
    pub failure: Option<Failure>,
    /// How often it was tried.
    pub tries: u32,
}

impl Unanswered {
    /// Tries after which a failure that comes back counts as the case's own.
    pub const TRIES: u32 = 3;

    /// Whether the request cannot be sent or the upstream refuses it: a retry gives the same
    /// result.
    pub(super) fn is_refused(self) -> bool {
        matches!(
            self.failure,
            None | Some(
                Failure::Refused | Failure::Unrendered | Failure::Blocked | Failure::TooLarge
            )
        )
    }

    /// Whether the upstream broke on it in [`Unanswered::TRIES`] tries. Rate limits, credentials
    /// and a server that cannot be reached say nothing about the case.
    pub(super) fn is_broken(self) -> bool {
        match self.failure {
            Some(
                Failure::ServerError
                | Failure::FirstByteTimeout
                | Failure::IdleTimeout
                | Failure::TotalTimeout
                | Failure::CutShort
                | Failure::Malformed
                | Failure::Empty,
            ) => self.tries >= Unanswered::TRIES,
            None
            | Some(
                Failure::Refused
                | Failure::Unrendered
                | Failure::Blocked
                | Failure::Retrieval
                | Failure::TooLarge
                | Failure::Unreachable
                | Failure::RateLimited
                | Failure::AccountLimit
                | Failure::Credential
                | Failure::ClientGone
                | Failure::ServerStopping
                | Failure::Internal,
            ) => false,
        }
    }
}

/// One row of the failure table: a class, and what failed in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRow {
    /// The class that the case belongs to.
    pub risk: Risk,
    /// Cases of the class.
    pub total: usize,
    /// Those that failed: id and what was wrong.
    pub failed: Vec<(String, String)>,
    /// Those without an answer: id and why.
    pub errors: Vec<(String, String)>,
}

/// The verdict of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// The rule holds.
    Pass,
    /// It does not.
    Fail,
    /// Undecided, because answers are missing.
    Inconclusive,
}

/// How the same cases did in this run and the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunComparison {
    /// The run before.
    pub previous_run: String,
    /// Passed before, fail now.
    pub broken: Vec<String>,
    /// Failed before, pass now.
    pub fixed: Vec<String>,
    /// Not in the run before.
    pub new: Vec<String>,
    /// Whether metrics changed beyond chance; empty in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<PairedTest>,
    /// The smallest drop of accuracy that this comparison shows; see [`super::detectable_drop`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable_drop: Option<f64>,
}

/// The report of one run; pipelines read the first eight keys, which keep their names. Its JSON has
/// `details` as well, which follow from the results.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EvalReport {
    /// The model of the version set.
    pub model: String,
    /// Cases.
    pub total: usize,
    /// Cases with a score of at least 0.8.
    pub correct: usize,
    /// correct / total.
    pub accuracy: f64,
    /// Whether the gate passes.
    pub passed: bool,
    /// The accuracy needed.
    pub threshold: f64,
    /// The run's id.
    pub run_id: String,
    /// When it ended.
    pub at: UnixMs,
    /// The version set.
    pub version_set: VersionSetId,
    /// Digest over the cases.
    pub cases_digest: Digest,
    /// What the gate demanded; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_to: Option<HeldTo>,
    /// Whether the gate passes, fails, or lacks answers.
    pub verdict: GateVerdict,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// The failure table.
    pub failure_table: Vec<FailureRow>,
    /// What was measured, 0 to 1 each; see [`super::Tally::metrics`]. Absent in reports of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// What each slice did, the worst first; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceRow>,
    /// The judge model, where a check asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeRecord>,
    /// See [`super::Tally::avg_tokens`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_tokens: Option<f64>,
    /// See [`super::Tally::cost_per_query`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_query: Option<f64>,
    /// The folder that the model server serves, where the run was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_files: Option<ModelFiles>,
    /// Against the run before.
    pub comparison: Option<RunComparison>,
    /// Every case in full.
    pub results: Rows<CaseResult>,
}

/// The files of a model as they were when its run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// Their folder, as it was given.
    pub from: String,
    /// Digest over their paths and contents, as `tidegate model register` makes it.
    pub digest: String,
    /// How many there are.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The metric that every gate compares with a threshold.
pub const ACCURACY: &str = "accuracy";

impl CaseResult {
    /// Whether it counts as correct: answered, scored at least 0.8, and no hard check failed. A
    /// blocking, red-line or strict case must hold every check.
    pub fn is_correct(&self) -> bool {
        self.error.is_none()
            && self.score >= self.needed() - ROUNDING
            && !fails_hard(&self.checks)
            && (!self.is_strict() || self.checks.iter().all(CheckResult::holds))
    }

    /// Whether it was correct in some of its repeats only.
    pub fn is_flaky(&self) -> bool {
        self.repeats.and_then(Repeats::stability) == Some(Stability::Flaky)
    }

    fn is_strict(&self) -> bool {
        self.case.severity != Severity::Normal || self.case.handling.strict
    }

    /// The score that it needs. A strict case is held to its checks: under the legacy formula no
    /// score but that of a case with all three parts reaches 1.
    fn needed(&self) -> f64 {
        match (self.is_strict(), self.case.handling.threshold) {
            (true, _) => 0.0,
            (false, threshold) => threshold.unwrap_or(CORRECT_FROM),
        }
    }

    /// The same with its error where a check that counts could not be judged, unless the answer is
    /// wrong whatever that check would say; `best` is the score where all of them held.
    pub fn settled(mut self, best: f64) -> CaseResult {
        let unjudged = |check: &&CheckResult| check.unjudged && check.weight > 0.0;
        let Some(first) = self.checks.iter().find(unjudged) else { return self };
        let why = first.detail.clone();
        let mut held = CaseResult { score: best, ..self.clone() };
        for check in held.checks.iter_mut().filter(|check| check.unjudged) {
            check.score = 1.0;
        }
        if held.is_correct() {
            self.error = Some(why);
        }
        self
    }

    /// What was wrong with the answer: the checks that do not hold, or the score where all of them
    /// do and the formula gives too little.
    pub fn wrong(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.unjudged && !check.holds());
        let details: Vec<&str> = failed.map(|check| check.detail.as_str()).collect();
        if details.is_empty() && !self.is_correct() {
            return format!("scores {:.2}; {} is needed", self.score, self.needed());
        }
        details.join("; ")
    }
}

impl Serialize for EvalReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EvalReport { model, total, correct, accuracy, passed, threshold, .. } = self;
        let EvalReport { run_id, at, version_set, cases_digest, held_to, verdict, .. } = self;
        let EvalReport { reasons, failure_table, metrics, slices, judge, .. } = self;
        let EvalReport { avg_tokens, cost_per_query, model_files, comparison, results, .. } = self;
        let mut out = serializer.serialize_struct("EvalReport", 23)?;
        out.serialize_field("model", model)?;
        out.serialize_field("total", total)?;
        out.serialize_field("correct", correct)?;
        out.serialize_field("accuracy", accuracy)?;
        out.serialize_field("passed", passed)?;
        out.serialize_field("threshold", threshold)?;
        out.serialize_field("details", &Details(results))?;
        out.serialize_field("run_id", run_id)?;
        out.serialize_field("at", at)?;
        out.serialize_field("version_set", version_set)?;
        out.serialize_field("cases_digest", cases_digest)?;
        match held_to {
            None => out.skip_field("held_to")?,
            Some(held_to) => out.serialize_field("held_to", held_to)?,
        }
        out.serialize_field("verdict", verdict)?;
        out.serialize_field("reasons", reasons)?;
        out.serialize_field("failure_table", failure_table)?;
        match metrics.is_empty() {
            true => out.skip_field("metrics")?,
            false => out.serialize_field("metrics", metrics)?,
        }
        match slices.is_empty() {
            true => out.skip_field("slices")?,
            false => out.serialize_field("slices", slices)?,
        }
        match judge {
            None => out.skip_field("judge")?,
            Some(judge) => out.serialize_field("judge", judge)?,
        }
        for (key, mean) in [("avg_tokens", avg_tokens), ("cost_per_query", cost_per_query)] {
            match mean {
                None => out.skip_field(key)?,
                Some(mean) => out.serialize_field(key, mean)?,
            }
        }
        match model_files {
            None => out.skip_field("model_files")?,
            Some(files) => out.serialize_field("model_files", files)?,
        }
        out.serialize_field("comparison", comparison)?;
        out.serialize_field("results", results)?;
        out.end()
    }
}

/// What pipelines read of each case.
struct Details<'a>(&'a Rows<CaseResult>);

#[derive(Serialize)]
struct Detail<'a> {
    input: &'a str,
    expected: &'a str,
    actual: &'a str,
    score: f64,
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        for result in self.0.iter() {
            let result = result.map_err(S::Error::custom)?;
            let case = &result.case;
            rows.serialize_element(&Detail {
                input: &case.input,
                expected: case.expected.as_ref().unwrap_or(&case.expected_behavior),
                actual: result.actual.as_deref().unwrap_or_default(),
                score: result.score,
            })?;
        }
        rows.end()
    }
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
