//! The key that makes pseudonyms in the log. Without it nobody can find out whose they are by
//! hashing names that they know; with it they are the same after a restart.

use crate::secret;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::ids::Digest;

/// The key's file in the state's folder.
const FILE: &str = ".tidegate/log.key";

/// A key of 256 random bits.
#[derive(Clone)]
pub(crate) struct LogKey(Arc<[u8; 32]>);

/// It is a secret, so it is not shown.
impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey")
    }
}

impl LogKey {
    /// The project's key, made where there is none.
    ///
    /// # Errors
    /// When there is no randomness, or the file cannot be written or holds no key.
    pub(crate) fn of(root: &Path) -> io::Result<LogKey> {
        Ok(LogKey(Arc::new(secret::kept(root, FILE)?)))
    }

    /// A key that ends with the process.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn random() -> io::Result<LogKey> {
        Ok(LogKey(Arc::new(secret::random()?)))
    }

    /// A name behind a pseudonym: the word and 16 hex digits, the same for a name of a service.
    pub(crate) fn pseudonym(&self, word: &str, service: &str, name: &str) -> String {
        let parts = [&self.0[..], word.as_bytes(), service.as_bytes(), name.as_bytes()];
        format!("{word}-{}", Digest::of_parts(&parts).short(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_another_key_gives_other_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".tidegate")).unwrap();
        let key = LogKey::of(folder.path()).unwrap();
        let again = LogKey::of(folder.path()).unwrap();
        let name = |key: &LogKey| key.pseudonym("user", "desk", "mei");
        assert_eq!(name(&key), name(&again));
        assert_ne!(name(&key), name(&LogKey::random().unwrap()));
        assert_ne!(name(&key), key.pseudonym("user", "shop", "mei"));
        assert_ne!(name(&key), key.pseudonym("user", "desk", "ana"));
        assert_eq!(name(&key).len(), "user-".len() + 16);
        assert_eq!(format!("{key:?}"), "LogKey");
        std::fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(LogKey::of(folder.path()).is_err());
    }
}
