//! Building a retrieval index: a folder of texts → a snapshot that never changes.

mod batches;
mod documents;
mod error;
mod since;

use crate::config::EmbeddingService;
use crate::store::{Snapshot, SnapshotAbout, SnapshotWriter, StoreError, Written};
use crate::version_set::snapshot::{ENDING, FOLDER, open, place};
use batches::Batches;
use documents::Text;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidegate_core::retrieval::{CHUNK_CHARS, CHUNK_CHARS_RANGE, chunks, is_version};

pub(crate) use documents::Folder;
pub(crate) use error::{IndexError, Skipped};
pub(crate) use since::outdated;

/// What is built, and from what.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    /// The project's folder.
    pub(crate) root: &'a Path,
    /// The version that the snapshot gets.
    pub(crate) version: &'a str,
    /// Longest chunk, characters.
    pub(crate) chunk_chars: usize,
    /// Whether files that are no text are named and left out, or stop the build.
    pub(crate) skip_unreadable: bool,
    /// What makes the vectors of chunks.
    pub(crate) embeddings: Option<&'a EmbeddingService>,
}

/// What a build came to.
#[derive(Debug)]
pub(crate) struct Built {
    /// The snapshot.
    pub(crate) about: SnapshotAbout,
    /// Whether it was written now; `false` where it was there with the same content.
    pub(crate) is_new: bool,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Files that are not in it.
    pub(crate) skipped: Vec<Skipped>,
}

/// A version, and its snapshot or why it cannot be used.
pub(crate) type Listed = (String, Result<Snapshot, StoreError>);

impl Build<'_> {
    /// Builds the snapshot of a folder; `step` is called after each document.
    ///
    /// # Errors
    /// A file is no text, there is none, the version has another content already, its embeddings do
    /// not come, or the disk does not take it. Nothing is left of the snapshot then.
    pub(crate) async fn run(&self, folder: Folder, step: impl Fn()) -> Result<Built, IndexError> {
        if !is_version(self.version) {
            return Err(IndexError::Version { given: self.version.to_owned() });
        }
        let home = self.root.join(FOLDER);
        std::fs::create_dir_all(&home)
            .map_err(|source| IndexError::Unwritten { path: home.clone(), source })?;
        let writer = SnapshotWriter::begin(&home, (self.version, self.chunk_chars as u64), None)?;
        let mut batches = Batches::new(writer, self.embeddings)?;
        let (mut skipped, mut added) = (Vec::new(), 0_usize);
        for document in folder.documents() {
            match document.read(&folder) {
                Ok(Text { path, text }) => {
                    let chunks = chunks(&text, self.chunk_chars);
                    if !chunks.is_empty() {
                        batches.add(path, &chunks).await?;
                        added += 1;
                    }
                }
                Err(file) => skipped.push(file),
            }
            step();
        }
        if !skipped.is_empty() && !self.skip_unreadable {
            return Err(IndexError::NotTexts { files: skipped });
        }
        if added == 0 {
            return Err(IndexError::NoText { folder: folder.shown() });
        }
        let path = place(self.root, self.version);
        let (about, is_new) = match batches.written().await?.finish(&path)? {
            Written::New(about) => (about, true),
            Written::Same(about) => (about, false),
        };
        Ok(Built { about, is_new, path, skipped })
    }
}

/// The longest chunk that the retrieval settings say, characters.
///
/// # Errors
/// It is no whole number, or out of range.
pub(crate) fn chunk_chars(retrieval: &BTreeMap<String, Value>) -> Result<usize, IndexError> {
    let Some(given) = retrieval.get("chunk_chars") else { return Ok(CHUNK_CHARS) };
    let chars = given.as_u64().and_then(|chars| usize::try_from(chars).ok());
    let chars = chars.filter(|chars| CHUNK_CHARS_RANGE.contains(chars));
    chars.ok_or_else(|| IndexError::ChunkChars { given: given.to_string() })
}

/// The snapshots there are, by version.
///
/// # Errors
/// Their folder cannot be read.
pub(crate) fn list(root: &Path) -> Result<Vec<Listed>, IndexError> {
    let home = root.join(FOLDER);
    let entries = match std::fs::read_dir(&home) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(IndexError::Unread { path: home, source }),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions: Vec<String> = names
        .filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned))
        .filter(|version| is_version(version))
        .collect();
    versions.sort();
    Ok(versions.into_iter().map(|version| (version.clone(), open(root, &version))).collect())
}

/// The snapshot of a version.
///
/// # Errors
/// There is none, or it is damaged.
pub(crate) fn of(root: &Path, version: &str) -> Result<Snapshot, IndexError> {
    if !is_version(version) {
        return Err(IndexError::Version { given: version.to_owned() });
    }
    if !place(root, version).is_file() {
        let known = list(root)?.into_iter().map(|(version, _)| version).collect();
        return Err(IndexError::NotBuilt { version: version.to_owned(), known });
    }
    Ok(open(root, version)?)
}

#[cfg(test)]
mod tests;
