//! The result of an eval run, its failure table and its verdict.

use super::agreement::JudgeRecord;
use super::case::{Case, Risk, Severity};
use super::kind::CheckKind;
use super::noise::{PREDICTABILITY, PairedTest, Repeats, Stability, predictability};
use super::policy::HeldTo;
use super::score::{CORRECT_FROM, CheckResult, ROUNDING, fails_hard};
use super::slice::{self, SliceRow, WORST_SLICE, accuracy_of_slice, below, judge_slices, worst};
use crate::ids::{Digest, UnixMs, VersionSetId};
use crate::upstream::Failure;
use serde::{Deserialize, Serialize};
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
    fn is_refused(self) -> bool {
        matches!(
            self.failure,
            None | Some(
                Failure::Refused | Failure::Unrendered | Failure::Blocked | Failure::TooLarge
            )
        )
    }

    /// Whether the upstream broke on it in [`Unanswered::TRIES`] tries. Rate limits, credentials
    /// and a server that cannot be reached say nothing about the case.
    fn is_broken(self) -> bool {
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

/// One case in the report's JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDetail {
    /// The question that was asked.
    pub input: String,
    /// What should come.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// 0 to 1.
    pub score: f64,
}

/// The report of one run; pipelines read the first eight keys, which keep their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The items for the JSON file.
    pub details: Vec<ReportDetail>,
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
    /// What was measured, 0 to 1 each; see [`metrics`]. Absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// What each slice did, the worst first; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceRow>,
    /// The judge model, where a check asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeRecord>,
    /// See [`super::avg_tokens`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_tokens: Option<f64>,
    /// See [`super::cost_per_query`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_query: Option<f64>,
    /// The folder that the model server serves, where the run was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_files: Option<ModelFiles>,
    /// Against the run before.
    pub comparison: Option<RunComparison>,
    /// Every case in full.
    pub results: Vec<CaseResult>,
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
/// The checks on what an answer says, which `relevance` is the mean of.
const CONTENT_CHECKS: [&str; 4] =
    ["expected_contains", "expected_keywords", "must_include_any", "matches_expected"];

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
            row.failed.push((result.case.id.clone(), result.wrong()));
        }
    }
    by_risk.into_values().collect()
}

/// What a run measures, 0 to 1 each: `accuracy`; each class of risk by its name, as the share of
/// its cases that are correct; `relevance`, the mean score of the checks on content; each kind
/// of check that measures a share, such as `bleu`, the mean of what it measured; `worst_slice`,
/// the accuracy of the slice that does worst, of those with enough cases; and `predictability`,
/// see [`predictability`]. A class without a case, a run without checks on content, or without
/// repeats, does not have the metric.
pub fn metrics(results: &[CaseResult]) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, sum: f64, count: usize| {
        if count > 0 {
            metrics.insert(name.to_owned(), sum / count as f64);
        }
    };
    put(ACCURACY, results.iter().filter(|r| r.is_correct()).count() as f64, results.len());
    for risk in Risk::ALL {
        let of_risk: Vec<&CaseResult> = results.iter().filter(|r| r.case.risk == risk).collect();
        let correct = of_risk.iter().filter(|r| r.is_correct()).count();
        put(risk.as_str(), correct as f64, of_risk.len());
    }
    let on_content: Vec<f64> = results
        .iter()
        .flat_map(|r| &r.checks)
        .filter(|check| CONTENT_CHECKS.contains(&check.kind()))
        .map(|check| check.score)
        .collect();
    for (kind, measures) in measures(results) {
        put(kind, measures.iter().sum(), measures.len());
    }
    put("relevance", on_content.iter().sum(), on_content.len());
    if let Some(worst) = worst(&slices(results)) {
        metrics.insert(WORST_SLICE.to_owned(), worst);
    }
    if let Some(share) = predictability(results.iter().filter_map(|result| result.repeats)) {
        metrics.insert(PREDICTABILITY.to_owned(), share);
    }
    metrics
}

/// Every slice of the cases, the worst first: by accuracy, then the one with more cases, then by
/// name. A case is in each slice that it names.
pub fn slices(results: &[CaseResult]) -> Vec<SliceRow> {
    let is_correct = |result: &CaseResult| result.error.is_none().then(|| result.is_correct());
    slice::rows(results.iter().map(|result| (&result.case, is_correct(result))))
}

/// What the checks of each kind measured, in order of cases; edits are no share and left out.
fn measures(results: &[CaseResult]) -> BTreeMap<&'static str, Vec<f64>> {
    let mut by_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for check in results.iter().flat_map(|result| &result.checks) {
        let kind = CheckKind::parse(check.kind()).map(|(kind, _)| kind);
        let kind = kind.filter(|kind| kind.is_share());
        if let (Some(kind), Some(measured)) = (kind, check.measured) {
            by_kind.entry(kind.name()).or_default().push(measured);
        }
    }
    by_kind
}

/// The verdict over all cases against one threshold of accuracy; see [`verdict_on`].
pub fn verdict(results: &[CaseResult], threshold: f64) -> (GateVerdict, Vec<String>) {
    verdict_on(results, &BTreeMap::from([(ACCURACY.to_owned(), threshold)]))
}

/// The verdict over all cases against thresholds by metric, with its reasons.
///
/// Order: no cases at all is inconclusive. A blocking or red-line case that failed fails the gate.
/// So does a case whose request itself fails, since another run would end the same: refused, or a
/// server error or timeout in each of [`Unanswered::TRIES`] tries while other cases are answered.
/// Other missing answers make the gate inconclusive. Then each metric is compared with its
/// threshold; `tag:NAME` and `slice:NAME` are the accuracy of that slice, however few its cases. A
/// metric that the run does not measure counts as 0: the gate fails closed. A slice below the
/// threshold of `worst_slice` fails the gate, and one of too few cases makes it inconclusive.
pub fn verdict_on(
    results: &[CaseResult],
    thresholds: &BTreeMap<String, f64>,
) -> (GateVerdict, Vec<String>) {
    if results.is_empty() {
        return (GateVerdict::Inconclusive, vec!["no case was asked".to_owned()]);
    }
    let mut alone: Vec<String> = results.iter().filter_map(fails_alone).collect();
    alone.extend(unanswerable(results));
    if !alone.is_empty() {
        return (GateVerdict::Fail, alone);
    }
    let errors = || results.iter().filter(|r| r.error.is_some());
    let unjudged = errors().filter(|r| r.actual.is_some()).count();
    let missing = [(errors().count() - unjudged, "got no answer"), (unjudged, "got no verdict")];
    let missing: Vec<String> = missing
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} of {} cases {what}", results.len()))
        .collect();
    if !missing.is_empty() {
        let mut reasons = missing;
        reasons.extend(error_causes(results));
        return (GateVerdict::Inconclusive, reasons);
    }
    let (measured, rows) = (metrics(results), slices(results));
    let mut held = Vec::new();
    let mut failed = Vec::new();
    let mut undecided = Vec::new();
    for (metric, threshold) in thresholds {
        if metric == WORST_SLICE {
            let judged = judge_slices(&rows, *threshold);
            held.extend(judged.held);
            failed.extend(judged.failed);
            undecided.extend(judged.undecided);
            continue;
        }
        let value = measured.get(metric).copied().or(accuracy_of_slice(&rows, metric));
        match value {
            Some(value) if value >= *threshold => {
                held.push(format!("{metric} {value:.3} is at least {threshold}"));
            }
            // Pipelines look for this wording.
            Some(value) => {
                let value = below(value, *threshold);
                failed.push(format!("Quality gate failed: {metric} = {value} < {threshold}"));
            }
            None => failed.push(format!(
                "Quality gate failed: {metric} = 0 < {threshold}: this run does not measure it"
            )),
        }
    }
    match (failed.is_empty(), undecided.is_empty()) {
        (false, _) => (GateVerdict::Fail, failed),
        (true, false) => (GateVerdict::Inconclusive, undecided),
        (true, true) => (GateVerdict::Pass, held),
    }
}

/// Why this case fails the gate on its own, where it does.
fn fails_alone(result: &CaseResult) -> Option<String> {
    if result.error.is_some() || result.is_correct() {
        return None;
    }
    match result.case.severity {
        Severity::Normal => None,
        Severity::Blocking => Some(format!("blocking case `{}` failed", result.case.id)),
        Severity::RedLine => Some(format!("red-line case `{}` failed", result.case.id)),
    }
}

/// The cases whose request itself fails, one sentence each. A refusal always counts; server errors
/// and timeouts only while the upstream answers at least half of what it does not refuse, since in
/// an outage they say nothing about a case.
fn unanswerable(results: &[CaseResult]) -> Vec<String> {
    let is_refused = |r: &&CaseResult| r.unanswered.is_some_and(Unanswered::is_refused);
    let refused = results.iter().filter(is_refused).count();
    let answered = results.iter().filter(|r| r.error.is_none() || r.actual.is_some()).count();
    let outage = answered * 2 < results.len() - refused;
    let lasting = results.iter().filter_map(|r| r.unanswered.map(|u| (r, u)));
    let lasting = lasting.filter(|(_, u)| u.is_refused() || (u.is_broken() && !outage));
    let sentence = |(result, unanswered): (&CaseResult, Unanswered)| {
        let error = result.error.as_deref().unwrap_or_default();
        let tries = unanswered.tries.max(1);
        let s = if tries == 1 { "try" } else { "tries" };
        format!("case `{}` got no answer in {tries} {s}: {error}", result.case.id)
    };
    lasting.map(sentence).collect()
}

/// Why answers are missing, the commonest cause first: `15 cases: server_error: status 500`.
pub fn error_causes(results: &[CaseResult]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for error in results.iter().filter_map(|result| result.error.as_deref()) {
        *counts.entry(error).or_insert(0) += 1;
    }
    let mut causes: Vec<(&str, usize)> = counts.into_iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let sentence = |(error, count): (&str, usize)| {
        let s = if count == 1 { "case" } else { "cases" };
        format!("{count} {s}: {error}")
    };
    causes.into_iter().map(sentence).collect()
}

/// Whether two cases ask the same question, whatever they check the answer for.
pub fn asks_the_same(one: &Case, other: &Case) -> bool {
    one.input == other.input
        && one.system == other.system
        && one.handling.messages == other.handling.messages
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
