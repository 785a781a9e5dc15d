//! Why data cannot be checked.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why data cannot be checked.
#[derive(Debug, Error)]
pub(crate) enum DataError {
    /// The data is not there, or may not be read.
    #[error("the data {} cannot be read: {source}", path.display())]
    Unread { path: PathBuf, source: io::Error },
    /// A folder in the place of a file.
    #[error("the data {} cannot be read: it is a folder", path.display())]
    Folder { path: PathBuf },
    /// It could be read before.
    #[error("the data {} cannot be read further: {source}", path.display())]
    Broken { path: PathBuf, source: io::Error },
    /// A pointer of Git LFS.
    #[error("{} is a pointer of Git LFS ({says}), not the data", path.display())]
    Lfs { path: PathBuf, says: String },
    /// A file of DVC.
    #[error("{} says where data is, it is not the data", path.display())]
    Dvc { path: PathBuf, data: Option<String> },
    /// A file of DVC that is none.
    #[error("{} is no file of DVC: {why}", path.display())]
    NoDvc { path: PathBuf, why: String },
    /// A schema that is not there.
    #[error("the schema {} cannot be read: {source}", path.display())]
    SchemaUnread { path: PathBuf, source: io::Error },
    /// A schema that is none.
    #[error("{why}")]
    NoSchema { why: String },
    /// Eval cases that cannot be looked for.
    #[error("the eval cases cannot be looked for: {why}")]
    Cases { why: String },
}

impl DataError {
    /// Of data that could be read before.
    pub(super) fn broken(path: &Path, source: io::Error) -> DataError {
        DataError::Broken { path: path.to_owned(), source }
    }
}

/// What checking data gives.
pub(crate) type Result<T> = std::result::Result<T, DataError>;
