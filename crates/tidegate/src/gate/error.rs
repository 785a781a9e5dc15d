//! Why cases cannot be read, and why a run of them cannot be done or kept.

use super::tape::TapeError;
use crate::config::ConfigError;
use crate::store::StoreError;
use crate::version_set::SetError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use tidegate_core::gate::{CaseSetError, RowError};
use tidegate_core::ids::ChangeId;

/// Why an eval, a replay or a write-back was not done.
#[derive(Debug, Error)]
pub(crate) enum GateError {
    /// The cases.
    #[error(transparent)]
    Cases(#[from] CasesError),
    /// The set that is asked.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The runs that are kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bar that is no share; `place` is the key that sets it.
    #[error("{place} is {bar}; it must be between 0 and 1")]
    Threshold { place: String, bar: f64 },
    /// A file of answers, before anything was asked.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// A file of answers, while cases were asked.
    #[error("{answered} of {of} answers were there, and the next cannot be kept: {source}")]
    Unkept { source: TapeError, answered: usize, of: usize },
    /// Somebody ended the run.
    #[error("the run was interrupted after {answered} of {of} answers")]
    Interrupted { answered: usize, of: usize, kept: bool },
    /// A case or a result that was put aside.
    #[error(transparent)]
    Row(#[from] RowError),
    /// There is nothing to ask again.
    #[error("release `{release}` has no case in {}", file.display())]
    NothingToReplay { release: ChangeId, file: PathBuf },
    /// A case or a report has no JSON form.
    #[error("{what} is not JSON: {source}")]
    NoJson { what: &'static str, source: serde_json::Error },
    /// A file of ours that is to be read.
    #[error("{what} cannot be read: {source}")]
    Unread { what: String, source: io::Error },
    /// A file of ours; it is as it was.
    #[error("{what} cannot be written: {source}")]
    Unwritten { what: String, source: io::Error },
}

/// Why the cases of a project are none; `place` is the file, with the line where there is one.
#[derive(Debug, Error)]
pub(crate) enum CasesError {
    /// The prompt's `config.yaml`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refuses the file.
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// A file over its bound, bytes.
    #[error("{} is {bytes} bytes long; at most {max} are allowed", file.display())]
    TooLarge { file: PathBuf, bytes: u64, max: u64 },
    /// The project's own file of cases; `header` is what one begins with.
    #[error("eval cases `{}` do not exist", file.display())]
    NoFile { file: PathBuf, header: String },
    /// A packed prompt lacks its `config.yaml`.
    #[error("prompt file `{file}` is not in the packed set")]
    NotPacked { file: String },
    /// Bytes that are no text, or no table.
    #[error("{place}: {problem}")]
    Encoding { place: String, problem: EncodingProblem },
    /// A cell's quote.
    #[error("{place}: a quote `\"` opens here and is never closed")]
    OpenQuote { place: String },
    /// No separator gives the columns that are needed; `given` is cut.
    #[error("{place}: the header is `{given}`; it must be `{header}`")]
    Header { place: String, given: String, header: String },
    /// A row with more cells than columns, or with another separator.
    #[error("{place}: {problem}")]
    Row { place: String, problem: String },
    /// A field that is not valid, in a row with more cells than there are columns.
    #[error("{place}: {problem}")]
    ShiftedRow { place: String, problem: String, cells: usize, columns: usize },
    /// Any other field, column or check.
    #[error("{place}: {problem}")]
    Field { place: String, problem: String },
    /// An id in one CSV.
    #[error("{place}: case id `{id}` was given on line {first}")]
    TwiceInTable { place: String, id: String, first: usize },
    /// An id in one JSONL, where a line without an id has one from its content.
    #[error("{place}: case id `{id}` was given on line {first}")]
    TwiceInLines { place: String, id: String, first: usize },
    /// A check that asks what the project has not set up.
    #[error("{place}: case `{id}` has a check `{check}`, and the project has no `{key}`")]
    NoSource { place: String, id: String, check: String, key: String },
    /// Cases beyond the first thousand, which are put aside on disk.
    #[error("the cases cannot be put aside in {}: {source}", folder.display())]
    Unkept { folder: PathBuf, source: io::Error },
    /// A case that was put aside.
    #[error(transparent)]
    Lost(#[from] RowError),
    /// All files together are no eval set; `file` is where cases are added.
    #[error("{problem}")]
    NoSet { problem: CaseSetError, file: PathBuf },
}

/// How a file's bytes are not what is read.
#[derive(Debug, Error)]
pub(crate) enum EncodingProblem {
    #[error("the file begins as UTF-16 and is not whole")]
    HalfUtf16,
    #[error("the file is a workbook (xlsx) or another archive, not CSV")]
    Archive,
    /// `looks_like` is an encoding or a description, for people.
    #[error(
        "byte {at} of the file, 0x{byte:02x}, is not UTF-8 text{}",
        looks_like.map(|name| format!("; the file looks like {name}")).unwrap_or_default()
    )]
    NotUtf8 { at: usize, byte: u8, looks_like: Option<&'static str> },
}
