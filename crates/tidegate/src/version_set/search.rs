//! Searching an index for what a request asks: the settings of a set, and the search itself.

use super::error::SearchProblem;
use super::snapshot;
use crate::config::{HttpRetriever, IndexArtifact, OnFailure, SearchConfig};
use crate::store::Snapshot;
use crate::upstream::{Retriever, SetupError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::ids::Digest;
use tidegate_core::retrieval::{
    CHUNK_CHARS, CHUNK_CHARS_RANGE, Chunk, Retrieved, is_version, retrieved, terms,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What a set's snapshot is called in its index artifact.
pub(super) const FILE: &str = "snapshot.json";
/// Searches in one snapshot at a time; further ones wait, within their time.
const SEARCHES_MAX: usize = 16;
/// Chunks that a request gets, where the project does not say.
const TOP_K: u64 = 3;
/// Longest text of all chunks of a request where the project does not say, characters.
const MAX_CHARS: u64 = 4_000;

/// What a set says of its searches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchFile {
    /// Most chunks of a request.
    pub(super) top_k: u64,
    /// Longest text of all of them, characters.
    pub(super) max_chars: u64,
    /// How long a search may take, ms.
    pub(super) timeout_ms: u64,
    /// What becomes of a request whose search fails.
    pub(super) on_failure: OnFailure,
    /// A retriever that is asked instead of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<HttpRetriever>,
}

/// What a set says of its snapshot. Its documents are here by their digests, so that a diff of two
/// sets names those that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotFile {
    /// The digest of its chunks.
    pub(super) digest: Digest,
    /// Longest chunk, characters.
    pub(super) chunk_chars: u64,
    /// The documents it was built from, and the digest of the chunks of each.
    pub(super) documents: BTreeMap<String, Digest>,
}

impl SearchFile {
    /// What the project says.
    ///
    /// # Errors
    /// A setting is out of range, or the version is no snapshot's.
    pub(super) fn of(
        index: &IndexArtifact,
        config: &SearchConfig,
    ) -> Result<SearchFile, SearchProblem> {
        let is_built = config.http.is_none();
        if index.version == "none" || is_built && !is_version(&index.version) {
            return Err(SearchProblem::Version { given: index.version.clone() });
        }
        if index.send_as.is_some() {
            return Err(SearchProblem::Twice);
        }
        let number = |key: &'static str, usual: u64, least: u64, most: u64| {
            let given = index.retrieval.get(key);
            number(key, given, usual, (least, most))
        };
        let timeout = Value::from(config.timeout_ms);
        let (least, most) = (*CHUNK_CHARS_RANGE.start() as u64, *CHUNK_CHARS_RANGE.end() as u64);
        number("chunk_chars", CHUNK_CHARS as u64, least, most)?;
        Ok(SearchFile {
            top_k: number("top_k", TOP_K, 1, 50)?,
            max_chars: number("max_chars", MAX_CHARS, 1, 200_000)?,
            timeout_ms: self::number("search.timeout_ms", Some(&timeout), 0, (1, 60_000))?,
            on_failure: config.on_failure,
            http: config.http.clone(),
        })
    }
}

fn number(
    key: &'static str,
    given: Option<&Value>,
    usual: u64,
    (least, most): (u64, u64),
) -> Result<u64, SearchProblem> {
    let Some(given) = given else { return Ok(usual) };
    let number = given.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| SearchProblem::Setting { key, given: given.to_string(), least, most })
}

impl SnapshotFile {
    /// What is built of the project's version.
    ///
    /// # Errors
    /// It is not built, is damaged, or has chunks of another length than the project says.
    pub(super) fn of(root: &Path, index: &IndexArtifact) -> Result<SnapshotFile, SearchProblem> {
        let built = snapshot::open(root, &index.version)?;
        let about = built.about();
        let says =
            number("chunk_chars", index.retrieval.get("chunk_chars"), CHUNK_CHARS as u64, {
                (0, u64::MAX)
            })?;
        if says != about.chunk_chars {
            let (version, built) = (index.version.clone(), about.chunk_chars);
            return Err(SearchProblem::OtherChunks { version, built, says });
        }
        let documents = built.documents()?.into_iter();
        Ok(SnapshotFile {
            digest: about.digest.clone(),
            chunk_chars: about.chunk_chars,
            documents: documents.map(|document| (document.path, document.digest)).collect(),
        })
    }
}

/// What searches requests of a set.
#[derive(Debug)]
pub(crate) struct Search {
    settings: SearchFile,
    source: Source,
}

/// What is searched.
#[derive(Debug)]
enum Source {
    /// A snapshot, and the places of those who search in it.
    Snapshot(Arc<Snapshot>, Arc<Semaphore>),
    /// A retriever, which is asked for this index version.
    Http(Box<Retriever>, String),
}

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Searched {
    /// What was found; nothing where the search failed and the request is answered all the same.
    pub(crate) found: Retrieved,
    /// How long it took.
    pub(crate) took: Duration,
    /// Why it failed; safe to show.
    pub(crate) failed: Option<String>,
    /// Whether the request fails with it.
    pub(crate) is_fatal: bool,
}

impl Search {
    /// Opens the snapshot that a set names.
    ///
    /// # Errors
    /// It is not there, is damaged, or is another one.
    pub(super) fn open(
        root: &Path,
        version: &str,
        settings: SearchFile,
        packed: &SnapshotFile,
    ) -> Result<Search, SearchProblem> {
        let snapshot = snapshot::open(root, version)?;
        let built = &snapshot.about().digest;
        if *built != packed.digest {
            let (version, built) = (version.to_owned(), built.short(12).to_owned());
            let packed = packed.digest.short(12).to_owned();
            return Err(SearchProblem::Other { version, built, packed });
        }
        let running = Arc::new(Semaphore::new(SEARCHES_MAX));
        let source = Source::Snapshot(Arc::new(snapshot), running);
        Ok(Search { settings, source })
    }

    /// Gets ready to ask a retriever for an index version.
    ///
    /// # Errors
    /// Its URL is none or must not be asked, or its key is not set.
    pub(super) fn over_http(
        version: &str,
        settings: SearchFile,
        http: &HttpRetriever,
    ) -> Result<Search, SetupError> {
        let source = Source::Http(Box::new(Retriever::new(http)?), version.to_owned());
        Ok(Search { settings, source })
    }

    /// The most that it adds to a request, bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        // A character has four bytes at most, and each chunk has a line with its name.
        (self.settings.max_chars + 512 * self.settings.top_k).saturating_mul(4)
    }

    /// Searches for a question, on a thread for such work, within the time of the set and `left`.
    pub(crate) async fn find(&self, question: &str, left: Duration) -> Searched {
        let begun = Instant::now();
        let within = Duration::from_millis(self.settings.timeout_ms).min(left);
        let found = match timeout(within, self.search(question, begun + within)).await {
            Ok(found) => found,
            Err(_) => Err(format!("the index was not searched within {} ms", within.as_millis())),
        };
        let took = begun.elapsed();
        let (found, failed) = match found {
            Ok(chunks) => (retrieved(chunks, self.settings.max_chars as usize), None),
            Err(why) => (Retrieved::default(), Some(why)),
        };
        let is_fatal = failed.is_some() && self.settings.on_failure == OnFailure::Error;
        Searched { found, took, failed, is_fatal }
    }

    async fn search(&self, question: &str, until: Instant) -> Result<Vec<Chunk>, String> {
        let top_k = self.settings.top_k;
        let (snapshot, running) = match &self.source {
            Source::Snapshot(snapshot, running) => (Arc::clone(snapshot), Arc::clone(running)),
            Source::Http(retriever, version) => {
                // Whoever waits for this ends it first, and says so in the words for both.
                let left = until.saturating_duration_since(Instant::now());
                let within = left + Duration::from_secs(1);
                let found = retriever.find(question, (version, top_k), within).await;
                return found.map_err(|error| format!("the retriever failed: {}", error.message));
            }
        };
        let stopped = || "the index cannot be searched: the server stops".to_owned();
        let running = running.acquire_owned().await.map_err(|_| stopped())?;
        let terms = terms(question);
        let searching = tokio::task::spawn_blocking(move || {
            let _running = running;
            let within = until.saturating_duration_since(Instant::now());
            snapshot.search(&terms, top_k as usize, within)
        });
        let found = searching.await.map_err(|_| stopped())?.map_err(|error| error.message)?;
        let chunk = |found: crate::store::Found| Chunk { id: found.id, text: found.text };
        Ok(found.into_iter().map(chunk).collect())
    }
}
