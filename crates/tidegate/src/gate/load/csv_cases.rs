//! Cases as CSV.
//!
//! Columns are found by name, in any order and case; columns of others are left alone. A column
//! with the name of a check is that check, and `metadata:lang` is the metadata's key `lang`. What a
//! run writes into `notes` is in `[tidegate: …]`, so that it is kept apart from what people wrote,
//! and is not read as a check.

use super::table::{Row, Table};
use super::{CasesError, Defaults, TEXT_MAX_BYTES, Take, defaults, fields, finish, handling};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use tidegate_core::gate::{Case, Checks, Handling, Severity};

/// The columns of a case file.
pub(crate) const HEADER: [&str; 6] =
    ["case_id", "prompt", "expected_behavior", "risk", "pass", "notes"];
/// Columns that have another name elsewhere: the sibling dialect's, the dataset's, and the British.
const ALIASES: [(&str, &str); 3] =
    [("id", "case_id"), ("input", "prompt"), ("expected_behaviour", "expected_behavior")];
/// Further columns that are read, beside those of checks and of how a case is handled.
const MORE: [&str; 4] = ["severity", "expected", "system", fields::ASSERT];
/// What a run's part of `notes` starts with; it ends with `]`.
const MACHINE: &str = "[tidegate: ";

/// Reads a case file as a table.
///
/// # Errors
/// A usage error: see [`Table::read`].
pub(crate) fn case_table(bytes: Vec<u8>, path: &Path) -> Result<Table, CasesError> {
    let needed: [&[&str]; 2] = [&["case_id", "id"], &["prompt", "input"]];
    Table::read(bytes, &path.display().to_string(), &needed)
}

/// The part of a cell `notes` that a run wrote, and what it says: `fail: cites no source`.
pub(crate) fn note_of_machine(notes: &str) -> Option<(Range<usize>, &str)> {
    let start = notes.find(MACHINE)?;
    let inner = &notes[start + MACHINE.len()..];
    let end = inner.find(']')?;
    Some((start..start + MACHINE.len() + end + 1, &inner[..end]))
}

/// Reads cases from the bytes of a CSV file. The column `pass` is filled by a run and not read.
///
/// # Errors
/// A usage error that names file and line, or that of `take`.
pub(super) fn read_csv(
    bytes: Vec<u8>,
    path: &Path,
    defaults: &Defaults<'_>,
    take: Take<'_>,
) -> Result<(), CasesError> {
    let table = case_table(bytes, path)?;
    let columns = Columns::of(&table, path)?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in &table.rows {
        let line = row.line;
        let place = format!("{}:{line}", path.display());
        if let Some((at, bytes)) = row.longer_than(TEXT_MAX_BYTES) {
            let column = table.columns().get(at).map(String::as_str).unwrap_or_default();
            let max = TEXT_MAX_BYTES;
            let problem = format!("the cell `{column}` has {bytes} bytes; at most {max} are read");
            return Err(CasesError::Field { place, problem });
        }
        whole_row(&table, row)
            .map_err(|problem| CasesError::Row { place: place.clone(), problem })?;
        let case = columns.case(&table, row).map_err(|problem| {
            let (place, cells, columns) = (place.clone(), row.len(), table.columns().len());
            match cells > columns {
                true => CasesError::ShiftedRow { place, problem, cells, columns },
                false => CasesError::Field { place, problem },
            }
        })?;
        if let Some(first) = seen.insert(case.id.clone(), line) {
            return Err(CasesError::TwiceInTable { place, id: case.id, first });
        }
        take(finish(Case { source: place.clone(), ..case }, &place, defaults)?)?;
    }
    Ok(())
}

/// A row may be shorter than the header, as cells without content are left out; what is beyond
/// the header, or a row by another separator, would be read wrongly.
fn whole_row(table: &Table, row: &Row) -> Result<(), String> {
    let header = table.columns().len();
    if (header..row.len()).any(|beyond| !table.cell(row, beyond).trim().is_empty()) {
        return Err(format!("the row has {} cells; the header has {header}", row.len()));
    }
    let only = table.cell(row, 0);
    let others = [',', ';', '\t'].into_iter().filter(|other| *other != table.separator());
    match others.into_iter().find(|other| only.matches(*other).count() + 1 >= header.min(4)) {
        Some(other) if row.len() == 1 && header > 1 => Err(format!(
            "the row is separated by `{}`, the header by `{}`",
            other.escape_default(),
            table.separator().escape_default()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The cell that reads back as the value of a column; `None` where none does.
pub(crate) fn case_cell(column: &str, value: &Value) -> Option<String> {
    let is_check = fields::is_check(column);
    let cell = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if column != "messages" => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts?.join("|")
        }
        other => other.to_string(),
    };
    let read = match (is_check, handling::KEYS.contains(&column)) {
        (true, _) => fields::column(column, &cell).ok()?,
        (false, true) => handling::cell(column, &cell),
        (false, false) => cell.as_str().into(),
    };
    (!cell.is_empty() && cell.trim() == cell && read == *value).then_some(cell)
}

/// The column of each field.
struct Columns {
    by_name: BTreeMap<&'static str, usize>,
    /// Columns of `metadata`: a key, and where it is.
    metadata: Vec<(String, usize)>,
}

impl Columns {
    /// # Errors
    /// A usage error: a column is there twice, or one is nearly the name of another that is not.
    fn of(table: &Table, path: &Path) -> Result<Columns, CasesError> {
        let wrong = |problem| CasesError::Field { place: path.display().to_string(), problem };
        let fixed = || HEADER.into_iter().chain(MORE).chain(handling::KEYS);
        let known = || fixed().chain(fields::columns());
        let mut by_name = BTreeMap::new();
        let mut metadata: Vec<(String, usize)> = Vec::new();
        for (at, column) in table.columns().iter().enumerate() {
            if let Some(key) = column.strip_prefix(handling::METADATA) {
                metadata.push((key.trim().to_owned(), at));
                continue;
            }
            let alias = ALIASES.iter().find(|(alias, _)| alias == column).map(|(_, name)| *name);
            let Some(name) = alias.or_else(|| known().find(|name| name == column)) else {
                continue;
            };
            if by_name.insert(name, at).is_some() {
                return Err(wrong(format!("the column `{name}` is there twice")));
            }
        }
        let named = || fixed().chain(fields::member_names());
        let absent = || named().filter(|name| !by_name.contains_key(name));
        let is_known = |column: &str| {
            column.starts_with(handling::METADATA)
                || known().any(|name| name == column)
                || ALIASES.iter().any(|(alias, _)| *alias == column)
        };
        for column in table.columns().iter().filter(|column| !is_known(column)) {
            // Short names are too near to each other: `tags` is no slip for `pass`.
            let near = fields::near(column, absent().filter(|name| name.len() > 4));
            if !near.is_empty() {
                return Err(wrong(format!("there is no column `{}`{near}", fields::cut(column))));
            }
        }
        Ok(Columns { by_name, metadata })
    }

    /// The text of a column; empty where there is no such column or cell.
    fn text(&self, table: &Table, row: &Row, name: &str) -> String {
        let cell = self.by_name.get(name).map(|column| table.cell(row, *column));
        cell.map(|cell| cell.trim().to_owned()).unwrap_or_default()
    }

    fn case(&self, table: &Table, row: &Row) -> Result<Case, String> {
        let text = |name: &str| self.text(table, row, name);
        let given = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
        let Some(id) = given("case_id") else { return Err("the case's id is empty".to_owned()) };
        let handling = self.handling(table, row)?;
        let input = match (given("prompt"), handling.messages.as_slice()) {
            (Some(input), _) => input,
            (None, []) => {
                return Err(format!("case `{}`: the prompt is empty", fields::cut(&id)));
            }
            (None, messages) => handling::question(messages),
        };
        let risk = match self.by_name.contains_key("risk") {
            true => fields::risk(&text("risk"))?,
            false => defaults::risk_of_id(&id),
        };
        let (checks, severity) = self.checks(table, row)?;
        Ok(Case {
            input,
            system: given("system"),
            expected_behavior: text("expected_behavior"),
            expected: given("expected"),
            risk,
            severity,
            checks,
            source: String::new(),
            handling,
            id,
        })
    }

    /// How the case of a row is asked, judged and grouped.
    fn handling(&self, table: &Table, row: &Row) -> Result<Handling, String> {
        let mut members = Map::new();
        for key in handling::KEYS {
            let text = self.text(table, row, key);
            if !text.is_empty() {
                members.insert(key.to_owned(), handling::cell(key, &text));
            }
        }
        let of_columns = self.metadata.iter().filter_map(|(key, at)| {
            let cell = table.cell(row, *at);
            let value = cell.trim();
            (!value.is_empty()).then(|| (key.clone(), Value::from(value)))
        });
        let of_columns: Map<String, Value> = of_columns.collect();
        match members.get_mut("metadata") {
            Some(Value::Object(given)) => given.extend(of_columns),
            Some(_) => {}
            None => drop(members.insert("metadata".to_owned(), of_columns.into())),
        }
        handling::handling(&mut members)
    }

    /// The checks of a row: those of its `notes` and those of check columns.
    fn checks(&self, table: &Table, row: &Row) -> Result<(Checks, Severity), String> {
        let mut notes = self.text(table, row, "notes");
        if let Some((of_machine, _)) = note_of_machine(&notes) {
            notes.replace_range(of_machine, "");
        }
        let (mut values, of_notes): (Map<String, Value>, _) = fields::notes(&notes)?;
        for check in fields::columns() {
            let cell = self.text(table, row, check);
            if cell.is_empty() {
                continue;
            }
            let value = fields::column(check, &cell)?;
            if values.insert(check.to_owned(), value).is_some() {
                return Err(format!("`{check}` is given twice, once in `notes`"));
            }
        }
        let listed = self.text(table, row, fields::ASSERT);
        if !listed.is_empty() {
            let listed = serde_json::from_str::<Value>(&listed);
            let listed = listed.map_err(|error| format!("`assert` is not JSON: {error}"))?;
            values.insert(fields::ASSERT.to_owned(), listed);
        }
        let severity = match (self.text(table, row, "severity").as_str(), of_notes) {
            ("", severity) => severity.unwrap_or_default(),
            (given, None) => fields::severity(given)?,
            (_, Some(_)) => return Err("`severity` is given twice, once in `notes`".to_owned()),
        };
        Ok((fields::checks(values)?, severity))
    }
}
