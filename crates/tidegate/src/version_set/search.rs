//! Searching an index for what a request asks: the settings of a set, and the search itself.

use super::error::{SearchProblem, SetError};
use super::snapshot;
use crate::config::{EmbeddingService, HttpRetriever, IndexArtifact, OnFailure, SearchConfig};
use crate::store::Snapshot;
use crate::upstream::{Embedder, Retriever, SetupError, UpstreamError};
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
    /// What makes the embeddings of questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) embeddings: Option<EmbeddingService>,
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
    /// The model that made its embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) embedding_model: Option<String>,
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
        if config.http.is_some() && config.embeddings.is_some() {
            return Err(SearchProblem::Embeds);
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
            embeddings: config.embeddings.clone(),
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
        let embedding_model = about.embedded.as_ref().map(|embedded| embedded.model.clone());
        let asked = index.search.as_ref().and_then(|search| search.embeddings.as_ref());
        if let Some(asked) = asked.filter(|asked| embedding_model.as_ref() != Some(&asked.model)) {
            let (version, says) = (index.version.clone(), asked.model.clone());
            return Err(SearchProblem::OtherModel { version, built: embedding_model, says });
        }
        let documents = built.documents()?.into_iter();
        Ok(SnapshotFile {
            digest: about.digest.clone(),
            chunk_chars: about.chunk_chars,
            embedding_model,
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
    /// A snapshot, the places of those who search in it, and what makes the vectors of questions.
    Snapshot(Arc<Snapshot>, Arc<Semaphore>, Option<Box<Embedder>>),
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
    /// Why it was searched for by its words alone, where the set has embeddings; safe to show.
    pub(crate) words_only: Option<String>,
}

/// The chunks of a search, and why it was one of words alone.
type Chunks = (Vec<Chunk>, Option<String>);

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
    ) -> Result<Search, SetError> {
        let snapshot = snapshot::open(root, version).map_err(SearchProblem::from)?;
        let built = &snapshot.about().digest;
        if *built != packed.digest {
            let (version, built) = (version.to_owned(), built.short(12).to_owned());
            let packed = packed.digest.short(12).to_owned();
            return Err(SearchProblem::Other { version, built, packed }.into());
        }
        let running = Arc::new(Semaphore::new(SEARCHES_MAX));
        let embedder = settings.embeddings.as_ref().map(Embedder::new).transpose()?;
        let source = Source::Snapshot(Arc::new(snapshot), running, embedder.map(Box::new));
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
        let (found, failed, words_only) = match found {
            Ok((chunks, words_only)) => {
                (retrieved(chunks, self.settings.max_chars as usize), None, words_only)
            }
            Err(why) => (Retrieved::default(), Some(why), None),
        };
        let is_fatal = failed.is_some() && self.settings.on_failure == OnFailure::Error;
        Searched { found, took, failed, is_fatal, words_only }
    }

    async fn search(&self, question: &str, until: Instant) -> Result<Chunks, String> {
        let top_k = self.settings.top_k;
        let (snapshot, running, embedder) = match &self.source {
            Source::Snapshot(snapshot, running, embedder) => {
                (Arc::clone(snapshot), Arc::clone(running), embedder)
            }
            Source::Http(retriever, version) => {
                // Whoever waits for this ends it first, and says so in the words for both.
                let left = until.saturating_duration_since(Instant::now());
                let within = left + Duration::from_secs(1);
                let found = retriever.find(question, (version, top_k), within).await;
                let found = found.map(|chunks| (chunks, None));
                return found.map_err(|error| format!("the retriever failed: {}", error.message));
            }
        };
        let (vector, words_only) = match embedder {
            None => (None, None),
            Some(embedder) => match vector(embedder, &snapshot, question, until).await {
                Ok(vector) => (Some(vector), None),
                Err(why) => (None, Some(why)),
            },
        };
        let stopped = || "the index cannot be searched: the server stops".to_owned();
        let running = running.acquire_owned().await.map_err(|_| stopped())?;
        let terms = terms(question);
        let searching = tokio::task::spawn_blocking(move || {
            let _running = running;
            let within = until.saturating_duration_since(Instant::now());
            snapshot.search_near(&terms, vector.as_deref(), top_k as usize, within)
        });
        let found = searching.await.map_err(|_| stopped())?.map_err(|error| error.message)?;
        let chunk = |found: crate::store::Found| Chunk { id: found.id, text: found.text };
        Ok((found.into_iter().map(chunk).collect(), words_only))
    }
}

/// The vector of a question, within half of the time that is left: the other half is for the
/// search, which does without it where it does not come.
///
/// # Errors
/// Why there is none, without a word of the question.
async fn vector(
    embedder: &Embedder,
    snapshot: &Snapshot,
    question: &str,
    until: Instant,
) -> Result<Vec<f32>, String> {
    if question.trim().is_empty() {
        return Err("there is no question to embed".to_owned());
    }
    let within = until.saturating_duration_since(Instant::now()) / 2;
    // This ends it first, and says so in its own words.
    let texts = [question];
    let asking = embedder.embed(&texts, within + Duration::from_secs(1));
    let embedded = timeout(within, asking).await;
    let late = |_| format!("the question was not embedded within {} ms", within.as_millis());
    let failed = |error: UpstreamError| format!("the question was not embedded: {}", error.message);
    let mut vectors = embedded.map_err(late)?.map_err(failed)?;
    let vector = vectors.pop().unwrap_or_default();
    match &snapshot.about().embedded {
        Some(built) if built.dimensions == vector.len() as u64 => Ok(vector),
        Some(built) => Err(format!(
            "the question's embedding has {} numbers, those of the index {}",
            vector.len(),
            built.dimensions
        )),
        None => Err("the index was built without embeddings".to_owned()),
    }
}
