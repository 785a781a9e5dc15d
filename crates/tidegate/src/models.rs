//! Models of the project, by the commit that made them: `models/registry.json` says which files
//! they are, by digest. A version set names one of them, so another checkpoint is another set.
//!
//! A file that Git LFS left as a pointer counts as what it points to: the pointer has the digest
//! and the size. So a registration is the same where the weights are, and where they are not.

use crate::data::lfs_pointer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tidegate_core::ids::Digest;

/// The registry, in the project's folder.
pub(crate) const REGISTRY: &str = "models/registry.json";
/// Most files of a model; shards of the largest are some hundred.
const FILES_MAX: usize = 2_000;
/// Deepest folder of a model.
const DEPTH_MAX: usize = 16;
/// Largest registry that is read, bytes.
const REGISTRY_BYTES_MAX: u64 = 16 << 20;
/// Length of a commit's name, in hex digits: Git's shortest, and SHA-256's.
const SHA_CHARS: std::ops::RangeInclusive<usize> = 7..=64;

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelPart {
    /// SHA-256 of its content, hex.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// The files of a model, by path in its folder.
pub(crate) type Parts = BTreeMap<String, ModelPart>;

/// A model that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registered {
    /// Its folder, or file, relative to the project where it is in it.
    pub(crate) from: String,
    /// Digest over the paths and contents of its files.
    pub(crate) sha256: String,
    /// Its files.
    pub(crate) files: Parts,
    /// Who registered it.
    pub(crate) by: String,
    /// When, RFC 3339.
    pub(crate) at: String,
}

/// What is registered, by commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// The models.
    pub(crate) models: BTreeMap<String, Registered>,
}

/// Why a model is not registered, or not the one that is.
#[derive(Debug, Error)]
pub(crate) enum RegistryError {
    #[error(
        "`{}` is not the name of a commit: {} to {} hex digits",
        .given.escape_debug(), SHA_CHARS.start(), SHA_CHARS.end()
    )]
    NoSha { given: String },
    #[error("{REGISTRY} cannot be read: {why}")]
    Unread { why: String },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has no file", path.display())]
    Empty { path: PathBuf },
    #[error("{} has more than {FILES_MAX} files or {DEPTH_MAX} folders in it", path.display())]
    TooMany { path: PathBuf },
    /// Another model under the name of one that is there.
    #[error("model `{sha}` is registered already with other files: {difference}")]
    Taken { sha: String, difference: String },
    #[error("model `{sha}` is not registered")]
    NotRegistered { sha: String, known: Vec<String> },
    /// The folder is not what was registered.
    #[error("the files of model `{sha}` in {from} are not those that are registered: {difference}")]
    Changed { sha: String, from: String, difference: String },
}

/// The name of a commit as it is kept.
///
/// # Errors
/// It is none.
pub(crate) fn commit(given: &str) -> Result<String, RegistryError> {
    let sha = given.trim().to_ascii_lowercase();
    let is_hex = sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hex && SHA_CHARS.contains(&sha.len()) {
        true => Ok(sha),
        false => Err(RegistryError::NoSha { given: given.chars().take(80).collect() }),
    }
}

impl Registry {
    /// Reads the registry; one that is not there has no model.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(crate) fn read(root: &Path) -> Result<Registry, RegistryError> {
        let unread = |why: String| RegistryError::Unread { why };
        let path = root.join(REGISTRY);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Registry::default());
            }
            Err(error) => return Err(unread(error.to_string())),
            Ok(about) if about.len() > REGISTRY_BYTES_MAX => {
                return Err(unread(format!("it has more than {REGISTRY_BYTES_MAX} bytes")));
            }
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(|error| unread(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| unread(error.to_string()))
    }

    /// The registered model of a commit.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(&self, sha: &str) -> Result<&Registered, RegistryError> {
        self.models.get(sha).ok_or_else(|| RegistryError::NotRegistered {
            sha: sha.to_owned(),
            known: self.models.keys().cloned().collect(),
        })
    }

    /// Adds a model; whether it is new. Files under the name of others are refused.
    ///
    /// # Errors
    /// The commit is taken.
    pub(crate) fn add(&mut self, sha: &str, model: Registered) -> Result<bool, RegistryError> {
        if let Some(before) = self.models.get(sha) {
            return match difference(&before.files, &model.files) {
                None => Ok(false),
                Some(difference) => Err(RegistryError::Taken { sha: sha.to_owned(), difference }),
            };
        }
        self.models.insert(sha.to_owned(), model);
        Ok(true)
    }
}

impl Registered {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|part| part.bytes).sum()
    }

    /// Whether its files are on this machine.
    pub(crate) fn is_here(&self, root: &Path) -> bool {
        root.join(&self.from).exists()
    }

    /// Checks by size that the files are those that are registered: fast enough for every packing.
    /// Files that are not on this machine are not looked for, since a model server has them.
    ///
    /// # Errors
    /// A file is missing, new, or of another size.
    pub(crate) fn check_sizes(&self, sha: &str, root: &Path) -> Result<(), RegistryError> {
        if !self.is_here(root) {
            return Ok(());
        }
        let mut now = Parts::new();
        for (name, path) in files_of(&root.join(&self.from))? {
            let unreadable = |source| RegistryError::Unreadable { path: path.clone(), source };
            let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
            // A pointer says what it points to; of other files only the size is known here.
            let part = match lfs_pointer(&path) {
                Some((sha256, bytes)) => ModelPart { sha256, bytes },
                None => {
                    let known = self.files.get(&name).map(|part| part.sha256.clone());
                    ModelPart { sha256: known.unwrap_or_default(), bytes }
                }
            };
            now.insert(name, part);
        }
        self.check(sha, &now)
    }

    /// Checks files that were read in full.
    ///
    /// # Errors
    /// They are not those that are registered.
    pub(crate) fn check(&self, sha: &str, now: &Parts) -> Result<(), RegistryError> {
        match difference(&self.files, now) {
            None => Ok(()),
            Some(difference) => {
                let (sha, from) = (sha.to_owned(), self.from.clone());
                Err(RegistryError::Changed { sha, from, difference })
            }
        }
    }
}

/// The first difference between the files that are registered and those that are there.
fn difference(registered: &Parts, now: &Parts) -> Option<String> {
    let names = registered.keys().chain(now.keys());
    names.into_iter().find_map(|name| match (registered.get(name), now.get(name)) {
        (Some(_), None) => Some(format!("{name} is not there")),
        (None, Some(_)) => Some(format!("{name} is new")),
        (Some(one), Some(other)) if one.bytes != other.bytes => {
            Some(format!("{name} has {} bytes, {} are registered", other.bytes, one.bytes))
        }
        (Some(one), Some(other)) if one.sha256 != other.sha256 => {
            Some(format!("{name} has sha256 {}, {} is registered", other.sha256, one.sha256))
        }
        (Some(_) | None, Some(_) | None) => None,
    })
}

/// Bytes of the files of a model, for a bar of progress.
///
/// # Errors
/// They cannot be listed.
pub(crate) fn size_of(from: &Path) -> Result<u64, RegistryError> {
    let files = files_of(from)?;
    Ok(files.values().filter_map(|path| path.metadata().ok()).map(|about| about.len()).sum())
}

/// Whether a model has no file at all.
///
/// # Errors
/// It cannot be listed.
pub(crate) fn is_empty(from: &Path) -> Result<bool, RegistryError> {
    match files_of(from) {
        Err(RegistryError::Empty { .. }) => Ok(true),
        files => files.map(|_| false),
    }
}

/// The digest over all files, and each file's; how many of them are pointers of Git LFS.
/// `progress` is given the bytes that were read.
///
/// # Errors
/// A file cannot be read, or there is none.
pub(crate) fn digest_of(
    from: &Path,
    mut progress: impl FnMut(u64),
) -> Result<(String, Parts, usize), RegistryError> {
    let (mut parts, mut pointers) = (Parts::new(), 0);
    for (name, path) in files_of(from)? {
        let part = match lfs_pointer(&path) {
            Some((sha256, bytes)) => {
                pointers += 1;
                ModelPart { sha256, bytes }
            }
            None => {
                let read = sha256_of_file(&path, &mut progress);
                let (sha256, bytes) = read
                    .map_err(|source| RegistryError::Unreadable { path: path.clone(), source })?;
                ModelPart { sha256, bytes }
            }
        };
        parts.insert(name, part);
    }
    let pieces: Vec<&[u8]> =
        parts.iter().flat_map(|(name, part)| [name.as_bytes(), part.sha256.as_bytes()]).collect();
    Ok((Digest::of_parts(&pieces).to_string(), parts, pointers))
}

/// The files of a folder by their path in it; a file alone is by its name. Hidden ones are no part
/// of a model, and links to folders are not followed: they may lead anywhere, and in circles.
fn files_of(from: &Path) -> Result<BTreeMap<String, PathBuf>, RegistryError> {
    let unreadable = |path: &Path, source| RegistryError::Unreadable { path: path.into(), source };
    let about = std::fs::metadata(from).map_err(|error| unreadable(from, error))?;
    if about.is_file() {
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok([(name, from.to_owned())].into());
    }
    let too_many = || RegistryError::TooMany { path: from.to_owned() };
    let (mut files, mut folders) = (BTreeMap::new(), vec![(from.to_owned(), String::new(), 0)]);
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
            if kind.is_dir() {
                if depth >= DEPTH_MAX {
                    return Err(too_many());
                }
                folders.push((path, format!("{name}/"), depth + 1));
            } else if std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?.is_file()
            {
                files.insert(name, path);
                if files.len() > FILES_MAX {
                    return Err(too_many());
                }
            }
        }
    }
    match files.is_empty() {
        true => Err(RegistryError::Empty { path: from.to_owned() }),
        false => Ok(files),
    }
}

/// SHA-256 (hex) and size of a file, read in pieces; `progress` is given the bytes of each.
pub(crate) fn sha256_of_file(
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> io::Result<(String, u64)> {
    use sha2::Digest as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut file = std::fs::File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    let mut bytes = 0_u64;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        bytes += n as u64;
        progress(n as u64);
    }
    let hex = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hex, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(files: &[(&str, &str, u64)]) -> Parts {
        let part = |(name, sha256, bytes): &(&str, &str, u64)| {
            ((*name).to_owned(), ModelPart { sha256: (*sha256).to_owned(), bytes: *bytes })
        };
        files.iter().map(part).collect()
    }

    fn check(registered: &[(&str, &str, u64)], now: &[(&str, &str, u64)], says: Option<&str>) {
        assert_eq!(difference(&parts(registered), &parts(now)).as_deref(), says);
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = [("a.bin", "aa", 3), ("b.bin", "bb", 4)];
        check(&one, &one, None);
        check(&one, &one[..1], Some("b.bin is not there"));
        check(&one[..1], &one, Some("b.bin is new"));
        check(&one[..1], &[("a.bin", "aa", 9)], Some("a.bin has 9 bytes, 3 are registered"));
        check(&one[..1], &[("a.bin", "ac", 3)], Some("a.bin has sha256 ac, aa is registered"));
    }

    #[test]
    fn a_pointer_and_what_it_points_to_are_one_model() {
        let folder = tempfile::tempdir().unwrap();
        let [real, pointed] = ["real", "pointed"].map(|name| folder.path().join(name));
        for path in [&real, &pointed] {
            std::fs::create_dir_all(path.join("shards")).unwrap();
            std::fs::write(path.join(".gitattributes"), "*.bin filter=lfs").unwrap();
            std::fs::write(path.join("config.json"), "{}").unwrap();
        }
        std::fs::write(real.join("shards/1.bin"), "weights").unwrap();
        let (sha256, bytes) = sha256_of_file(&real.join("shards/1.bin"), &mut |_| {}).unwrap();
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {bytes}\n"
        );
        std::fs::write(pointed.join("shards/1.bin"), pointer).unwrap();
        let (one, files, none) = digest_of(&real, |_| {}).unwrap();
        let (other, _, pointers) = digest_of(&pointed, |_| {}).unwrap();
        assert_eq!((one == other, none, pointers), (true, 0, 1));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["config.json", "shards/1.bin"]);
        std::fs::write(real.join("shards/1.bin"), "weightz").unwrap();
        assert_ne!(digest_of(&real, |_| {}).unwrap().0, one);
    }
}
