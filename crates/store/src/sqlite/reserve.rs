//! Space set aside, so that a full disk does not stop a rollback (reliability S2).
//!
//! A file of zeros beside the state. When control events find no room it is deleted and they are
//! written in its place; until it can be made again, records are not written at all. On a file
//! system that compresses, zeros set little aside, and this promises little.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes set aside: the write-ahead log grows to about 4 MiB before its space is used again, and
/// hundreds of decisions fit into as much.
const RESERVE_BYTES: usize = 4 << 20;
/// How often making it again is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The file set aside.
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
    tried: Instant,
}

impl Reserve {
    /// Sets the space aside, if there is room.
    pub(super) fn new(folder: &Path) -> Reserve {
        let path = folder.join("reserve");
        let held = set_aside(&path);
        Reserve { path, held, tried: Instant::now() }
    }

    /// Whether the space is set aside; tries again once in a while when it is not.
    pub(super) fn is_held(&mut self) -> bool {
        if !self.held && self.tried.elapsed() >= RETRY_AFTER {
            self.tried = Instant::now();
            self.held = set_aside(&self.path);
        }
        self.held
    }

    /// Gives the space to whoever writes next; false when there was none.
    pub(super) fn release(&mut self) -> bool {
        let given = self.held && fs::remove_file(&self.path).is_ok();
        self.held = false;
        self.tried = Instant::now();
        given
    }
}

fn set_aside(path: &Path) -> bool {
    if fs::metadata(path).is_ok_and(|found| found.len() == RESERVE_BYTES as u64) {
        return true;
    }
    let zeros = [0u8; 1 << 16];
    let written = File::create(path).and_then(|mut file| {
        for _ in 0..RESERVE_BYTES / zeros.len() {
            file.write_all(&zeros)?;
        }
        file.sync_all()
    });
    if written.is_err() {
        // Half a reserve is of no use, and its space is.
        let _ = fs::remove_file(path);
    }
    written.is_ok()
}
