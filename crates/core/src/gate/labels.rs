//! What the judge of a run says beside the labels that people gave.

use super::agreement::Agreement;
use super::case::HumanLabel;
use super::kind::CheckKind;
use super::outside::{Source, source};
use super::report::CaseResult;
use super::score::ROUNDING;
use std::collections::BTreeMap;

/// Verdicts of the judge beside labels, by kind of check.
#[derive(Debug, Clone, Default)]
pub struct Labelled(BTreeMap<String, Vec<(bool, bool)>>);

impl Labelled {
    /// Takes what a result says of its judge. A label that names the answer it is for counts only
    /// where that answer came.
    pub fn add(&mut self, result: &CaseResult) {
        let handling = &result.case.handling;
        let Some(label) = handling.human else { return };
        let meant = handling.human_answer.as_deref();
        if meant.is_some_and(|meant| result.actual.as_deref() != Some(meant)) {
            return;
        }
        for check in result.checks.iter().filter(|check| !check.unjudged) {
            let kind = CheckKind::parse(check.kind()).map(|(kind, _)| kind);
            if kind.is_some_and(|kind| source(kind) == Some(Source::Judge)) {
                let verdict = check.score >= 1.0 - ROUNDING;
                let of_kind = self.0.entry(check.kind().to_owned()).or_default();
                of_kind.push((verdict, label == HumanLabel::Pass));
            }
        }
    }

    /// How far the judge agrees with the labels, by kind of check.
    pub fn agreement(self) -> BTreeMap<String, Agreement> {
        self.0.into_iter().map(|(kind, pairs)| (kind, Agreement::of(pairs))).collect()
    }
}
