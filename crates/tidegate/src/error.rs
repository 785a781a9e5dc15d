//! The one error of the command line: what was wrong, where, what to do, and the exit code.

use std::fmt;

/// What an error means to the caller of the process; the discriminant is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A gate failed or a release was rolled back.
    Failed = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Inconclusive: the question cannot be answered now.
    Inconclusive = 3,
    /// Internal or infrastructure.
    Internal = 4,
}

/// An error for a person: one sentence, and what to do on separate lines.
#[derive(Debug, Clone)]
pub(crate) struct CliError {
    /// Decides the exit code.
    pub(crate) kind: ErrorKind,
    /// What was given, what was allowed, and where.
    pub(crate) message: String,
    /// Next steps; each is printed on a `hint:` line.
    pub(crate) hints: Vec<String>,
    /// Whether a result on stdout says it already: with `--json` stdout holds one value.
    pub(crate) shown: bool,
}

/// The result of everything a command does.
pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// A usage or configuration error (exit 2).
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        CliError {
            kind: ErrorKind::Usage,
            message: message.into(),
            hints: Vec::new(),
            shown: false,
        }
    }

    /// A gate that failed (exit 1).
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        CliError {
            kind: ErrorKind::Failed,
            message: message.into(),
            hints: Vec::new(),
            shown: false,
        }
    }

    /// Something inconclusive (exit 3).
    pub(crate) fn inconclusive(message: impl Into<String>) -> Self {
        CliError {
            kind: ErrorKind::Inconclusive,
            message: message.into(),
            hints: Vec::new(),
            shown: false,
        }
    }

    /// An internal or infrastructure error (exit 4).
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        CliError {
            kind: ErrorKind::Internal,
            message: message.into(),
            hints: Vec::new(),
            shown: false,
        }
    }

    /// After a result that says the same on stdout.
    #[must_use]
    pub(crate) fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// With a next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
