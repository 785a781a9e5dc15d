//! The store: the only SQL in the project. One SQLite file in `.tidegate/`, one writer thread that
//! commits in groups, and readers of their own connection.

mod sqlite;

pub(crate) use sqlite::{Access, RecordQuery, Store};
