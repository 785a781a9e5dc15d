//! What to do about a pipeline that cannot be read or run.

use super::{Explain, Meaning, none, one};
use crate::ci::CiError;
use crate::error::ErrorKind;
use crate::near;

impl Explain for CiError {
    fn explain(&self) -> Meaning {
        use ErrorKind::Usage;
        match self {
            CiError::NoFile(_) => {
                one(Usage, "write one: `tidegate ci init github` or `tidegate ci init gitlab`")
            }
            CiError::NoStage { name, known } => {
                let hint = near::hint(name, known.iter().map(String::as_str));
                one(Usage, hint.unwrap_or_else(|| format!("stages: {}", known.join(", "))))
            }
            CiError::File(error) => error.explain(),
            CiError::Wrong { .. } | CiError::Unread { .. } => none(Usage),
            CiError::Pack(error) => error.explain(),
        }
    }
}
