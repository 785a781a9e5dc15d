//! Whether the project's files still say what a set that is served says.
//!
//! A server serves its set whatever happens to the files. Someone who edited a prompt and sees no
//! change must see why.

use super::PackedSet;
use super::error::Result;
use super::model::{self, ModelFile};
use super::pack::{PackOverrides, RETRIEVAL_FILE, RetrievalFile, pack};
use super::prompt::PASS_THROUGH_VERSION;
use super::settings::{self, Settings};
use crate::config::Loaded;
use serde::de::DeserializeOwned;
use tidegate_core::version_set::ArtifactKind;

/// How the project's files compare with the set that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FilesState {
    /// They say the same.
    Served = 0,
    /// They say something else, which is not served.
    Edited = 1,
    /// They do not make a set.
    Unreadable = 2,
}

impl FilesState {
    /// The state of a comparison.
    pub(crate) fn from_edits<E>(edits: &Result<Vec<String>, E>) -> FilesState {
        match edits {
            Ok(files) if files.is_empty() => FilesState::Served,
            Ok(_) => FilesState::Edited,
            Err(_) => FilesState::Unreadable,
        }
    }

    /// The state that was stored as a number.
    pub(crate) fn of(number: u8) -> FilesState {
        match number {
            0 => FilesState::Served,
            1 => FilesState::Edited,
            _ => FilesState::Unreadable,
        }
    }

    /// Its name in output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            FilesState::Served => "served",
            FilesState::Edited => "edited",
            FilesState::Unreadable => "unreadable",
        }
    }
}

/// The files that say something else than the set, by artifact: `prompt: system.md`. The set's own
/// prompt version, model and upstream are compared, also where `prompts/current` names another
/// version by now. The code's revision is left out: it comes from the environment of whoever asks.
///
/// # Errors
/// The project's files do not make a set.
pub(crate) fn edits_since(loaded: &Loaded, served: &PackedSet) -> Result<Vec<String>> {
    let model: Option<ModelFile> = file(served, ArtifactKind::Model, model::FILE);
    let prompt = served.set.keys().prompt;
    let now = pack(
        loaded,
        &PackOverrides {
            prompt: (prompt != PASS_THROUGH_VERSION).then_some(prompt),
            model: model.as_ref().map(|model| model.name.clone()),
            upstream: model.map(|model| model.upstream_name),
            label: None,
        },
    )?;
    let mut edits = Vec::new();
    for change in served.set.diff(&now.set) {
        if change.kind == ArtifactKind::Code {
            continue;
        }
        for changed in change.files {
            if !says_the_same(served, &now, change.kind, &changed.path) {
                edits.push(format!("{}: {}", change.kind.as_str(), changed.path));
            }
        }
    }
    Ok(edits)
}

/// Our own files are compared by what they say: another version of Tidegate may have written them
/// otherwise.
fn says_the_same(old: &PackedSet, new: &PackedSet, kind: ArtifactKind, path: &str) -> bool {
    fn same<T: DeserializeOwned + PartialEq>(
        sets: [&PackedSet; 2],
        kind: ArtifactKind,
        path: &str,
    ) -> bool {
        let [old, new] = sets.map(|set| file::<T>(set, kind, path));
        old.is_some() && old == new
    }
    match (kind, path) {
        (ArtifactKind::Config, settings::FILE) => {
            match (Settings::read(old), Settings::read(new)) {
                (Ok(old), Ok(new)) => old.says_as(&new),
                _ => false,
            }
        }
        (ArtifactKind::Model, model::FILE) => same::<ModelFile>([old, new], kind, path),
        (ArtifactKind::Index, RETRIEVAL_FILE) => same::<RetrievalFile>([old, new], kind, path),
        _ => false,
    }
}

fn file<T: DeserializeOwned>(packed: &PackedSet, kind: ArtifactKind, path: &str) -> Option<T> {
    serde_json::from_slice(packed.file(kind, path)?).ok()
}
