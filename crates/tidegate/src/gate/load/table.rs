//! A CSV file as a table whose cells can be filled while everything else stays as it is: separator,
//! quotes, line ends, columns of others, byte order mark.
//!
//! The `csv` crate reads records and writes others in its own style, and so cannot give back the
//! file that it read. It is the oracle of this module's tests.

use super::CasesError;
use super::encoding::Encoding;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// The separators that are read, in the order of their trial.
const SEPARATORS: [char; 3] = [',', ';', '\t'];
/// What a cell begins with that a spreadsheet takes for a formula; the wide signs are typed in
/// Chinese and Japanese.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
/// What is put before it.
const GUARD: char = '\'';
/// The column that names the cells of a row with that before them, `|` between the names.
const GUARDED: &str = "guarded";
/// Longest header that an error repeats, characters.
const GIVEN_CHARS: usize = 200;

/// A file of rows.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    text: String,
    encoding: Encoding,
    separator: char,
    /// Names of the columns, folded: `Case ID` is `case_id`.
    columns: Vec<String>,
    header: Row,
    /// The rows below the header that have something in them.
    pub(crate) rows: Vec<Row>,
    filled: Filled,
}

/// What was filled, by where it goes.
#[derive(Debug, Clone, Default)]
struct Filled {
    /// Cells that are replaced, by their starts: their ends, and what they are now.
    cells: BTreeMap<usize, (usize, String)>,
    /// Cells that rows lacked, by the ends of the rows.
    added: BTreeMap<usize, Vec<String>>,
    /// Rows below the others.
    rows: Vec<String>,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The line it starts on, from 1.
    pub(crate) line: usize,
    /// Its cells as they are written, quotes included.
    cells: Vec<Range<usize>>,
}

impl Row {
    /// How many cells it has.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The first cell that is written with more bytes than that, and its bytes.
    pub(crate) fn longer_than(&self, bytes: usize) -> Option<(usize, usize)> {
        let lengths = self.cells.iter().map(ExactSizeIterator::len).enumerate();
        lengths.into_iter().find(|(_, length)| *length > bytes)
    }

    /// Where its line ends.
    fn end(&self) -> usize {
        self.cells.last().map_or(0, |cell| cell.end)
    }
}

impl Table {
    /// Reads a file. The separator is the one by which the header has all of `needed`: each a list
    /// of names of which one must be there.
    ///
    /// # Errors
    /// A usage error: the encoding, a quote that is never closed, or a header that lacks a column
    /// by every separator.
    pub(crate) fn read(
        bytes: Vec<u8>,
        name: &str,
        needed: &[&[&str]],
    ) -> Result<Table, CasesError> {
        let (text, encoding) = Encoding::decode(bytes, name)?;
        let (skipped, declared) = declared_separator(&text);
        let tried = match declared {
            Some(separator) => vec![separator],
            None => SEPARATORS.to_vec(),
        };
        let mut first = None;
        for separator in tried {
            let mut rows = rows(&text, skipped, separator);
            // Rows of nothing but separators, which spreadsheets leave below a table, say nothing.
            if let Ok(rows) = &mut rows {
                rows.retain(|row| {
                    row.cells.iter().any(|cell| !value(&text[cell.clone()]).trim().is_empty())
                });
            }
            let columns: Vec<String> = match rows.as_ref().map(|rows| rows.first()) {
                Ok(Some(header)) => header.cells.iter().map(|c| folded(&text[c.clone()])).collect(),
                Ok(None) | Err(_) => Vec::new(),
            };
            let has = |names: &&[&str]| names.iter().any(|name| columns.iter().any(|c| c == name));
            if needed.iter().all(has) {
                let rows = rows.map_err(|line| unclosed(name, line))?;
                let mut rows = rows.into_iter();
                let Some(header) = rows.next() else { break };
                let (rows, filled) = (rows.collect(), Filled::default());
                return Ok(Table { text, encoding, separator, columns, header, rows, filled });
            }
            first.get_or_insert((rows, columns));
        }
        match first {
            Some((Err(line), _)) => Err(unclosed(name, line)),
            Some((Ok(rows), _)) => Err(wrong_header(&text, rows.first(), name)),
            None => Err(wrong_header(&text, None, name)),
        }
    }

    /// The names of the columns, folded.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The column of one of these names.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        self.columns.iter().position(|column| names.contains(&column.as_str()))
    }

    /// What separates the cells.
    pub(crate) fn separator(&self) -> char {
        self.separator
    }

    /// A cell's value, without its quotes and the apostrophe that guards it; empty where the row
    /// has no such cell.
    pub(crate) fn cell(&self, row: &Row, column: usize) -> Cow<'_, str> {
        let cell = self.whole_cell(row, column);
        match cell.strip_prefix(GUARD) {
            Some(inner) if self.is_guarded(row, column) => Cow::Owned(inner.to_owned()),
            Some(_) | None => cell,
        }
    }

    fn whole_cell(&self, row: &Row, column: usize) -> Cow<'_, str> {
        row.cells.get(column).map_or(Cow::Borrowed(""), |cell| value(&self.text[cell.clone()]))
    }

    /// Whether the row says that its cell of this column has an apostrophe that was put there.
    fn is_guarded(&self, row: &Row, column: usize) -> bool {
        let Some(says) = self.columns.iter().position(|name| name == GUARDED) else { return false };
        let names = self.whole_cell(row, says);
        self.columns.get(column).is_some_and(|name| names.split('|').any(|guarded| guarded == name))
    }

    /// The name of a column as it is written.
    pub(crate) fn header(&self, column: usize) -> Cow<'_, str> {
        self.whole_cell(&self.header, column)
    }

    /// Fills a cell of a row; the row gets the cells that it lacks before it.
    pub(crate) fn fill(&mut self, row: &Row, column: usize, text: &str) {
        let Some(cell) = row.cells.get(column) else {
            let (at, text) = (column - row.cells.len(), self.written(text, false));
            let added = self.filled.added.entry(row.end()).or_default();
            added.resize(added.len().max(at + 1), String::new());
            added[at] = text;
            return;
        };
        let quoted = self.text[cell.clone()].starts_with('"');
        let text = self.written(text, quoted);
        self.filled.cells.insert(cell.start, (cell.end, text));
    }

    /// The column of that name, added at the right where there is none.
    pub(crate) fn ensure_column(&mut self, name: &str) -> usize {
        if let Some(column) = self.column(&[name]) {
            return column;
        }
        let (header, column) = (self.header.clone(), self.columns.len());
        self.columns.push(name.to_owned());
        self.fill(&header, column.max(header.len()), name);
        column
    }

    /// Adds a row below the others; `values` are by folded names of columns. A cell that a
    /// spreadsheet would take for a formula is guarded, and the row says so.
    pub(crate) fn push(&mut self, values: &[(&str, &str)]) {
        let value = |column: &String| {
            values.iter().find(|(name, _)| name == column).map_or("", |(_, value)| *value)
        };
        let guarded: Vec<&str> = self
            .columns
            .iter()
            .filter(|column| value(column).starts_with(FORMULA))
            .map(String::as_str)
            .collect();
        let guarded = guarded.join("|");
        if !guarded.is_empty() {
            self.ensure_column(GUARDED);
        }
        let cells: Vec<String> = self
            .columns
            .iter()
            .map(|column| match value(column) {
                _ if column == GUARDED => self.written(&guarded, false),
                text if text.starts_with(FORMULA) => self.written(&format!("{GUARD}{text}"), false),
                text => self.written(text, false),
            })
            .collect();
        self.filled.rows.push(cells.join(&self.separator.to_string()));
    }

    /// The file with what was filled, in its own encoding.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Filled { cells, added, rows } = &self.filled;
        let separator = self.separator.to_string();
        let mut edits: Vec<(usize, usize, String)> =
            cells.iter().map(|(start, (end, text))| (*start, *end, text.clone())).collect();
        let of_row = |cells: &Vec<String>| separator.clone() + &cells.join(&separator);
        edits.extend(added.iter().map(|(end, cells)| (*end, *end, of_row(cells))));
        // Stable, so that a last cell that is empty is filled before cells come behind it.
        edits.sort_by_key(|(start, _, _)| *start);
        let (mut out, mut at) = (String::with_capacity(self.text.len()), 0);
        for (start, end, text) in edits {
            out.push_str(&self.text[at..start]);
            out.push_str(&text);
            at = end;
        }
        out.push_str(&self.text[at..]);
        let line_end = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        for row in rows {
            if !out.ends_with(['\n', '\r']) {
                out.push_str(line_end);
            }
            out.push_str(row);
            out.push_str(line_end);
        }
        self.encoding.encode(&out)
    }

    /// A value as it is written in a cell.
    fn written(&self, text: &str, quoted: bool) -> String {
        let needs = |c: char| c == self.separator || matches!(c, '"' | '\r' | '\n');
        if quoted || text.contains(needs) || text.trim() != text {
            return format!("\"{}\"", text.replace('"', "\"\""));
        }
        text.to_owned()
    }
}

/// Excel's first line `sep=;`: where the table starts below it, and its separator.
fn declared_separator(text: &str) -> (usize, Option<char>) {
    let Some(rest) = text.strip_prefix("sep=") else { return (0, None) };
    let mut chars = rest.chars();
    let separator = chars.next().filter(|c| c.is_ascii() && !c.is_control() || *c == '\t');
    let rest = chars.as_str();
    let below = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r']));
    match (separator, below) {
        (Some(separator), Some(below)) => (text.len() - below.len(), Some(separator)),
        _ => (0, None),
    }
}

/// The rows of a text from the byte `from` on, which starts a line.
///
/// # Errors
/// The line on which a quote opens that is never closed.
fn rows(text: &str, from: usize, separator: char) -> Result<Vec<Row>, usize> {
    let bytes = text.as_bytes();
    // Each separator is one byte in UTF-8.
    let ends = |byte: u8| matches!(byte, b'\n' | b'\r') || char::from(byte) == separator;
    let (mut rows, mut at, mut line) = (Vec::new(), from, 1 + usize::from(from > 0));
    while at < bytes.len() {
        let mut row = Row { line, cells: Vec::new() };
        loop {
            let end = cell_end(bytes, at, ends).ok_or(line)?;
            let breaks = |i: &usize| ends_line(bytes[*i], bytes.get(*i + 1));
            line += (at..end).filter(breaks).count();
            row.cells.push(at..end);
            at = end;
            match bytes.get(at) {
                Some(byte) if char::from(*byte) == separator => at += 1,
                Some(_) | None => break,
            }
        }
        if bytes[at..].starts_with(b"\r\n") {
            at += 1;
        }
        (at, line) = (at + 1, line + 1);
        rows.push(row);
    }
    Ok(rows)
}

/// Where the cell that starts here ends; `None` where its quote is never closed.
fn cell_end(bytes: &[u8], start: usize, ends: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = start;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        loop {
            at += bytes.get(at..)?.iter().position(|byte| *byte == b'"')? + 1;
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
    }
    Some(at + bytes[at..].iter().take_while(|byte| !ends(**byte)).count())
}

/// Whether a byte inside a cell ends a line.
fn ends_line(byte: u8, next: Option<&u8>) -> bool {
    byte == b'\n' || (byte == b'\r' && next != Some(&b'\n'))
}

/// The value of a cell as it is written: what is in its quotes, and what follows them.
fn value(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw.strip_prefix('"') else { return Cow::Borrowed(raw) };
    let (mut out, mut rest) = (String::with_capacity(inner.len()), inner);
    while let Some(at) = rest.find('"') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                out.push('"');
                rest = after;
            }
            None => break,
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A column's name as it is compared: `Case ID`, ` case-id ` and `case_id` are one.
fn folded(raw: &str) -> String {
    let value = value(raw);
    let name = value.trim().trim_start_matches('\u{feff}').to_lowercase();
    name.split([' ', '-', '_', '\u{a0}', '\u{3000}'])
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

fn unclosed(name: &str, line: usize) -> CasesError {
    CasesError::OpenQuote { place: format!("{name}:{line}") }
}

fn wrong_header(text: &str, header: Option<&Row>, name: &str) -> CasesError {
    let raw = header.map_or("", |row| &text[row.cells.first().map_or(0, |c| c.start)..row.end()]);
    let line = header.map_or(1, |row| row.line);
    CasesError::Header {
        place: format!("{name}:{line}"),
        given: raw.chars().take(GIVEN_CHARS).collect(),
        header: super::HEADER.join(","),
    }
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
