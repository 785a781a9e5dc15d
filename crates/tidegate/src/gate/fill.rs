//! Filling `pass` and `notes` of a case file with what a run found, beside what people wrote there.
//!
//! A run's part of `notes` is `[tidegate: fail: cites no source]`; only that part is
//! replaced. `pass` is the run's while it is empty or says what the run's part of `notes` says.
//! Any other text there is a person's verdict and stays, and the run's is in `notes` alone.

use super::error::{CasesError, GateError};
use super::load::{HEADER, case_table, note_of_machine, read_bytes};
use super::replace_file;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::gate::{CaseResult, EvalReport};

/// Longest finding in a cell, characters.
const FINDING_CHARS: usize = 300;

/// Fills the file at `target`: itself where there is one, otherwise a copy of the project's case
/// file `cases`, otherwise a new table. Another file than `cases` also gets the cases that it
/// lacks.
///
/// # Errors
/// A usage error where `target` is something else than a case file, and an internal one where it
/// cannot be written; it is then as it was.
pub(crate) fn fill_csv(
    report: &EvalReport,
    target: &Path,
    cases: Option<&Path>,
) -> Result<(), GateError> {
    let here = Path::new("");
    let own = read_bytes(here, target)?;
    let is_cases = cases.is_some_and(|cases| is_same(cases, target));
    let bytes = match (own, cases) {
        (Some(bytes), _) => bytes,
        (None, Some(cases)) => read_bytes(here, cases)?.unwrap_or_default(),
        (None, None) => (HEADER.join(",") + "\n").into_bytes(),
    };
    let bytes = filled(report, bytes, target, !is_cases)?;
    replace_file(target, &bytes)
        .map_err(|source| GateError::Unwritten { what: target.display().to_string(), source })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// The bytes of a case file, filled.
fn filled(
    report: &EvalReport,
    bytes: Vec<u8>,
    name: &Path,
    add: bool,
) -> Result<Vec<u8>, CasesError> {
    let mut table = case_table(bytes, name)?;
    let id_column = table.column(&["case_id", "id"]).unwrap_or_default();
    let (pass, notes) = (table.ensure_column("pass"), table.ensure_column("notes"));
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for (at, result) in report.results.iter().enumerate() {
        left.insert(result?.case.id.clone(), at);
    }
    for row in table.rows.clone() {
        let Some(at) = left.remove(table.cell(&row, id_column).trim()) else { continue };
        let (verdict, finding) = finding(report.results.read(at)?.as_ref());
        let written = table.cell(&row, notes).into_owned();
        let of_run = note_of_machine(&written).map(|(_, said)| said.split(':').next());
        let there = table.cell(&row, pass).trim().to_owned();
        if there.is_empty() || of_run == Some(Some(there.as_str())) {
            table.fill(&row, pass, verdict);
        }
        table.fill(&row, notes, &noted(&written, &finding));
    }
    if add {
        for result in report.results.iter() {
            let result = result?;
            if !left.contains_key(&result.case.id) {
                continue;
            }
            let (verdict, finding) = finding(&result);
            let case = &result.case;
            table.push(&[
                ("case_id", &case.id),
                ("id", &case.id),
                ("prompt", &case.input),
                ("input", &case.input),
                ("expected_behavior", &case.expected_behavior),
                ("risk", case.risk.as_str()),
                ("pass", verdict),
                ("notes", &noted("", &finding)),
            ]);
        }
    }
    Ok(table.bytes())
}

/// A result as a word, and as a sentence on one line without brackets, which end a run's part.
fn finding(result: &CaseResult) -> (&'static str, String) {
    let (verdict, why) = match &result.error {
        Some(error) => ("error", error.clone()),
        None if result.is_correct() => return ("pass", "pass".to_owned()),
        None => ("fail", result.wrong()),
    };
    let plain = |c: char| match c {
        '[' => '(',
        ']' => ')',
        c if c.is_control() => ' ',
        c => c,
    };
    let why: String = why.chars().take(FINDING_CHARS).map(plain).collect();
    (verdict, format!("{verdict}: {why}"))
}

/// A cell `notes` with the run's part in place of the one before, or behind what people wrote.
fn noted(notes: &str, finding: &str) -> String {
    let part = format!("[tidegate: {finding}]");
    match note_of_machine(notes) {
        Some((before, _)) => {
            format!("{}{part}{}", &notes[..before.start], &notes[before.end..])
        }
        None if notes.trim().is_empty() => part,
        None => format!("{} {part}", notes.trim_end()),
    }
}

#[cfg(test)]
mod tests;
