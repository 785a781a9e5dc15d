//! Secrets of a state: 256 random bits, each in a file of the state's folder that only its owner
//! reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Bytes of a secret.
pub(crate) const BYTES: usize = 32;

/// The secret in a file of the project, made where there is none; it is on disk when this returns.
///
/// # Errors
/// When there is no randomness, or the file cannot be written or holds no secret.
pub(crate) fn kept(root: &Path, file: &str) -> io::Result<[u8; BYTES]> {
    match read(root, file)? {
        Some(secret) => Ok(secret),
        None => make(root, file),
    }
}

/// The secret in a file of the project, where there is one.
///
/// # Errors
/// When the file cannot be read, or holds no secret.
pub(crate) fn read(root: &Path, file: &str) -> io::Result<Option<[u8; BYTES]>> {
    match std::fs::read(root.join(file)) {
        Ok(bytes) => {
            let secret = <[u8; BYTES]>::try_from(bytes);
            secret.map(Some).map_err(|_| io::Error::other(format!("{file} holds no secret")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(root: &Path, file: &str) -> io::Result<[u8; BYTES]> {
    let path = root.join(file);
    let secret = random()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut opened| {
        opened.write_all(&secret)?;
        opened.sync_all()?;
        // What is hashed with it is of no use without it.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    });
    if written.is_err() {
        // Half a secret is of no use.
        let _ = std::fs::remove_file(&path);
    }
    written.map(|()| secret)
}

/// Random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_and_half_a_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "a").unwrap(), None);
        let secret = kept(folder.path(), "a").unwrap();
        assert_eq!(kept(folder.path(), "a").unwrap(), secret);
        assert_ne!(kept(folder.path(), "b").unwrap(), secret);
        std::fs::write(folder.path().join("a"), "short").unwrap();
        assert!(kept(folder.path(), "a").is_err());
        assert!(kept(&folder.path().join("none"), "a").is_err());
    }
}
