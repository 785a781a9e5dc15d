//! Why the prompt hub refuses.

use crate::control::EvalProblem;
use crate::gate::GateError;
use crate::store::StoreError;
use crate::version_set::SetError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What the hub gives.
pub(super) type Result<T, E = HubError> = std::result::Result<T, E>;

/// Why the prompt hub refuses.
#[derive(Debug, Error)]
pub(crate) enum HubError {
    /// The prompts, or the set that they make.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The gate's cases, or its policy.
    #[error(transparent)]
    Cases(#[from] GateError),
    /// The state, or its sets.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The version is current already.
    #[error("prompt {version} is current already")]
    Current { version: String },
    /// Findings that count; each is a line for people.
    #[error(
        "prompt {version} cannot become current: {} of its lints fail: {}",
        findings.len(), findings.first().map_or("", String::as_str)
    )]
    Lints { version: String, findings: Vec<String> },
    /// Its gate has not passed.
    #[error("prompt {version} cannot become current: {problem}")]
    Gate { version: String, problem: EvalProblem },
    /// A file of the hub that cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritten { path: PathBuf, source: io::Error },
    /// A file of the hub that cannot be read.
    #[error("{}: {problem}", path.display())]
    Unread { path: PathBuf, problem: String },
}
