//! What to do about a service that cannot be asked.

use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::smoke::SmokeError;

impl Explain for SmokeError {
    fn explain(&self) -> Meaning {
        match self {
            SmokeError::Address { .. } => {
                one(ErrorKind::Usage, "an address looks like `http://127.0.0.1:8000`")
            }
            SmokeError::KeyNotSet(variable) => {
                one(ErrorKind::Usage, format!("set it: `export {variable}=…`"))
            }
            SmokeError::Reserved { .. } | SmokeError::KeyNotAHeader(_) => none(ErrorKind::Usage),
            SmokeError::Client(error) => error.explain(),
        }
    }
}
