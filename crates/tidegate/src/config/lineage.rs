//! `artifacts.model`: what a model is made of, beside its name. Nothing of it is sent anywhere; it
//! is in the version set, so that another quantization or checkpoint is another set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a model came to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FineTune {
    /// The model that it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    /// Whether it is the base itself, or what was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<FineTuneStatus>,
    /// Which checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    /// The policy of what was done after training: which preferences, which refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) post_training: Option<String>,
}

/// What was done to a base model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FineTuneStatus {
    /// Nothing.
    Base,
    /// It was fine-tuned.
    FineTuned,
    /// An adapter is applied to it.
    Adapter,
}
