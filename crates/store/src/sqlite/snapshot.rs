//! A snapshot of a retrieval index: chunks of documents, and two full-text tables that find them.
//!
//! A snapshot is a SQLite file that [`SnapshotWriter`] writes once and nothing changes afterwards.
//! It is named by the digest of its chunks, which follows from the documents and the length of
//! chunks alone: neither the day nor the version of SQLite makes another one of it. `long` holds
//! the trigrams of the chunks, and `short` their short words (`tidegate_core::retrieval`); both
//! hold no text, which is in `chunks` once. Opening it reads all of it: what is damaged is an error
//! then, and not a question that finds nothing.

mod find;
mod vectors;
mod write;

use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tidegate_core::ids::Digest;
use tidegate_core::retrieval::ChunkId;

pub use find::Found;
pub use vectors::EMBEDDED_CHUNKS_MAX;
pub use write::{SnapshotWriter, Written};

/// The form of the file, in its digest as well.
const FORMAT: &str = "tidegate-index-1";
/// Bytes of the file that are read through memory shared with other processes.
const MMAP_BYTES: u64 = 1 << 30;
/// Connections that are kept for the next question.
const IDLE_MAX: usize = 8;
/// What an index consists of beside its chunks.
const FOUND_BY: [&str; 6] =
    ["long_data", "long_idx", "long_docsize", "short_data", "short_idx", "short_docsize"];

/// The vectors of an index that has some.
const VECTORS: &str = "vectors";

/// By what an index knows the meaning of its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The model that made the vectors.
    pub model: String,
    /// How many numbers each has.
    pub dimensions: u64,
}

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotAbout {
    /// Its version, such as `v2025.12.24.01`.
    pub version: String,
    /// The digest of its chunks.
    pub digest: Digest,
    /// Longest chunk, characters.
    pub chunk_chars: u64,
    /// How many documents it is made of.
    pub documents: u64,
    /// How many chunks they were cut into.
    pub chunks: u64,
    /// Its vectors; `None` where it is searched by words alone.
    pub embedded: Option<Embedded>,
}

/// A document of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path in the folder that the snapshot was built from.
    pub path: String,
    /// The digest of its chunks.
    pub digest: Digest,
    /// How many chunks it has.
    pub chunks: u64,
}

/// A snapshot that was read through and is whole.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    about: SnapshotAbout,
    /// Open connections that are free. A question that finds none opens one.
    idle: Mutex<Vec<Connection>>,
}

impl Snapshot {
    /// Opens the file and reads all of it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none; [`Kind::Foreign`] where it is something else;
    /// [`Kind::Damaged`] where it is not as it was written.
    pub fn open(path: &Path) -> Result<Snapshot> {
        if !path.is_file() {
            let message = format!("there is no index snapshot {}", path.display());
            return Err(StoreError::new(Kind::NotFound, message));
        }
        let connection = connect(path)?;
        let about = read_through(&connection, path)?;
        let idle = Mutex::new(vec![connection]);
        Ok(Snapshot { path: path.to_owned(), about, idle })
    }

    /// What it is.
    pub fn about(&self) -> &SnapshotAbout {
        &self.about
    }

    /// The documents it is made of, by path.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn documents(&self) -> Result<Vec<Document>> {
        self.with(|connection| {
            let sql = "SELECT path, digest, chunks FROM documents ORDER BY number";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let digest: [u8; 32] = row.get(1)?;
                let chunks = row.get::<_, i64>(2)?.unsigned_abs();
                Ok(Document { path: row.get(0)?, digest: Digest::made(&digest), chunks })
            })?;
            rows.collect()
        })
    }

    /// The text of a chunk; `None` where there is no such chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn chunk(&self, id: &ChunkId) -> Result<Option<String>> {
        let Some((path, number)) = id.as_str().rsplit_once('#') else { return Ok(None) };
        let Ok(number) = number.parse::<i64>() else { return Ok(None) };
        self.with(|connection| {
            let sql = "SELECT text FROM chunks JOIN documents ON document = documents.number \
                       WHERE path = ?1 AND chunks.number = ?2";
            let mut rows = connection.prepare_cached(sql)?;
            let mut rows = rows.query((path, number))?;
            rows.next()?.map(|row| row.get(0)).transpose()
        })
    }

    /// Runs `ask` on a connection that no other question uses meanwhile.
    fn with<T>(&self, ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let free = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = free().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let answer = ask(&mut connection).map_err(|error| fault(&self.path, &error))?;
        let mut idle = free();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

/// Opens a file that nothing changes any more: without locks, and through shared memory.
fn connect(path: &Path) -> Result<Connection> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri(path), flags)?;
        connection.pragma_update(None, "mmap_size", MMAP_BYTES as i64)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| fault(path, &error))
}

/// The path as SQLite's URI, which says that the file does not change.
fn uri(path: &Path) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match plain(*byte) {
            true => uri.push(char::from(*byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Reads a snapshot from its first byte to its last and compares it with what it says of itself.
fn read_through(connection: &Connection, path: &Path) -> Result<SnapshotAbout> {
    let of = |error: rusqlite::Error| fault(path, &error);
    let kept = |name: &str| -> rusqlite::Result<String> {
        connection.query_row("SELECT value FROM about WHERE name = ?1", [name], |row| row.get(0))
    };
    let format = kept("format").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => fault(path, &error),
        _ => foreign(path, "it is no index snapshot"),
    })?;
    if format != FORMAT {
        return Err(foreign(
            path,
            &format!("its format is `{format}`, this version reads {FORMAT}"),
        ));
    }
    let check: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(of)?;
    if check != "ok" {
        return Err(damaged(path));
    }
    let chunk_chars = kept("chunk_chars").map_err(of)?.parse().map_err(|_| damaged(path))?;
    let embedded = match kept("embedding_model") {
        Ok(model) => {
            let dimensions = kept("dimensions").map_err(of)?.parse().map_err(|_| damaged(path))?;
            Some(Embedded { model, dimensions })
        }
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => return Err(of(error)),
    };
    let about = (chunk_chars, embedded.as_ref());
    let (digest, documents, chunks) = digest_of(connection, about).map_err(of)?;
    let found_by = found_by(connection, embedded.is_some()).map_err(of)?;
    let is_whole = kept("digest").map_err(of)? == digest.as_str()
        && kept("found_by").map_err(of)? == found_by.as_str();
    match is_whole {
        true => {
            let version = kept("version").map_err(of)?;
            Ok(SnapshotAbout { version, digest, chunk_chars, documents, chunks, embedded })
        }
        false => Err(damaged(path)),
    }
}

/// The digest of a document: its path and its chunks.
pub fn document_digest(path: &str, chunks: &[impl AsRef<str>]) -> Digest {
    let texts = chunks.iter().map(|chunk| chunk.as_ref().as_bytes());
    Digest::of_parts(&std::iter::once(path.as_bytes()).chain(texts).collect::<Vec<_>>())
}

/// The digest of a snapshot: the digests of its documents, in their order. Of vectors it has the
/// model that makes them, and not the numbers, which differ by the machine that the model runs on.
fn snapshot_digest(
    (chunk_chars, embedded): (u64, Option<&Embedded>),
    documents: &[Digest],
) -> Digest {
    let chars = chunk_chars.to_string();
    let model = embedded.map(|Embedded { model, dimensions }| format!("{dimensions} {model}"));
    let head = [FORMAT.as_bytes(), chars.as_bytes()].into_iter();
    let head = head.chain(model.as_ref().map(String::as_bytes));
    let documents = documents.iter().map(|digest| digest.as_str().as_bytes());
    Digest::of_parts(&head.chain(documents).collect::<Vec<_>>())
}

/// The digest that the chunks have now, with the number of documents and of chunks.
fn digest_of(
    connection: &Connection,
    about: (u64, Option<&Embedded>),
) -> rusqlite::Result<(Digest, u64, u64)> {
    let mut documents = connection.prepare("SELECT number, path FROM documents ORDER BY number")?;
    let mut texts =
        connection.prepare("SELECT text FROM chunks WHERE document = ?1 ORDER BY number")?;
    let (mut digests, mut count) = (Vec::new(), 0);
    let mut rows = documents.query([])?;
    while let Some(row) = rows.next()? {
        let (number, path): (i64, String) = (row.get(0)?, row.get(1)?);
        let texts: Vec<String> =
            texts.query_map([number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        count += texts.len() as u64;
        digests.push(document_digest(&path, &texts));
    }
    Ok((snapshot_digest(about, &digests), digests.len() as u64, count))
}

/// The digest of the full-text tables and of the vectors: a page of theirs that was changed would
/// find too little, and SQLite would not see it.
fn found_by(connection: &Connection, has_vectors: bool) -> rusqlite::Result<Digest> {
    let mut digests = Vec::new();
    for table in FOUND_BY.into_iter().chain(has_vectors.then_some(VECTORS)) {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut before = Digest::of(table.as_bytes());
        while let Some(row) = rows.next()? {
            let mut parts = vec![before.as_str().as_bytes().to_vec()];
            for column in 0..columns {
                parts.push(match row.get_ref(column)? {
                    ValueRef::Null => Vec::new(),
                    ValueRef::Integer(number) => number.to_le_bytes().to_vec(),
                    ValueRef::Real(number) => number.to_le_bytes().to_vec(),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                });
            }
            before = Digest::of_parts(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        digests.push(before);
    }
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.as_str().as_bytes()).collect();
    Ok(Digest::of_parts(&digests))
}

fn foreign(path: &Path, why: &str) -> StoreError {
    StoreError::new(Kind::Foreign, format!("{} cannot be searched: {why}", path.display()))
}

fn damaged(path: &Path) -> StoreError {
    let message = format!("the index snapshot {} is not as it was written", path.display());
    StoreError::new(Kind::Damaged, message)
        .hint("copy it from where it is whole, or delete it and build it again")
}

fn fault(path: &Path, error: &rusqlite::Error) -> StoreError {
    let at = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => foreign(path, "it is no SQLite file"),
        Some(ErrorCode::DatabaseCorrupt) => damaged(path),
        Some(ErrorCode::DiskFull) => {
            StoreError::new(Kind::NoRoom, format!("there is no room on the disk for {at}"))
                .hint("free some, and build the index again")
        }
        Some(ErrorCode::OperationInterrupted) => {
            StoreError::new(Kind::Busy, "the search took longer than it may")
        }
        _ => StoreError::new(Kind::Failed, format!("the index snapshot {at} failed: {error}")),
    }
}

#[cfg(test)]
mod tests;
