//! Reading an artifact's files from the project: bounded, in a fixed order, and never through a
//! link that leads out of it.

use super::error::FilesError;
use crate::models::sha256_of_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// Most files in one artifact. A set's manifest stays below a megabyte with as many.
pub(crate) const FILES_MAX: usize = 2_000;
/// Larger files are kept by pointer (path, digest, size) and not copied into the store, bytes.
pub(crate) const INLINE_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most bytes of one artifact that are copied into the store.
pub(crate) const INLINE_TOTAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Deepest folder below an artifact's folder; a link to a parent folder ends here too.
const DEPTH_MAX: usize = 16;
/// Most entries looked at below an artifact's folder, hidden ones and folders too: links between
/// folders can make far more paths than there are files.
const ENTRIES_MAX: usize = 4 * FILES_MAX;
/// What a pointer's path in the artifact ends with.
pub(crate) const POINTER_SUFFIX: &str = ".pointer.json";

/// What the set holds for a file that is too large to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pointer {
    /// Where the file was, relative to the project.
    pub(crate) path: String,
    /// SHA-256 of its content, hex.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// The places an artifact's files may be in.
#[derive(Debug)]
pub(crate) struct Bounds {
    root: PathBuf,
    within: Vec<PathBuf>,
    key: &'static str,
}

impl Bounds {
    /// The project folder, and the configured path itself where it is written as one outside of it
    /// (absolute, or with `..`): that is a decision, a link that leads out is an accident.
    ///
    /// # Errors
    /// The project folder cannot be read.
    pub(crate) fn new(
        root: &Path,
        configured: &Path,
        key: &'static str,
    ) -> Result<Bounds, FilesError> {
        let mut within = vec![canonical(root, key)?];
        let outside = configured.is_absolute()
            || configured.components().any(|part| part == Component::ParentDir);
        if outside && let Ok(path) = root.join(configured).canonicalize() {
            within.push(path);
        }
        Ok(Bounds { root: root.to_owned(), within, key })
    }

    /// The real path, when it is within the bounds.
    ///
    /// # Errors
    /// It is not there, or it leads out.
    pub(crate) fn check(&self, path: &Path) -> Result<PathBuf, FilesError> {
        let real = canonical(path, self.key)?;
        if self.within.iter().any(|base| real.starts_with(base)) {
            return Ok(real);
        }
        Err(FilesError::LeadsOut { key: self.key, path: self.shown(path), to: real })
    }

    /// The path as it is shown: relative to the project where it is in it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Reads a file of at most `max` bytes.
    ///
    /// # Errors
    /// It is not a readable file, leads out, or is larger.
    pub(crate) fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, FilesError> {
        let real = self.check(path)?;
        let fault = |error| unreadable(self.key, self.shown(path), error);
        let meta = std::fs::metadata(&real).map_err(fault)?;
        if !meta.is_file() {
            return Err(FilesError::NotAFile { key: self.key, path: self.shown(path) });
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&real).map_err(fault)?;
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > max {
            return Err(FilesError::TooLarge { key: self.key, path: self.shown(path), max });
        }
        Ok(bytes)
    }
}

fn canonical(path: &Path, key: &'static str) -> Result<PathBuf, FilesError> {
    path.canonicalize().map_err(|error| unreadable(key, path.display().to_string(), error))
}

fn unreadable(key: &'static str, path: String, source: std::io::Error) -> FilesError {
    match source.kind() {
        std::io::ErrorKind::NotFound => FilesError::Missing { key, path },
        // The system's words say what it is.
        _ => FilesError::Unreadable { key, path, source },
    }
}

/// The files of an artifact that is a file or a folder, by their path in the artifact. Hidden files
/// (`.git`, `.DS_Store`) are left out: they differ between machines and say nothing.
///
/// # Errors
/// Too many files, too many bytes, a name that is not UTF-8, a link that leads out.
pub(crate) fn collect(
    root: &Path,
    configured: &Path,
    key: &'static str,
) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
    let bounds = Bounds::new(root, configured, key)?;
    let base = root.join(configured);
    let mut collector =
        Collector { bounds: &bounds, files: BTreeMap::new(), inline_bytes: 0, entries: 0 };
    if bounds.check(&base)?.is_dir() {
        collector.folder(&base, "", 0)?;
    } else {
        let name = name_of(&base, key)?;
        collector.file(&base, &name)?;
    }
    Ok(collector.files)
}

fn name_of(path: &Path, key: &'static str) -> Result<String, FilesError> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(FilesError::Name { key, path: path.to_owned() }),
    }
}

struct Collector<'a> {
    bounds: &'a Bounds,
    files: BTreeMap<String, Vec<u8>>,
    inline_bytes: u64,
    entries: usize,
}

impl Collector<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), FilesError> {
        let key = self.bounds.key;
        let shown = self.bounds.shown(folder);
        if depth > DEPTH_MAX {
            return Err(FilesError::TooDeep { key, path: shown, max: DEPTH_MAX });
        }
        let fault = |error| unreadable(key, shown.clone(), error);
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(self.too_many());
            }
            let name = name_of(&path, key)?;
            if name.starts_with('.') {
                continue;
            }
            let inside = format!("{prefix}{name}");
            if self.bounds.check(&path)?.is_dir() {
                self.folder(&path, &format!("{inside}/"), depth + 1)?;
            } else {
                self.file(&path, &inside)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, inside: &str) -> Result<(), FilesError> {
        let key = self.bounds.key;
        if self.files.len() >= FILES_MAX {
            return Err(self.too_many());
        }
        let real = self.bounds.check(path)?;
        let size = std::fs::metadata(&real)
            .map_err(|error| unreadable(key, self.bounds.shown(path), error))?
            .len();
        if size > INLINE_FILE_BYTES_MAX {
            let pointer = self.pointer(path, &real)?;
            let bytes = json_bytes(&pointer).map_err(FilesError::Unwritten)?;
            return self.insert(format!("{inside}{POINTER_SUFFIX}"), bytes);
        }
        let content = self.bounds.read(path, INLINE_FILE_BYTES_MAX)?;
        self.inline_bytes += content.len() as u64;
        if self.inline_bytes > INLINE_TOTAL_BYTES_MAX {
            return Err(FilesError::TooManyBytes { key, max: INLINE_TOTAL_BYTES_MAX });
        }
        self.insert(inside.to_owned(), content)
    }

    fn insert(&mut self, path: String, content: Vec<u8>) -> Result<(), FilesError> {
        match self.files.insert(path.clone(), content) {
            None => Ok(()),
            Some(_) => {
                Err(FilesError::TakenTwice { key: self.bounds.key, path, suffix: POINTER_SUFFIX })
            }
        }
    }

    fn too_many(&self) -> FilesError {
        FilesError::TooMany { key: self.bounds.key, max: FILES_MAX }
    }

    fn pointer(&self, path: &Path, real: &Path) -> Result<Pointer, FilesError> {
        let shown = self.bounds.shown(path);
        let (sha256, bytes) = sha256_of_file(real, &mut |_| {})
            .map_err(|error| unreadable(self.bounds.key, shown.clone(), error))?;
        Ok(Pointer { path: shown, sha256, bytes })
    }
}

/// A value as the JSON that is hashed and shown in diffs: members sorted, two spaces, a newline at
/// the end, non-ASCII kept.
///
/// # Errors
/// The value has no JSON form (a bug).
pub(crate) fn json_bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    let mut bytes = serde_json::to_vec_pretty(&value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
