//! A service that makes embeddings for an index: the texts of its chunks when it is built, and the
//! question of each request. OpenAI's `/v1/embeddings`, which most model servers have.
//!
//! It is asked without redirects, and at no address that metadata services have.

use super::transport::{Place, Transport};
use super::{Elapsed, SetupError, UpstreamError};
use crate::config::EmbeddingService;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidegate_core::upstream::Failure;

/// What errors call the one of an index.
const NAME: &str = "artifacts.index.search.embeddings";
/// Most numbers of a vector.
const DIMENSIONS_MAX: usize = 8_192;

/// A way to the service.
#[derive(Debug)]
pub(crate) struct Embedder {
    transport: Transport,
    model: String,
}

#[derive(Serialize)]
struct Texts<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
}

/// What it answers; other members are read past.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
    #[serde(default)]
    usage: Option<Used>,
}

/// The tokens of its texts; another form of it says nothing.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Used {
    Tokens { prompt_tokens: u64 },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

impl Embedder {
    /// Gets ready to ask.
    ///
    /// # Errors
    /// Its URL is none or must not be asked, its key is not set, or there are no certificates.
    pub(crate) fn new(config: &EmbeddingService) -> Result<Embedder, SetupError> {
        Embedder::named(NAME, config)
    }

    /// The same for another one, which errors call `name`.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub(crate) fn named(
        name: &'static str,
        config: &EmbeddingService,
    ) -> Result<Embedder, SetupError> {
        let EmbeddingService { url, model, api_key_env, any_address } = config;
        let transport = Transport::of_service(&Place {
            name,
            url,
            api_key_env: api_key_env.as_deref(),
            any_address: *any_address,
            http2: false,
        })?;
        Ok(Embedder { transport, model: model.clone() })
    }

    /// A vector for each text, in their order.
    ///
    /// # Errors
    /// It did not answer within the time, or answered something else than that.
    pub(crate) async fn embed(
        &self,
        texts: &[&str],
        within: Duration,
    ) -> Result<Vec<Vec<f32>>, UpstreamError> {
        self.embed_counted(texts, within).await.map(|(vectors, _)| vectors)
    }

    /// The name of the model that makes them.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// The same, with the tokens that the service counted, where it says so.
    ///
    /// # Errors
    /// As of [`Self::embed`].
    pub(crate) async fn embed_counted(
        &self,
        texts: &[&str],
        within: Duration,
    ) -> Result<(Vec<Vec<f32>>, Option<u64>), UpstreamError> {
        let request = Texts { model: &self.model, input: texts, encoding_format: "float" };
        let request = serde_json::to_vec(&request).map_err(|_| malformed("no JSON form"))?;
        let answer = self.transport.post(request.into(), within).await?;
        read(&answer, texts.len()).map_err(malformed)
    }
}

fn malformed(what: &str) -> UpstreamError {
    let message = format!("the answer with embeddings has {what}");
    UpstreamError::new(Failure::Malformed, message, Elapsed::default())
}

/// The vectors of an answer, in the order of their texts, and the tokens that it counts.
fn read(answer: &[u8], count: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), &'static str> {
    let Answer { mut data, usage } = serde_json::from_slice(answer)
        .map_err(|_| "no `data`, each with `index` and `embedding`, a list of numbers")?;
    data.sort_by_key(|embedding| embedding.index);
    if data.len() != count || !data.iter().enumerate().all(|(at, it)| it.index == at) {
        return Err("not one embedding for each text");
    }
    let length = data.first().map_or(0, |first| first.embedding.len());
    let is_good = |vector: &Vec<f32>| {
        let is_something = vector.iter().any(|number| *number != 0.0);
        vector.len() == length && is_something && vector.iter().all(|number| number.is_finite())
    };
    if length > DIMENSIONS_MAX || !data.iter().all(|it| is_good(&it.embedding)) {
        return Err("an embedding that is no direction, or of another length");
    }
    let tokens = match usage {
        Some(Used::Tokens { prompt_tokens }) => Some(prompt_tokens),
        Some(Used::Other(_)) | None => None,
    };
    Ok((data.into_iter().map(|it| it.embedding).collect(), tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_their_texts_or_not_at_all() {
        let read = |data: &str| read(format!("{{\"data\": [{data}]}}").as_bytes(), 2);
        let one = r#"{"index": 1, "embedding": [0.5, 1e-3]}"#;
        let two = r#"{"index": 0, "embedding": [1, 2], "object": "embedding"}"#;
        let both = vec![vec![1.0, 2.0], vec![0.5, 1e-3]];
        assert_eq!(read(&format!("{one},{two}")), Ok((both.clone(), None)));
        for (usage, tokens) in [
            (r#"{"prompt_tokens": 7, "total_tokens": 7}"#, Some(7)),
            (r#"{"total_tokens": 7}"#, None),
            (r#"{"prompt_tokens": -7}"#, None),
            ("\"none\"", None),
            ("null", None),
        ] {
            let answer = format!("{{\"data\": [{one},{two}], \"usage\": {usage}}}");
            assert_eq!(super::read(answer.as_bytes(), 2), Ok((both.clone(), tokens)), "{usage}");
        }
        for bad in [
            one.to_owned(),
            format!("{one},{one}"),
            format!("{one},{two},{two}"),
            r#"{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}"#.to_owned(),
            r#"{"index": 0, "embedding": [0, 0]}, {"index": 1, "embedding": [1, 2]}"#.to_owned(),
            r#"{"index": 0, "embedding": [1e99, 0]}, {"index": 1, "embedding": [1, 2]}"#.to_owned(),
            r#"{"index": 0, "embedding": "AAA="}, {"index": 1, "embedding": "AAA="}"#.to_owned(),
            r#"{"embedding": [1, 2]}"#.to_owned(),
            String::new(),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
