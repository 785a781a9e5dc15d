//! From the checks of an answer to its score.
//!
//! Two rules make a score. The mean weighs each check that a case has alike, so the weights always
//! sum to 1 and every case can reach 1. `legacy` is the formula of the script that many teams
//! start from, literally: a case with keywords alone reaches 0.5 at most and is never correct.
//!
//! Before both rules come the hard checks: an answer that contains a forbidden keyword, or a red
//! line, scores 0 whatever else holds.

use super::case::Case;
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
    /// The check's key in [`super::Checks`].
    pub check: String,
    /// 0 to 1; 1 when it holds.
    pub score: f64,
    /// What was wrong, empty when it holds.
    pub detail: String,
}

impl CheckResult {
    /// Whether it holds. Likeness to a reference answer holds from 0.8 on: nobody answers in
    /// exactly those words.
    pub fn holds(&self) -> bool {
        let needed = if self.check == "matches_expected" { CORRECT_FROM } else { 1.0 };
        self.score >= needed - ROUNDING
    }

    /// Whether an answer that fails it is never correct.
    pub fn is_hard(&self) -> bool {
        HARD.contains(&self.check.as_str())
    }
}

/// Whether a hard check failed: the answer is wrong whatever its score.
pub fn fails_hard(checks: &[CheckResult]) -> bool {
    checks.iter().any(|check| check.is_hard() && !check.holds())
}

/// The mean over the checks, 0 to 1; 0 where a hard check failed. 1 without any check, which only
/// the first run of a case with nothing but `comparable` can be.
pub fn mean_score(checks: &[CheckResult]) -> f64 {
    if fails_hard(checks) {
        return 0.0;
    }
    match checks.len() {
        0 => 1.0,
        count => checks.iter().map(|check| check.score).sum::<f64>() / count as f64,
    }
}

/// The literal item score: share of keywords × 0.5, `similarity` to the reference answer × 0.3
/// where there is one, and 0.2 when the expected text is contained; at most 1. Keywords and the
/// expected text are looked for as they are written, case and width included; an absent part gives
/// nothing.
///
/// `None` for a case that has none of the three, which the formula says nothing about.
pub fn legacy_score(case: &Case, answer: &str, similarity: f64) -> Option<f64> {
    let keywords = &case.checks.expected_keywords;
    let reference = case.expected.as_deref().is_some_and(|text| !text.is_empty());
    let contains = case.checks.expected_contains.as_deref().filter(|text| !text.is_empty());
    if keywords.is_empty() && !reference && contains.is_none() {
        return None;
    }
    let mut score = 0.0;
    if !keywords.is_empty() {
        let hits = keywords.iter().filter(|word| answer.contains(word.as_str())).count();
        score += hits as f64 / keywords.len() as f64 * 0.5;
    }
    if reference {
        score += similarity.clamp(0.0, 1.0) * 0.3;
    }
    if contains.is_some_and(|text| answer.contains(text)) {
        score += 0.2;
    }
    Some(score.min(1.0))
}

#[cfg(test)]
#[path = "score/tests.rs"]
mod tests;
