//! The model artifact: which upstream, which model, with which parameters.

use super::error::ModelError;
use crate::config::{FineTune, Loaded, ModelArtifact, Upstream};
use crate::models::{Registry, commit, sha256_of_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The artifact's file.
pub(crate) const FILE: &str = "model.json";
/// Longest name of a model, characters.
const NAME_CHARS_MAX: usize = 128;
/// Longest text about a model, characters.
const ABOUT_CHARS_MAX: usize = 500;
/// Longest name of a member that is added to every request, bytes.
const MEMBER_BYTES_MAX: usize = 64;
/// Members of a request that are not the model's parameters: the gateway or the client sets them.
const NOT_PARAMETERS: [&str; 7] =
    ["model", "messages", "stream", "stream_options", "user", "metadata", "tools"];
/// Members that would carry a credential or send the request elsewhere.
const REFUSED_PARAMETERS: [&str; 8] = [
    "api_key",
    "api_base",
    "base_url",
    "headers",
    "extra_headers",
    "authorization",
    "callback_url",
    "chat_template",
];

/// What `model.json` says. No secret is in it, only the name of the variable that holds one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelFile {
    /// The model's name for the upstream.
    pub(crate) name: String,
    /// The upstream's name in the project file, for errors and logs.
    pub(crate) upstream_name: String,
    /// The upstream.
    pub(crate) upstream: Upstream,
    /// The model that makes embeddings, by the upstream's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) embeddings: Option<String>,
    /// More members for every request.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, Value>,
    /// SHA-256 of the recorded answers of a `replay` upstream: another recording is another model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recording_sha256: Option<String>,
    /// How its weights are quantized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quantization: Option<String>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    /// How it came to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fine_tune: Option<FineTune>,
    /// The registered weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<Weights>,
    /// The models that are asked, in this order, where this one does not answer; each has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fallback: Vec<ModelFile>,
}

/// The registered weights of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weights {
    /// The commit that made them.
    pub(crate) commit: String,
    /// Digest over the paths and contents of the files.
    pub(crate) sha256: String,
}

/// Where a model's and an upstream's name come from, strongest first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    /// Upstream of the command line.
    pub(crate) upstream: Option<&'a str>,
    /// Model of the command line.
    pub(crate) model: Option<&'a str>,
    /// Model of the prompt's `config.yaml`, the weakest.
    pub(crate) prompt_model: Option<&'a str>,
}

/// Defines the model artifact.
///
/// # Errors
/// No upstream or no model is named, the recording is not there, a parameter is not one.
pub(crate) fn define(loaded: &Loaded, choice: Choice<'_>) -> Result<ModelFile, ModelError> {
    let artifact = &loaded.project.artifacts.model;
    let (upstream_name, upstream) =
        choose_upstream(loaded, choice.upstream.or(artifact.upstream.as_deref()))?;
    let name = choice.model.or(artifact.name.as_deref()).or(choice.prompt_model);
    let name = name.ok_or(ModelError::NotNamed)?;
    let mut own = model(loaded, (upstream_name, upstream), name, &artifact.parameters)?;
    if let Some(embeddings) = &artifact.embeddings {
        check_name(embeddings)?;
        if !upstream.makes_embeddings() {
            return Err(ModelError::NoEmbeddings { upstream: upstream_name.to_owned() });
        }
    }
    own.embeddings.clone_from(&artifact.embeddings);
    about(&mut own, artifact)?;
    own.weights = weights(loaded)?;
    let fallback = artifact.fallback.iter().map(|fallback| {
        let named = choose_upstream(loaded, Some(&fallback.upstream))?;
        let model = model(loaded, named, &fallback.name, &fallback.parameters)?;
        match model.upstream_name == own.upstream_name && model.name == own.name {
            true => Err(ModelError::FallbackToItself { name: model.name }),
            false => Ok(model),
        }
    });
    own.fallback = fallback.collect::<Result<_, _>>()?;
    Ok(own)
}

fn model(
    loaded: &Loaded,
    (upstream_name, upstream): (&str, &Upstream),
    name: &str,
    parameters: &BTreeMap<String, Value>,
) -> Result<ModelFile, ModelError> {
    check_url(upstream_name, upstream)?;
    check_parameters(parameters)?;
    check_name(name)?;
    Ok(ModelFile {
        name: name.to_owned(),
        embeddings: None,
        upstream_name: upstream_name.to_owned(),
        upstream: upstream.clone(),
        parameters: parameters.clone(),
        recording_sha256: recording(upstream_name, upstream, &loaded.root)?,
        quantization: None,
        runtime: None,
        fine_tune: None,
        weights: None,
        fallback: Vec::new(),
    })
}

/// What is said of the model and not sent to it.
fn about(own: &mut ModelFile, artifact: &ModelArtifact) -> Result<(), ModelError> {
    let none = FineTune::default();
    let FineTune { base, status: _, checkpoint, post_training } =
        artifact.fine_tune.as_ref().unwrap_or(&none);
    for (key, text) in [
        ("quantization", &artifact.quantization),
        ("runtime", &artifact.runtime),
        ("fine_tune.base", base),
        ("fine_tune.checkpoint", checkpoint),
        ("fine_tune.post_training", post_training),
    ] {
        let is_text = |text: &str| {
            let chars = text.trim().chars().count();
            (1..=ABOUT_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control)
        };
        if text.as_deref().is_some_and(|text| !is_text(text)) {
            return Err(ModelError::About { key, max: ABOUT_CHARS_MAX });
        }
    }
    own.quantization.clone_from(&artifact.quantization);
    own.runtime.clone_from(&artifact.runtime);
    own.fine_tune.clone_from(&artifact.fine_tune);
    Ok(())
}

/// The weights that the project names by their commit.
fn weights(loaded: &Loaded) -> Result<Option<Weights>, ModelError> {
    let Some(named) = &loaded.project.artifacts.model.registered else { return Ok(None) };
    let commit = commit(named)?;
    let registry = Registry::read(&loaded.root)?;
    let model = registry.of(&commit)?;
    model.check_sizes(&commit, &loaded.root)?;
    Ok(Some(Weights { sha256: model.sha256.clone(), commit }))
}

impl ModelFile {
    /// Checks that the recording is still the one that was packed.
    ///
    /// # Errors
    /// It is another one, or gone.
    pub(crate) fn check_recording(&self, root: &Path) -> Result<(), ModelError> {
        let now = recording(&self.upstream_name, &self.upstream, root)?;
        if now != self.recording_sha256 {
            return Err(ModelError::RecordingChanged { upstream: self.upstream_name.clone() });
        }
        self.fallback.iter().try_for_each(|fallback| fallback.check_recording(root))
    }
}

fn check_name(name: &str) -> Result<(), ModelError> {
    let length = name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || name.chars().any(|c| c.is_control() || c == ' ') {
        return Err(ModelError::BadName { name: cut(name, NAME_CHARS_MAX), max: NAME_CHARS_MAX });
    }
    Ok(())
}

fn choose_upstream<'a>(
    loaded: &'a Loaded,
    named: Option<&'a str>,
) -> Result<(&'a str, &'a Upstream), ModelError> {
    let upstreams = &loaded.project.upstreams;
    let known = || upstreams.keys().cloned().collect();
    let mut all = upstreams.iter();
    match (named, all.next(), all.next()) {
        (_, None, _) => Err(ModelError::NoUpstream),
        (Some(name), _, _) => match upstreams.get_key_value(name) {
            Some((name, upstream)) => Ok((name, upstream)),
            None => Err(ModelError::UnknownUpstream { name: name.to_owned(), known: known() }),
        },
        (None, Some((name, upstream)), None) => Ok((name, upstream)),
        (None, Some(_), Some(_)) => Err(ModelError::SeveralUpstreams { known: known() }),
    }
}

fn check_url(name: &str, upstream: &Upstream) -> Result<(), ModelError> {
    upstream.base_urls().try_for_each(|url| check_address(name, url))
}

fn check_address(name: &str, url: &str) -> Result<(), ModelError> {
    // The address is part of the version set and is shown; a credential in it would be, too.
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || url.contains(['?', '#']) {
        return Err(ModelError::UrlWithCredential { upstream: name.to_owned() });
    }
    Ok(())
}

/// Whether a member of this name may be added to every request; `key` names the place in errors.
///
/// # Errors
/// It is not a plain name, or the gateway, the client or `upstreams` has the say on it.
pub(super) fn check_member(key: &'static str, name: &str) -> Result<(), ModelError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lower = name.to_lowercase();
    let taken = NOT_PARAMETERS.iter().chain(&REFUSED_PARAMETERS).any(|taken| *taken == lower);
    if taken || name.is_empty() || name.len() > MEMBER_BYTES_MAX || !name.chars().all(plain) {
        let (name, max) = (cut(name, MEMBER_BYTES_MAX), MEMBER_BYTES_MAX);
        return Err(ModelError::BadMember { key, name, max });
    }
    Ok(())
}

/// The start of a name, without characters that would break an error's line.
fn cut(name: &str, chars_max: usize) -> String {
    name.chars().take(chars_max).collect::<String>().escape_debug().to_string()
}

fn check_parameters(parameters: &BTreeMap<String, Value>) -> Result<(), ModelError> {
    for name in parameters.keys() {
        let lower = name.to_lowercase();
        if NOT_PARAMETERS.contains(&lower.as_str()) {
            return Err(ModelError::NotAParameter { name: name.clone() });
        }
        if REFUSED_PARAMETERS.contains(&lower.as_str()) {
            return Err(ModelError::RefusedParameter { name: name.clone() });
        }
    }
    Ok(())
}

fn recording(name: &str, upstream: &Upstream, root: &Path) -> Result<Option<String>, ModelError> {
    match upstream {
        Upstream::Openai { .. }
        | Upstream::Azure(_)
        | Upstream::Anthropic(_)
        | Upstream::Gemini(_)
        | Upstream::Bedrock(_)
        | Upstream::Simulated(_) => Ok(None),
        Upstream::Replay { path, latency_ms: _, ms_per_token: _ } => {
            let (sha256, _) = sha256_of_file(&root.join(path), &mut |_| {}).map_err(|source| {
                ModelError::Recording { upstream: name.to_owned(), path: path.clone(), source }
            })?;
            Ok(Some(sha256))
        }
    }
}
