//! Files that DVC and Git LFS put in the place of data, or beside it.

use super::error::{DataError, Result};
use md5::{Digest as _, Md5};
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A pointer is a few lines; longer files are data.
const POINTER_MAX: u64 = 1024;
/// Longest file of DVC that is read, bytes.
const DVC_MAX: u64 = 64 << 10;
const LFS: &str = "version https://git-lfs.github.com/spec/";

/// What says of data where it is.
pub(super) enum Pointer {
    /// A pointer of Git LFS.
    Lfs {
        /// SHA-256 of the data, and its bytes, as the pointer has them.
        says: String,
    },
    /// A `.dvc` file.
    Dvc {
        /// Where it is.
        path: PathBuf,
        /// What it says of the data.
        out: Out,
    },
}

#[derive(Debug, Deserialize)]
struct Dvc {
    outs: Vec<Out>,
}

/// What DVC says of a file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Out {
    md5: Option<String>,
    size: Option<u64>,
    path: Option<String>,
}

impl Pointer {
    /// The pointer that a file is.
    pub(super) fn at(path: &Path) -> Option<Pointer> {
        if path.extension().is_some_and(|extension| extension == "dvc") {
            let out = read_dvc(path).ok()??;
            return Some(Pointer::Dvc { path: path.to_owned(), out });
        }
        let text = read_short(path, POINTER_MAX)?;
        let mut lines = text.strip_prefix(LFS)?.lines().skip(1);
        let says: Vec<&str> = lines.by_ref().take(2).collect();
        Some(Pointer::Lfs { says: says.join(", ") })
    }

    /// The file of DVC beside a file.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub(super) fn beside(path: &Path) -> Result<Option<Pointer>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".dvc");
        let beside = PathBuf::from(name);
        if !beside.exists() {
            return Ok(None);
        }
        let out = read_dvc(&beside)?;
        Ok(out.map(|out| Pointer::Dvc { path: beside, out }))
    }

    /// The error where it was named as data.
    pub(super) fn in_the_place_of(self, path: &Path) -> DataError {
        let path = path.to_owned();
        match self {
            Pointer::Lfs { says } => DataError::Lfs { path, says },
            Pointer::Dvc { path: _, out } => DataError::Dvc { path, data: out.path },
        }
    }

    /// How a file differs from what is said of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn differs(&self, data: &Path, bytes: u64) -> Result<Option<String>> {
        let Pointer::Dvc { path, out } = self else { return Ok(None) };
        let dvc = path.display();
        if let Some(size) = out.size
            && size != bytes
        {
            return Ok(Some(format!("{bytes} bytes, {dvc} says {size}")));
        }
        let Some(said) = &out.md5 else { return Ok(None) };
        let found = md5_of(data)?;
        Ok((*said != found).then(|| format!("md5 {found}, {dvc} says {said}")))
    }
}

/// What a pointer of Git LFS says of its data: SHA-256 in hex, and bytes; none for another file.
pub(crate) fn lfs_pointer(path: &Path) -> Option<(String, u64)> {
    let text = read_short(path, POINTER_MAX)?;
    let lines = || text.strip_prefix(LFS).into_iter().flat_map(str::lines);
    let value = |key: &str| lines().find_map(|line| line.strip_prefix(key));
    let sha256 = value("oid sha256:")?.trim();
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = value("size ")?.trim().parse().ok()?;
    is_digest.then(|| (sha256.to_ascii_lowercase(), bytes))
}

fn read_short(path: &Path, max: u64) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    let is_short = file.metadata().ok().is_some_and(|about| about.is_file() && about.len() <= max);
    (is_short && file.take(max).read_to_string(&mut text).is_ok()).then_some(text)
}

fn read_dvc(path: &Path) -> Result<Option<Out>> {
    let none = |why: &str| DataError::NoDvc { path: path.to_owned(), why: why.to_owned() };
    let text = read_short(path, DVC_MAX).ok_or_else(|| none("it cannot be read as short text"))?;
    let dvc: Dvc = serde_saphyr::from_str(&text).map_err(|error| {
        none(error.to_string().lines().next().unwrap_or("it is not YAML with `outs`"))
    })?;
    Ok(dvc.outs.into_iter().next())
}

fn md5_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| DataError::broken(path, error))?;
    let (mut hash, mut part) = (Md5::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut part).map_err(|error| DataError::broken(path, error))?;
        if read == 0 {
            break;
        }
        hash.update(&part[..read]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
