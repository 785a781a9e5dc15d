//! The manifest of an evidence pack, and its verification.

use crate::ids::{Digest, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `manifest.json`; field names are the seed's (R214).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What and who.
    pub meta: Meta,
    /// The candidate's version set by kind: version and digest, plus `id`.
    pub version_set: BTreeMap<String, String>,
    /// Gates by name.
    pub gates: BTreeMap<String, GateEntry>,
    /// What was decided.
    pub verdict: Verdict,
    /// What was gone back to, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackEntry>,
    /// Where it ran.
    pub env_info: EnvInfo,
    /// How randomness was controlled.
    pub random_control: RandomControl,
    /// Every other file of the pack, by path.
    pub files: BTreeMap<String, FileDigest>,
    /// The journal's last entry when the pack was written: sequence and hash.
    pub journal_head: (u64, Digest),
}

/// What and who.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// When the pack was written, RFC 3339.
    pub timestamp: String,
    /// The same, ms.
    pub timestamp_ms: UnixMs,
    /// The release.
    pub change_id: String,
    /// What wrote it: `tidegate <version>`.
    pub builder: String,
    /// Who started the release.
    pub operator: String,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateEntry {
    /// L0 (must), L1, L2.
    pub level: String,
    /// PASS, FAIL or INCONCLUSIVE.
    pub status: String,
    /// Path of its raw output in the pack.
    pub evidence: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// SHIP, HOLD or ROLLBACK.
    pub decision: VerdictDecision,
    /// Why, with numbers.
    pub reason: String,
    /// Who or what decided.
    pub reviewer: String,
}

/// The three verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerdictDecision {
    /// Promoted.
    Ship,
    /// Still open.
    Hold,
    /// Went back.
    Rollback,
}

/// What was gone back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackEntry {
    /// What set it off.
    pub trigger: String,
    /// The version set gone back to.
    pub target_change_id: String,
}

/// Where it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvInfo {
    /// Operating system.
    pub os: String,
    /// Runtime and its version.
    pub runtime: String,
    /// Processor architecture and count.
    pub hardware: String,
}

/// How randomness was controlled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandomControl {
    /// The release's salt, which fixes who sees which arm.
    pub seed: String,
    /// Sampling temperature of the candidate.
    pub temperature: Option<f64>,
}

/// One file of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// SHA-256.
    pub sha256: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

/// What is wrong with a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum VerifyProblem {
    /// A file is listed and not there.
    #[error("`{path}` is listed in the manifest and missing")]
    Missing {
        /// The file.
        path: String,
    },
    /// A file is there and not listed.
    #[error("`{path}` is not listed in the manifest")]
    Unlisted {
        /// The file.
        path: String,
    },
    /// A file's content changed.
    #[error("`{path}` was altered: its digest is not the manifest's")]
    Altered {
        /// The file.
        path: String,
    },
}

/// Compares what a pack's manifest lists with what is there.
pub fn verify_files(
    listed: &BTreeMap<String, FileDigest>,
    found: &BTreeMap<String, FileDigest>,
) -> Vec<VerifyProblem> {
    let mut problems = Vec::new();
    for (path, digest) in listed {
        match found.get(path) {
            None => problems.push(VerifyProblem::Missing { path: path.clone() }),
            Some(other) if other != digest => {
                problems.push(VerifyProblem::Altered { path: path.clone() });
            }
            Some(_) => {}
        }
    }
    for path in found.keys().filter(|path| !listed.contains_key(*path)) {
        problems.push(VerifyProblem::Unlisted { path: path.clone() });
    }
    problems
}
