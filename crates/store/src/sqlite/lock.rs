//! One writer per state: an OS lock on `.tidegate/lock`, which goes with the process.

use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// The lock, held until it is dropped. The file stays: only the lock on it counts, so that a file
/// left by a dead process is no obstacle, and removing it could let two in at once.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and leaves this process's id in the file, for people.
    pub(super) fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join("lock");
        let failed = |what: &str, e: std::io::Error| {
            StoreError::new(
                Kind::Failed,
                format!("lock file {} cannot be {what}: {e}", path.display()),
            )
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed("opened", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(&mut file, folder)),
            Err(TryLockError::Error(e)) => return Err(failed("locked", e)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|e| failed("written", e))?;
        Ok(Lock { _file: file })
    }
}

fn taken(file: &mut File, folder: &Path) -> StoreError {
    let mut text = String::new();
    // The other one may not have written its id yet; the lock is what counts.
    let pid: Option<u32> =
        file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    let (who, stop) = match pid {
        Some(pid) => (format!("pid {pid}"), format!("stop it (`kill {pid}`)")),
        None => ("pid not known".to_owned(), "stop it".to_owned()),
    };
    StoreError::new(
        Kind::InUse,
        format!("another tidegate ({who}) uses this state: {}", folder.display()),
    )
    .hint(format!("{stop}, or run this one in another project folder"))
}
