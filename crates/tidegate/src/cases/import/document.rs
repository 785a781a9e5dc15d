//! A file of another program, and where in it things are.

use super::super::error::{Result, TransferError};
use crate::config::{YamlValue, parse_yaml_value};
use crate::gate::{CasesError, Form, Table, read_bytes, read_text};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// A file as JSON values.
pub(super) struct Document {
    name: String,
    pub(super) value: Value,
    lines: Lines,
}

enum Lines {
    Yaml(YamlValue),
    /// The text, read again for the places of the few things that are named.
    Json(String),
    /// The items of the list are on these lines.
    Each(Vec<usize>),
}

impl Document {
    /// Reads a file: YAML and JSON by its name, otherwise JSON lines.
    ///
    /// # Errors
    /// It cannot be read, or is none of these.
    pub(super) fn read(path: &Path) -> Result<Document> {
        let text = text_of(path)?;
        match Form::of(path) {
            Form::Yaml => {
                let mut read = parse_yaml_value(&text, path)?;
                let value = read.value.take();
                Ok(Document { name: path.display().to_string(), value, lines: Lines::Yaml(read) })
            }
            Form::Json | Form::Lines | Form::Table => Document::json(path, text),
        }
    }

    /// JSON, or JSON lines: a text whose first line is a whole value and is not the only one.
    fn json(path: &Path, text: String) -> Result<Document> {
        let name = path.display().to_string();
        let wrong = |line: usize, error: &serde_json::Error| {
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            let problem = format!("not valid JSON at column {}: {what}", error.column());
            TransferError::Shape { place: format!("{name}:{line}"), problem }
        };
        let whole = serde_json::from_str::<Value>(&text);
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match whole {
            Ok(value) if Form::of(path) != Form::Lines || !value.is_object() => {
                return Ok(Document { name, value, lines: Lines::Json(text) });
            }
            Err(error) if serde_json::from_str::<Value>(first).is_err() => {
                return Err(wrong(error.line(), &error));
            }
            Ok(_) | Err(_) => {}
        }
        let (mut items, mut lines) = (Vec::<Value>::new(), Vec::new());
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            items.push(serde_json::from_str(line).map_err(|error| wrong(i + 1, &error))?);
            lines.push(i + 1);
        }
        Ok(Document { name, value: items.into(), lines: Lines::Each(lines) })
    }

    /// A table as a list of its rows, by the names of its columns; one of them is needed. A cell is
    /// a text; one that is written as JSON is an object, a list or a text.
    ///
    /// # Errors
    /// It cannot be read, lacks the column, or a row is longer than the header.
    pub(super) fn table(path: &Path, needed: &str) -> Result<Document> {
        let bytes = read_bytes(Path::new(""), path)?;
        let bytes = bytes.ok_or_else(|| TransferError::NoFile(path.to_owned()))?;
        let name = path.display().to_string();
        let table = Table::read(bytes, &name, &[&[needed]]).map_err(|error| match error {
            CasesError::Header { place, given, header: _ } => {
                let problem = format!("there is no column `{needed}`; the header is `{given}`");
                TransferError::Shape { place, problem }
            }
            other => other.into(),
        })?;
        let (mut items, mut lines) = (Vec::<Value>::new(), Vec::new());
        for row in &table.rows {
            let (cells, columns) = (row.len(), table.columns().len());
            if cells > columns {
                let problem = format!("the row has {cells} cells, the header {columns}");
                return Err(TransferError::Shape {
                    place: format!("{name}:{}", row.line),
                    problem,
                });
            }
            let item = (0..columns)
                .map(|at| (table.header(at).trim().to_owned(), of_cell(&table.cell(row, at))));
            items.push(item.collect::<Map<String, Value>>().into());
            lines.push(row.line);
        }
        Ok(Document { name, value: items.into(), lines: Lines::Each(lines) })
    }

    /// File and line of what is at a path such as `tests[2].vars`.
    pub(super) fn place(&self, path: &str) -> String {
        let line = match &self.lines {
            Lines::Yaml(read) => read.line(path),
            Lines::Json(text) => line_in(text, path) as u64,
            Lines::Each(lines) => {
                let item = path.strip_prefix('[').and_then(|rest| rest.split(']').next());
                let item = item.and_then(|item| item.parse::<usize>().ok()).unwrap_or_default();
                lines.get(item).copied().unwrap_or(1) as u64
            }
        };
        format!("{}:{line}", self.name)
    }

    /// An error about what is there.
    pub(super) fn wrong(&self, path: &str, problem: &str) -> TransferError {
        TransferError::Shape { place: self.place(path), problem: problem.to_owned() }
    }
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or there is none.
pub(super) fn text_of(path: &Path) -> Result<String> {
    read_text(Path::new(""), path)?.ok_or_else(|| TransferError::NoFile(path.to_owned()))
}

/// What a cell is. A number is left as it is written, since a text may be one.
fn of_cell(cell: &str) -> Value {
    let is_json = cell.starts_with(['{', '[', '"']);
    let read = is_json.then(|| serde_json::from_str(cell).ok()).flatten();
    read.unwrap_or_else(|| cell.into())
}

/// The line of the value at a path; of what is not there, that of the nearest thing around it.
fn line_in(text: &str, path: &str) -> usize {
    let mut here: &str = text.trim_start();
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
        if step.is_empty() {
            continue;
        }
        let inner = match step.parse::<usize>() {
            Ok(item) if here.starts_with('[') => serde_json::from_str::<Vec<&RawValue>>(here)
                .ok()
                .and_then(|items| items.get(item).copied()),
            _ => serde_json::from_str::<BTreeMap<String, &RawValue>>(here)
                .ok()
                .and_then(|members| members.get(step).copied()),
        };
        match inner {
            Some(inner) => here = inner.get(),
            None => break,
        }
    }
    // Each is a part of the text.
    let at = here.as_ptr().addr() - text.as_ptr().addr();
    1 + text[..at].matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_value() {
        let text = "\n{\"a\": 1,\n \"tests\": [\n  {\"b\": {}},\n  {\"vars\": {\"q\":\n  3}}\n]}";
        for (path, line) in [
            ("", 2),
            ("a", 2),
            ("tests", 3),
            ("tests[0].b", 4),
            ("tests[1].vars.q", 6),
            ("tests[1].none.at.all", 5),
            ("tests[9]", 3),
        ] {
            assert_eq!(line_in(text, path), line, "{path}");
        }
    }
}
