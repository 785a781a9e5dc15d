//! From an answer to its score: the checks of its case, and how a project makes a score of them.

use super::checks::{Scorer, Seen};
use super::content::likeness;
use super::outside::Outside;
use crate::config::Scoring;
use tidegate_core::gate::{Case, CheckResult, fails_hard, legacy_score, mean_score};

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
    let checks = scorer.judge(seen, outside).await;
    let held = |check: &CheckResult| match check.unjudged {
        true => CheckResult { score: 1.0, unjudged: false, ..check.clone() },
        false => check.clone(),
    };
    let all_held: Vec<CheckResult> = checks.iter().map(held).collect();
    let formula = match scoring {
        Scoring::Mean => None,
        Scoring::Legacy if fails_hard(&checks) => Some(0.0),
        Scoring::Legacy => {
            let expected = case.expected.as_deref();
            let similarity = expected.map_or(0.0, |text| likeness(seen.answer, text));
            legacy_score(case, seen.answer, similarity)
        }
    };
    Scored {
        score: formula.unwrap_or_else(|| mean_score(&checks)),
        best: formula.unwrap_or_else(|| mean_score(&all_held)),
        checks,
    }
}
