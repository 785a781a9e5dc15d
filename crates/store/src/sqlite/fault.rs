//! What can go wrong with one piece of work inside a transaction.

use crate::error::StoreError;

/// Why one piece of work was not done.
pub(super) enum WriteFault {
    /// It alone: it does not fit, and nothing of it was written.
    Refused(StoreError),
    /// The whole group: the database refused.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for WriteFault {
    fn from(error: rusqlite::Error) -> WriteFault {
        WriteFault::Database(error)
    }
}

impl From<StoreError> for WriteFault {
    fn from(error: StoreError) -> WriteFault {
        WriteFault::Refused(error)
    }
}

/// What a piece of work came to.
pub(super) type Outcome<T> = std::result::Result<T, WriteFault>;
