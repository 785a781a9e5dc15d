//! Writing a snapshot: beside its place first, and in its place only once it is whole and on disk.

use super::vectors::{EMBEDDED_CHUNKS_MAX, kept};
use super::{
    Embedded, FORMAT, Snapshot, SnapshotAbout, document_digest, fault, found_by, snapshot_digest,
};
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::Connection;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tidegate_core::ids::Digest;
use tidegate_core::retrieval::short_words;
use tidegate_core::text::folded;

/// The tables. The full-text ones keep no text, and `long` needs the place of each trigram to find
/// longer words.
const TABLES: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE documents (
        number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, digest BLOB NOT NULL,
        chunks INTEGER NOT NULL);
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents,
        number INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (document, number));
    CREATE VIRTUAL TABLE long USING fts5(text, content = '', tokenize = 'trigram');
    CREATE VIRTUAL TABLE short USING fts5(words, content = '', tokenize = 'ascii');
    BEGIN";

/// A snapshot that is being written. Where it is dropped before [`Self::finish`], its file goes.
#[derive(Debug)]
pub struct SnapshotWriter {
    /// `None` once it is closed.
    connection: Option<Connection>,
    /// Where it is until it is whole.
    partial: PathBuf,
    version: String,
    chunk_chars: u64,
    digests: Vec<Digest>,
    chunks: u64,
    embedded: Option<Embedded>,
}

/// What a build came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The snapshot is in its place now.
    New(SnapshotAbout),
    /// It was there before, with the same chunks; nothing was written.
    Same(SnapshotAbout),
}

impl SnapshotWriter {
    /// Begins the snapshot of a version in a folder, in a file that no reader looks at. `pages_max`
    /// is the largest size of the file in pages of 4 KiB; `None` for as much as the disk takes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(
        folder: &Path,
        (version, chunk_chars): (&str, u64),
        pages_max: Option<u32>,
    ) -> Result<SnapshotWriter> {
        let partial = folder.join(format!(".{version}.{}.partial", std::process::id()));
        // One that a killed build with this process id left.
        let _ = std::fs::remove_file(&partial);
        let mut writer = SnapshotWriter {
            connection: None,
            partial,
            version: version.to_owned(),
            chunk_chars,
            digests: Vec::new(),
            chunks: 0,
            embedded: None,
        };
        let begin = |path: &Path| {
            let connection = Connection::open(path)?;
            if let Some(pages) = pages_max {
                connection.pragma_update(None, "max_page_count", pages)?;
            }
            connection.execute_batch(TABLES)?;
            Ok(connection)
        };
        writer.connection = Some(begin(&writer.partial).map_err(|error| writer.fault(&error))?);
        Ok(writer)
    }

    /// Adds a document with its chunks. Documents come in the order of their paths, since the
    /// digest follows from it.
    ///
    /// # Errors
    /// There is no room on the disk, or it cannot be written.
    pub fn add(&mut self, path: &str, chunks: &[&str]) -> Result<()> {
        let digest = document_digest(path, chunks);
        let number = self.digests.len() as i64 + 1;
        let first = self.chunks as i64 + 1;
        let Some(connection) = &self.connection else { return Err(self.ended()) };
        let add = || {
            let mut statement =
                connection.prepare_cached("INSERT INTO documents VALUES (?1, ?2, ?3, ?4)")?;
            let bytes = digest.bytes().unwrap_or_default();
            statement.execute((number, path, bytes, chunks.len() as i64))?;
            let mut texts =
                connection.prepare_cached("INSERT INTO chunks VALUES (?1, ?2, ?3, ?4)")?;
            let mut long =
                connection.prepare_cached("INSERT INTO long (rowid, text) VALUES (?1, ?2)")?;
            let mut short =
                connection.prepare_cached("INSERT INTO short (rowid, words) VALUES (?1, ?2)")?;
            for (at, text) in chunks.iter().enumerate() {
                let id = first + at as i64;
                texts.execute((id, number, at as i64 + 1, text))?;
                let folded = folded(text);
                short.execute((id, short_words(&folded)))?;
                long.execute((id, folded))?;
            }
            Ok(())
        };
        add().map_err(|error| self.fault(&error))?;
        self.digests.push(digest);
        self.chunks += chunks.len() as u64;
        Ok(())
    }

    /// Adds a document with the vectors of its chunks, one each, which this model made. Where one
    /// document of a snapshot has them, all must.
    ///
    /// # Errors
    /// As of [`Self::add`]; there are more chunks than [`EMBEDDED_CHUNKS_MAX`], or a vector is not
    /// like the others ([`Kind::Refused`]).
    pub fn add_embedded(
        &mut self,
        path: &str,
        chunks: &[&str],
        (model, vectors): (&str, &[Vec<f32>]),
    ) -> Result<()> {
        let refused = |message: String| Err(StoreError::new(Kind::Refused, message));
        let first = self.chunks as i64 + 1;
        if self.chunks + chunks.len() as u64 > EMBEDDED_CHUNKS_MAX {
            return refused(format!(
                "an index with embeddings has at most {EMBEDDED_CHUNKS_MAX} chunks"
            ));
        }
        let length = vectors.first().map_or(0, |vector| vector.len() as u64);
        let embedded = self
            .embedded
            .get_or_insert_with(|| Embedded { model: model.to_owned(), dimensions: length });
        let dimensions = embedded.dimensions;
        let fits = |vector: &Vec<f32>| vector.len() as u64 == dimensions && dimensions > 0;
        if vectors.len() != chunks.len() || !vectors.iter().all(fits) {
            return refused(format!("the vectors of {path} are not like the others"));
        }
        self.add(path, chunks)?;
        let Some(connection) = &self.connection else { return Err(self.ended()) };
        let add = || {
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
            )?;
            let mut statement = connection.prepare_cached("INSERT INTO vectors VALUES (?1, ?2)")?;
            for (id, vector) in (first..).zip(vectors) {
                statement.execute((id, kept(vector)))?;
            }
            Ok(())
        };
        add().map_err(|error| self.fault(&error))
    }

    /// Ends the snapshot and puts it in its place, where there is none yet. A snapshot never
    /// changes: one that is there already must have the same chunks.
    ///
    /// # Errors
    /// Another snapshot has this version ([`Kind::Refused`]), there is no room on the disk, or it
    /// cannot be written.
    pub fn finish(mut self, place: &Path) -> Result<Written> {
        let digest = snapshot_digest((self.chunk_chars, self.embedded.as_ref()), &self.digests);
        let Some(connection) = self.connection.take() else { return Err(self.ended()) };
        self.end(&connection, &digest).map_err(|error| self.fault(&error))?;
        connection.close().map_err(|(_, error)| self.fault(&error))?;
        let moved = on_disk(&self.partial).and_then(|()| put(&self.partial, place));
        match moved {
            Ok(()) => Ok(Written::New(Snapshot::open(place)?.about)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = Snapshot::open(place)?.about;
                match there.digest == digest {
                    true => Ok(Written::Same(there)),
                    false => Err(self.taken(&there, &digest)),
                }
            }
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::StorageFull => Kind::NoRoom,
                    _ => Kind::Failed,
                };
                let message = format!("{} cannot be written: {error}", place.display());
                Err(StoreError::new(kind, message))
            }
        }
    }

    fn end(&self, connection: &Connection, digest: &Digest) -> rusqlite::Result<()> {
        // What the full-text tables hold in memory is in their pages only then.
        connection.execute_batch("COMMIT")?;
        for table in ["long", "short"] {
            connection
                .execute_batch(&format!("INSERT INTO {table} ({table}) VALUES ('optimize')"))?;
        }
        let found_by = found_by(connection, self.embedded.is_some())?;
        let chars = self.chunk_chars.to_string();
        let about = [
            ("format", FORMAT),
            ("version", &self.version),
            ("chunk_chars", &chars),
            ("digest", digest.as_str()),
            ("found_by", found_by.as_str()),
        ];
        let embedded = self.embedded.as_ref();
        let dimensions = embedded.map_or(0, |embedded| embedded.dimensions).to_string();
        let embedded = embedded.map(|embedded| {
            [("embedding_model", embedded.model.as_str()), ("dimensions", dimensions.as_str())]
        });
        for (name, value) in about.into_iter().chain(embedded.into_iter().flatten()) {
            connection.execute("INSERT INTO about VALUES (?1, ?2)", (name, value))?;
        }
        connection.execute_batch("VACUUM")
    }

    fn taken(&self, there: &SnapshotAbout, digest: &Digest) -> StoreError {
        let SnapshotAbout { version, digest: old, documents, chunks, .. } = there;
        let message = format!(
            "index {version} is built already from other content: it has {documents} documents, \
             {chunks} chunks, digest {}; these are {} documents, {} chunks, digest {}",
            old.short(12),
            self.digests.len(),
            self.chunks,
            digest.short(12),
        );
        StoreError::new(Kind::Refused, message)
            .hint("a version is never changed: give the new content a new one with `--version`")
    }

    fn fault(&self, error: &rusqlite::Error) -> StoreError {
        fault(&self.partial, error)
    }

    fn ended(&self) -> StoreError {
        StoreError::new(Kind::Stopped, format!("index {} is closed already", self.version))
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        drop(self.connection.take());
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Makes the file one that is only read, and puts it on disk.
fn on_disk(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)?;
    file.sync_all()
}

/// Gives the file its name, unless something has it: of two builds at a time one is refused.
fn put(partial: &Path, place: &Path) -> io::Result<()> {
    match std::fs::hard_link(partial, place) {
        // A file system without such links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            if place.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(partial, place)?;
        }
        linked => linked?,
    }
    place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
