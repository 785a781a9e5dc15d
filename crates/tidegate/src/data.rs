//! Data beside the service: files of JSON lines that models are trained on, checked row by row.
//!
//! | file | what it does |
//! |---|---|
//! | `error` | why data cannot be checked |
//! | `lines` | a file line by line, with the digest of all of it |
//! | `row` | a line → its object, or why it is none; its texts |
//! | `seen` | rows that repeat others |
//! | `pointer` | files that DVC and Git LFS put in the place of data, or beside it |
//! | `report` | what was found, in words, as JSON |

mod error;
mod lines;
mod pointer;
mod report;
mod row;
mod seen;
#[cfg(test)]
mod tests;

pub(crate) use error::DataError;
use error::Result;
use lines::{Line, Lines};
use pointer::Pointer;
pub(crate) use pointer::lfs_pointer;
use report::Schema;
pub(crate) use report::{Found, Kind, Report};
use row::Row;
use seen::Seen;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::data::CaseTexts;
use tidegate_core::ids::Digest;
use tidegate_core::text::find_private;

/// What a file is checked for.
pub(crate) struct Check<'a> {
    /// The file of JSON lines.
    pub(crate) input: &'a Path,
    /// The schema of each line.
    pub(crate) schema: Option<&'a Path>,
    /// Fewest lines.
    pub(crate) min_samples: u64,
    /// Ids and inputs of eval cases, which must not be in it.
    pub(crate) cases: Vec<(String, String)>,
    /// What fails the check beside what always does.
    pub(crate) refused: BTreeSet<Kind>,
}

impl Check<'_> {
    /// Reads the file once; `progress` is given the bytes of each line.
    ///
    /// # Errors
    /// A file that cannot be read, a schema that is none. What is wrong with the data is in the
    /// report.
    pub(crate) fn run(&self, mut progress: impl FnMut(u64)) -> Result<Report> {
        if let Some(pointer) = Pointer::at(self.input) {
            return Err(pointer.in_the_place_of(self.input));
        }
        let schema = self.schema.map(read_schema).transpose()?;
        let cases = CaseTexts::new(self.cases.iter().map(|(_, input)| input.as_str()));
        let cases = cases.map_err(|why| DataError::Cases { why })?;
        let mut lines = Lines::open(self.input)?;
        let mut report = Report::new(&self.refused);
        let mut seen = Seen::new(self.input)?;
        while let Some(line) = lines.next()? {
            progress(line.length);
            if line.text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let row = match Row::read(&line) {
                Ok(row) => row,
                Err(why) => {
                    report.add(Kind::Unreadable, line.number, why);
                    continue;
                }
            };
            report.rows += 1;
            if let Some(why) = schema.as_ref().and_then(|(schema, _)| row.breaks(schema)) {
                report.add(Kind::Schema, line.number, why);
            }
            self.look(&row, &line, &cases, &mut report);
            seen.look(&row, &line, &mut report)?;
        }
        report.bytes = lines.bytes();
        report.digest = Some(lines.digest());
        report.schema = schema.map(|(_, schema)| schema);
        report.compared = seen.compared();
        self.check_whole(&mut report)?;
        Ok(report)
    }

    /// Looks at the texts of a row.
    fn look(&self, row: &Row, line: &Line<'_>, cases: &CaseTexts, report: &mut Report) {
        let mut kinds = BTreeSet::new();
        for text in row.texts() {
            kinds.extend(find_private(text).into_iter().map(|found| found.kind));
        }
        if !kinds.is_empty() {
            let marks: BTreeSet<&str> = kinds.iter().map(|kind| kind.mark()).collect();
            let marks: Vec<&str> = marks.into_iter().collect();
            report.add(Kind::Personal, line.number, format!("has {}", marks.join(", ")));
        }
        let found = row.letters_of_texts().find_map(|letters| cases.in_text(letters));
        if let Some((id, _)) = found.and_then(|case| self.cases.get(case)) {
            report.add(Kind::Leaked, line.number, format!("has the input of the case `{id}`"));
        }
    }

    /// Checks what only the whole file shows.
    fn check_whole(&self, report: &mut Report) -> Result<()> {
        if report.rows < self.min_samples {
            let (has, least) = (report.rows, self.min_samples);
            report.add(Kind::TooFew, 0, format!("{has} samples, at least {least} are asked for"));
        }
        if let Some(pointer) = Pointer::beside(self.input)?
            && let Some(why) = pointer.differs(self.input, report.bytes)?
        {
            report.add(Kind::Changed, 0, why);
        }
        Ok(())
    }
}

fn read_schema(path: &Path) -> Result<(Arc<jsonschema::Validator>, Schema)> {
    let bytes = std::fs::read(path)
        .map_err(|source| DataError::SchemaUnread { path: path.to_owned(), source })?;
    let shown = path.display().to_string();
    let no_schema = |why| DataError::NoSchema { why };
    let schema: Value = serde_json::from_slice(&bytes)
        .map_err(|error| no_schema(format!("the schema {shown} is not JSON: {error}")))?;
    let validator = crate::gate::compiled_schema(&shown, &schema).map_err(no_schema)?;
    Ok((validator, Schema { path: shown, digest: Digest::of(&bytes) }))
}
