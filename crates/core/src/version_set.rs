//! Version sets: what is released is never one file, it is the combination that was tested.
//!
//! A set is content-addressed: its id is the hash of its artifacts' contents, so the same content
//! always has the same id and a changed byte always has another one. Names for people (`v3`,
//! `gpt-4o-mini`) are kept beside the content and are not part of the id.

mod named;
mod packed;

pub use named::NamedSet;
pub use packed::{PackedSet, PackedSetError};

use crate::ids::{Digest, VersionSetId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kinds of artifact a version set combines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// The application's code, by revision.
    Code,
    /// The behaviour settings of the service: limits, contract, risk rules.
    Config,
    /// System prompt, user template and sampling settings.
    Prompt,
    /// The upstream, the model's name and its parameters.
    Model,
    /// The retrieval index: version, chunking, documents.
    Index,
    /// The tool manifest: schemas and permissions.
    Tools,
    /// A data snapshot (optional).
    Data,
    /// A fine-tuned adapter (optional).
    Adapter,
    /// A safety or business policy (optional).
    Policy,
}

impl ArtifactKind {
    /// Every kind, in the order they are hashed and shown.
    pub const ALL: [ArtifactKind; 9] = [
        ArtifactKind::Code,
        ArtifactKind::Config,
        ArtifactKind::Prompt,
        ArtifactKind::Model,
        ArtifactKind::Index,
        ArtifactKind::Tools,
        ArtifactKind::Data,
        ArtifactKind::Adapter,
        ArtifactKind::Policy,
    ];

    /// The six kinds every set must have.
    pub const REQUIRED: [ArtifactKind; 6] = [
        ArtifactKind::Code,
        ArtifactKind::Config,
        ArtifactKind::Prompt,
        ArtifactKind::Model,
        ArtifactKind::Index,
        ArtifactKind::Tools,
    ];

    /// The kind's name in files and output.
    pub fn as_str(self) -> &'static str {
        match self {
            ArtifactKind::Code => "code",
            ArtifactKind::Config => "config",
            ArtifactKind::Prompt => "prompt",
            ArtifactKind::Model => "model",
            ArtifactKind::Index => "index",
            ArtifactKind::Tools => "tools",
            ArtifactKind::Data => "data",
            ArtifactKind::Adapter => "adapter",
            ArtifactKind::Policy => "policy",
        }
    }
}

/// One file of an artifact: its content's digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Digest of the content; the store keeps the bytes under it.
    pub digest: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

/// One versioned thing of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What people call this version (`v3`, `gpt-4o-mini`, `v2025.12.24.01`); not hashed.
    pub version: String,
    /// Digest over the paths and contents of the files.
    pub digest: Digest,
    /// The files by path, relative to the artifact.
    pub files: BTreeMap<String, FileRef>,
    /// The storage format, where a change of it cannot be undone by switching back (an index or
    /// schema format); not hashed, it follows from the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl Artifact {
    /// Builds the artifact from its files; paths are relative, with `/`.
    pub fn from_files(version: &str, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let refs: BTreeMap<String, FileRef> = files
            .iter()
            .map(|(path, content)| {
                let file = FileRef { digest: Digest::of(content), bytes: content.len() as u64 };
                (path.clone(), file)
            })
            .collect();
        let digest = Self::digest_of(&refs);
        Artifact { version: version.to_owned(), digest, files: refs, format: None }
    }

    fn digest_of(files: &BTreeMap<String, FileRef>) -> Digest {
        let parts: Vec<&[u8]> = files
            .iter()
            .flat_map(|(path, file)| [path.as_bytes(), file.digest.as_str().as_bytes()])
            .collect();
        Digest::of_parts(&parts)
    }

    /// The same artifact with its storage format named.
    #[must_use]
    pub fn with_format(mut self, format: Option<String>) -> Self {
        self.format = format;
        self
    }
}

/// An immutable combination of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSet {
    /// `vs-` and 12 hex digits.
    pub id: VersionSetId,
    /// The artifacts by kind; the six required ones are there.
    pub artifacts: BTreeMap<ArtifactKind, Artifact>,
}

/// Why a set could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionSetError {
    /// One of the six kinds is missing.
    #[error(
        "a version set needs code, config, prompt, model, index and tools; `{}` is missing",
        .0.as_str()
    )]
    Missing(ArtifactKind),
    /// The stored id is not the hash of the stored artifacts.
    #[error("version set `{stored}` does not match its content, which hashes to `{computed}`")]
    Altered {
        /// The id it was stored under.
        stored: VersionSetId,
        /// The id its content has.
        computed: VersionSetId,
    },
    /// An artifact's digest is not the hash of its list of files.
    #[error("version set `{set}`: the file list of `{}` does not match its digest", .kind.as_str())]
    AlteredArtifact {
        /// The id that the set was stored under.
        set: VersionSetId,
        /// Which of its artifacts.
        kind: ArtifactKind,
    },
}

/// The names of a set's artifacts for people and telemetry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct VersionKeys {
    /// Code revision.
    pub code: String,
    /// Prompt version, for example `v3`.
    pub prompt: String,
    /// Model name.
    pub model: String,
    /// Index version.
    pub index: String,
}

impl VersionKeys {
    /// The combination under a release's short keys: `code_v`, `prompt_v`, `model_v`, `index_v`.
    pub fn short(&self) -> BTreeMap<String, String> {
        let VersionKeys { code, prompt, model, index } = self;
        [("code_v", code), ("prompt_v", prompt), ("model_v", model), ("index_v", index)]
            .into_iter()
            .map(|(key, version)| (key.to_owned(), version.clone()))
            .collect()
    }
}

impl VersionSet {
    /// Combines the artifacts.
    ///
    /// # Errors
    /// [`VersionSetError::Missing`] when a required kind is absent.
    pub fn new(artifacts: BTreeMap<ArtifactKind, Artifact>) -> Result<Self, VersionSetError> {
        Self::check_required(&artifacts)?;
        let id = Self::id_of(&artifacts);
        Ok(VersionSet { id, artifacts })
    }

    /// Checks a set that was stored: the six kinds are there, its id is the hash of its artifacts'
    /// digests, and each of those is the hash of the artifact's file list. The bytes themselves are
    /// the caller's to check against the files' digests.
    ///
    /// # Errors
    /// The first of [`VersionSetError`]'s that holds.
    pub fn verify(&self) -> Result<(), VersionSetError> {
        Self::check_required(&self.artifacts)?;
        let computed = Self::id_of(&self.artifacts);
        if computed != self.id {
            return Err(VersionSetError::Altered { stored: self.id.clone(), computed });
        }
        for (kind, artifact) in &self.artifacts {
            if Artifact::digest_of(&artifact.files) != artifact.digest {
                return Err(VersionSetError::AlteredArtifact { set: self.id.clone(), kind: *kind });
            }
        }
        Ok(())
    }

    fn check_required(artifacts: &BTreeMap<ArtifactKind, Artifact>) -> Result<(), VersionSetError> {
        match ArtifactKind::REQUIRED.into_iter().find(|kind| !artifacts.contains_key(kind)) {
            Some(kind) => Err(VersionSetError::Missing(kind)),
            None => Ok(()),
        }
    }

    fn id_of(artifacts: &BTreeMap<ArtifactKind, Artifact>) -> VersionSetId {
        let parts: Vec<&[u8]> = artifacts
            .iter()
            .flat_map(|(kind, artifact)| {
                [kind.as_str().as_bytes(), artifact.digest.as_str().as_bytes()]
            })
            .collect();
        let text = format!("vs-{}", Digest::of_parts(&parts).short(12));
        match VersionSetId::parse(&text) {
            Ok(id) => id,
            Err(_) => unreachable!("a digest's first 12 hex digits always make an id"),
        }
    }

    /// The short keys of this set.
    pub fn keys(&self) -> VersionKeys {
        let version = |kind| {
            self.artifacts.get(&kind).map(|a: &Artifact| a.version.clone()).unwrap_or_default()
        };
        VersionKeys {
            code: version(ArtifactKind::Code),
            prompt: version(ArtifactKind::Prompt),
            model: version(ArtifactKind::Model),
            index: version(ArtifactKind::Index),
        }
    }

    /// What changes from `self` to `to`, by kind and file; empty when nothing does.
    pub fn diff(&self, to: &VersionSet) -> Vec<ArtifactChange> {
        ArtifactKind::ALL
            .into_iter()
            .filter_map(|kind| {
                let (old, new) = (self.artifacts.get(&kind), to.artifacts.get(&kind));
                if old.map(|a| &a.digest) == new.map(|a| &a.digest) {
                    return None;
                }
                Some(ArtifactChange {
                    kind,
                    from: old.map(|a| a.version.clone()),
                    to: new.map(|a| a.version.clone()),
                    files: diff_files(old, new),
                })
            })
            .collect()
    }

    /// Why switching back from `to` to `self` would not restore the old behaviour; empty when it
    /// would: such a release is flagged before it ships.
    pub fn way_back_problems(&self, to: &VersionSet) -> Vec<String> {
        let mut problems = Vec::new();
        for kind in [ArtifactKind::Index, ArtifactKind::Data] {
            let format = |set: &VersionSet| set.artifacts.get(&kind).and_then(|a| a.format.clone());
            if let (Some(old), Some(new)) = (format(self), format(to))
                && old != new
            {
                problems.push(format!(
                    "{} format changes from `{old}` to `{new}`: the old set cannot read what the \
                     new one writes",
                    kind.as_str()
                ));
            }
        }
        problems
    }
}

/// One artifact that differs between two sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactChange {
    /// Which artifact differs.
    pub kind: ArtifactKind,
    /// The version before; absent when the kind is new.
    pub from: Option<String>,
    /// The version after; absent when the kind is gone.
    pub to: Option<String>,
    /// The files that differ.
    pub files: Vec<FileChange>,
}

/// One file that differs between two artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Path inside the artifact.
    pub path: String,
    /// Digest before; absent for an added file.
    pub from: Option<Digest>,
    /// Digest after; absent for a removed file.
    pub to: Option<Digest>,
}

fn diff_files(old: Option<&Artifact>, new: Option<&Artifact>) -> Vec<FileChange> {
    let empty = BTreeMap::new();
    let old = old.map_or(&empty, |a| &a.files);
    let new = new.map_or(&empty, |a| &a.files);
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let from = old.get(path).map(|f| f.digest.clone());
            let to = new.get(path).map(|f| f.digest.clone());
            (from != to).then(|| FileChange { path: path.clone(), from, to })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prompt: &str, index_format: &str) -> VersionSet {
        let artifacts = ArtifactKind::REQUIRED
            .into_iter()
            .map(|kind| {
                let content = if kind == ArtifactKind::Prompt { prompt } else { "same" };
                let files = BTreeMap::from([("a.md".to_owned(), content.as_bytes().to_vec())]);
                let format = (kind == ArtifactKind::Index).then(|| index_format.to_owned());
                (kind, Artifact::from_files("v1", &files).with_format(format))
            })
            .collect();
        VersionSet::new(artifacts).unwrap()
    }

    #[test]
    fn the_same_content_has_the_same_id_and_another_byte_another_id() {
        assert_eq!(set("你是客服", "f1").id, set("你是客服", "f1").id);
        assert_ne!(set("你是客服", "f1").id, set("你是客服。", "f1").id);
    }

    #[test]
    fn a_missing_kind_is_named() {
        let mut artifacts = set("p", "f1").artifacts;
        artifacts.remove(&ArtifactKind::Tools);
        let error = VersionSet::new(artifacts).unwrap_err();
        assert_eq!(error, VersionSetError::Missing(ArtifactKind::Tools));
        assert!(error.to_string().contains("`tools` is missing"));
    }

    #[test]
    fn a_diff_names_the_file() {
        let (old, new) = (set("p", "f1"), set("q", "f1"));
        let diff = old.diff(&new);
        assert_eq!(diff.len(), 1);
        assert_eq!((diff[0].kind, diff[0].files[0].path.as_str()), (ArtifactKind::Prompt, "a.md"));
        assert!(old.diff(&old).is_empty());
    }

    #[test]
    fn a_changed_index_format_has_no_way_back() {
        assert!(set("p", "f1").way_back_problems(&set("q", "f1")).is_empty());
        assert_eq!(set("p", "f1").way_back_problems(&set("p", "f2")).len(), 1);
    }

    #[test]
    fn an_altered_set_is_seen() {
        let mut altered = set("p", "f1");
        altered.artifacts.get_mut(&ArtifactKind::Code).unwrap().digest = Digest::of(b"other");
        assert!(matches!(altered.verify(), Err(VersionSetError::Altered { .. })));
    }

    #[test]
    fn an_altered_file_list_is_seen() {
        let good = set("p", "f1");
        assert_eq!(good.verify(), Ok(()));
        let mut altered = good.clone();
        let prompt = altered.artifacts.get_mut(&ArtifactKind::Prompt).unwrap();
        prompt.files.get_mut("a.md").unwrap().digest = Digest::of(b"other");
        let error = altered.verify().unwrap_err();
        assert_eq!(
            error,
            VersionSetError::AlteredArtifact { set: good.id.clone(), kind: ArtifactKind::Prompt }
        );
        let mut short = good;
        short.artifacts.remove(&ArtifactKind::Index);
        assert_eq!(short.verify(), Err(VersionSetError::Missing(ArtifactKind::Index)));
    }

    #[test]
    fn the_same_bytes_in_another_kind_are_another_set() {
        let old = set("p", "f1");
        let mut swapped = old.artifacts.clone();
        swapped.insert(ArtifactKind::Tools, old.artifacts[&ArtifactKind::Prompt].clone());
        swapped.insert(ArtifactKind::Prompt, old.artifacts[&ArtifactKind::Tools].clone());
        assert_ne!(VersionSet::new(swapped).unwrap().id, old.id);
    }

    #[test]
    fn a_name_for_people_is_not_part_of_the_id() {
        let mut renamed = set("p", "f1").artifacts;
        renamed.get_mut(&ArtifactKind::Prompt).unwrap().version = "v9".to_owned();
        let renamed = VersionSet::new(renamed).unwrap();
        assert_eq!(renamed.id, set("p", "f1").id);
        assert_eq!(renamed.keys().prompt, "v9");
    }

    mod properties {
        use super::*;
        use proptest::prelude::*;

        type Files = Vec<(String, Vec<u8>)>;

        fn files() -> impl Strategy<Value = Files> {
            let content = proptest::collection::vec(any::<u8>(), 0..24);
            proptest::collection::btree_map("[a-c/]{1,4}", content, 1..6)
                .prop_map(|files| files.into_iter().collect())
        }

        fn id_with(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> VersionSetId {
            let files: BTreeMap<String, Vec<u8>> = files.into_iter().collect();
            let mut artifacts = set("p", "f1").artifacts;
            artifacts.insert(ArtifactKind::Index, Artifact::from_files("v1", &files));
            VersionSet::new(artifacts).unwrap().id
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(128))]

            #[test]
            fn the_order_of_files_changes_nothing(
                (files, shuffled) in files()
                    .prop_flat_map(|files| (Just(files.clone()), Just(files).prop_shuffle()))
            ) {
                prop_assert_eq!(id_with(files), id_with(shuffled));
            }

            #[test]
            fn any_changed_byte_changes_the_id(
                files in files(),
                which in any::<prop::sample::Index>(),
                at in any::<prop::sample::Index>(),
                flip in 1_u8..,
            ) {
                let mut changed = files.clone();
                let content = &mut which.get_mut(&mut changed).1;
                match content.is_empty() {
                    true => content.push(flip),
                    false => *at.get_mut(content) ^= flip,
                }
                prop_assert_ne!(id_with(files), id_with(changed));
            }

            #[test]
            fn a_moved_boundary_between_path_and_content_changes_the_id(files in files()) {
                let mut moved = files.clone();
                moved[0].0.push('x');
                prop_assert_ne!(id_with(files), id_with(moved));
            }
        }
    }
}
