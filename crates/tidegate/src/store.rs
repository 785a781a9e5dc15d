//! What is kept, by `tidegate-store`, in one SQLite file.

pub(crate) use tidegate_store::{
    Access, Books, BudgetName, Budgets, Embedded, Evals, Found, Journal, Lost, LostRecords,
    RecordQuery, Records, Sets, Snapshot, SnapshotAbout, SnapshotWriter, SqliteStore as Store,
    StoreError, StoreErrorKind, StoreOptions, TenantTrace, Ticket, Unrecorded, Whose, Written,
    document_digest,
};
