//! The store: what Tidegate keeps. The only SQL in the project.
//!
//! Narrow traits say what can be kept: [`Journal`], [`Records`], [`Sets`], [`Evals`], [`Budgets`],
//! [`Books`].
//! [`sqlite::SqliteStore`] has them all in one file. One suite of tests, `suite.rs`, holds
//! for any implementation.
//!
//! An index's [`Snapshot`] is a file beside it, which is written once and only read from then on.
//!
//! Control events are never dropped: they are on disk, or their caller has the error. Records of
//! requests must never hold a request up: they wait in a bounded queue, and are dropped, and
//! counted, when it is full. Where it must be known of every request that it was answered, its
//! admission is on disk first, and the request waits for that.

mod api;
mod begun;
mod error;
mod inbox;
mod query;
pub mod sqlite;
#[cfg(test)]
mod suite;
mod work;

pub use api::{
    Books, BudgetName, Budgets, Epoch, Evals, Journal, Lost, LostRecords, Records, Sets,
    TenantTrace, Ticket, Unrecorded,
};
pub use error::{Result, StoreError, StoreErrorKind};
pub use query::{RecordQuery, Whose};
pub use sqlite::snapshot::{
    Document, EMBEDDED_CHUNKS_MAX, Embedded, Found, Snapshot, SnapshotAbout, SnapshotWriter,
    Written, document_digest,
};
pub use sqlite::{Access, SqliteStore, StoreOptions};
