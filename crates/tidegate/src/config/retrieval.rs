//! The retrieval index of a project, and how requests are searched in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The retrieval index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IndexArtifact {
    /// Its version, for example `v2025.12.24.01`; `none` for a service without retrieval.
    pub(crate) version: String,
    /// The documents it is built from, a file or folder.
    pub(crate) path: Option<PathBuf>,
    /// Storage format; a change of it has no way back and is flagged.
    pub(crate) format: Option<String>,
    /// Chunk size and other retrieval settings, versioned with the index.
    pub(crate) retrieval: BTreeMap<String, Value>,
    /// The member of every request in which the version and these settings are sent to the
    /// upstream; left out, they are only recorded.
    pub(crate) send_as: Option<String>,
    /// Where it is there, each request's last user text is searched for, and what is found is
    /// `{{ retrieved }}` of the user template. It takes `chunk_chars`, `top_k` and `max_chars` of
    /// `retrieval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search: Option<SearchConfig>,
}

impl Default for IndexArtifact {
    fn default() -> Self {
        IndexArtifact {
            version: "none".to_owned(),
            path: None,
            format: None,
            retrieval: BTreeMap::new(),
            send_as: None,
            search: None,
        }
    }
}

/// How requests are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SearchConfig {
    /// How long a search may take, ms.
    pub(crate) timeout_ms: u64,
    /// What becomes of a request whose search fails.
    pub(crate) on_failure: OnFailure,
    /// A retriever that is asked over HTTP; left out, the snapshot of the index is searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<HttpRetriever>,
    /// A service that makes embeddings: the index is built with them, and questions are searched
    /// for by meaning as well as by words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embeddings: Option<EmbeddingService>,
}

/// A service that makes embeddings, as OpenAI's API does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingService {
    /// Where it is asked, such as `http://127.0.0.1:8000/v1/embeddings`.
    pub(crate) url: String,
    /// The model that makes them.
    pub(crate) model: String,
    /// Environment variable that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_env: Option<String>,
    /// Whether it may be at an address that no server of that kind has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) any_address: bool,
}

/// A retriever that is asked over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpRetriever {
    /// Where it is asked.
    pub(crate) url: String,
    /// Environment variable that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_env: Option<String>,
    /// Whether it may be at an address that no server of that kind has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) any_address: bool,
}

impl Default for SearchConfig {
    fn default() -> Self {
        SearchConfig {
            timeout_ms: 1_000,
            on_failure: OnFailure::Error,
            http: None,
            embeddings: None,
        }
    }
}

/// What becomes of a request whose search fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnFailure {
    /// It fails with 503.
    #[default]
    Error,
    /// It is answered as if nothing was found, and counted.
    Answer,
}
