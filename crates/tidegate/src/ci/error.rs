//! Why a pipeline cannot be read, written or run.

use crate::config::ConfigError;
use crate::evidence::EvidenceError;
use std::path::PathBuf;
use thiserror::Error;

/// What is wrong before a stage runs, or with what is kept of it.
#[derive(Debug, Error)]
pub(crate) enum CiError {
    /// There is no `ci.yaml`.
    #[error("{}: there is no such file", .0.display())]
    NoFile(PathBuf),
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unread { path: PathBuf, source: std::io::Error },
    /// It is not what a pipeline's file is.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It holds something that no pipeline may have.
    #[error("{}: {place}: {what}", path.display())]
    Wrong { path: PathBuf, place: String, what: String },
    /// A stage that is not in the file.
    #[error("there is no stage `{name}`")]
    NoStage { name: String, known: Vec<String> },
    /// The evidence cannot be written.
    #[error(transparent)]
    Pack(#[from] EvidenceError),
}
