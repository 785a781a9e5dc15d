//! A version set with the bytes of its files.

use super::{ArtifactKind, VersionSet, VersionSetError};
use crate::ids::{Digest, VersionSetId};
use std::collections::BTreeMap;

/// A version set with the bytes of its files.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedSet {
    /// Names and digests, without the bytes.
    pub set: VersionSet,
    /// A label for people, for example `prompt v3 · gpt-4o-mini`; no part of the id.
    pub label: String,
    /// Every file's content by digest.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

/// Why a packed set is not what its id says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackedSetError {
    /// A file's content is not there.
    #[error("version set `{set}`: file `{path}` of {} is missing", .kind.as_str())]
    Missing {
        /// The set that lacks it.
        set: VersionSetId,
        /// The artifact that the file belongs to.
        kind: ArtifactKind,
        /// The file, relative to the artifact.
        path: String,
    },
    /// A file's content does not hash to its digest.
    #[error(
        "version set `{set}`: file `{path}` of {} was altered: it does not match its digest",
        .kind.as_str()
    )]
    Altered {
        /// The set that holds it.
        set: VersionSetId,
        /// The artifact that the file belongs to.
        kind: ArtifactKind,
        /// The file, relative to the artifact.
        path: String,
    },
    /// The set itself was altered.
    #[error(transparent)]
    Set(#[from] VersionSetError),
}

impl PackedSet {
    /// The content of an artifact's file.
    pub fn file(&self, kind: ArtifactKind, path: &str) -> Option<&[u8]> {
        let file = self.set.artifacts.get(&kind)?.files.get(path)?;
        self.blobs.get(&file.digest).map(Vec::as_slice)
    }

    /// All files of an artifact by path; those whose content is not there are left out.
    pub fn files(&self, kind: ArtifactKind) -> BTreeMap<String, Vec<u8>> {
        let paths = self.set.artifacts.get(&kind).map(|artifact| artifact.files.keys());
        paths
            .into_iter()
            .flatten()
            .filter_map(|path| Some((path.clone(), self.file(kind, path)?.to_vec())))
            .collect()
    }

    /// Checks the set against its id, down to the bytes of every file.
    ///
    /// # Errors
    /// The first of [`PackedSetError`]'s that holds.
    pub fn verify(&self) -> Result<(), PackedSetError> {
        for (kind, artifact) in &self.set.artifacts {
            for (path, file) in &artifact.files {
                let at = || (self.set.id.clone(), *kind, path.clone());
                match self.blobs.get(&file.digest) {
                    None => {
                        let (set, kind, path) = at();
                        return Err(PackedSetError::Missing { set, kind, path });
                    }
                    Some(bytes) if Digest::of(bytes) != file.digest => {
                        let (set, kind, path) = at();
                        return Err(PackedSetError::Altered { set, kind, path });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(self.set.verify()?)
    }
}
