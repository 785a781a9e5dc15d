//! Verifying a pack with nothing but the pack.

use super::error::{EvidenceError, Result};
use super::journal::{ChainCheck, check_chain};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use tidegate_core::evidence::{
    FileDigest, MANIFEST, Manifest, VerdictDecision, VerifyProblem, is_plain_path, verify_contents,
    verify_files,
};
use tidegate_core::ids::Digest;

/// Most files a pack may hold; ours hold some dozens, and one per changed artifact file.
const FILES_MAX: usize = 20_000;
/// Most bytes a pack may hold; ours hold some megabytes.
const BYTES_MAX: u64 = 1 << 28;
/// Deepest folder.
const DEPTH_MAX: usize = 32;
/// How often a pack is read that is written again meanwhile.
const READS_MAX: usize = 5;

/// What the project's journal says of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum JournalCheck {
    /// It is the last pack written of its release.
    Same {
        /// The project's folder.
        project: PathBuf,
    },
    /// It was written so; a later pack of the release took its place.
    Replaced {
        /// The project's folder.
        project: PathBuf,
    },
    /// The journal holds other packs of this release and not this one.
    Different {
        /// The project's folder.
        project: PathBuf,
    },
    /// Nothing to compare with.
    NotCompared {
        /// Why, for people.
        why: String,
    },
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerifyOutcome {
    /// The pack's folder, as it was given.
    pub(crate) pack: PathBuf,
    /// The release the pack says it proves; empty when its manifest cannot be read.
    pub(crate) change_id: String,
    /// The verdict it gives.
    pub(crate) verdict: Option<VerdictDecision>,
    /// Digest of the manifest as it is: the journal's `PackWritten` entry must hold the same. That
    /// comparison is the only one that finds a pack that was rewritten as a whole.
    pub(crate) manifest: Digest,
    /// What that comparison gave; [`VerifyOutcome::compare_with_journal`] makes it.
    pub(crate) journal: JournalCheck,
    /// Files that are listed and unchanged.
    pub(crate) files: usize,
    /// Journal entries whose content hashes to what it says.
    pub(crate) entries: usize,
    /// Journal entries that were redacted, so that only their links could be checked.
    pub(crate) redacted: usize,
    /// What is wrong; empty when the pack holds.
    pub(crate) problems: Vec<VerifyProblem>,
}

impl VerifyOutcome {
    /// The outcome, or its problems as an error.
    ///
    /// # Errors
    /// [`EvidenceError::DoesNotVerify`] with every problem.
    pub(crate) fn into_result(self) -> Result<VerifyOutcome> {
        if self.problems.is_empty() {
            return Ok(self);
        }
        Err(EvidenceError::DoesNotVerify { folder: self.pack, problems: self.problems })
    }
}

/// Checks a pack: its manifest, every file, and its part of the journal. Links are not followed and
/// nothing outside the folder is read. One that is replaced while it is read is read again.
///
/// # Errors
/// When the folder or its manifest is not there or cannot be read. Everything that is wrong
/// inside is in the outcome; see [`VerifyOutcome::into_result`].
pub(crate) fn verify(pack: &Path) -> Result<VerifyOutcome> {
    for _ in 1..READS_MAX {
        let before = manifest_text(pack)?;
        let outcome = read(pack);
        if manifest_text(pack).is_ok_and(|after| after == before) {
            return outcome;
        }
    }
    read(pack)
}

fn read(pack: &Path) -> Result<VerifyOutcome> {
    let text = manifest_text(pack)?;
    let mut outcome = VerifyOutcome {
        pack: pack.to_owned(),
        change_id: String::new(),
        verdict: None,
        manifest: Digest::of(&text),
        journal: JournalCheck::NotCompared { why: "only the pack was read".to_owned() },
        files: 0,
        entries: 0,
        redacted: 0,
        problems: Vec::new(),
    };
    let manifest = match read_manifest(&text) {
        Ok(manifest) => manifest,
        Err(problem) => {
            outcome.problems.push(problem);
            return Ok(outcome);
        }
    };
    outcome.change_id = manifest.meta.change_id.clone();
    outcome.verdict = Some(manifest.verdict.decision);
    outcome.problems = verify_contents(&manifest);
    let mut found = Found::default();
    found.walk(pack, "", 0).map_err(|e| unreadable(pack, e))?;
    let different = verify_files(&manifest.files, &found.files);
    outcome.files = manifest.files.keys().filter(|p| found.files.contains_key(*p)).count();
    outcome.files -=
        different.iter().filter(|p| matches!(p, VerifyProblem::Altered { .. })).count();
    outcome.problems.append(&mut found.problems);
    outcome.problems.extend(different);
    outcome.problems.extend(found.empty_folders());
    let chain = chain(&found, &manifest);
    (outcome.entries, outcome.redacted) = (chain.entries, chain.redacted);
    outcome.problems.extend(chain.problems);
    Ok(outcome)
}

fn unreadable(pack: &Path, source: io::Error) -> EvidenceError {
    EvidenceError::Unreadable { folder: pack.to_owned(), source }
}

fn manifest_text(pack: &Path) -> Result<Vec<u8>> {
    let path = pack.join(MANIFEST);
    let no_pack = || EvidenceError::NoPack { folder: pack.to_owned(), manifest: MANIFEST };
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() && meta.len() <= BYTES_MAX => {
            fs::read(&path).map_err(|e| unreadable(pack, e))
        }
        Ok(_) => Err(EvidenceError::StrangeManifest { manifest: path }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(no_pack()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(no_pack()),
        Err(e) => Err(unreadable(pack, e)),
    }
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, VerifyProblem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| VerifyProblem::Manifest { detail: format!("it is not UTF-8: {e}") })?;
    Manifest::read_sealed(text)
}

/// What is in the folder.
#[derive(Default)]
struct Found {
    files: BTreeMap<String, FileDigest>,
    /// The two files the chain check reads.
    texts: BTreeMap<&'static str, Vec<u8>>,
    folders: BTreeSet<String>,
    bytes: u64,
    problems: Vec<VerifyProblem>,
}

impl Found {
    fn walk(&mut self, folder: &Path, inside: &str, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            self.too_large(format!("folders deeper than {DEPTH_MAX}"));
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path =
                if inside.is_empty() { name.to_string() } else { format!("{inside}/{name}") };
            if self.files.len() >= FILES_MAX {
                self.too_large(format!("more than {FILES_MAX} files"));
                return Ok(());
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.folders.insert(path.clone());
                self.walk(&entry.path(), &path, depth + 1)?;
            } else if !kind.is_file() || !is_plain_path(&path) {
                let path = path.escape_debug().to_string();
                self.problems.push(VerifyProblem::NotAFile { path });
            } else if path != MANIFEST {
                self.file(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, full: &Path, path: String) -> io::Result<()> {
        let left = BYTES_MAX.saturating_sub(self.bytes);
        let mut content = Vec::new();
        fs::File::open(full)?.take(left + 1).read_to_end(&mut content)?;
        self.bytes += content.len() as u64;
        if self.bytes > BYTES_MAX {
            self.too_large(format!("more than {BYTES_MAX} bytes"));
            return Ok(());
        }
        self.files.insert(path.clone(), FileDigest::of(&content));
        if let Some(name) = ["journal.jsonl", "decisions.jsonl"].into_iter().find(|n| *n == path) {
            self.texts.insert(name, content);
        }
        Ok(())
    }

    /// Reports it once, however often it is met.
    fn too_large(&mut self, detail: String) {
        let problem = VerifyProblem::TooLarge { detail };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Folders that hold nothing are not ours either.
    fn empty_folders(&self) -> Vec<VerifyProblem> {
        let inside = |folder: &str, path: &str| {
            path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        self.folders
            .iter()
            .filter(|folder| !self.files.keys().any(|path| inside(folder, path)))
            .map(|folder| VerifyProblem::Unlisted { path: format!("{folder}/") })
            .collect()
    }
}

/// Checks the chain where both files are there; a missing one is reported elsewhere.
fn chain(found: &Found, manifest: &Manifest) -> ChainCheck {
    let text = |name| found.texts.get(name).map(|bytes| String::from_utf8_lossy(bytes));
    match (text("journal.jsonl"), text("decisions.jsonl")) {
        (Some(journal), Some(decisions)) => {
            check_chain(&journal, &decisions, &manifest.journal_head)
        }
        (None, _) | (_, None) => ChainCheck::default(),
    }
}
