//! What can go wrong, for a person who typed a command.

use thiserror::Error;

/// An error of the benchmark.
#[derive(Debug, Clone, Error)]
pub(crate) enum SimulateError {
    /// What was typed, or a file that was named: exit code 2.
    #[error("{message}")]
    Usage {
        /// What was given and what was allowed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A defect of this program: exit code 4.
    #[error("{0}")]
    Internal(String),
}

/// The result of everything here.
pub(crate) type Result<T, E = SimulateError> = std::result::Result<T, E>;

impl SimulateError {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        SimulateError::Usage { message: message.into(), hint: None }
    }

    /// A defect.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        SimulateError::Internal(message.into())
    }

    /// With the next step, where there is one to take.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            SimulateError::Usage { message, hint: _ } => {
                SimulateError::Usage { message, hint: Some(hint.into()) }
            }
            SimulateError::Internal(message) => SimulateError::Internal(message),
        }
    }

    /// The exit code of the process; the same as `tidegate`'s.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            SimulateError::Usage { .. } => 2,
            SimulateError::Internal(_) => 4,
        }
    }
}
