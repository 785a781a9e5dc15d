//! The model artifact: which upstream, which model, with which parameters.

use super::files::sha256_of_file;
use crate::config::{Loaded, Upstream};
use crate::error::{CliError, Result};
use crate::near;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The artifact's file.
pub(crate) const FILE: &str = "model.json";
/// Longest name of a model, characters.
const NAME_CHARS_MAX: usize = 128;
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
    /// More members for every request.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, Value>,
    /// SHA-256 of the recorded answers of a `replay` upstream: another recording is another model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recording_sha256: Option<String>,
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
pub(crate) fn define(loaded: &Loaded, choice: Choice<'_>) -> Result<ModelFile> {
    let artifact = &loaded.project.artifacts.model;
    let (upstream_name, upstream) =
        choose_upstream(loaded, choice.upstream.or(artifact.upstream.as_deref()))?;
    check_url(upstream_name, upstream)?;
    check_parameters(&artifact.parameters)?;
    let name =
        choice.model.or(artifact.name.as_deref()).or(choice.prompt_model).ok_or_else(|| {
            CliError::usage("no model is named")
                .hint("set `artifacts.model.name`, or `model` in the prompt's config.yaml")
        })?;
    let length = name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || name.chars().any(|c| c.is_control() || c == ' ') {
        return Err(CliError::usage(format!(
            "the model's name `{}` is not valid: 1 to {NAME_CHARS_MAX} characters without spaces",
            name.chars().take(NAME_CHARS_MAX).collect::<String>().escape_debug()
        )));
    }
    Ok(ModelFile {
        name: name.to_owned(),
        upstream_name: upstream_name.to_owned(),
        upstream: upstream.clone(),
        parameters: artifact.parameters.clone(),
        recording_sha256: recording(upstream_name, upstream, &loaded.root)?,
    })
}

impl ModelFile {
    /// Checks that the recording is still the one that was packed.
    ///
    /// # Errors
    /// It is another one, or gone.
    pub(crate) fn check_recording(&self, root: &Path) -> Result<()> {
        let now = recording(&self.upstream_name, &self.upstream, root)?;
        if now == self.recording_sha256 {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "upstream `{}`: the recording is not the one this version set was packed with",
            self.upstream_name
        ))
        .hint("put the old file back, or pack a new version set: `tidegate version pack`"))
    }
}

fn choose_upstream<'a>(
    loaded: &'a Loaded,
    named: Option<&'a str>,
) -> Result<(&'a str, &'a Upstream)> {
    let upstreams = &loaded.project.upstreams;
    let names = || upstreams.keys().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    match (named, upstreams.len()) {
        (_, 0) => Err(CliError::usage("`upstreams` is empty")
            .hint("name one, for example `upstreams: {main: {kind: simulated}}`")),
        (Some(name), _) => match upstreams.get(name) {
            Some(upstream) => Ok((name, upstream)),
            None => {
                let mut error = CliError::usage(format!(
                    "upstream `{}` is not defined; there are {}",
                    name.escape_debug(),
                    names()
                ));
                error.hints.extend(near::hint(name, upstreams.keys().map(String::as_str)));
                Err(error)
            }
        },
        (None, 1) => match upstreams.first_key_value() {
            Some((name, upstream)) => Ok((name, upstream)),
            None => Err(CliError::internal("the only upstream is gone")),
        },
        (None, _) => Err(CliError::usage(format!("there are several upstreams: {}", names()))
            .hint("name the one to use in `artifacts.model.upstream`, or with `--upstream`")),
    }
}

fn check_url(name: &str, upstream: &Upstream) -> Result<()> {
    let url = match upstream {
        Upstream::Openai { base_url, .. } => base_url,
        Upstream::Replay { .. } | Upstream::Simulated(_) => return Ok(()),
    };
    // The address is part of the version set and is shown; a credential in it would be, too.
    let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || url.contains(['?', '#']) {
        return Err(CliError::usage(format!(
            "`upstreams.{name}.base_url` may hold neither a user and password nor a `?` or `#`"
        ))
        .hint("put the key into an environment variable and its name into `api_key_env`"));
    }
    Ok(())
}

/// Whether a member of this name may be added to every request; `key` names the place in errors.
///
/// # Errors
/// It is not a plain name, or the gateway, the client or `upstreams` has the say on it.
pub(super) fn check_member(key: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lower = name.to_lowercase();
    let taken = NOT_PARAMETERS.iter().chain(&REFUSED_PARAMETERS).any(|taken| *taken == lower);
    if taken || name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(CliError::usage(format!(
            "`{key}` is `{}`, allowed is the name of a free member of the request: 1 to 64 of \
             `A-Za-z0-9_`",
            name.chars().take(64).collect::<String>().escape_debug()
        ))
        .hint("for example `retrieval`"));
    }
    Ok(())
}

fn check_parameters(parameters: &BTreeMap<String, Value>) -> Result<()> {
    for name in parameters.keys() {
        let lower = name.to_lowercase();
        if NOT_PARAMETERS.contains(&lower.as_str()) {
            return Err(CliError::usage(format!(
                "`artifacts.model.parameters.{name}`: this member is set by the gateway or the \
                 client"
            )));
        }
        if REFUSED_PARAMETERS.contains(&lower.as_str()) {
            return Err(CliError::usage(format!(
                "`artifacts.model.parameters.{name}`: addresses and credentials are not parameters"
            ))
            .hint("they belong to `upstreams`, and a key into an environment variable"));
        }
    }
    Ok(())
}

fn recording(name: &str, upstream: &Upstream, root: &Path) -> Result<Option<String>> {
    match upstream {
        Upstream::Openai { .. } | Upstream::Simulated(_) => Ok(None),
        Upstream::Replay { path, latency_ms: _, ms_per_token: _ } => {
            let (sha256, _) = sha256_of_file(&root.join(path)).map_err(|error| {
                CliError::usage(format!(
                    "`upstreams.{name}.path`: {} cannot be read: {error}",
                    path.display()
                ))
            })?;
            Ok(Some(sha256))
        }
    }
}
