//! Annotations of GitHub's workflows: what failed, at the line of its case. GitHub shows ten a
//! step, so the worst come first.

use tidegate_core::evidence::page::is_deceptive;
use tidegate_core::gate::{CaseResult, EvalReport, RowError, Severity};

/// Annotations that GitHub shows for a step.
const SHOWN: usize = 10;
/// Longest message, characters.
const MESSAGE_MAX: usize = 1_000;

/// The commands that make them, the worst case first: red lines, blocking cases, then those with
/// the lowest scores; cases without an answer last.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn annotations(report: &EvalReport) -> Result<Vec<String>, RowError> {
    let weight = |result: &CaseResult| match (result.error.is_some(), result.case.severity) {
        (true, _) => 3,
        (false, Severity::RedLine) => 0,
        (false, Severity::Blocking) => 1,
        (false, Severity::Normal) => 2,
    };
    // The worst so far, in order, and how many there were.
    let mut worst: Vec<(i32, CaseResult)> = Vec::new();
    let mut wrong = 0_usize;
    for result in report.results.iter() {
        let result = result?;
        if result.is_correct() {
            continue;
        }
        wrong += 1;
        let weight = weight(&result);
        // Behind those that are as bad.
        let at = worst.partition_point(|(other, it)| {
            other.cmp(&weight).then(it.score.total_cmp(&result.score)).is_le()
        });
        if at < SHOWN {
            worst.insert(at, (weight, result.into_owned()));
            worst.truncate(SHOWN);
        }
    }
    let more = wrong.saturating_sub(SHOWN);
    let last = (more > 0).then(|| {
        let more = more + 1;
        format!("::warning title=tidegate eval::{more} more cases failed: see the report")
    });
    let count = if more > 0 { SHOWN - 1 } else { SHOWN };
    Ok(worst.iter().take(count).map(|(_, result)| annotation(result)).chain(last).collect())
}

fn annotation(result: &CaseResult) -> String {
    let case = &result.case;
    let place = match super::place(&case.source) {
        Some((file, line)) => format!("file={},line={line},", property(file)),
        None => String::new(),
    };
    let (command, what) = match &result.error {
        Some(error) => ("warning", format!("no answer: {error}")),
        None => ("error", result.wrong()),
    };
    let what: String = what.chars().take(MESSAGE_MAX).collect();
    let title = format!("{} case {}", case.severity.as_str(), case.id);
    format!("::{command} {place}title={}::{}", property(&title), data(&what))
}

/// A message's text, without what would steer a terminal or turn the reading direction.
fn data(text: &str) -> String {
    let shown = |c: char| if is_deceptive(c) && c != '\r' { ' ' } else { c };
    let text: String = text.chars().map(shown).collect();
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
