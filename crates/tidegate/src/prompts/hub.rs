//! The versions of the prompt as their files are now, beside what is served.

use super::error::Result;
use crate::config::Loaded;
use crate::store::{Sets as _, Store};
use crate::version_set::{Finding, PromptFolder, lint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tidegate_core::ids::{Digest, VersionSetId};
use tidegate_core::journal::ControlState;
use tidegate_core::version_set::{Artifact, ArtifactKind, VersionSet};

/// The prompts of a project.
pub(crate) struct Hub<'a> {
    /// The project.
    pub(crate) loaded: &'a Loaded,
    /// Where the versions are.
    pub(crate) folder: PromptFolder,
    /// What control knows; a project that was never served has an empty state.
    pub(crate) state: ControlState,
    /// The sets that are kept.
    pub(crate) sets: BTreeMap<VersionSetId, VersionSet>,
}

/// A version of the prompt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Version {
    /// Its folder's name.
    pub(crate) version: String,
    /// Whether `current` names it.
    pub(crate) current: bool,
    /// Over its files; the same as that of the prompt in a version set.
    pub(crate) digest: Digest,
    /// `stable` and `candidate`, where they serve exactly these files.
    pub(crate) serves: Vec<&'static str>,
    /// What its lints find, also what is switched off.
    pub(crate) findings: Vec<Finding>,
    /// Its folder as it is shown.
    pub(crate) folder: PathBuf,
    /// Its files.
    #[serde(skip)]
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Version {
    /// The findings that count.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|one| one.counts())
    }
}

impl<'a> Hub<'a> {
    /// Opens the hub of a project, with the state there is.
    ///
    /// # Errors
    /// There are no prompts, or the kept sets cannot be read.
    pub(crate) fn open(loaded: &'a Loaded, kept: Option<(Store, ControlState)>) -> Result<Hub<'a>> {
        let folder = PromptFolder::of(loaded)?;
        let (state, sets) = match kept {
            Some((store, state)) => (state, store.sets()?),
            None => (ControlState::default(), Vec::new()),
        };
        let sets = sets.into_iter().map(|(set, _, _)| (set.id.clone(), set)).collect();
        Ok(Hub { loaded, folder, state, sets })
    }

    /// Every version, `v2` before `v10`.
    ///
    /// # Errors
    /// A file of one cannot be read.
    pub(crate) fn versions(&self) -> Result<Vec<Version>> {
        self.folder.names().iter().map(|name| self.version(Some(name))).collect()
    }

    /// The version given, or the current one.
    ///
    /// # Errors
    /// There is no such version.
    pub(crate) fn version(&self, given: Option<&str>) -> Result<Version> {
        let version = self.folder.meant(given)?;
        let files = self.folder.files(&version)?;
        let digest = Artifact::from_files(&version, &files).digest;
        let folder = self.folder.shown.join(&version);
        Ok(Version {
            current: self.folder.current().is_ok_and(|current| current == version),
            serves: self.serves(&digest),
            findings: lint(&files, &folder),
            version,
            digest,
            folder,
            files,
        })
    }

    fn serves(&self, digest: &Digest) -> Vec<&'static str> {
        let Some(table) = &self.state.table else { return Vec::new() };
        let candidate = table.split.as_ref().map(|split| &split.candidate);
        [("stable", Some(&table.stable)), ("candidate", candidate)]
            .into_iter()
            .filter(|(_, set)| {
                set.and_then(|set| self.prompt_of(set)).is_some_and(|it| it.digest == *digest)
            })
            .map(|(arm, _)| arm)
            .collect()
    }

    /// The prompt of a kept set.
    pub(super) fn prompt_of(&self, set: &VersionSetId) -> Option<&Artifact> {
        self.sets.get(set)?.artifacts.get(&ArtifactKind::Prompt)
    }
}
