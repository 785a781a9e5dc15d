//! Not written yet.
use crate::config::Loaded;
use crate::error::Result;
use std::collections::BTreeMap;
use tidegate_core::ids::Digest;
use tidegate_core::version_set::VersionSet;

/// What to take instead of what the project says.
#[derive(Debug, Clone, Default)]
pub(crate) struct PackOverrides {
    /// A prompt version (`v3`) instead of `prompts/current`.
    pub(crate) prompt: Option<String>,
    /// A model name.
    pub(crate) model: Option<String>,
    /// An upstream's name.
    pub(crate) upstream: Option<String>,
    /// A label for people.
    pub(crate) label: Option<String>,
}

/// A version set with the bytes of its files.
#[derive(Debug, Clone)]
pub(crate) struct PackedSet {
    /// The set.
    pub(crate) set: VersionSet,
    /// A label for people, for example `prompt v3 · gpt-4o-mini`.
    pub(crate) label: String,
    /// Every file's content by digest.
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
}

/// Packs the project as it stands.
pub(crate) fn pack(loaded: &Loaded, overrides: &PackOverrides) -> Result<PackedSet> {
    let _ = (loaded, overrides);
    unimplemented!()
}
