//! The report of a run for people and pipelines, and what to know of the cases.

mod github;
mod html;
mod sarif;
mod summary;

pub(crate) use github::annotations;
pub(crate) use html::html;
pub(crate) use sarif::sarif;
pub(crate) use summary::summary;

use super::error::GateError;
use crate::output::one_line;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tidegate_core::gate::{Case, CaseResult, CaseSet, EvalReport, GateVerdict};
use tidegate_core::text::markup_escape;

/// Ids of one list that a terminal shows; the file has them all.
const SHOWN: usize = 6;

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
            "no check covers what was wrong with the answer",
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
            ids.iter().take(SHOWN).map(|id| format!("`{}`", one_line(id))).collect();
        if ids.len() > SHOWN {
            names.push(format!("{} more", ids.len() - SHOWN));
        }
        format!("{what}: {}; {what_to_do}", names.join(", "))
    })
    .collect()
}

/// Writes `reports/evaluation_{unix_time}.json` and gives its path. A second report of
/// the same second gets `_2` after the time.
///
/// # Errors
/// An internal error when the file cannot be written.
pub(crate) fn save(report: &EvalReport, root: &Path) -> Result<PathBuf, GateError> {
    let folder = root.join("reports");
    let failed = |path: &Path, source| GateError::Unwritten {
        what: format!("the report {}", path.display()),
        source,
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let stem = format!("evaluation_{}", report.at.0 / 1000);
    let names = std::iter::once(stem.clone()).chain((2..1000).map(|n| format!("{stem}_{n}")));
    let free = names.map(|name| folder.join(name + ".json")).find(|path| !path.exists());
    let path = free.unwrap_or_else(|| folder.join(stem + ".json"));
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|source| GateError::NoJson { what: "the report", source })?;
    text.push('\n');
    super::replace_file(&path, text.as_bytes()).map_err(|error| failed(&path, error))?;
    Ok(path)
}

/// The run as JUnit XML: a failure is `failure`, a missing answer is `error`, a
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
        ("verdict", verdict(report.verdict)),
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

/// A verdict's word.
fn verdict(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Pass => "PASSED",
        GateVerdict::Fail => "FAILED",
        GateVerdict::Inconclusive => "INCONCLUSIVE",
    }
}

/// The file and the line that a case is from, where its source names both.
fn place(source: &str) -> Option<(&str, u64)> {
    let (file, line) = source.rsplit_once(':')?;
    Some((file, line.parse().ok()?)).filter(|(file, _)| !file.is_empty())
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
