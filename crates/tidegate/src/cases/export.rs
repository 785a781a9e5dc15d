//! Cases written for others: as lines of JSON, or as a table.
//!
//! A cell of a table that a spreadsheet would take for a formula begins with an apostrophe, and the
//! row's column `guarded` says which cells do; reading the table takes them away again. So what is
//! written is what is read, and no prompt runs as a formula when someone looks at it.

use crate::gate::{HEADER, Table, case_cell};
use crate::prompts::import::Named;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tidegate_core::gate::{Case, CheckKind, Severity};

/// A case as the members of a line, with what it says and no more.
pub(crate) fn members(case: &Case) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| members.insert(key.to_owned(), value);
    put("case_id", case.id.as_str().into());
    if case.handling.messages.is_empty() {
        put("input", case.input.as_str().into());
    }
    if !case.expected_behavior.is_empty() {
        put("expected_behavior", case.expected_behavior.as_str().into());
    }
    for (key, text) in [("system", &case.system), ("expected", &case.expected)] {
        if let Some(text) = text {
            put(key, text.as_str().into());
        }
    }
    put("risk", case.risk.as_str().into());
    if case.severity != Severity::Normal {
        put("severity", case.severity.as_str().into());
    }
    for part in [json!(case.handling), json!(case.checks)] {
        if let Value::Object(part) = part {
            members.extend(part);
        }
    }
    members
}

/// The cases as lines of JSON.
pub(crate) fn lines(cases: &[Case]) -> String {
    cases.iter().map(|case| format!("{}\n", Value::Object(members(case)))).collect()
}

/// The cases as a table, and what of them a table cannot say.
pub(crate) fn table(cases: &[Case]) -> (Vec<u8>, Vec<Named>) {
    let mut lost = Vec::new();
    let rows: Vec<Map<String, Value>> = cases.iter().map(|case| cells(case, &mut lost)).collect();
    let used: BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    let more = used.into_iter().filter(|name| !HEADER.contains(name));
    let header: Vec<&str> = HEADER.into_iter().chain(more).collect();
    // The byte order mark says to spreadsheets that it is UTF-8.
    let header = format!("\u{feff}{}\n", header.join(","));
    // The names of columns are ours: they have no separator and no quote.
    let Ok(mut table) = Table::read(header.into_bytes(), "", &[]) else {
        return (Vec::new(), lost);
    };
    for row in &rows {
        let cells: Vec<(&str, &str)> = row
            .iter()
            .map(|(name, cell)| (name.as_str(), cell.as_str().unwrap_or_default()))
            .collect();
        table.push(&cells);
    }
    (table.bytes(), lost)
}

/// The cells of a case by column.
fn cells(case: &Case, lost: &mut Vec<Named>) -> Map<String, Value> {
    let mut row = Map::new();
    let mut asserts = Vec::new();
    for (key, value) in members(case) {
        let column = if key == "input" { "prompt".to_owned() } else { key };
        match (column.as_str(), &value) {
            ("metadata", Value::Object(metadata)) => of_metadata(metadata, &mut row),
            ("assert", Value::Array(items)) => asserts.extend(items.iter().cloned()),
            (name, value) => match case_cell(name, value) {
                Some(cell) => drop(row.insert(column, cell.into())),
                // A list with `|` in a text, or a text with white space at its ends.
                None if CheckKind::parse(name).is_some() => {
                    asserts.push(json!({"check": name, "value": value}));
                }
                None => lost.push(Named {
                    place: format!("case `{}`", case.id),
                    what: format!("`{name}` as it is written: white space at its ends, or a `|`"),
                }),
            },
        }
    }
    if !asserts.is_empty() {
        row.insert("assert".to_owned(), Value::Array(asserts).to_string().into());
    }
    row
}

/// A column for each key that reads back as itself; all in one cell otherwise.
fn of_metadata(metadata: &Map<String, Value>, row: &mut Map<String, Value>) {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let plain = |(key, value): (&String, &Value)| {
        key.chars().all(is_name)
            && !key.starts_with('_')
            && !key.ends_with('_')
            && !key.contains("__")
            && value.as_str().is_some_and(|text| !text.is_empty())
    };
    match metadata.iter().all(plain) {
        true => row.extend(metadata.iter().map(|(k, v)| (format!("metadata:{k}"), v.clone()))),
        false => drop(
            row.insert("metadata".to_owned(), Value::Object(metadata.clone()).to_string().into()),
        ),
    }
}

/// The form that cases are written in, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum To {
    /// A JSON object a line
    Jsonl,
    /// A table that spreadsheets open
    Csv,
}

/// Where a file is written: not over another one, unless that is said.
///
/// # Errors
/// There is such a file, or it cannot be written; what was there is as it was.
pub(crate) fn write(path: &Path, bytes: &[u8], replace: bool) -> super::error::Result<()> {
    use super::error::TransferError as E;
    if !replace && path.exists() {
        return Err(E::Exists(path.to_owned()));
    }
    crate::gate::replace_file(path, bytes)
        .map_err(|source| E::Unwritten { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
