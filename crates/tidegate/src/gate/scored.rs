//! From an answer to its score: the checks of its case, and how a project makes a score of them.

use super::checks::{Scorer, Seen};
use super::content::likeness;
use super::outside::Outside;
use crate::config::Scoring;
use serde_json::Value;
use tidegate_core::gate::{
    Case, Check, CheckKind, CheckResult, Found, fails_hard, legacy_score, mean_score,
    renormalised_score,
};

/// What results call the likeness that the formula takes from embeddings.
const SIMILARITY: &str = "similarity";

/// What an answer scores.
pub(super) struct Scored {
    /// 0 to 1.
    pub(super) score: f64,
    /// The score where every check that could not be judged held.
    pub(super) best: f64,
    /// What each check found.
    pub(super) checks: Vec<CheckResult>,
}

/// Judges an answer to a case.
pub(super) async fn scored(
    scorer: &Scorer<'_>,
    seen: &Seen<'_>,
    (case, scoring): (&Case, Scoring),
    outside: &Outside,
) -> Scored {
    let mut checks = scorer.judge(seen, outside).await;
    let formula = match scoring {
        Scoring::Mean => None,
        Scoring::Legacy => Some(legacy_score as fn(&Case, &str, f64) -> Option<f64>),
        Scoring::Renormalised => Some(renormalised_score as _),
    };
    let mut similarity = Some(0.0);
    if let (Some(_), Some(expected)) = (formula, case.expected.as_deref()) {
        let measured = measured(expected, (case, seen), outside).await;
        similarity = match measured {
            Found::Share(share, _) => Some(share),
            _ => None,
        };
        if outside.embeds() {
            checks.push(noted(measured));
        }
    }
    let by = |checks: &[CheckResult], similarity: f64| match formula {
        Some(_) if fails_hard(checks) => 0.0,
        Some(formula) => {
            formula(case, seen.answer, similarity).unwrap_or_else(|| mean_score(checks))
        }
        None => mean_score(checks),
    };
    let held = |check: &CheckResult| match check.unjudged {
        true => CheckResult { score: 1.0, unjudged: false, ..check.clone() },
        false => check.clone(),
    };
    let all_held: Vec<CheckResult> = checks.iter().map(held).collect();
    Scored {
        score: by(&checks, similarity.unwrap_or(0.0)),
        best: by(&all_held, similarity.unwrap_or(1.0)),
        checks,
    }
}

/// How like its reference an answer is: by meaning where the project has embeddings, else by
/// characters.
async fn measured(expected: &str, (case, seen): (&Case, &Seen<'_>), outside: &Outside) -> Found {
    if !outside.embeds() {
        return Found::Share(likeness(seen.answer, expected), String::new());
    }
    if seen.answer.trim().is_empty() || expected.trim().is_empty() {
        return Found::Share(0.0, String::new());
    }
    let check = Check::new(CheckKind::Similar, Value::Null);
    let found = outside.judge(&check, &seen.about(case)).await;
    found.unwrap_or_else(|| Found::Unknown("no embedding was asked for".to_owned()))
}

/// The likeness as a result: what it counts is in the formula, unless it is not known.
fn noted(measured: Found) -> CheckResult {
    let weight = if matches!(measured, Found::Unknown(_)) { 1.0 } else { 0.0 };
    let check =
        Check { weight, threshold: Some(0.0), ..Check::new(CheckKind::Similar, Value::Null) };
    CheckResult::of(SIMILARITY.to_owned(), &check, measured)
}
