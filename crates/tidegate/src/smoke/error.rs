//! Why a service cannot be asked: found before anything is sent.

use crate::config::BaseUrlProblem;
use crate::upstream::SetupError;
use thiserror::Error;

/// What is wrong with where to ask, or with the key to ask with.
#[derive(Debug, Error)]
pub(crate) enum SmokeError {
    /// The address is none. One that may hold a password is not repeated.
    #[error("the address `{shown}` {problem}")]
    Address { shown: String, problem: BaseUrlProblem },
    /// It is an address at which no service is.
    #[error("the address `{shown}` is {what}, and is not called")]
    Reserved { shown: String, what: &'static str },
    /// The environment has no key.
    #[error("the environment variable `{0}`, which holds the key, is not set")]
    KeyNotSet(String),
    /// The key cannot be sent.
    #[error("the key in `{0}` has a character that no header may have")]
    KeyNotAHeader(String),
    /// There is no client.
    #[error(transparent)]
    Client(#[from] SetupError),
}
