//! The pack of a run of the pipeline: the same layout and the same seal as a release's, so that
//! `tidegate verify` reads it. No journal proves it: a pipeline may run where no service has run.

use super::change::change_id;
use super::collect::env_info;
use super::error::{EvidenceError, Result};
use super::write;
use crate::clock::{Clock, rfc3339};
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::evidence::{
    FileDigest, GateEntry, Manifest, Meta, PackVerdict, RandomControl, VerdictDecision,
};
use tidegate_core::ids::{Digest, UnixMs};
use tidegate_core::journal::Entry;

/// What is kept of a run. Its files are redacted.
pub(crate) struct RunPack<'a> {
    /// What ran: the first word of its name.
    pub(crate) kind: &'a str,
    /// The second.
    pub(crate) desc: &'a str,
    /// Its files by path; `gates/summary.md` is one of them.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Its gates, each with the path of what it printed.
    pub(crate) gates: BTreeMap<String, GateEntry>,
    /// What follows from it.
    pub(crate) decision: VerdictDecision,
    /// Why.
    pub(crate) reason: String,
    /// When it began.
    pub(crate) at: UnixMs,
}

/// Writes the pack into `reports/YYYY-MM-DD/` of the project and gives its folder.
///
/// # Errors
/// The disk fails.
pub(crate) fn write_run_pack(root: &Path, pack: RunPack<'_>) -> Result<String> {
    let RunPack { kind, desc, mut files, gates, decision, reason, at } = pack;
    for (path, text) in [
        ("journal.jsonl", ""),
        ("decisions.jsonl", ""),
        ("diffs/summary.md", "# Nothing was changed\n\nThe run is no release.\n"),
    ] {
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    // Two runs may begin in the same millisecond.
    let process = std::process::id().to_le_bytes();
    let mut parts = vec![&process[..]];
    let moment = at.0.to_le_bytes();
    parts.push(&moment);
    parts.extend(files.values().map(Vec::as_slice));
    let id = change_id(kind, desc, Digest::of_parts(&parts).short(5));
    let manifest = Manifest {
        meta: Meta {
            timestamp: rfc3339(at),
            timestamp_ms: at,
            change_id: id.to_string(),
            builder: concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned(),
            operator: std::env::var("USER").unwrap_or_default(),
        },
        version_set: BTreeMap::new(),
        gates,
        verdict: PackVerdict { decision, reason, reviewer: "tidegate".to_owned() },
        rollback: None,
        env_info: env_info(&Clock::Real),
        random_control: RandomControl { seed: id.to_string(), temperature: None },
        files: files.iter().map(|(path, bytes)| (path.clone(), FileDigest::of(bytes))).collect(),
        journal_head: (0, Entry::origin()),
        seal: Manifest::unsealed(),
    };
    let manifest = manifest.to_sealed_json().map_err(EvidenceError::part("the manifest"))?;
    let day: String = rfc3339(at).chars().take(10).collect();
    write::write_folder(&root.join("reports").join(&day), &id, &files, &manifest)?;
    Ok(format!("reports/{day}/{id}"))
}
