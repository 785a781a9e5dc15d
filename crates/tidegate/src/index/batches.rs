//! Documents on their way into a snapshot: with embeddings they wait until there are chunks for a
//! request, since each request costs a round trip.

use super::IndexError;
use crate::config::EmbeddingService;
use crate::store::SnapshotWriter;
use crate::upstream::{Embedder, UpstreamError};
use std::time::Duration;
use tidegate_core::upstream::Failure;

/// Most chunks of a request: what the model servers in use take.
const BATCH: usize = 64;
/// How long a request may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How often a request is sent where another may do.
const TRIES: u32 = 4;
/// How long the first retry waits; each later one twice as long as the one before.
const BACKOFF: Duration = Duration::from_secs(1);

/// A snapshot that is being written.
pub(super) struct Batches<'a> {
    writer: SnapshotWriter,
    embedder: Option<(Embedder, &'a str)>,
    waiting: Vec<(String, Vec<String>)>,
    /// How many chunks wait.
    chunks: usize,
}

impl<'a> Batches<'a> {
    /// Gets ready, with what makes the embeddings, if anything does.
    ///
    /// # Errors
    /// It must not be asked, or its key is not set.
    pub(super) fn new(
        writer: SnapshotWriter,
        service: Option<&'a EmbeddingService>,
    ) -> Result<Batches<'a>, IndexError> {
        let embedder = service.map(|service| Ok((Embedder::new(service)?, service.model.as_str())));
        let embedder = embedder.transpose().map_err(IndexError::Service)?;
        Ok(Batches { writer, embedder, waiting: Vec::new(), chunks: 0 })
    }

    /// Adds a document.
    ///
    /// # Errors
    /// The disk does not take it, or the embeddings of those before do not come.
    pub(super) async fn add(&mut self, path: String, chunks: &[&str]) -> Result<(), IndexError> {
        if self.embedder.is_none() {
            return Ok(self.writer.add(&path, chunks)?);
        }
        self.chunks += chunks.len();
        self.waiting.push((path, chunks.iter().map(|chunk| (*chunk).to_owned()).collect()));
        if self.chunks >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// The snapshot with all that was added.
    ///
    /// # Errors
    /// As of [`Self::add`].
    pub(super) async fn written(mut self) -> Result<SnapshotWriter, IndexError> {
        self.flush().await?;
        Ok(self.writer)
    }

    async fn flush(&mut self) -> Result<(), IndexError> {
        let Some((embedder, model)) = &self.embedder else { return Ok(()) };
        let waiting = std::mem::take(&mut self.waiting);
        self.chunks = 0;
        let texts: Vec<&str> =
            waiting.iter().flat_map(|(_, chunks)| chunks.iter().map(String::as_str)).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            vectors.extend(embedded(embedder, batch).await.map_err(|error| {
                IndexError::Embedding { model: (*model).to_owned(), why: error.message }
            })?);
        }
        let mut vectors = vectors.as_slice();
        for (path, chunks) in &waiting {
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            let (own, others) = vectors.split_at(chunks.len());
            self.writer.add_embedded(path, &chunks, (model, own))?;
            vectors = others;
        }
        Ok(())
    }
}

/// The vectors of some texts; asked for again where that can help.
async fn embedded(embedder: &Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
    let mut wait = BACKOFF;
    for _ in 1..TRIES {
        match embedder.embed(texts, WITHIN).await {
            Err(error) if error.failure.retryable() || error.failure == Failure::RateLimited => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            answer => return answer,
        }
    }
    embedder.embed(texts, WITHIN).await
}
