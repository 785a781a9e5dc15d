//! Slices: how the cases of one tag, or of one `key:value` of metadata, did.
//!
//! A set that is correct in nine of ten cases may be wrong in every case of one language; the
//! accuracy over all hides that. A gate may therefore hold its slices to a threshold as well.
//!
//! A slice of few cases says little: with one wrong answer of four it is at 75 %, whatever it would
//! be in a hundred. Below [`SLICE_CASES_MIN`] cases a slice never fails the gate. One that is below
//! the threshold makes it inconclusive: more cases of it are needed.

use super::case::Case;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Begins the name of a metric that is the accuracy of a tag's cases.
pub const TAG: &str = "tag:";
/// Begins the name of a metric that is the accuracy of a slice, a tag or `key:value`.
pub const SLICE: &str = "slice:";
/// The metric that is the accuracy of the worst slice.
pub const WORST_SLICE: &str = "worst_slice";
/// Fewest answered cases of a slice that decide anything.
pub const SLICE_CASES_MIN: u64 = 10;
/// The 97.5th percentile of the standard normal distribution: intervals are of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How the cases of one slice did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceRow {
    /// A tag, or `key:value`.
    pub slice: String,
    /// Its cases.
    pub cases: u64,
    /// Those with an answer.
    pub answered: u64,
    /// Those that were correct.
    pub correct: u64,
    /// correct / answered; 0 without an answer.
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy, 0 to 1.
    pub interval: (f64, f64),
}

impl SliceRow {
    /// Whether it has enough cases to decide anything.
    pub fn decides(&self) -> bool {
        self.answered >= SLICE_CASES_MIN
    }

    /// Its counts in words.
    fn counts(&self) -> String {
        let SliceRow { slice, answered, correct, interval: (low, high), .. } = self;
        format!(
            "slice `{slice}`, {correct} of {answered} cases correct, 95 % interval {low:.2} to \
             {high:.2}"
        )
    }
}

/// The cases of each slice, counted: all, the answered, the correct.
#[derive(Debug, Clone, Default)]
pub(super) struct Slices(BTreeMap<String, [u64; 3]>);

impl Slices {
    /// Counts a case, with whether it was correct where it has an answer.
    pub(super) fn add(&mut self, case: &Case, is_correct: Option<bool>) {
        for slice in case.slices() {
            let [cases, answered, correct] = self.0.entry(slice).or_default();
            *cases += 1;
            *answered += u64::from(is_correct.is_some());
            *correct += u64::from(is_correct == Some(true));
        }
    }

    /// Every slice, the worst first.
    pub(super) fn rows(&self) -> Vec<SliceRow> {
        let row = |(slice, [cases, answered, correct]): (&String, &[u64; 3])| SliceRow {
            slice: slice.clone(),
            cases: *cases,
            answered: *answered,
            correct: *correct,
            accuracy: *correct as f64 / (*answered).max(1) as f64,
            interval: wilson(*correct, *answered),
        };
        let mut rows: Vec<SliceRow> = self.0.iter().map(row).collect();
        // Stable: rows are by name already.
        rows.sort_by(|a, b| a.accuracy.total_cmp(&b.accuracy).then(b.cases.cmp(&a.cases)));
        rows
    }
}

/// Wilson's score interval (JASA 22, 1927): unlike the normal one it stays within 0 to 1 and has a
/// width where all or none are correct. The whole range without an answer.
fn wilson(correct: u64, answered: u64) -> (f64, f64) {
    if answered == 0 {
        return (0.0, 1.0);
    }
    let n = answered as f64;
    let share = correct as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The accuracy of the worst slice with enough cases, of rows that are the worst first.
pub(super) fn worst(rows: &[SliceRow]) -> Option<f64> {
    rows.iter().find(|row| row.decides()).map(|row| row.accuracy)
}

/// The accuracy of the slice that a metric names; `None` for another metric, and for a slice of
/// which no case was answered.
pub(super) fn accuracy_of_slice(rows: &[SliceRow], metric: &str) -> Option<f64> {
    let name = metric.strip_prefix(TAG).or(metric.strip_prefix(SLICE))?;
    let row = rows.iter().find(|row| row.slice == name && row.answered > 0)?;
    Some(row.accuracy)
}

/// A value that is below its threshold, with as many decimals as show that: three at least.
pub(super) fn below(value: f64, threshold: f64) -> String {
    let decimals = (3..17).find(|decimals| {
        let shown: Option<f64> = format!("{value:.decimals$}").parse().ok();
        shown.is_some_and(|shown| shown < threshold)
    });
    let decimals = decimals.unwrap_or(17);
    format!("{value:.decimals$}")
}

/// What a threshold for the worst slice comes to, one sentence for each slice that matters.
#[derive(Debug, Default)]
pub(super) struct JudgedSlices {
    pub(super) held: Option<String>,
    pub(super) failed: Vec<String>,
    pub(super) undecided: Vec<String>,
}

/// Compares every slice with the threshold; `rows` are the worst first. Without any slice the gate
/// fails closed, as for any metric that a run does not measure.
pub(super) fn judge_slices(rows: &[SliceRow], threshold: f64) -> JudgedSlices {
    let mut judged = JudgedSlices::default();
    let Some(first) = rows.first() else {
        judged.failed.push(format!(
            "Quality gate failed: {WORST_SLICE} = 0 < {threshold}: no case has a tag or metadata"
        ));
        return judged;
    };
    for row in rows.iter().filter(|row| row.accuracy < threshold) {
        let (accuracy, counts) = (below(row.accuracy, threshold), row.counts());
        if row.decides() {
            judged.failed.push(format!(
                "Quality gate failed: {WORST_SLICE} = {accuracy} < {threshold}: {counts}"
            ));
        } else {
            judged.undecided.push(format!(
                "{WORST_SLICE} {accuracy} is below {threshold}, with fewer than \
                 {SLICE_CASES_MIN} cases: {counts}"
            ));
        }
    }
    if judged.failed.is_empty() && judged.undecided.is_empty() {
        let (accuracy, counts) = (first.accuracy, first.counts());
        judged.held =
            Some(format!("{WORST_SLICE} {accuracy:.3} is at least {threshold}: {counts}"));
    }
    judged
}

#[cfg(test)]
#[path = "slice/tests.rs"]
mod tests;
