//! Why a pack cannot be written, or does not hold.

use crate::store::StoreError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use tidegate_core::evidence::VerifyProblem;
use tidegate_core::ids::{ChangeId, IncidentId};
use tidegate_core::journal::JournalError;
use tokio::task::JoinError;

/// The result of making or reading a pack.
pub(super) type Result<T, E = EvidenceError> = std::result::Result<T, E>;

/// Why there is no pack, or none that holds.
#[derive(Debug, Error)]
pub(crate) enum EvidenceError {
    /// What a pack is made of cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such release was started here.
    #[error("this project has no release `{release}`")]
    UnknownRelease { release: ChangeId, known: Vec<ChangeId> },
    /// No such incident, or one of a release, whose pack is the release's.
    #[error("there is no incident `{incident}` of the service")]
    UnknownIncident { incident: IncidentId },
    /// A broken invariant: every incident is of a service.
    #[error("an incident without a service")]
    NoService,
    /// A broken invariant: a release or incident is in the journal.
    #[error("the journal is empty; there is nothing to prove")]
    NoJournal,
    /// An event of another version, say.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A journal entry that is to be redacted.
    #[error("journal entry {seq} cannot be read: {source}")]
    Entry { seq: u64, source: serde_json::Error },
    /// Redaction goes over JSON: nothing is written that it cannot read again.
    #[error("evidence cannot be redacted: {0}")]
    NotRedacted(serde_json::Error),
    /// A part of the pack has no JSON or CSV form.
    #[error("{part} cannot be written: {source}")]
    Part { part: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    /// The thread that writes ended early.
    #[error("writing the evidence pack broke off: {0}")]
    BrokeOff(#[from] JoinError),
    /// A file's name would lead out of the pack; it is escaped.
    #[error("evidence pack `{pack}`: `{path}` is not a plain relative path")]
    PathLeadsOut { pack: ChangeId, path: String },
    /// The disk; an older pack is as it was.
    #[error("evidence pack `{}` cannot be written: {source}", folder.display())]
    Unwritten { folder: PathBuf, source: io::Error },
    /// The system refuses to read it.
    #[error("evidence pack `{}` cannot be read: {source}", folder.display())]
    Unreadable { folder: PathBuf, source: io::Error },
    /// A folder that is none; `manifest` is the file that makes one.
    #[error("`{}` is not an evidence pack: no {manifest}", folder.display())]
    NoPack { folder: PathBuf, manifest: &'static str },
    /// A manifest that may be a trap.
    #[error("`{}` is a link, a folder or too large; it is not read", manifest.display())]
    StrangeManifest { manifest: PathBuf },
    /// It was read, and does not prove what it says.
    #[error(
        "evidence pack {} does not verify; problems found: {}:{}",
        folder.display(), problems.len(), lines(problems)
    )]
    DoesNotVerify { folder: PathBuf, problems: Vec<VerifyProblem> },
}

impl EvidenceError {
    /// For `map_err`: this part of a pack has no written form.
    pub(super) fn part<E>(part: &'static str) -> impl Fn(E) -> EvidenceError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| EvidenceError::Part { part, source: source.into() }
    }
}

/// Each problem on a line below.
fn lines(problems: &[VerifyProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
