//! Cases as CSV.

use super::{Defaults, defaults, fields, finish};
use crate::error::{CliError, Result};
use csv::{Position, StringRecord};
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::gate::{Case, CaseSet, Checks, Handling, Severity};

/// The header (R10).
pub(crate) const HEADER: [&str; 6] =
    ["case_id", "prompt", "expected_behavior", "risk", "pass", "notes"];
/// The header of the sibling page (T-17).
const SIBLING: [&str; 4] = ["id", "prompt", "expected_behavior", "must_include_any"];

/// Reads cases from CSV text. The columns `pass` and the people's notes are filled by a run and
/// not read here.
///
/// # Errors
/// A usage error that names file and line.
pub(crate) fn read_csv(text: &str, path: &Path, defaults: &Defaults<'_>) -> Result<Vec<Case>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader.headers().cloned();
    let header = header.map_err(|error| csv_error(&error, path, &Lines::of_text(text)))?;
    let is = |names: &[&str]| header.iter().eq(names.iter().copied());
    let sibling = is(&SIBLING);
    if !sibling && !is(&HEADER) {
        return Err(wrong_header(&header, path));
    }
    let mut cases = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let lines = Lines::of_text(text);
    for row in reader.records() {
        let row = row.map_err(|error| csv_error(&error, path, &lines))?;
        let line = row.position().map_or(0, |position| lines.of(position));
        let place = format!("{}:{line}", path.display());
        let case = if sibling { sibling_case(&row) } else { case(&row) };
        let case = case.map_err(|problem| CliError::usage(format!("{place}: {problem}")))?;
        if let Some(first) = seen.insert(case.id.clone(), line) {
            let message = format!("{place}: case id `{}` was given on line {first}", case.id);
            return Err(CliError::usage(message).hint("give one of them another id"));
        }
        cases.push(finish(Case { source: place.clone(), ..case }, &place, defaults)?);
    }
    if cases.len() < CaseSet::MIN_CASES {
        let message = format!(
            "{} has {} row(s); at least {} are needed",
            path.display(),
            cases.len(),
            CaseSet::MIN_CASES
        );
        return Err(CliError::usage(message)
            .hint("one row for each risk: format, grounding, safety, performance, regression"));
    }
    Ok(cases)
}

fn case(row: &StringRecord) -> Result<Case, String> {
    let [id, prompt, behaviour, risk, _pass, notes] = cells(row);
    let (checks, severity) = fields::notes(notes)?;
    let mut case = blank(id, prompt, behaviour)?;
    case.risk = fields::risk(risk)?;
    (case.checks, case.severity) = (checks, severity.unwrap_or_default());
    Ok(case)
}

fn sibling_case(row: &StringRecord) -> Result<Case, String> {
    let [id, prompt, behaviour, any] = cells(row);
    let mut case = blank(id, prompt, behaviour)?;
    case.checks.must_include_any = fields::list(any);
    Ok(case)
}

/// The cells of a row that has as many as the header, which the reader sees to.
fn cells<const N: usize>(row: &StringRecord) -> [&str; N] {
    std::array::from_fn(|i| row.get(i).unwrap_or_default().trim())
}

/// A case with what both dialects have.
fn blank(id: &str, prompt: &str, behaviour: &str) -> Result<Case, String> {
    if id.is_empty() {
        return Err("the case's id is empty".to_owned());
    }
    if prompt.is_empty() {
        return Err(format!("case `{}`: the prompt is empty", fields::cut(id)));
    }
    Ok(Case {
        id: id.to_owned(),
        input: prompt.to_owned(),
        system: None,
        expected_behavior: behaviour.to_owned(),
        expected: None,
        risk: defaults::risk_of_id(id),
        severity: Severity::Normal,
        checks: Checks::default(),
        source: String::new(),
        handling: Handling::default(),
    })
}

fn wrong_header(header: &StringRecord, path: &Path) -> CliError {
    let given: Vec<String> = header.iter().take(10).map(fields::cut).collect();
    CliError::usage(format!(
        "{}:1: the header is `{}`; it must be `{}`",
        path.display(),
        given.join(","),
        HEADER.join(",")
    ))
    .hint(format!("`{}` is read too", SIBLING.join(",")))
}

fn csv_error(error: &csv::Error, path: &Path, lines: &Lines<'_>) -> CliError {
    let line = error.position().map_or(1, |position| lines.of(position));
    let place = format!("{}:{line}", path.display());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos: _, expected_len, len } => CliError::usage(format!(
            "{place}: the row has {len} cells; the header has {expected_len}"
        ))
        .hint("a cell with a comma in it stands in double quotes"),
        _ => CliError::usage(format!("{place}: not readable as CSV: {error}")),
    }
}

/// Which line a row stands on. The reader's own count is one short after a line that ends in
/// `\r\n`, and does not see empty lines before a row.
struct Lines<'a> {
    text: &'a [u8],
    /// Offsets of the line feeds.
    feeds: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of_text(text: &'a str) -> Lines<'a> {
        let text = text.as_bytes();
        let feeds = (0..text.len()).filter(|at| text[*at] == b'\n').collect();
        Lines { text, feeds }
    }

    fn of(&self, position: &Position) -> usize {
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(self.text.len());
        let empty = self.text[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        1 + self.feeds.partition_point(|feed| *feed < from + empty)
    }
}
