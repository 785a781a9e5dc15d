//! Why there is no index.

use crate::store::StoreError;
use crate::upstream::SetupError;
use crate::version_set::FilesError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use tidegate_core::retrieval::CHUNK_CHARS_RANGE;

/// Most files that an error names.
const NAMED: usize = 5;

/// A file that is not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Skipped {
    /// Its path in the folder.
    pub(crate) path: String,
    /// Why.
    pub(crate) why: String,
}

/// Why an index is not built, or not found.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    /// A version that cannot be a file's name.
    #[error(
        "`{}` cannot be an index's version: 1 to 80 of `A-Za-z0-9._-`, no dot first",
        given.escape_debug()
    )]
    Version { given: String },
    /// The length of chunks.
    #[error(
        "chunk_chars is {given}, allowed is a whole number from {} to {}",
        CHUNK_CHARS_RANGE.start(),
        CHUNK_CHARS_RANGE.end()
    )]
    ChunkChars { given: String },
    /// No such version.
    #[error("index {version} is not built in this project")]
    NotBuilt { version: String, known: Vec<String> },
    /// The folder to build from.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A folder that is there.
    #[error("{} cannot be read: {source}", path.display())]
    Unread { path: PathBuf, source: io::Error },
    /// The folder of the snapshots.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritten { path: PathBuf, source: io::Error },
    /// Folders in folders.
    #[error("folders are more than {max} deep at {}", folder.display())]
    TooDeep { folder: PathBuf, max: usize },
    /// Files in all.
    #[error("there are more than {max} files")]
    TooMany { max: usize },
    /// Files that an index would silently lack.
    #[error("{}", not_texts(files))]
    NotTexts { files: Vec<Skipped> },
    /// Nothing to search.
    #[error("{folder} has no text")]
    NoText { folder: String },
    /// What makes embeddings cannot be asked.
    #[error(transparent)]
    Service(SetupError),
    /// It was asked, and there is no vector for each chunk.
    #[error("the model `{model}` made no embeddings: {why}")]
    Embedding { model: String, why: String },
    /// The snapshot itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn not_texts(files: &[Skipped]) -> String {
    let named = files
        .iter()
        .take(NAMED)
        .map(|Skipped { path, why }| format!("{}: {why}", path.escape_debug()));
    let named = named.collect::<Vec<_>>().join("; ");
    let more = match files.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let count = files.len();
    let files = if count == 1 { "1 file" } else { &format!("{count} files") };
    format!("{files} cannot be indexed: {named}{more}")
}
