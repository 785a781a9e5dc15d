//! Reading `tidegate.yaml`: strict, with the place of every error.
//!
//! The text is read twice: as a tree with places, then as a [`Project`]. Then everything that
//! types cannot say is checked, with the places of the first reading.

use super::check::Checker;
use super::error::{ConfigError, Result};
use super::places::Places;
use super::precheck::precheck;
use super::project::Project;
use super::texts::{Texts, written_anew};
use super::yaml::Source;
use std::collections::HashMap;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

/// A project file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) project: Project,
    /// The folder it is in; paths in it are relative to here.
    pub(crate) root: PathBuf,
}

/// Reads the project file; `${NAME}` and `${NAME:-default}` in unquoted values are taken from the
/// environment.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load_with(path, env)
}

/// Reads the project file with these environment variables.
pub(super) fn load_with(path: &Path, env: HashMap<String, String>) -> Result<Loaded> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let project = parse_project(&text, path, env)?;
    let root = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok(Loaded { project, root })
}

/// Reads and checks the text of a project file.
pub(super) fn parse_project(
    text: &str,
    file: &Path,
    env: HashMap<String, String>,
) -> Result<Project> {
    let source = Source { text, file, env: Some(env), rewritten: Vec::new() };
    let tree = source.tree()?;
    let places = Places::of(&tree);
    precheck(&source, &tree)?;
    let Texts { text, lines } = written_anew(&source, &tree)?;
    let source = Source { text: &text, file, env: source.env, rewritten: lines };
    let project: Project = source.parse(&places)?;
    Checker { source: &source, places: &places }.check(&project)?;
    Ok(project)
}

/// Reads any of our YAML files strictly: unknown keys are errors with line and nearest key. The
/// text is taken unchanged: a file whose hash names a version may not depend on the environment.
pub(crate) fn parse_yaml<T: serde::de::DeserializeOwned>(text: &str, file: &Path) -> Result<T> {
    let source = Source { text, file, env: None, rewritten: Vec::new() };
    let tree = source.tree()?;
    let Texts { text, lines } = written_anew(&source, &tree)?;
    Source { text: &text, file, env: None, rewritten: lines }.parse(&Places::of(&tree))
}

/// A YAML file as a JSON value, and where what is in it is.
pub(crate) struct YamlValue {
    /// Its content.
    pub(crate) value: serde_json::Value,
    lines: HashMap<String, u64>,
}

impl YamlValue {
    /// The line of the value at a path such as `tests[2].vars`; of what is not written, that of
    /// the nearest thing around it.
    pub(crate) fn line(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }
}

/// Reads a YAML file of any shape under the same bounds as ours.
///
/// # Errors
/// It is no YAML, over a bound, or has a key twice.
pub(crate) fn parse_yaml_value(text: &str, file: &Path) -> Result<YamlValue> {
    let source = Source { text, file, env: None, rewritten: Vec::new() };
    let places = Places::of(&source.tree()?);
    let value = source.parse(&places)?;
    Ok(YamlValue { value, lines: places.lines() })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    let about = |message: &str| ConfigError::new(message).at(path, None);
    match error.kind() {
        IoErrorKind::NotFound => about("there is no such file")
            .hint("make a project that works at once: `tidegate init my-service`")
            .hint("or name another file: `--config path/to/tidegate.yaml`"),
        IoErrorKind::InvalidData => about("the file is not UTF-8 text"),
        // The list is long and may grow; the system's words say what it is.
        _ => about(&format!("cannot be read: {error}")),
    }
}
