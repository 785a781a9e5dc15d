//! What to do where a run was not sent.

use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::tracking::TrackingError;

impl Explain for TrackingError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            TrackingError::Address { .. } => {
                one(Usage, "an address looks like `https://mlflow.example.com`")
            }
            TrackingError::Reserved { .. } | TrackingError::KeyNotAHeader { .. } => none(Usage),
            TrackingError::KeyNotSet { variable, .. } => {
                one(Usage, format!("set it: `export {variable}=…`"))
            }
            TrackingError::Setup(error) => error.explain(),
            TrackingError::Row(_) => none(Internal),
            TrackingError::NoAnswer { .. } | TrackingError::Partly { .. } => {
                one(Internal, "give the same command again: what is there already is not doubled")
            }
            TrackingError::Refused { status: 401 | 403, .. } => {
                one(Usage, "the key is wrong, or may not write there")
            }
            TrackingError::Refused { .. } | TrackingError::Answer { .. } => one(
                Internal,
                "check that the address is the tool's own, without a path of its pages",
            ),
        }
    }
}
