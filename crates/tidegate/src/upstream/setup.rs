//! Why an upstream cannot be used as it is configured.

use crate::config::{BaseUrlProblem, reserved_host};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Found when the upstream is made, before any call; `name` is the project's name for it.
#[derive(Debug, Error)]
pub(crate) enum SetupError {
    /// Its base URL is none. One that may hold a password is not repeated.
    #[error("upstream `{name}`: base_url `{shown}` {problem}")]
    BaseUrl { name: String, shown: String, problem: BaseUrlProblem },
    /// It would be called at an address that no model server has.
    #[error(
        "upstream `{name}`: base_url `{shown}` is an address that is {what}, and is not called"
    )]
    ReservedAddress { name: String, shown: String, what: &'static str },
    /// The environment has no key.
    #[error("upstream `{name}`: the environment variable `{variable}` (api_key_env) is not set")]
    KeyNotSet { name: String, variable: String },
    /// The environment has no credential of AWS.
    #[cfg(feature = "bedrock")]
    #[error("upstream `{name}`: the environment variable `{variable}` ({key}) is not set")]
    CredentialNotSet { name: String, variable: String, key: &'static str },
    /// The program was built without it.
    #[cfg(not(feature = "bedrock"))]
    #[error("upstream `{name}`: this build does not speak to `{kind}`")]
    NotBuilt { name: String, kind: &'static str },
    /// The key cannot be sent.
    #[error("upstream `{name}`: the key in `{variable}` has a character that no header may have")]
    KeyNotAHeader { name: String, variable: String },
    /// The API's version cannot be sent.
    #[error("upstream `{name}`: `version` has a character that no header may have")]
    VersionNotAHeader { name: String },
    /// The TLS library refuses our settings.
    #[error("upstream `{name}`: no TLS: {source}")]
    Tls { name: String, source: rustls::Error },
    /// The system has no certificates to trust.
    #[error("upstream `{name}`: the system's certificates cannot be read: {source}")]
    Certificates { name: String, source: io::Error },
    /// The file of recorded answers is not there, or is not ours to read.
    #[error("upstream `{name}`: the replay file `{}` cannot be read: {source}", path.display())]
    Recording { name: String, path: PathBuf, source: io::Error },
    /// The file of recorded answers has none.
    #[error("upstream `{name}`: `{}` has no answers", path.display())]
    NoAnswers { name: String, path: PathBuf },
    /// A line of it is no recorded answer.
    #[error("{}:{line}: {what}", path.display())]
    Line { path: PathBuf, line: usize, what: String },
}

impl SetupError {
    /// Refuses an address that no server has but one that is not to be called, unless it is meant.
    pub(super) fn check_address(
        name: &str,
        address: &str,
        any_address: bool,
    ) -> Result<(), SetupError> {
        match reserved_host(address).filter(|_| !any_address) {
            Some(what) => {
                let (name, shown) = (name.to_owned(), address.to_owned());
                Err(SetupError::ReservedAddress { name, shown, what })
            }
            None => Ok(()),
        }
    }
}
