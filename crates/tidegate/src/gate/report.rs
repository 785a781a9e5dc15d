//! The report of a run: for people, for CI, and as the seed's JSON file.
//!
//! The failure table by class comes first, never one average (R30); then what changed against the
//! run before; the accuracy comes last (R24).

use crate::error::{CliError, Result};
use crate::output::{self, Tone, padded};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tidegate_core::gate::{
    Case, CaseResult, CaseSet, EvalReport, FailureRow, GateVerdict, RunComparison,
};
use tidegate_core::text::markup_escape;
use unicode_width::UnicodeWidthStr as _;

/// Failing cases of one class, or ids of one list, that a terminal shows; the file has them all.
const SHOWN: usize = 6;
/// Longest detail on a terminal, characters.
const DETAIL_CHARS: usize = 160;
/// Widest column of ids on a terminal.
const ID_WIDTH: usize = 40;

/// Prints the report to stdout.
pub(crate) fn console(report: &EvalReport) -> Vec<String> {
    lines(report)
        .into_iter()
        .map(|(tone, text)| match tone {
            Some(tone) => output::paint(tone, &text),
            None => text,
        })
        .collect()
}

/// The report's lines with their tones.
fn lines(report: &EvalReport) -> Vec<(Option<Tone>, String)> {
    let mut lines = table(&report.failure_table);
    if let Some(comparison) = &report.comparison {
        lines.push((None, String::new()));
        lines.extend(compared(comparison));
    }
    lines.push((None, String::new()));
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let counts = format!("{} of {} correct", report.correct, report.total);
    lines.push((None, format!("Accuracy:  {} ({counts})", share(report.accuracy))));
    lines.push((None, format!("Threshold: {}", share(report.threshold))));
    let (tone, word) = status(report.verdict);
    lines.push((Some(tone), format!("Status:    {word}")));
    let reasons = report.reasons.iter().take(SHOWN);
    lines.extend(reasons.map(|reason| (Some(Tone::Dim), format!("  {}", shown(reason)))));
    lines
}

/// A verdict's word on the console (R24) and its tone.
pub(crate) fn status(verdict: GateVerdict) -> (Tone, &'static str) {
    match verdict {
        GateVerdict::Pass => (Tone::Green, "PASSED"),
        GateVerdict::Fail => (Tone::Red, "FAILED"),
        GateVerdict::Inconclusive => (Tone::Yellow, "INCONCLUSIVE"),
    }
}

fn table(rows: &[FailureRow]) -> Vec<(Option<Tone>, String)> {
    let header = format!("{:<13}{:>7}{:>9}{:>11}", "class", "cases", "failed", "no answer");
    let mut lines = vec![
        (Some(Tone::Bold), "Failures by class".to_owned()),
        (Some(Tone::Dim), format!("  {header}")),
    ];
    let all = rows.iter().flat_map(|row| row.failed.iter().chain(&row.errors));
    let width = all.map(|(id, _)| shown(id).width()).max().unwrap_or(0).min(ID_WIDTH);
    for row in rows {
        let (failed, errors) = (row.failed.len(), row.errors.len());
        let counts = format!("{:>7}{failed:>9}{errors:>11}", row.total);
        let tone = match (failed, errors, row.total) {
            (1.., _, _) => Some(Tone::Red),
            (0, 1.., _) => Some(Tone::Yellow),
            (0, 0, 0) => Some(Tone::Dim),
            (0, 0, 1..) => None,
        };
        lines.push((tone, format!("  {:<13}{counts}", row.risk.as_str())));
        let failed = row.failed.iter().map(|(id, why)| (id, shown(why)));
        let errors = row.errors.iter().map(|(id, why)| (id, format!("no answer: {}", shown(why))));
        let named: Vec<(&String, String)> = failed.chain(errors).collect();
        for (id, why) in named.iter().take(SHOWN) {
            lines.push((None, format!("    {}  {why}", padded(&shown(id), width))));
        }
        if named.len() > SHOWN {
            let more = format!("    +{} more in the report", named.len() - SHOWN);
            lines.push((Some(Tone::Dim), more));
        }
    }
    lines
}

fn compared(comparison: &RunComparison) -> Vec<(Option<Tone>, String)> {
    let RunComparison { previous_run, broken, fixed, new } = comparison;
    let counts = format!("{} broken, {} fixed, {} new", broken.len(), fixed.len(), new.len());
    let mut lines =
        vec![(Some(Tone::Bold), format!("Against run {}: {counts}", shown(previous_run)))];
    for (tone, word, ids) in [(Tone::Red, "broken", broken), (Tone::Green, "fixed", fixed)] {
        if ids.is_empty() {
            continue;
        }
        let mut names: Vec<String> = ids.iter().take(SHOWN).map(|id| shown(id)).collect();
        if ids.len() > SHOWN {
            names.push(format!("+{} more", ids.len() - SHOWN));
        }
        lines.push((Some(tone), format!("  {word:<8}{}", names.join(", "))));
    }
    lines
}

/// What a person should know of the cases, one sentence each: words that no check covers, cases
/// that wait for a person, and written-back cases that did not fail again.
pub(crate) fn case_notes(set: &CaseSet) -> Vec<String> {
    let of = |wanted: &dyn Fn(&Case) -> bool| -> Vec<&str> {
        set.cases.iter().filter(|case| wanted(case)).map(|case| case.id.as_str()).collect()
    };
    let not_reproduced = |case: &Case| {
        case.handling.reproduced.as_deref().is_some_and(|rate| rate.starts_with("0/"))
    };
    [
        (
            of(&|case| case.handling.uncovered),
            "no check covers what `expected_behavior` says",
            "add a check or an `expected` answer",
        ),
        (
            of(&|case| case.handling.needs_review),
            "no check covers what a user disliked",
            "say what is right, then remove `needs_review`",
        ),
        (
            of(&not_reproduced),
            "written back from an incident, and did not fail again when asked as served",
            "the cause may lie in the conversation before it",
        ),
    ]
    .into_iter()
    .filter(|(ids, _, _)| !ids.is_empty())
    .map(|(ids, what, what_to_do)| {
        let mut names: Vec<String> =
            ids.iter().take(SHOWN).map(|id| format!("`{}`", shown(id))).collect();
        if ids.len() > SHOWN {
            names.push(format!("{} more", ids.len() - SHOWN));
        }
        format!("{what}: {}; {what_to_do}", names.join(", "))
    })
    .collect()
}

/// The text on one line, without control characters, which could steer a terminal, and cut.
fn shown(text: &str) -> String {
    let flat = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = flat.take(DETAIL_CHARS).collect();
    if text.chars().nth(DETAIL_CHARS).is_some() {
        cut.push('…');
    }
    cut
}

/// Writes `reports/evaluation_{unix_time}.json` (R22, R23) and gives its path. A second report of
/// the same second gets `_2` after the time.
///
/// # Errors
/// An internal error when the file cannot be written.
pub(crate) fn save(report: &EvalReport, root: &Path) -> Result<PathBuf> {
    let folder = root.join("reports");
    let failed = |path: &Path, error: std::io::Error| {
        CliError::internal(format!("the report {} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let stem = format!("evaluation_{}", report.at.0 / 1000);
    let names = std::iter::once(stem.clone()).chain((2..1000).map(|n| format!("{stem}_{n}")));
    let free = names.map(|name| folder.join(name + ".json")).find(|path| !path.exists());
    let path = free.unwrap_or_else(|| folder.join(stem + ".json"));
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|error| CliError::internal(format!("the report is not JSON: {error}")))?;
    text.push('\n');
    super::replace_file(&path, text.as_bytes()).map_err(|error| failed(&path, error))?;
    Ok(path)
}

/// The run as JUnit XML: a failure and a missing answer are told apart (`failure`, `error`), a
/// case's class is its risk and its name its id.
pub(crate) fn junit(report: &EvalReport) -> String {
    let errors = report.results.iter().filter(|result| result.error.is_some()).count();
    let failures = report.total - report.correct - errors;
    let time: u64 = report.results.iter().map(|result| result.latency_ms).sum();
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"",
        report.total,
        seconds(time)
    );
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "<testsuites name=\"tidegate eval\" {counts}>");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{} {}\" timestamp=\"{}\" {counts}>",
        escaped(&report.model),
        report.version_set,
        crate::clock::rfc3339(report.at)
    );
    let _ = writeln!(xml, "    <properties>");
    for (name, value) in [
        ("run_id", report.run_id.as_str()),
        ("version_set", report.version_set.as_str()),
        ("cases_digest", report.cases_digest.as_str()),
        ("verdict", status(report.verdict).1),
    ] {
        let value = escaped(value);
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    let _ = writeln!(xml, "    </properties>");
    for result in &report.results {
        xml.push_str(&junit_case(result));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn junit_case(result: &CaseResult) -> String {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        result.case.risk.as_str(),
        escaped(&result.case.id),
        seconds(result.latency_ms)
    );
    let (tag, message) = match &result.error {
        Some(error) => ("error", error.clone()),
        None if result.is_correct() => return format!("{head}/>\n"),
        None => ("failure", result.wrong()),
    };
    let kind = result.case.severity.as_str();
    let body = format!("{}: {}", result.case.source, result.case.expected_behavior);
    format!(
        "{head}>\n      <{tag} type=\"{kind}\" message=\"{}\">{}</{tag}>\n    </testcase>\n",
        escaped(&message),
        escaped(&body)
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// The text for XML, in an attribute or between tags; characters that XML 1.0 has not are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (markup_escape(c), c) {
            (Some(escaped), _) => out.push_str(escaped),
            (None, '\t' | '\n' | '\r') => {
                let _ = write!(out, "&#{};", c as u32);
            }
            (None, '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            (None, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
