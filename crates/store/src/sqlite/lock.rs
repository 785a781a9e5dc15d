//! One writer per state: an OS lock on `.tidegate/lock`, which goes with the process.

use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The lock, held until it is dropped. The file stays: only the lock on it counts, so that a file
/// left by a dead process is no obstacle, and removing it could let two in at once.
///
/// The project's folder itself is locked too, where the system can: when `.tidegate/` is deleted
/// under a running server, the lock file goes with it and the folder stays.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    _project: Option<File>,
}

impl Lock {
    /// Takes the lock and leaves this process's id in the file, for people.
    pub(super) fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join("lock");
        let project = lock_project(folder)?;
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
            Err(TryLockError::WouldBlock) => return Err(taken(Some(&mut file), folder)),
            Err(TryLockError::Error(e)) => return Err(failed("locked", e)),
        }
        // The id is for people, and a full disk has no room for it; the lock is what counts.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { file, path, _project: project })
    }

    /// Whether the lock file is still the one that is locked; `true` where that cannot be known.
    pub(super) fn is_in_place(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
            let Ok(ours) = self.file.metadata().map(id) else { return true };
            match std::fs::metadata(&self.path).map(id) {
                Ok(there) => there == ours,
                Err(error) => error.kind() != std::io::ErrorKind::NotFound,
            }
        }
        #[cfg(not(unix))]
        true
    }
}

/// Locks the folder that the state's folder is in; `None` where folders cannot be locked.
fn lock_project(folder: &Path) -> Result<Option<File>> {
    let Some(project) = folder.parent() else { return Ok(None) };
    let project = if project.as_os_str().is_empty() { Path::new(".") } else { project };
    let Ok(file) = File::open(project) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let mut lock = File::open(folder.join("lock")).ok();
            let has_lock = lock.as_mut().is_some_and(|lock| lock.try_lock().is_err());
            let error = taken(lock.as_mut().filter(|_| has_lock), folder);
            Err(match has_lock {
                true => error,
                false => error.hint("its state was deleted or replaced while it ran"),
            })
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn taken(file: Option<&mut File>, folder: &Path) -> StoreError {
    let mut text = String::new();
    // The other one may not have written its id yet; the lock is what counts.
    let read = file.and_then(|file| file.read_to_string(&mut text).ok());
    let pid: Option<u32> = read.and_then(|_| text.trim().parse().ok());
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
