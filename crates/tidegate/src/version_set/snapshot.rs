//! Where the snapshots of a project's indexes are: `.tidegate/indexes/VERSION.db`.

use crate::store::{Snapshot, StoreError};
use std::path::{Path, PathBuf};

/// The folder of all snapshots, in the project's.
pub(crate) const FOLDER: &str = ".tidegate/indexes";
/// What a snapshot's file ends with.
pub(crate) const ENDING: &str = ".db";

/// The file of a version.
pub(crate) fn place(root: &Path, version: &str) -> PathBuf {
    root.join(FOLDER).join(format!("{version}{ENDING}"))
}

/// Opens the snapshot of a version, and reads all of it.
///
/// # Errors
/// There is none, or it is damaged.
pub(crate) fn open(root: &Path, version: &str) -> Result<Snapshot, StoreError> {
    Snapshot::open(&place(root, version))
}
