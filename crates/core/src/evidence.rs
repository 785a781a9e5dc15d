//! Evidence: what is kept of a request, and the manifest of a pack.

mod manifest;
mod record;
mod redact;

pub use manifest::{
    EnvInfo, FileDigest, GateEntry, Manifest, Meta, RandomControl, RollbackEntry, Verdict,
    VerdictDecision, VerifyProblem, verify_files,
};
pub use record::{Record, ToolCall};
pub use redact::{has_pii, redact};
