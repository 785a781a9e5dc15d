//! A version set as telemetry names it.

use super::VersionKeys;
use crate::ids::VersionSetId;
use serde::{Deserialize, Serialize};

/// A version set by its id and its names: what telemetry says of who answered. It is written as
/// one object, `{"id", "code_v", "prompt_v", "model_v", "index_v"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NamedForm", into = "NamedForm")]
pub struct NamedSet {
    /// The hash of its content.
    pub id: VersionSetId,
    /// What is in it.
    pub keys: VersionKeys,
}

#[derive(Serialize, Deserialize)]
struct NamedForm {
    id: VersionSetId,
    code_v: String,
    prompt_v: String,
    model_v: String,
    index_v: String,
}

impl From<NamedSet> for NamedForm {
    fn from(set: NamedSet) -> NamedForm {
        let NamedSet { id, keys: VersionKeys { code, prompt, model, index } } = set;
        NamedForm { id, code_v: code, prompt_v: prompt, model_v: model, index_v: index }
    }
}

impl From<NamedForm> for NamedSet {
    fn from(form: NamedForm) -> NamedSet {
        let NamedForm { id, code_v, prompt_v, model_v, index_v } = form;
        let keys = VersionKeys { code: code_v, prompt: prompt_v, model: model_v, index: index_v };
        NamedSet { id, keys }
    }
}
