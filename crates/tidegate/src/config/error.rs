//! Why a configuration file is refused.

use super::places::Place;
use std::fmt;
use std::path::{Path, PathBuf};

/// A diagnostic for whoever wrote the file. There is no enum of cases: nothing but a person acts on
/// them, and what a person needs is the same for all, the place, a sentence, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The file; none where the settings did not come from one.
    file: Option<PathBuf>,
    /// Where in it.
    place: Option<Place>,
    /// What was given, and what is allowed.
    message: String,
    /// What to write instead.
    hints: Vec<String>,
}

/// The result of reading and checking a file.
pub(super) type Result<T, E = ConfigError> = std::result::Result<T, E>;

impl ConfigError {
    /// About the settings, wherever they came from.
    pub(super) fn new(message: impl Into<String>) -> ConfigError {
        ConfigError { file: None, place: None, message: message.into(), hints: Vec::new() }
    }

    /// The same about a place of a file, or the file as a whole.
    pub(super) fn at(self, file: &Path, place: Option<Place>) -> ConfigError {
        ConfigError { file: Some(file.to_owned()), place, ..self }
    }

    /// The same about what is at a key.
    pub(super) fn within(self, key: &str) -> ConfigError {
        ConfigError { message: format!("{key}: {}", self.message), ..self }
    }

    /// With a next step.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> ConfigError {
        self.hints.push(hint.into());
        self
    }

    /// With a next step, where there is one.
    pub(super) fn with(mut self, hint: Option<String>) -> ConfigError {
        self.hints.extend(hint);
        self
    }

    /// What to write instead.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(Place { line, column }) = self.place {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}
