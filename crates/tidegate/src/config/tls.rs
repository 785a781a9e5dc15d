//! TLS of the data plane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the listener's certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate, then those that it was signed by, in PEM form.
    pub(crate) cert: PathBuf,
    /// Its private key, in PEM form.
    pub(crate) key: PathBuf,
}
