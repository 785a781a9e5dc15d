//! What the judge of a run says beside the labels that people gave.

use super::agreement::Agreement;
use super::case::HumanLabel;
use super::kind::CheckKind;
use super::outside::{Source, source};
use super::report::CaseResult;
use super::score::ROUNDING;
use std::collections::BTreeMap;

/// How far the judge of a run agrees with the labels of its cases, by kind of check. A label that
/// names the answer it is for counts only where that answer came.
pub fn agreement(results: &[CaseResult]) -> BTreeMap<String, Agreement> {
    let mut pairs: BTreeMap<String, Vec<(bool, bool)>> = BTreeMap::new();
    for result in results {
        let handling = &result.case.handling;
        let Some(label) = handling.human else { continue };
        let meant = handling.human_answer.as_deref();
        if meant.is_some_and(|meant| result.actual.as_deref() != Some(meant)) {
            continue;
        }
        for check in result.checks.iter().filter(|check| !check.unjudged) {
            let kind = CheckKind::parse(check.kind()).map(|(kind, _)| kind);
            if kind.is_some_and(|kind| source(kind) == Some(Source::Judge)) {
                let verdict = check.score >= 1.0 - ROUNDING;
                let of_kind = pairs.entry(check.kind().to_owned()).or_default();
                of_kind.push((verdict, label == HumanLabel::Pass));
            }
        }
    }
    pairs.into_iter().map(|(kind, pairs)| (kind, Agreement::of(pairs))).collect()
}
