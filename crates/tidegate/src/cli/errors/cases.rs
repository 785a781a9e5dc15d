//! What to do where cases are not brought in or out.

use super::{Explain, Meaning, none, one};
use crate::cases::TransferError;
use crate::error::ErrorKind;

impl Explain for TransferError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            TransferError::Cases(error) => error.explain(),
            TransferError::Yaml(error) => error.explain(),
            TransferError::NoFile(_) | TransferError::Shape { .. } => none(Usage),
            TransferError::InspectArchive(path) => one(
                Usage,
                format!(
                    "write it as JSON: `inspect log convert {} --to json --output-dir logs-json`",
                    path.display()
                ),
            ),
            TransferError::Ideal => one(
                Usage,
                "the class of the eval in its registry says it: `--ideal match`, `includes` \
                 or `exact`",
            ),
            TransferError::Exists(_) => one(Usage, "name another file, or add `--replace`"),
            TransferError::Unwritten { .. } => none(Internal),
        }
    }
}
