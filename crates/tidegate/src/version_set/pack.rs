//! Packing: from the project's files, as they are now, to a version set with its bytes.

use super::error::{Result, SetError};
use super::files::{self, Bounds, collect};
use super::lint::lint;
use super::model::{self, Choice, ModelFile};
use super::search::{self, SearchFile, SnapshotFile};
use super::settings::{self, Settings};
use super::{contract, prompt, tools};
use crate::config::{Loaded, Project};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::ids::Digest;
use tidegate_core::version_set::{Artifact, ArtifactKind, PackedSet, VersionSet};

/// The tools artifact's file, where there is a manifest.
pub(crate) const TOOLS_FILE: &str = "tools.yaml";
/// The tools artifact's file, empty, where there is none.
const NO_TOOLS_FILE: &str = "tools.json";
/// The code artifact's file.
const CODE_FILE: &str = "version";
/// The index's settings; its documents are under [`DOCUMENTS`].
pub(super) const RETRIEVAL_FILE: &str = "retrieval.json";
/// The folder of an index's documents inside the artifact.
const DOCUMENTS: &str = "documents/";
/// Longest version or label, characters.
const NAME_CHARS_MAX: usize = 80;

/// What to take instead of what the project says.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
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

/// What `retrieval.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetrievalFile {
    /// The index's version.
    pub(super) index_version: String,
    /// Its storage format.
    pub(super) format: Option<String>,
    /// Retrieval settings.
    pub(super) retrieval: BTreeMap<String, Value>,
    /// The member of a request in which both are sent to the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) send_as: Option<String>,
    /// How requests are searched; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<SearchFile>,
}

impl RetrievalFile {
    /// The member of a request that says which index to use, and how: its name and value.
    pub(super) fn member(&self) -> Option<(String, Value)> {
        let name = self.send_as.clone()?;
        let mut value = serde_json::Map::new();
        value.insert("index_version".to_owned(), self.index_version.as_str().into());
        value.extend(self.retrieval.iter().map(|(key, value)| (key.clone(), value.clone())));
        Some((name, value.into()))
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// What is allowed but unwise in the set, and what has no effect, a sentence each.
pub(crate) fn warnings(packed: &PackedSet) -> Vec<String> {
    let mut warnings: Vec<String> =
        prompt_findings(packed).into_iter().map(|found| format!("prompt {found}")).collect();
    let index = packed.file(ArtifactKind::Index, RETRIEVAL_FILE);
    let index = index.and_then(|bytes| serde_json::from_slice::<RetrievalFile>(bytes).ok());
    let is_used = |index: &RetrievalFile| index.send_as.is_some() || index.search.is_some();
    if index.is_some_and(|index| !index.retrieval.is_empty() && !is_used(&index)) {
        warnings.push(
            "artifacts.index.retrieval is recorded but not sent, so it has no effect on answers; \
             to send it: `artifacts.index.send_as: retrieval`; to search requests here: \
             `artifacts.index.search: {}`"
                .to_owned(),
        );
    }
    warnings
}

/// What the lints find in the set's prompt and it does not switch off, a sentence each.
pub(crate) fn prompt_findings(packed: &PackedSet) -> Vec<String> {
    let version = packed.set.keys().prompt;
    let found = lint(&packed.files(ArtifactKind::Prompt), Path::new(&version));
    found.iter().filter(|one| one.counts()).map(|one| one.sentence()).collect()
}

/// Packs the project as it is now.
pub(crate) fn pack(loaded: &Loaded, overrides: &PackOverrides) -> Result<PackedSet> {
    let artifacts = &loaded.project.artifacts;
    let prompt = prompt::read(loaded, overrides.prompt.as_deref())?;
    let model = model::define(
        loaded,
        Choice {
            upstream: overrides.upstream.as_deref(),
            model: overrides.model.as_deref(),
            prompt_model: prompt.config.model.as_deref(),
        },
    )?;
    let label = label(overrides.label.as_deref(), &prompt, &model)?;
    let (manifest, tools) = tools_files(loaded)?;
    let mut packing = Packing::default();
    packing.add(ArtifactKind::Code, Some(&artifacts.code.version), code_files(loaded)?);
    packing.add(ArtifactKind::Config, None, config_files(&loaded.project, &manifest)?);
    packing.add(ArtifactKind::Prompt, Some(&prompt.version), prompt.files);
    let model_files = Files::from([(model::FILE.to_owned(), json_bytes(&model)?)]);
    packing.add(ArtifactKind::Model, Some(&model.name), model_files);
    packing.add(ArtifactKind::Index, Some(&artifacts.index.version), index_files(loaded)?);
    packing.add(ArtifactKind::Tools, None, tools);
    for (kind, path, key) in [
        (ArtifactKind::Data, &artifacts.data, "artifacts.data"),
        (ArtifactKind::Adapter, &artifacts.adapter, "artifacts.adapter"),
        (ArtifactKind::Policy, &artifacts.policy, "artifacts.policy"),
    ] {
        if let Some(path) = path {
            packing.add(kind, None, collect(&loaded.root, path, key)?);
        }
    }
    packing.finish(label, artifacts.index.format.clone())
}

fn code_files(loaded: &Loaded) -> Result<Files> {
    let version = &loaded.project.artifacts.code.version;
    check_name("artifacts.code.version", version)?;
    Ok(Files::from([(CODE_FILE.to_owned(), version.clone().into_bytes())]))
}

fn config_files(project: &Project, tools: &tools::Manifest) -> Result<Files> {
    if let Some(schema) = &project.contract.output {
        contract::compile("contract.output", schema)?;
    }
    // An empty text is in every answer, and would shut the service at the first one.
    if let Some(at) = project.risk.planted.iter().position(|text| text.trim().is_empty()) {
        return Err(SetError::EmptyPlanted { index: at });
    }
    Ok(Files::from([(settings::FILE.to_owned(), json_bytes(&Settings::of(project, tools))?)]))
}

fn index_files(loaded: &Loaded) -> Result<Files> {
    const KEY: &str = "artifacts.index.path";
    let index = &loaded.project.artifacts.index;
    check_name("artifacts.index.version", &index.version)?;
    if let Some(name) = &index.send_as {
        model::check_member("artifacts.index.send_as", name)?;
    }
    let search = index.search.as_ref().map(|search| SearchFile::of(index, search));
    let settings = RetrievalFile {
        index_version: index.version.clone(),
        format: index.format.clone(),
        retrieval: index.retrieval.clone(),
        send_as: index.send_as.clone(),
        search: search.transpose()?,
    };
    let mut files = Files::from([(RETRIEVAL_FILE.to_owned(), json_bytes(&settings)?)]);
    if index.search.as_ref().is_some_and(|search| search.http.is_none()) {
        // What is searched is the snapshot; the documents may have been edited since.
        let snapshot = SnapshotFile::of(&loaded.root, index)?;
        files.insert(search::FILE.to_owned(), json_bytes(&snapshot)?);
    } else if let Some(path) = &index.path {
        let documents = collect(&loaded.root, path, KEY)?;
        files.extend(documents.into_iter().map(|(p, bytes)| (format!("{DOCUMENTS}{p}"), bytes)));
    }
    Ok(files)
}

fn tools_files(loaded: &Loaded) -> Result<(tools::Manifest, Files)> {
    const KEY: &str = "artifacts.tools";
    let Some(path) = &loaded.project.artifacts.tools else {
        let none = Files::from([(NO_TOOLS_FILE.to_owned(), Vec::new())]);
        return Ok((tools::Manifest::default(), none));
    };
    let bounds = Bounds::new(&loaded.root, path, KEY)?;
    let bytes = bounds.read(&loaded.root.join(path), tools::MANIFEST_BYTES_MAX)?;
    let manifest = tools::Manifest::parse(&bytes, path)?;
    Ok((manifest, Files::from([(TOOLS_FILE.to_owned(), bytes)])))
}

fn label(given: Option<&str>, prompt: &prompt::Prompt, model: &ModelFile) -> Result<String> {
    let Some(given) = given else {
        return Ok(match prompt.files.contains_key(prompt::MODE) {
            true => format!("{} · {}", prompt.version, model.name),
            false => format!("prompt {} · {}", prompt.version, model.name),
        });
    };
    let label = given.trim();
    check_name("the label", label)?;
    Ok(label.to_owned())
}

fn json_bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    files::json_bytes(value).map_err(SetError::Unwritten)
}

fn check_name(what: &'static str, name: &str) -> Result<()> {
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length)
        && !name.chars().any(char::is_control)
        && name.trim() == name
    {
        return Ok(());
    }
    let cut: String = name.chars().take(NAME_CHARS_MAX).collect();
    Err(SetError::Name { what, given: cut.escape_debug().to_string(), max: NAME_CHARS_MAX })
}

/// The artifacts so far.
#[derive(Default)]
struct Packing {
    artifacts: BTreeMap<ArtifactKind, Artifact>,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Packing {
    /// Adds an artifact; one without a version is called by the start of its digest, or
    /// `none` where nothing is in it.
    fn add(&mut self, kind: ArtifactKind, version: Option<&str>, files: Files) {
        let mut artifact = Artifact::from_files(version.unwrap_or("none"), &files);
        if version.is_none() && files.values().any(|bytes| !bytes.is_empty()) {
            artifact.version = artifact.digest.short(8).to_owned();
        }
        for (path, bytes) in files {
            if let Some(file) = artifact.files.get(&path) {
                self.blobs.insert(file.digest.clone(), bytes);
            }
        }
        self.artifacts.insert(kind, artifact);
    }

    fn finish(mut self, label: String, index_format: Option<String>) -> Result<PackedSet> {
        if let Some(index) = self.artifacts.remove(&ArtifactKind::Index) {
            self.artifacts.insert(ArtifactKind::Index, index.with_format(index_format));
        }
        let set = VersionSet::new(self.artifacts).map_err(SetError::Incomplete)?;
        Ok(PackedSet { set, label, blobs: self.blobs })
    }
}
