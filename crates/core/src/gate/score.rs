//! From the checks of an answer to its score.
//!
//! Two rules make a score. The mean is over the checks that a case has, each with weight 1 unless
//! it names another, so every case can reach 1. `legacy` is the formula of the script that many
//! teams start from, literally: a case with keywords alone reaches 0.5 at most and is never
//! correct.
//!
//! Before both rules come the hard checks: an answer that contains a forbidden keyword, or a red
//! line, scores 0 whatever else holds.

use super::case::Case;
use super::check::{Check, is_false, is_one};
use super::judge::Found;
use super::kind::CheckKind;
use serde::{Deserialize, Serialize};

/// From which score a case counts as correct, 0 to 1.
pub const CORRECT_FROM: f64 = 0.8;
/// Sums of shares such as 0.5 + 0.3 may be a few bits below the exact number.
pub(super) const ROUNDING: f64 = 1e-9;
/// The check that an answer with a red-line event fails.
pub const RED_LINE: &str = "red_line";
/// Checks without which no answer is correct.
const HARD: [&str; 2] = ["forbidden_keywords", RED_LINE];

/// One check on one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name; see [`super::result_names`].
    pub check: String,
    /// 0 to 1; 1 when it holds.
    pub score: f64,
    /// What was wrong, empty when it holds.
    pub detail: String,
    /// How much it counts in the case's score, from 0; absent in results of earlier versions, which
    /// is 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
    /// What was measured, for a check that measures: 0 to 1, or a number of edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// Whether it could not be judged, as where a judge does not answer: it neither holds nor
    /// fails, and is no part of the score.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unjudged: bool,
}

fn one() -> f64 {
    1.0
}

impl CheckResult {
    /// A result of weight 1 that measures nothing.
    pub fn new(check: impl Into<String>, score: f64, detail: impl Into<String>) -> CheckResult {
        let (check, detail) = (check.into(), detail.into());
        CheckResult { check, score, detail, weight: one(), measured: None, unjudged: false }
    }

    /// From what a check found. With a threshold it holds or does not; without one a share counts
    /// as it is.
    pub fn of(name: String, check: &Check, found: Found) -> CheckResult {
        let (measured, score, problem) = match found {
            Found::Holds => (None, 1.0, String::new()),
            Found::Wrong(problem) => (None, 0.0, problem),
            Found::Share(share, problem) => match check.needed() {
                None => (Some(share), share, problem),
                Some(least) if share >= least - ROUNDING => (Some(share), 1.0, problem),
                Some(least) => (Some(share), 0.0, format!("{problem}; {least} is needed")),
            },
            Found::Edits(edits, problem) => {
                let most = check.needed().unwrap_or_default();
                let score = if edits <= most { 1.0 } else { 0.0 };
                (Some(edits), score, format!("{problem}; at most {most} are allowed"))
            }
            Found::Unknown(why) => {
                let detail = format!("`{name}` could not be judged: {why}");
                let weight = check.weight;
                return CheckResult {
                    weight,
                    unjudged: true,
                    ..CheckResult::new(name, 0.0, detail)
                };
            }
        };
        let holds = score >= needed_of(check.kind.name()) - ROUNDING;
        let (score, problem) = match (check.not, holds) {
            (false, _) => (score, problem),
            (true, false) => (1.0, String::new()),
            (true, true) => (0.0, format!("`{}` holds and must not", check.kind.name())),
        };
        let detail = if score < 1.0 { problem } else { String::new() };
        let weight = check.weight;
        CheckResult { check: name, score, detail, weight, measured, unjudged: false }
    }

    /// Whether it holds, or counts for nothing.
    pub fn holds(&self) -> bool {
        self.weight == 0.0 || self.score >= needed_of(self.kind()) - ROUNDING
    }

    /// The name without the number of a check that a case has several times.
    pub fn kind(&self) -> &str {
        self.check.split('#').next().unwrap_or_default()
    }

    /// Whether an answer that fails it is never correct.
    pub fn is_hard(&self) -> bool {
        self.weight > 0.0 && HARD.contains(&self.kind())
    }
}

/// The score from which a check holds. Likeness to a reference answer holds from 0.8 on: a right
/// answer is seldom in exactly those words.
fn needed_of(kind: &str) -> f64 {
    if kind == CheckKind::MatchesExpected.name() { CORRECT_FROM } else { 1.0 }
}

/// Whether a hard check failed: the answer is wrong whatever its score.
pub fn fails_hard(checks: &[CheckResult]) -> bool {
    checks.iter().any(|check| check.is_hard() && !check.holds())
}

/// The mean over the checks by weight, 0 to 1; 0 where a hard check failed. 1 without any check
/// that counts: the first run of a case with nothing but `comparable`, or checks of weight 0 alone.
/// Checks that could not be judged are left out.
pub fn mean_score(checks: &[CheckResult]) -> f64 {
    if fails_hard(checks) {
        return 0.0;
    }
    let judged = || checks.iter().filter(|check| !check.unjudged);
    let weights: f64 = judged().map(|check| check.weight).sum();
    let sum: f64 = judged().map(|check| check.score * check.weight).sum();
    if weights > 0.0 { sum / weights } else { 1.0 }
}

/// The literal item score: share of keywords × 0.5, `similarity` to the reference answer × 0.3
/// where there is one, and 0.2 when the expected text is contained; at most 1. Keywords and the
/// expected text are looked for as they are written, case and width included; an absent part gives
/// nothing.
///
/// `None` for a case that has none of the three, which the formula says nothing about.
pub fn legacy_score(case: &Case, answer: &str, similarity: f64) -> Option<f64> {
    let parts = formula(case, answer, similarity);
    let sum: f64 = parts.iter().map(|(weight, part)| weight * part).sum();
    (!parts.is_empty()).then(|| sum.min(1.0))
}

/// The same formula with its weights over those of the parts that the case has, so that every case
/// can reach 1.
pub fn renormalised_score(case: &Case, answer: &str, similarity: f64) -> Option<f64> {
    let parts = formula(case, answer, similarity);
    let sum: f64 = parts.iter().map(|(weight, part)| weight * part).sum();
    let weights: f64 = parts.iter().map(|(weight, _)| weight).sum();
    (weights > 0.0).then(|| (sum / weights).min(1.0))
}

/// The parts of the formula that a case has, each with its weight.
fn formula(case: &Case, answer: &str, similarity: f64) -> Vec<(f64, f64)> {
    let keywords = &case.checks.expected_keywords;
    let has_reference = case.expected.as_deref().is_some_and(|text| !text.is_empty());
    let contains = case.checks.expected_contains.as_deref().filter(|text| !text.is_empty());
    let hits = keywords.iter().filter(|word| answer.contains(word.as_str())).count();
    let parts = [
        (!keywords.is_empty()).then(|| (0.5, hits as f64 / keywords.len() as f64)),
        has_reference.then(|| (0.3, similarity.clamp(0.0, 1.0))),
        contains.map(|text| (0.2, if answer.contains(text) { 1.0 } else { 0.0 })),
    ];
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
#[path = "score/tests.rs"]
mod tests;
