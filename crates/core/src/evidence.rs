//! Evidence: what is kept of a request, and the manifest of a pack.

mod admission;
mod manifest;
pub mod page;
mod record;

pub use admission::Admission;
pub use manifest::{
    EnvInfo, FileDigest, GateEntry, GateLevel, GateRun, GateStatus, MANIFEST, Manifest, Meta,
    PackVerdict, REQUIRED_FILES, ROLLBACK_FILE, RandomControl, RollbackEntry, VerdictDecision,
    VerifyProblem, is_plain_path, verify_contents, verify_files,
};
pub use record::{
    Record, RecordedFallback, RecordedRetrieval, RecordedToolCall, RecordedToolResult, RepairResult,
};

use crate::ids::Digest;
use serde::{Deserialize, Serialize};

/// An evidence pack that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRef {
    /// Its folder, relative to the project.
    pub path: String,
    /// Digest of its manifest.
    pub manifest: Digest,
}
