//! The result of an eval run, its failure table and its verdict.

use super::case::{Case, Risk, Severity};
use crate::ids::{Digest, UnixMs, VersionSetId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One check on one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's key in [`super::Checks`].
    pub check: String,
    /// 0 to 1; 1 when it holds.
    pub score: f64,
    /// What was wrong, empty when it holds.
    pub detail: String,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub case: Case,
    /// The answer; absent when there was none.
    pub actual: Option<String>,
    /// Why there was none: an infrastructure error, which is neither pass nor fail.
    pub error: Option<String>,
    /// Mean over the checks, 0 to 1.
    pub score: f64,
    /// The checks.
    pub checks: Vec<CheckResult>,
    /// End-to-end time, ms.
    pub latency_ms: u64,
}

/// One row of the failure table: a class, and what failed in it (R30–R35).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRow {
    /// The class.
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
    /// It cannot be told: answers are missing.
    Inconclusive,
}

/// How the same cases did in this run and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// The run before.
    pub previous_run: String,
    /// Passed before, fail now.
    pub broken: Vec<String>,
    /// Failed before, pass now.
    pub fixed: Vec<String>,
    /// Not in the run before.
    pub new: Vec<String>,
}

/// One item of the seed's report (R22).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDetail {
    /// The question.
    pub input: String,
    /// What should come.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// 0 to 1.
    pub score: f64,
}

/// The report of one run; the first eight keys are the seed's (R22).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// The model of the version set.
    pub model: String,
    /// Cases.
    pub total: usize,
    /// Cases with a score of at least 0.8 (R21).
    pub correct: usize,
    /// correct / total.
    pub accuracy: f64,
    /// Whether the gate passes.
    pub passed: bool,
    /// The accuracy needed.
    pub threshold: f64,
    /// The items in the seed's form.
    pub details: Vec<ReportDetail>,
    /// The run's id.
    pub run_id: String,
    /// When it ended.
    pub at: UnixMs,
    /// The version set.
    pub version_set: VersionSetId,
    /// Digest over the cases.
    pub cases_digest: Digest,
    /// The verdict.
    pub verdict: GateVerdict,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// The failure table.
    pub failure_table: Vec<FailureRow>,
    /// Against the run before.
    pub comparison: Option<Comparison>,
    /// Every case in full.
    pub results: Vec<CaseResult>,
}

/// From which score a case counts as correct (R21).
const CORRECT_FROM: f64 = 0.8;

impl CaseResult {
    /// Whether it counts as correct: answered, and scored at least 0.8. A blocking or red-line
    /// case must hold every check.
    pub fn is_correct(&self) -> bool {
        let needed = match self.case.severity {
            Severity::Normal => CORRECT_FROM,
            Severity::Blocking | Severity::RedLine => 1.0,
        };
        self.error.is_none() && self.score >= needed
    }
}

/// The failures by class, every class of risk in order.
pub fn failure_table(results: &[CaseResult]) -> Vec<FailureRow> {
    let mut by_risk: BTreeMap<Risk, FailureRow> = Risk::ALL
        .into_iter()
        .map(|risk| (risk, FailureRow { risk, total: 0, failed: vec![], errors: vec![] }))
        .collect();
    for result in results {
        let Some(row) = by_risk.get_mut(&result.case.risk) else { continue };
        row.total += 1;
        if let Some(error) = &result.error {
            row.errors.push((result.case.id.clone(), error.clone()));
        } else if !result.is_correct() {
            let wrong: Vec<&str> = result
                .checks
                .iter()
                .filter(|check| check.score < 1.0)
                .map(|check| check.detail.as_str())
                .collect();
            row.failed.push((result.case.id.clone(), wrong.join("; ")));
        }
    }
    by_risk.into_values().collect()
}

/// The verdict over all cases, with its reasons.
///
/// Order: a blocking or red-line case that failed fails the gate; missing answers make it
/// inconclusive; then the accuracy is held against the threshold.
pub fn verdict(results: &[CaseResult], threshold: f64) -> (GateVerdict, Vec<String>) {
    let mut reasons = Vec::new();
    for result in results {
        if result.error.is_none() && !result.is_correct() {
            match result.case.severity {
                Severity::Normal => {}
                Severity::Blocking => {
                    reasons.push(format!("blocking case `{}` failed", result.case.id))
                }
                Severity::RedLine => {
                    reasons.push(format!("red-line case `{}` failed", result.case.id))
                }
            }
        }
    }
    if !reasons.is_empty() {
        return (GateVerdict::Fail, reasons);
    }
    let errors = results.iter().filter(|r| r.error.is_some()).count();
    if errors > 0 {
        let reason = format!("{errors} of {} cases got no answer", results.len());
        return (GateVerdict::Inconclusive, vec![reason]);
    }
    let correct = results.iter().filter(|r| r.is_correct()).count();
    let accuracy = correct as f64 / results.len().max(1) as f64;
    if accuracy >= threshold {
        let reason = format!("accuracy {accuracy:.3} is at least {threshold}");
        (GateVerdict::Pass, vec![reason])
    } else {
        // The seed's wording (R95).
        let reason = format!("Quality gate failed: accuracy = {accuracy:.3} < {threshold}");
        (GateVerdict::Fail, vec![reason])
    }
}

/// How the same cases did before and now.
pub fn compare_runs(previous: &EvalReport, now: &[CaseResult]) -> Comparison {
    let before: BTreeMap<&str, bool> =
        previous.results.iter().map(|r| (r.case.id.as_str(), r.is_correct())).collect();
    let mut comparison =
        Comparison { previous_run: previous.run_id.clone(), ..Comparison::default() };
    for result in now {
        let id = result.case.id.clone();
        match (before.get(id.as_str()), result.is_correct()) {
            (None, _) => comparison.new.push(id),
            (Some(true), false) => comparison.broken.push(id),
            (Some(false), true) => comparison.fixed.push(id),
            (Some(true), true) | (Some(false), false) => {}
        }
    }
    comparison
}
