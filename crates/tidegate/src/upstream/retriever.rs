//! A retriever over HTTP: another program that has the index, and is asked for each request.
//!
//! It is asked once, in its time, without redirects, and at no address that metadata services have.

use super::transport::{Place, Transport};
use super::{Elapsed, SetupError, UpstreamError};
use crate::config::HttpRetriever;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidegate_core::retrieval::{Chunk, ChunkId};
use tidegate_core::upstream::Failure;

/// What errors call it.
const NAME: &str = "artifacts.index.search.http";
/// Longest name of a chunk, characters.
const ID_CHARS_MAX: usize = 200;

/// A way to a retriever.
#[derive(Debug)]
pub(crate) struct Retriever {
    transport: Transport,
}

/// What it is asked.
#[derive(Serialize)]
struct Question<'a> {
    /// The last user text.
    query: &'a str,
    /// The index of the version set.
    index_version: &'a str,
    /// Most chunks that are wanted.
    top_k: u64,
}

/// What it answers; other members are read past.
#[derive(Deserialize)]
struct Answer {
    /// The best first.
    chunks: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    id: Option<String>,
    text: String,
    /// The document, which names a chunk that has no id.
    source: Option<String>,
}

impl Retriever {
    /// Gets ready to ask.
    ///
    /// # Errors
    /// Its URL is none or must not be asked, its key is not set, or there are no certificates.
    pub(crate) fn new(config: &HttpRetriever) -> Result<Retriever, SetupError> {
        let HttpRetriever { url, api_key_env, any_address } = config;
        let transport = Transport::of_service(&Place {
            name: NAME,
            url,
            api_key_env: api_key_env.as_deref(),
            any_address: *any_address,
            http2: false,
        })?;
        Ok(Retriever { transport })
    }

    /// The chunks that it has for a question, the best first, at most `top_k`.
    ///
    /// # Errors
    /// It did not answer within the time, or answered something else than chunks.
    pub(crate) async fn find(
        &self,
        query: &str,
        (index_version, top_k): (&str, u64),
        within: Duration,
    ) -> Result<Vec<Chunk>, UpstreamError> {
        let malformed = |what: String| {
            let message = format!("the retriever's answer has {what}");
            UpstreamError::new(Failure::Malformed, message, Elapsed::default())
        };
        let question = serde_json::to_vec(&Question { query, index_version, top_k });
        let question = question.map_err(|error| malformed(error.to_string()))?;
        let answer = self.transport.post(question.into(), within).await?;
        let Answer { chunks } = serde_json::from_slice(&answer)
            .map_err(|_| malformed("no `chunks`, each with `id` and `text`".to_owned()))?;
        let named = chunks.into_iter().take(top_k as usize).map(|Found { id, text, source }| {
            let name = id.or(source).filter(|name| !name.trim().is_empty());
            let name = name.ok_or_else(|| malformed("a chunk without `id`".to_owned()))?;
            if name.chars().count() > ID_CHARS_MAX {
                return Err(malformed(format!("an `id` of over {ID_CHARS_MAX} characters")));
            }
            Ok(Chunk { id: ChunkId::given(&name), text })
        });
        named.collect()
    }
}
