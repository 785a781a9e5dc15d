//! `contract`: what the service promises, and what every answer must be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The release contract (five questions) and the output contract.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Contract {
    /// The route clients use, for example `/v1/chat/completions`.
    pub(crate) endpoint: Option<String>,
    /// Required and optional fields, and the largest input.
    pub(crate) request_shape: Option<String>,
    /// Content, citations or evidence, and the error format.
    pub(crate) response_shape: Option<String>,
    /// Concurrency, context length, timeout, max tokens.
    pub(crate) limits: Option<String>,
    /// How the service is stopped or rolled back.
    pub(crate) stop_path: Option<String>,
    /// JSON Schema that every answer's text must satisfy; none for free text.
    pub(crate) output: Option<Value>,
    /// Whether an answer that breaks it, or a tool's schema, is asked for once more.
    pub(crate) repair: bool,
}

impl Contract {
    /// Which of the five questions are not answered.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let answers = [
            ("endpoint", &self.endpoint),
            ("request_shape", &self.request_shape),
            ("response_shape", &self.response_shape),
            ("limits", &self.limits),
            ("stop_path", &self.stop_path),
        ];
        let open = |answer: &Option<String>| answer.as_deref().is_none_or(|t| t.trim().is_empty());
        answers.into_iter().filter(|(_, answer)| open(answer)).map(|(name, _)| name).collect()
    }
}
