//! The report of a run for people and pipelines, and what to know of the cases.

mod github;
mod html;
mod sarif;
mod summary;
mod words;

pub(crate) use github::annotations;
pub(crate) use html::html;
pub(crate) use sarif::sarif;
pub(crate) use summary::summary;

use super::error::GateError;
use crate::output::one_line;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidegate_core::gate::{Case, CaseResult, EvalReport, GateVerdict, RowError, Rows};
use tidegate_core::text::markup_escape;

/// Ids of one list that a terminal shows; the file has them all.
const SHOWN: usize = 6;

/// What a person should know of the cases, one sentence each: words that no check covers, cases
/// that wait for a person, and written-back cases that did not fail again.
///
/// # Errors
/// A case cannot be read.
pub(crate) fn case_notes(cases: &Rows<Case>) -> Result<Vec<String>, RowError> {
    let mut notes = CaseNotes::default();
    for case in cases.iter() {
        notes.add(case?.as_ref());
    }
    Ok(notes.sentences())
}

/// The cases that something is to be known of.
#[derive(Debug, Default)]
pub(crate) struct CaseNotes {
    uncovered: Named,
    needs_review: Named,
    not_reproduced: Named,
}

/// The ids of the first cases, and how many there are.
#[derive(Debug, Default)]
struct Named {
    first: Vec<String>,
    count: usize,
}

impl Named {
    fn add(&mut self, case: &Case) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(format!("`{}`", one_line(&case.id)));
        }
    }
}

impl CaseNotes {
    /// Looks at a case.
    pub(crate) fn add(&mut self, case: &Case) {
        let rate = case.handling.reproduced.as_deref();
        for (named, is_one) in [
            (&mut self.uncovered, case.handling.uncovered),
            (&mut self.needs_review, case.handling.needs_review),
            (&mut self.not_reproduced, rate.is_some_and(|rate| rate.starts_with("0/"))),
        ] {
            if is_one {
                named.add(case);
            }
        }
    }

    /// What is to be known, one sentence each.
    pub(crate) fn sentences(self) -> Vec<String> {
        let all = [
            (
                self.uncovered,
                "no check covers what `expected_behavior` says",
                "add a check or an `expected` answer",
            ),
            (
                self.needs_review,
                "no check covers what was wrong with the answer",
                "say what is right, then remove `needs_review`",
            ),
            (
                self.not_reproduced,
                "written back from an incident, and did not fail again when asked as served",
                "the cause may lie in the conversation before it",
            ),
        ];
        let there = all.into_iter().filter(|(named, _, _)| named.count > 0);
        let sentence = |(Named { first: mut names, count }, what, what_to_do): (Named, _, _)| {
            if count > SHOWN {
                names.push(format!("{} more", count - SHOWN));
            }
            format!("{what}: {}; {what_to_do}", names.join(", "))
        };
        there.map(sentence).collect()
    }
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
    let written = super::replace_file_with(&path, |out| {
        serde_json::to_writer_pretty(&mut *out, report)?;
        out.write_all(b"\n")
    });
    written.map_err(|error| failed(&path, error))?;
    Ok(path)
}

/// The run as JUnit XML: a failure is `failure`, a missing answer is `error`, a
/// case's class is its risk and its name its id.
///
/// # Errors
/// It cannot be written, or a result cannot be read.
pub(crate) fn junit(report: &EvalReport, out: &mut dyn Write) -> io::Result<()> {
    let errors: usize = report.failure_table.iter().map(|row| row.errors.len()).sum();
    let failures = report.total - report.correct - errors;
    let mut time: u64 = 0;
    for result in report.results.iter() {
        time += result.map_err(io::Error::other)?.latency_ms;
    }
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"",
        report.total,
        seconds(time)
    );
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"tidegate eval\" {counts}>")?;
    writeln!(
        out,
        "  <testsuite name=\"{} {}\" timestamp=\"{}\" {counts}>",
        escaped(&report.model),
        report.version_set,
        crate::clock::rfc3339(report.at)
    )?;
    writeln!(out, "    <properties>")?;
    for (name, value) in [
        ("run_id", report.run_id.as_str()),
        ("version_set", report.version_set.as_str()),
        ("cases_digest", report.cases_digest.as_str()),
        ("verdict", verdict(report.verdict)),
    ] {
        let value = escaped(value);
        writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>")?;
    }
    writeln!(out, "    </properties>")?;
    for result in report.results.iter() {
        out.write_all(junit_case(result.map_err(io::Error::other)?.as_ref()).as_bytes())?;
    }
    out.write_all(b"  </testsuite>\n</testsuites>\n")
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
