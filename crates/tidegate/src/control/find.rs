//! How a command finds the server that runs: by its project folder, by its address, or because it
//! is the only one.
//!
//! A server writes its address and a fresh token to `.tidegate/admin.json` and to a folder of this
//! user outside the project (`$XDG_RUNTIME_DIR/tidegate`, else `tidegate-<uid>` in the folder for
//! temporary files). The second is found when `.tidegate/` is gone, when the disk is full, and from
//! any folder.

use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Servers of one user that are looked at; far more than anyone runs.
const SERVERS_MAX: usize = 256;

/// What a server leaves to be found by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdminFile {
    /// Where its admin plane listens.
    pub(crate) address: SocketAddr,
    /// What its orders carry.
    pub(crate) token: String,
    /// Its process.
    pub(crate) pid: u32,
    /// The state's folder it was written for: in a copy of that folder it says nothing.
    pub(crate) folder: Option<Inode>,
    /// The project's folder.
    #[serde(default)]
    pub(crate) root: PathBuf,
    /// Where the service itself listens.
    #[serde(default)]
    pub(crate) listen: Option<SocketAddr>,
}

/// What distinguishes a folder from its copies: device and number.
pub(crate) type Inode = (u64, u64);

/// `None` where the system does not say.
pub(super) fn inode(folder: &Path) -> Option<Inode> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(folder).ok().map(|meta| (meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// The project's folder: where its file is or would be.
pub(crate) fn folder_of(config: &Path) -> PathBuf {
    match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The project's folder by its full name.
pub(crate) fn full_name(root: &Path) -> PathBuf {
    root.canonicalize().unwrap_or_else(|_| root.to_owned())
}

/// Removes what a server left when it ends.
pub(super) struct AdminGuard {
    paths: Vec<PathBuf>,
}

impl Drop for AdminGuard {
    fn drop(&mut self) {
        for path in &self.paths {
            // A file that is left over is noticed as stale by the next reader.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Leaves the file in both places.
///
/// # Errors
/// When it could be left in neither.
pub(super) fn leave(root: &Path, file: &AdminFile) -> std::io::Result<AdminGuard> {
    let content = serde_json::to_vec(file)?;
    let here = root.join(".tidegate").join("admin.json");
    let beside = runtime_folder()
        .map(|folder| folder.join(format!("{}-{}.json", file.pid, file.address.port())));
    let mut paths = Vec::new();
    let mut failed = None;
    for path in std::iter::once(here).chain(beside) {
        match write_private(&path, &content) {
            Ok(()) => paths.push(path),
            Err(error) => failed = Some(error),
        }
    }
    match (paths.is_empty(), failed) {
        (true, Some(error)) => Err(error),
        (_, _) => Ok(AdminGuard { paths }),
    }
}

/// Writes a file that only its owner can read; whoever reads it sees all of it or the one before.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("json.tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut file| file.write_all(content));
    let placed = written.and_then(|()| std::fs::rename(&draft, path));
    if placed.is_err() {
        // Half a file is of no use.
        let _ = std::fs::remove_file(&draft);
    }
    placed
}

/// What the project's own folder says; nothing in a copy of it.
pub(crate) fn in_folder(root: &Path) -> Option<AdminFile> {
    let folder = root.join(".tidegate");
    let file: AdminFile =
        serde_json::from_slice(&std::fs::read(folder.join("admin.json")).ok()?).ok()?;
    (file.folder == inode(&folder)).then_some(file)
}

/// What all servers of this user left; some may be gone.
pub(crate) fn of_this_user() -> Vec<(PathBuf, AdminFile)> {
    let Some(entries) = runtime_folder().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).take(SERVERS_MAX);
    let read = |path: PathBuf| {
        let file = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        Some((path, file))
    };
    paths.filter_map(read).collect()
}

/// A folder that only this user can look into; `None` where there is none to be had.
fn runtime_folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("tidegate"),
        None => std::env::temp_dir().join(format!("tidegate-{}", user()?)),
    };
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // It is there already, or it cannot be looked into below.
    let _ = builder.create(&folder);
    is_private(&folder).then_some(folder)
}

/// The folder's own user and nobody else: another one could put a false address there.
#[cfg(unix)]
fn is_private(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(meta) = folder.symlink_metadata() else { return false };
    let is_ours = user().is_none_or(|user| user == meta.uid().to_string());
    meta.is_dir() && meta.mode() & 0o077 == 0 && is_ours
}

#[cfg(not(unix))]
fn is_private(folder: &Path) -> bool {
    folder.is_dir()
}

/// The number of this process's user, or the user's name where that cannot be had.
fn user() -> Option<String> {
    #[cfg(unix)]
    if let Ok(process) = std::fs::metadata("/proc/self") {
        use std::os::unix::fs::MetadataExt as _;
        return Some(process.uid().to_string());
    }
    #[cfg(unix)]
    return None;
    #[cfg(not(unix))]
    std::env::var("USERNAME").ok().filter(|name| name.chars().all(char::is_alphanumeric))
}
