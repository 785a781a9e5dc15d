//! What to do where a run of the fixed cases says nothing.

use super::{Explain, Meaning, one};
use crate::error::ErrorKind;
use crate::sentinel::SentinelError;

impl Explain for SentinelError {
    fn explain(&self) -> Meaning {
        match self {
            SentinelError::Gate(error) => error.explain(),
            SentinelError::NoCases => one(
                ErrorKind::Usage,
                "name a file of cases: `sentinel: {cases: evals/fixed.jsonl}`",
            ),
            SentinelError::NoReference { .. } => one(
                ErrorKind::Inconclusive,
                "once the model server answers, run it again: the first good run is the reference",
            ),
        }
    }
}
