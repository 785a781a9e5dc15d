//! What is kept, by `tidegate-store`, in one SQLite file.

pub(crate) use tidegate_store::{
    Access, Evals, Journal, RecordQuery, Records, Sets, SqliteStore as Store, StoreError,
    StoreErrorKind, TenantTrace, Ticket, Unrecorded,
};

#[cfg(test)]
pub(crate) use tidegate_store::StoreOptions;
