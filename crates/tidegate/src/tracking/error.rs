//! Why a run was not sent.

use crate::config::BaseUrlProblem;
use crate::upstream::SetupError;
use thiserror::Error;
use tidegate_core::gate::RowError;

/// Why a run was not sent. What was sent before stays there, and is not sent twice.
#[derive(Debug, Error)]
pub(crate) enum TrackingError {
    /// An address that is none.
    #[error("`{shown}` is no address of {tool}: {problem}")]
    Address { tool: &'static str, shown: String, problem: BaseUrlProblem },
    /// An address that nothing of a team's is at.
    #[error("`{shown}` is {what}: nothing is sent there")]
    Reserved { shown: String, what: &'static str },
    /// A key that the environment does not have.
    #[error("the environment variable `{variable}` is not set; {tool} needs it")]
    KeyNotSet { tool: &'static str, variable: &'static str },
    /// A key that no header can hold.
    #[error("the key in `{variable}` has characters that no HTTP header may have")]
    KeyNotAHeader { variable: &'static str },
    /// The client cannot be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A result of the run.
    #[error(transparent)]
    Row(#[from] RowError),
    /// There is no answer, also when it is asked again.
    #[error("{tool} does not answer at {uri}: {why} ({tries} tries)")]
    NoAnswer { tool: &'static str, uri: String, why: String, tries: u32 },
    /// It says no.
    #[error("{tool} refuses: HTTP {status} at {uri}: {said}")]
    Refused { tool: &'static str, uri: String, status: u16, said: String },
    /// Its answer is not what its API says.
    #[error("{tool} answers something else than its API says at {uri}: {what}")]
    Answer { tool: &'static str, uri: String, what: String },
    /// It took a part of what was sent.
    #[error("{tool} took {taken} of {sent} and refused the others: {said}")]
    Partly { tool: &'static str, taken: usize, sent: usize, said: String },
}
