//! Tests a version: its lints, then its cases, each of which must hold.

use super::error::Result;
use super::hub::{Hub, Version};
use crate::clock::Clock;
use crate::gate::{GateError, PromptTests, RunOptions, Tape, prompt_tests, run};
use crate::spending::Spending;
use crate::version_set::{LiveSet, PackOverrides, pack};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use tidegate_core::gate::{
    ACCURACY, CaseResult, CheckKind, GatePolicy, GateVerdict, HeldTo, fold_case_and_width,
};
use tidegate_core::ids::VersionSetId;

/// How a version is tested.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// What is packed beside the version.
    pub(crate) overrides: PackOverrides,
    /// How often each case is asked.
    pub(crate) repeat: u32,
    /// Whether answers to adversarial inputs are also checked literally.
    pub(crate) literal: bool,
    /// Where what it costs goes.
    pub(crate) spending: Arc<Spending>,
}

/// What testing a version gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trial {
    /// The version.
    pub(crate) version: String,
    /// The set that it was tested in.
    pub(crate) version_set: VersionSetId,
    /// Whether every case holds.
    pub(crate) verdict: GateVerdict,
    /// Cases.
    pub(crate) total: usize,
    /// Those that hold.
    pub(crate) correct: usize,
    /// Those that do not, and those without an answer.
    pub(crate) failures: Vec<Failed>,
    /// Files in the folder of tests that are no cases.
    pub(crate) unread: Vec<PathBuf>,
}

/// A case that does not hold.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failed {
    /// The case.
    pub(crate) case_id: String,
    /// What was asked.
    pub(crate) input: String,
    /// What came; absent where there was no answer.
    pub(crate) actual: Option<String>,
    /// What is wrong, a sentence each.
    pub(crate) problems: Vec<String>,
}

/// Asks every test of a version.
///
/// # Errors
/// It cannot be packed or served, or its tests cannot be read.
pub(crate) async fn trial(hub: &Hub<'_>, version: &Version, how: &How) -> Result<Trial, GateError> {
    let prompt = Some(version.version.clone());
    let packed = pack(hub.loaded, &PackOverrides { prompt, ..how.overrides.clone() })?;
    let PromptTests { cases, unread } = prompt_tests(hub.loaded, &packed, how.literal)?;
    let live = Arc::new(LiveSet::new(&packed, &hub.loaded.root, &Clock::Real)?);
    let mut options =
        RunOptions::of(hub.loaded, &packed, &cases.cases, &Clock::Real, Some(&how.spending))?;
    options.repeat = how.repeat;
    // A test holds or does not; the prompt's thresholds are of the whole eval set.
    let thresholds = [(ACCURACY.to_owned(), 1.0)].into();
    options.held_to = HeldTo::of(GatePolicy { thresholds, ..GatePolicy::default() });
    let report = run(&live, &cases, &options, &Tape::default(), &Clock::Real).await?;
    let mut failures = Vec::new();
    for result in report.results.iter() {
        let result = result?;
        if !result.is_correct() {
            failures.push(failed(&result));
        }
    }
    Ok(Trial {
        version: version.version.clone(),
        version_set: packed.set.id,
        verdict: report.verdict,
        total: report.total,
        correct: report.correct,
        failures,
        unread,
    })
}

fn failed(result: &CaseResult) -> Failed {
    let mut problems: Vec<String> = result.error.iter().cloned().collect();
    for check in result.checks.iter().filter(|check| !check.holds()) {
        match CheckKind::parse(check.kind()) {
            Some((CheckKind::ExpectedKeywords, false)) => problems.extend(missing(result)),
            Some((CheckKind::ForbiddenKeywords, false)) => problems.extend(forbidden(result)),
            _ => problems.push(check.detail.clone()),
        }
    }
    if problems.is_empty() {
        problems.push(result.wrong());
    }
    Failed {
        case_id: result.case.id.clone(),
        input: result.case.input.clone(),
        actual: result.actual.clone(),
        problems,
    }
}

// Pipelines look for these words, so they are there in every language.

fn missing(result: &CaseResult) -> Vec<String> {
    let words = result.case.checks.expected_keywords.iter();
    let missing = words.filter(|word| !says(result, word));
    missing.map(|word| format!("缺少关键词: {word} (missing keyword)")).collect()
}

fn forbidden(result: &CaseResult) -> Vec<String> {
    let words = result.case.checks.forbidden_keywords.iter();
    let found = words.filter(|word| says(result, word));
    found.map(|word| format!("包含禁止词: {word} (forbidden keyword)")).collect()
}

fn says(result: &CaseResult, word: &str) -> bool {
    let answer = fold_case_and_width(result.actual.as_deref().unwrap_or_default());
    answer.contains(&fold_case_and_width(word))
}
