//! A version set ready to serve: templates compiled, schema compiled, upstream connected.

use super::pack::PackedSet;
use crate::clock::Clock;
use crate::config::{PromptMode, Upstream as UpstreamConfig};
use crate::error::Result;
use crate::upstream::Upstream;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::observe::Detectors;
use tidegate_core::version_set::{VersionKeys, VersionSet};

/// A version set in memory.
pub(crate) struct LiveSet {
    /// The set.
    pub(crate) set: VersionSet,
    /// Its label.
    pub(crate) label: String,
    /// Its names.
    pub(crate) keys: VersionKeys,
    /// How the prompt is used.
    pub(crate) mode: PromptMode,
    /// The model's name for the upstream.
    pub(crate) model: String,
    /// The upstream's definition; two sets with equal ones share an upstream.
    pub(crate) upstream_config: UpstreamConfig,
    /// The upstream's client.
    pub(crate) upstream: Upstream,
    /// Sampling temperature of the prompt's config.
    pub(crate) temperature: Option<f64>,
    /// Longest answer of the prompt's config, tokens.
    pub(crate) max_tokens: Option<u64>,
    /// The output contract.
    pub(crate) contract: Option<Arc<jsonschema::Validator>>,
    /// What to look for in answers.
    pub(crate) detectors: Detectors,
    // more private fields: compiled templates, parameters
}

/// A request with the version set's prompt in it.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// The body for the upstream: model, messages, parameters; unknown members kept.
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
}

/// Why a request could not be rendered: a variable of the template that the request does not set.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RenderError(pub(crate) String);

impl LiveSet {
    /// Gets a packed set ready. Everything that can be wrong with it is an error here.
    pub(crate) fn new(packed: &PackedSet, root: &Path, clock: &Clock) -> Result<LiveSet> {
        let _ = (packed, root, clock);
        unimplemented!()
    }

    /// Puts the prompt, model and parameters into a client's request body.
    ///
    /// `render`: the set's system prompt replaces none of the client's messages, it goes first; the
    /// last user message's text becomes `{{ input }}` of the user template. The client's own
    /// `temperature` and `max_tokens` win over the prompt's config.
    pub(crate) fn render(
        &self,
        body: &serde_json::Map<String, serde_json::Value>,
        user: Option<&str>,
    ) -> Result<Rendered, RenderError> {
        let _ = (body, user);
        unimplemented!()
    }

    /// Why the answer breaks the output contract; `None` when it keeps it or there is none.
    pub(crate) fn contract_problem(&self, answer: &str) -> Option<String> {
        let _ = answer;
        unimplemented!()
    }
}
