//! The manifest of an evidence pack, and its verification.
//!
//! The manifest lists the digest of every other file. It carries a seal over its own bytes as well,
//! so that no byte of a pack can change unseen. The seal finds damage, not a forger: whoever
//! rewrites the whole pack can compute a new seal. The journal protects against that: its
//! `PackWritten` entry holds the manifest's digest outside the pack.

use crate::ids::{Digest, UnixMs, VersionSetId};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// The manifest's name in a pack.
pub const MANIFEST: &str = "manifest.json";

/// Files that every pack must have beside its manifest.
pub const REQUIRED_FILES: [&str; 4] =
    ["decisions.jsonl", "diffs/summary.md", "gates/summary.md", "journal.jsonl"];

/// The file that a pack must also have when the verdict is a rollback.
pub const ROLLBACK_FILE: &str = "rollback.md";

const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// `manifest.json`; others read it, so its field names stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What and who.
    pub meta: Meta,
    /// The candidate's version set by kind: version and digest, plus `id`.
    #[serde(deserialize_with = "unique_keys")]
    pub version_set: BTreeMap<String, String>,
    /// Gates by name.
    #[serde(deserialize_with = "unique_keys")]
    pub gates: BTreeMap<String, GateEntry>,
    /// What was decided.
    pub verdict: PackVerdict,
    /// What was rolled back to, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackEntry>,
    /// Where it ran.
    pub env_info: EnvInfo,
    /// How randomness was controlled.
    pub random_control: RandomControl,
    /// Every other file of the pack, by path.
    #[serde(deserialize_with = "unique_keys")]
    pub files: BTreeMap<String, FileDigest>,
    /// The journal's last entry when the pack was written: sequence and hash.
    pub journal_head: (u64, Digest),
    /// Digest of this file's bytes with the seal's own 64 digits as zeros.
    pub seal: Digest,
}

/// What and who.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// When the pack was written, RFC 3339.
    pub timestamp: String,
    /// The same, ms.
    pub timestamp_ms: UnixMs,
    /// The release that the pack proves.
    pub change_id: String,
    /// What wrote it: `tidegate <version>`.
    pub builder: String,
    /// Who started the release.
    pub operator: String,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateEntry {
    /// How much it weighs.
    pub level: GateLevel,
    /// How it came out.
    pub status: GateStatus,
    /// Path of its raw output in the pack.
    pub evidence: String,
}

/// How much a gate weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GateLevel {
    /// Must hold.
    L0,
    /// Must hold, or a named person says why not.
    L1,
    /// For information.
    L2,
}

impl GateLevel {
    /// The level's name.
    pub fn as_str(self) -> &'static str {
        match self {
            GateLevel::L0 => "L0",
            GateLevel::L1 => "L1",
            GateLevel::L2 => "L2",
        }
    }
}

/// How a gate came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GateStatus {
    /// The rule holds.
    Pass,
    /// It does not.
    Fail,
    /// Undecided.
    Inconclusive,
}

impl GateStatus {
    /// The status's name.
    pub fn as_str(self) -> &'static str {
        match self {
            GateStatus::Pass => "PASS",
            GateStatus::Fail => "FAIL",
            GateStatus::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// A gate that was run beside the eval: how it came out, and what it printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRun {
    /// How it came out.
    pub status: GateStatus,
    /// What it printed, redacted.
    pub text: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackVerdict {
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
    /// Still open, or an A/B test that ended.
    Hold,
    /// Returned to stable.
    Rollback,
}

impl VerdictDecision {
    /// The verdict's name.
    pub fn as_str(self) -> &'static str {
        match self {
            VerdictDecision::Ship => "SHIP",
            VerdictDecision::Hold => "HOLD",
            VerdictDecision::Rollback => "ROLLBACK",
        }
    }
}

/// What was rolled back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackEntry {
    /// What set it off.
    pub trigger: String,
    /// The release that shipped what was rolled back to; the version set's id where none did.
    pub target_change_id: String,
    /// The version set rolled back to.
    pub target_version_set: VersionSetId,
}

/// Where it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct RandomControl {
    /// The release's salt, which fixes who sees which arm.
    pub seed: String,
    /// Sampling temperature of the candidate.
    pub temperature: Option<f64>,
}

/// One file of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// SHA-256.
    pub sha256: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

impl FileDigest {
    /// The digest and size of the content.
    pub fn of(content: &[u8]) -> FileDigest {
        FileDigest { sha256: Digest::of(content), bytes: content.len() as u64 }
    }
}

/// What is wrong with a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum VerifyProblem {
    /// A file is listed and not there.
    #[error("`{path}` is listed in the manifest, but missing from the pack")]
    Missing {
        /// Its path in the pack.
        path: String,
    },
    /// A file is there and not listed.
    #[error("`{path}` is not listed in the manifest")]
    Unlisted {
        /// Its path in the pack.
        path: String,
    },
    /// A file's content changed.
    #[error("`{path}` was altered: its digest is not the manifest's")]
    Altered {
        /// Its path in the pack.
        path: String,
    },
    /// The manifest itself cannot be trusted.
    #[error("`manifest.json` cannot be trusted: {detail}")]
    Manifest {
        /// The error of reading it.
        detail: String,
    },
    /// The manifest lists a path that leads out of the pack or is not a plain relative one.
    #[error("`{path}` in the manifest is not a plain relative path inside the pack")]
    Path {
        /// The path as listed, control characters escaped.
        path: String,
    },
    /// Something is neither a regular file nor a folder; it was not followed.
    #[error("`{path}` is a link or a special file; a pack holds regular files only")]
    NotAFile {
        /// Where.
        path: String,
    },
    /// The pack has more than any pack we write; it was not read to the end.
    #[error("the pack is larger than allowed: {detail}")]
    TooLarge {
        /// The bound it broke.
        detail: String,
    },
    /// A file that every pack with this verdict must have is not listed.
    #[error("`{path}` is required in a pack with this verdict, but the manifest does not list it")]
    Required {
        /// Its path in the pack.
        path: String,
    },
    /// A gate points at a file that is not in the pack.
    #[error("gate `{gate}` points at `{path}`, which is not in the pack")]
    Evidence {
        /// The gate's name in the manifest.
        gate: String,
        /// The path that the gate names.
        path: String,
    },
    /// The pack's part of the journal is not consistent.
    #[error("the pack's part of the journal is not consistent: {detail}")]
    Chain {
        /// Where and why.
        detail: String,
    },
}

impl Manifest {
    /// The manifest's file, sealed; `self.seal` is replaced by the right one.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn to_sealed_json(&self) -> Result<String, serde_json::Error> {
        let mut blank = self.clone();
        blank.seal = Manifest::unsealed();
        let mut text = serde_json::to_string_pretty(&blank)?;
        text.push('\n');
        let seal = Digest::of(text.as_bytes());
        Ok(match text.rfind(UNSEALED) {
            Some(at) => {
                text.replace_range(at..at + UNSEALED.len(), seal.as_str());
                text
            }
            None => text,
        })
    }

    /// The value of [`Manifest::seal`] before it is sealed.
    pub fn unsealed() -> Digest {
        match serde_json::from_value(serde_json::Value::String(UNSEALED.to_owned())) {
            Ok(digest) => digest,
            Err(_) => unreachable!("a digest is read from any text"),
        }
    }

    /// Reads a manifest strictly: no unknown or double keys, and the seal must fit the bytes.
    ///
    /// # Errors
    /// [`VerifyProblem::Manifest`] with why it cannot be trusted.
    pub fn read_sealed(text: &str) -> Result<Manifest, VerifyProblem> {
        let wrong = |detail: String| VerifyProblem::Manifest { detail };
        let manifest: Manifest = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let seal = manifest.seal.as_str();
        let blank = match text.rfind(seal) {
            Some(at) if seal.len() == UNSEALED.len() => {
                format!("{}{UNSEALED}{}", &text[..at], &text[at + seal.len()..])
            }
            _ => return Err(wrong("its seal is not a digest".to_owned())),
        };
        if Digest::of(blank.as_bytes()) == manifest.seal {
            Ok(manifest)
        } else {
            Err(wrong("its bytes are not those that were sealed".to_owned()))
        }
    }
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

/// What is wrong with the manifest's own contents: its paths, what it must list, and where its
/// gates point.
pub fn verify_contents(manifest: &Manifest) -> Vec<VerifyProblem> {
    let mut problems: Vec<VerifyProblem> = manifest
        .files
        .keys()
        .filter(|path| !is_plain_path(path) || path.as_str() == MANIFEST)
        .map(|path| VerifyProblem::Path { path: path.escape_debug().to_string() })
        .collect();
    let rolled_back = manifest.verdict.decision == VerdictDecision::Rollback;
    let required = REQUIRED_FILES.into_iter().chain(rolled_back.then_some(ROLLBACK_FILE));
    for path in required.filter(|path| !manifest.files.contains_key(*path)) {
        problems.push(VerifyProblem::Required { path: path.to_owned() });
    }
    if rolled_back != manifest.rollback.is_some() {
        let detail = "its verdict and its rollback entry contradict each other".to_owned();
        problems.push(VerifyProblem::Manifest { detail });
    }
    for (gate, entry) in &manifest.gates {
        if !manifest.files.contains_key(&entry.evidence) {
            let (gate, path) = (gate.clone(), entry.evidence.clone());
            problems.push(VerifyProblem::Evidence { gate, path });
        }
    }
    problems
}

/// Whether a path is relative, stays inside, and means the same on every system: parts joined by
/// `/`, none of them empty, `.` or `..`, without backslash, colon or control characters.
pub fn is_plain_path(path: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != '\\' && c != ':';
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(plain))
}

/// Reads a map and refuses a key that occurs twice: which of the two counts would depend on
/// the reader.
fn unique_keys<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Unique<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object without double keys")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry::<String, V>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("key {key:?} occurs twice")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Unique(PhantomData))
}

#[cfg(test)]
mod tests;
