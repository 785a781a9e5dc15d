//! The prompt's folder: which version is current, its three files, and what is wrong with them.

use super::error::{CurrentProblem, PromptError, Result, SetError, Versions};
use super::files::Bounds;
use super::rule::Rule;
use super::template::{Role, TEMPLATE_BYTES_MAX, Template};
use crate::config::{Loaded, PromptConfig, PromptMode, parse_yaml};
use crate::near::distance;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The system prompt's file.
pub(crate) const SYSTEM: &str = "system.md";
/// The user template's file.
pub(crate) const USER_TEMPLATE: &str = "user_template.md";
/// The prompt's settings.
pub(crate) const CONFIG: &str = "config.yaml";
/// In place of the three in a set that passes the client's messages through.
pub(crate) const MODE: &str = "mode";
/// The content of [`MODE`].
const PASS_THROUGH: &str = "pass_through";
/// The version's name where there is no prompt.
pub(super) const PASS_THROUGH_VERSION: &str = "pass-through";
/// What names the current version.
pub(crate) const CURRENT: &str = "current";
/// The key of the project file that errors name.
const KEY: &str = "artifacts.prompt.path";
/// Longest name of a prompt version, characters.
const VERSION_CHARS_MAX: usize = 64;
/// Most versions that an error lists.
const VERSIONS_SHOWN: usize = 5;

/// A prompt version as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Prompt {
    /// The folder's name, for example `v3`.
    pub(crate) version: String,
    /// Its files.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Its `config.yaml`.
    pub(crate) config: PromptConfig,
}

/// Reads and checks the version given, or the current one.
///
/// # Errors
/// No such version, a file missing, a template that does more than substitute, a setting out of
/// range.
pub(crate) fn read(loaded: &Loaded, version: Option<&str>) -> Result<Prompt> {
    let settings = &loaded.project.artifacts.prompt;
    let folder = loaded.root.join(&settings.path);
    if settings.mode == PromptMode::PassThrough
        && version.is_none()
        && std::fs::symlink_metadata(folder.join(CURRENT)).is_err()
    {
        let files = BTreeMap::from([(MODE.to_owned(), PASS_THROUGH.as_bytes().to_vec())]);
        let version = PASS_THROUGH_VERSION.to_owned();
        return Ok(Prompt { version, files, config: PromptConfig::default() });
    }
    let prompts = PromptFolder::of(loaded)?;
    let version = prompts.meant(version)?;
    prompts.read(version)
}

/// Checks the templates and settings of a prompt's files; both templates where they are there.
///
/// # Errors
/// The first fault, with file and line.
pub(crate) fn check(
    files: &BTreeMap<String, Vec<u8>>,
    shown: &Path,
) -> Result<(PromptConfig, Option<(Template, Template)>)> {
    if files.contains_key(MODE) {
        return Ok((PromptConfig::default(), None));
    }
    let get = |name: &str| {
        let file = shown.join(name);
        match files.get(name) {
            Some(bytes) => Ok((bytes.as_slice(), file)),
            None => Err(PromptError::NoFile { file }),
        }
    };
    let template = |name, role| {
        let (bytes, file) = get(name)?;
        Ok::<_, SetError>(Template::parse(&file.display().to_string(), role, bytes)?)
    };
    let system = template(SYSTEM, Role::System)?;
    if system.is_blank() {
        return Err(PromptError::EmptySystem { file: shown.join(SYSTEM) }.into());
    }
    let user = template(USER_TEMPLATE, Role::User)?;
    if user.is_blank() {
        return Err(PromptError::EmptyUser { file: shown.join(USER_TEMPLATE) }.into());
    }
    let (bytes, file) = get(CONFIG)?;
    Ok((config(bytes, &file)?, Some((system, user))))
}

fn config(bytes: &[u8], file: &Path) -> Result<PromptConfig> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| SetError::NotUtf8 { file: file.to_owned() })?;
    // A file of comments only says nothing, as an empty one does.
    let blank = text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
    let config: PromptConfig =
        if blank { PromptConfig::default() } else { parse_yaml(text, file)? };
    let bad = |key: &str, given: &dyn std::fmt::Display, allowed| {
        let (file, key, given) = (file.to_owned(), key.to_owned(), given.to_string());
        Err(PromptError::Setting { file, key, given, allowed }.into())
    };
    if let Some(given) = config.temperature.filter(|t| !(0.0..=2.0).contains(t)) {
        return bad("temperature", &given, "0 to 2");
    }
    if config.max_tokens == Some(0) {
        return bad("max_tokens", &0, "1 and more");
    }
    if let Some((name, given)) = config.thresholds.iter().find(|(_, v)| !(0.0..=1.0).contains(*v)) {
        return bad(&format!("thresholds.{name}"), given, "0 to 1");
    }
    if config.model.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return bad("model", &"empty", "a model's name, or no such key");
    }
    if let Some((name, reason)) = config
        .lint_off
        .iter()
        .find(|(name, why)| why.trim().is_empty() || !Rule::names().any(|rule| rule == **name))
    {
        let known = Rule::names().collect::<Vec<_>>().join(", ");
        let given = if reason.trim().is_empty() { "empty" } else { "no rule" };
        let (file, key, given) = (file.to_owned(), format!("lint_off.{name}"), given.to_owned());
        return Err(PromptError::LintOff { file, key, given, known }.into());
    }
    Ok(config)
}

/// The folder with all versions of the prompt.
pub(crate) struct PromptFolder {
    bounds: Bounds,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The same as it is shown.
    pub(crate) shown: PathBuf,
}

impl PromptFolder {
    /// The project's.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(loaded: &Loaded) -> Result<PromptFolder> {
        let shown = loaded.project.artifacts.prompt.path.clone();
        let path = loaded.root.join(&shown);
        if !path.is_dir() {
            return Err(PromptError::NoFolder { key: KEY, folder: shown }.into());
        }
        Ok(PromptFolder { bounds: Bounds::new(&loaded.root, &shown, KEY)?, path, shown })
    }

    /// The version that is meant: the one given, or the current one.
    ///
    /// # Errors
    /// It is no name, or no version is current.
    pub(crate) fn meant(&self, version: Option<&str>) -> Result<String> {
        match version {
            Some(name) => self.name(name.trim_end_matches('/'), "the prompt version"),
            None => self.current(),
        }
    }

    /// Every version's name; `v2` comes before `v10`.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .collect();
        names.sort_by_cached_key(|name| natural(name));
        names
    }

    /// The files of a version that are there, unchecked.
    ///
    /// # Errors
    /// There is no such version, or a file cannot be read.
    pub(crate) fn files(&self, version: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let folder = self.path.join(version);
        if !folder.is_dir() {
            let known = self.versions(version);
            let folder = self.shown.join(version);
            return Err(PromptError::NoVersion { folder, known }.into());
        }
        let mut files = BTreeMap::new();
        for name in [SYSTEM, USER_TEMPLATE, CONFIG] {
            let path = folder.join(name);
            // A link whose target is gone is read, so that the error names it.
            if std::fs::symlink_metadata(&path).is_ok() {
                files.insert(name.to_owned(), self.bounds.read(&path, TEMPLATE_BYTES_MAX as u64)?);
            }
        }
        Ok(files)
    }

    fn read(&self, version: String) -> Result<Prompt> {
        let files = self.files(&version)?;
        let (config, _) = check(&files, &self.shown.join(&version))?;
        Ok(Prompt { version, files, config })
    }

    /// The name in `current`: a link to a folder beside it, or a text file with the name.
    ///
    /// # Errors
    /// It is not there, or names no version.
    pub(crate) fn current(&self) -> Result<String> {
        let path = self.path.join(CURRENT);
        let shown = self.shown.join(CURRENT).display().to_string();
        let wrong = |problem| {
            let (path, known) = (shown.clone(), self.versions(""));
            SetError::from(PromptError::NoCurrent { path, problem, known })
        };
        let Ok(meta) = std::fs::symlink_metadata(&path) else {
            return Err(wrong(CurrentProblem::Missing));
        };
        if meta.is_symlink() {
            let outside = || wrong(CurrentProblem::Elsewhere);
            let target = std::fs::read_link(&path).map_err(|_| outside())?;
            let target = self.path.join(target);
            let beside = target.parent().and_then(|parent| parent.canonicalize().ok())
                == self.path.canonicalize().ok();
            return match target.file_name().and_then(|name| name.to_str()) {
                Some(name) if beside => self.name(name, &shown),
                _ => Err(outside()),
            };
        }
        if meta.is_dir() {
            return Err(wrong(CurrentProblem::Folder));
        }
        let bytes = self.bounds.read(&path, VERSION_CHARS_MAX as u64 * 4)?;
        self.name(String::from_utf8_lossy(&bytes).trim().trim_end_matches('/'), &shown)
    }

    fn name(&self, given: &str, what: &str) -> Result<String> {
        if is_name(given) {
            return Ok(given.to_owned());
        }
        let cut: String = given.chars().take(VERSION_CHARS_MAX).collect();
        Err(SetError::from(PromptError::BadName {
            by: what.to_owned(),
            given: cut.escape_debug().to_string(),
            max: VERSION_CHARS_MAX,
            known: self.versions(given),
        }))
    }

    /// The versions there are, nearest first.
    fn versions(&self, near: &str) -> Versions {
        let mut names = self.names();
        names.sort_by_cached_key(|name| (distance(name, near), name.clone()));
        names.truncate(VERSIONS_SHOWN);
        Versions { folder: self.shown.clone(), names }
    }
}

/// Whether a folder of this name is a version.
fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=VERSION_CHARS_MAX).contains(&name.len())
        && name.bytes().all(good)
        && !name.starts_with('.')
        && name != CURRENT
}

/// The name with its numbers as numbers, for sorting.
fn natural(name: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit());
        let end = digits.map_or(rest.len(), |length| text + length);
        // A number too large to be one is compared as text.
        let number = rest[text..end].parse().unwrap_or(u64::MAX);
        parts.push((0, rest[..text].to_owned()));
        parts.push((number, rest[text..end].to_owned()));
        rest = &rest[end..];
    }
    parts
}

#[cfg(test)]
mod natural_tests {
    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["v10", "v2", "v2.10", "v2.9", "a", "v99999999999999999999", "10", "9"];
        names.sort_by_cached_key(|name| super::natural(name));
        assert_eq!(names, ["9", "10", "a", "v2", "v2.9", "v2.10", "v10", "v99999999999999999999"]);
    }
}
