//! Why cases are not brought in or out.

use crate::config::ConfigError;
use crate::gate::CasesError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a file of cases is not read, or not written.
#[derive(Debug, Error)]
pub(crate) enum TransferError {
    /// A file of ours, or one that is read by the same rules.
    #[error(transparent)]
    Cases(#[from] CasesError),
    /// A YAML file.
    #[error(transparent)]
    Yaml(#[from] ConfigError),
    /// There is no such file.
    #[error("{} does not exist", .0.display())]
    NoFile(PathBuf),
    /// Inspect's own archive.
    #[error("{} is an archive; the JSON form of the log is read", .0.display())]
    InspectArchive(PathBuf),
    /// The file is of another shape than its format has.
    #[error("{place}: {problem}")]
    Shape { place: String, problem: String },
    /// OpenAI's samples do not say how the answer is compared.
    #[error("the samples do not say how `ideal` is compared with an answer")]
    Ideal,
    /// A file that would be overwritten.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// A file that cannot be written; it is as it was.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritten { path: PathBuf, source: io::Error },
}

/// The result of bringing cases in or out.
pub(super) type Result<T, E = TransferError> = std::result::Result<T, E>;
