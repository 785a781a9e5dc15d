//! What to do about data that cannot be checked.

use super::{Explain, Meaning, none, one};
use crate::data::DataError;
use crate::error::ErrorKind;

impl Explain for DataError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            DataError::Lfs { path, says: _ } => {
                let path = path.display();
                one(Usage, format!("fetch the data: `git lfs pull --include {path}`"))
            }
            DataError::Dvc { path, data } => {
                let (path, data) = (path.display(), data.as_deref().unwrap_or("the data"));
                let fetch = format!("name {data}; where it is not there: `dvc pull {path}`");
                one(Usage, fetch)
            }
            DataError::Folder { .. } => one(Usage, "name a file of JSON lines: `--input FILE`"),
            DataError::NoSchema { .. } | DataError::SchemaUnread { .. } => {
                one(Usage, "name a JSON Schema, draft 4 to 2020-12, without references to others")
            }
            DataError::Cases { .. } => one(Usage, "check without them: `--without-cases`"),
            DataError::Unread { .. } | DataError::NoDvc { .. } => none(Usage),
            DataError::Broken { .. } => none(Internal),
        }
    }
}
