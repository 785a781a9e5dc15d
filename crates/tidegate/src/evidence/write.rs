//! A pack on disk: all of it or nothing under its name.
//!
//! The files are written into a hidden folder beside the pack's place, forced to disk, and the
//! folder is renamed. Where there is an earlier pack of the same change, the two folders change
//! names in one step, and the earlier one is removed. On a file system that cannot do that, the
//! earlier one is moved aside first: a whole pack is then always under the name or beside it, and a
//! crash in between is repaired by the next write.

use super::error::{EvidenceError, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tidegate_core::evidence::{MANIFEST, is_plain_path};
use tidegate_core::ids::ChangeId;

/// Writes the pack into `<parent>/<change-id>/` and gives that folder.
pub(super) fn write_folder(
    parent: &Path,
    change_id: &ChangeId,
    files: &BTreeMap<String, Vec<u8>>,
    manifest: &str,
) -> Result<PathBuf> {
    let target = parent.join(change_id.as_str());
    if let Some(path) = files.keys().find(|path| !is_plain_path(path)) {
        let path = path.escape_debug().to_string();
        return Err(EvidenceError::PathLeadsOut { pack: change_id.clone(), path });
    }
    match swap_in(parent, change_id, files, manifest) {
        Ok(()) => Ok(target),
        Err(source) => Err(EvidenceError::Unwritten { folder: target, source }),
    }
}

fn swap_in(
    parent: &Path,
    change_id: &ChangeId,
    files: &BTreeMap<String, Vec<u8>>,
    manifest: &str,
) -> io::Result<()> {
    let target = parent.join(change_id.as_str());
    let fresh = parent.join(format!(".{change_id}.new"));
    let aside = parent.join(format!(".{change_id}.old"));
    fs::create_dir_all(parent)?;
    // Left over from a crash: an unfinished new pack is worth nothing, a moved one is the pack.
    remove(&fresh)?;
    if exists(&aside) {
        if exists(&target) {
            remove(&aside)?;
        } else {
            fs::rename(&aside, &target)?;
        }
    }
    fs::create_dir(&fresh)?;
    for (path, content) in files {
        write_file(&fresh, path, content)?;
    }
    write_file(&fresh, MANIFEST, manifest.as_bytes())?;
    sync_folders(&fresh)?;
    put_in_place(&fresh, &target, &aside)?;
    File::open(parent)?.sync_all()?;
    remove(&fresh)?;
    remove(&aside)
}

/// Puts the new folder under the pack's name. What was there before is under one of the other two
/// names afterwards.
fn put_in_place(fresh: &Path, target: &Path, aside: &Path) -> io::Result<()> {
    if !exists(target) {
        return fs::rename(fresh, target);
    }
    if exchange(fresh, target)? {
        return Ok(());
    }
    fs::rename(target, aside)?;
    fs::rename(fresh, target).inspect_err(|_| {
        // The error that is shown is the first one.
        let _ = fs::rename(aside, target);
    })
}

/// Lets two folders change names in one step; false where the system cannot.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    // The last two are one on some systems.
    let cannot = [Errno::NOSYS, Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP];
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(error) if cannot.contains(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Lets two folders change names in one step; false where the system cannot.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<bool> {
    Ok(false)
}

fn write_file(folder: &Path, path: &str, content: &[u8]) -> io::Result<()> {
    let full = folder.join(path);
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create_new(&full)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Whether something is there, a broken link included.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes what is there; a link is removed, not followed.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}
