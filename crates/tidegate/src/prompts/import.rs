//! Prompts of other tools as a version of ours.
//!
//! | format | read from |
//! |---|---|
//! | `github` | `.prompt.yml` of GitHub Models |
//! | `prompty` | `.prompty`: front matter and a body with role marks |
//! | `promptfoo` | a JSON or YAML list of chat messages |
//! | `langsmith` | a prompt as LangSmith or LangChain serialise it (`lc`), also inside a commit |
//! | `langfuse` | a prompt as Langfuse's API gives it |
//!
//! What has no place in ours is listed with where it was: a loop of a template, an example answer,
//! a sampling parameter. Nothing is left out without being named. The variable of the user message
//! that is called like a question, or its only one, becomes `{{ input }}`, every other one
//! `metadata.<name>`; each of these is named as well.

mod chat;
mod github;
mod langfuse;
mod langsmith;
mod prompty;
mod template;
#[cfg(test)]
mod tests;

use super::error::{HubError, Result};
use super::hub::Hub;
use crate::config::parse_yaml;
use crate::gate::replace_file;
use crate::version_set::{CONFIG, SYSTEM, USER_TEMPLATE};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The cases of an import, in the tests of its version.
const CASES: &str = "imported.jsonl";

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// GitHub Models' `.prompt.yml`
    Github,
    /// `.prompty`
    Prompty,
    /// promptfoo's chat messages
    Promptfoo,
    /// A prompt of LangSmith or LangChain
    Langsmith,
    /// A prompt of Langfuse
    Langfuse,
}

/// Something that has no place in ours, or that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Named {
    /// Where it was in the file.
    pub(crate) place: String,
    /// What it is.
    pub(crate) what: String,
}

/// A prompt that was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Imported {
    /// `system.md`.
    pub(crate) system: String,
    /// `user_template.md`.
    pub(crate) user: String,
    /// `config.yaml`, by key.
    pub(crate) config: Map<String, Value>,
    /// Its cases, a JSON object each.
    pub(crate) cases: Vec<Value>,
    /// What has no place in ours.
    pub(crate) lost: Vec<Named>,
    /// What was changed and means the same here.
    pub(crate) notes: Vec<Named>,
}

impl Imported {
    fn lose(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.lost.push(Named { place: place.into(), what: what.into() });
    }

    fn note(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.notes.push(Named { place: place.into(), what: what.into() });
    }

    /// Takes the settings that ours have too, under any of their usual names; the others are lost.
    fn settings(&mut self, place: &str, given: &Map<String, Value>) {
        for (key, value) in given {
            match key.to_lowercase().replace(['_', '-'], "").as_str() {
                "temperature" if value.is_number() => self.set("temperature", value.clone()),
                "maxtokens" | "maxcompletiontokens" | "maxoutputtokens" if value.is_u64() => {
                    self.set("max_tokens", value.clone());
                }
                "model" | "modelname" if value.is_string() => self.set("model", value.clone()),
                _ if value.is_null() => {}
                _ => self.lose(
                    format!("{place}.{key}"),
                    "a parameter that belongs into `artifacts.model.parameters`",
                ),
            }
        }
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    /// Takes what is for people, as notes.
    fn describe(&mut self, object: &Map<String, Value>, keys: &[&str]) {
        for key in keys {
            if object.get(*key).is_some_and(|value| !is_empty(value)) {
                self.note(*key, "not part of a prompt version: the folder's name and git say it");
            }
        }
    }

    /// Names the members that nothing above has read.
    fn rest(&mut self, place: &str, object: &Map<String, Value>, known: &[&str]) {
        for (key, value) in object {
            if !known.contains(&key.as_str()) && !is_empty(value) {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                self.lose(place, "not known here");
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Reads a prompt of another tool; the format follows from the name and the content where none is
/// given.
///
/// # Errors
/// The file cannot be read, or is of no format that is known.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<(Imported, Format)> {
    let unread = |problem: String| HubError::Unread { path: path.to_owned(), problem };
    let about = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(unread(format!("{} bytes, allowed are {FILE_BYTES_MAX}", about.len())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    parse(path, text, format).map_err(unread)
}

/// [`read`] of a text.
fn parse(path: &Path, text: &str, format: Option<Format>) -> Result<(Imported, Format), String> {
    let is_prompty = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("prompty"));
    if format.map_or(is_prompty, |format| format == Format::Prompty) {
        return Ok((prompty::read(path, text)?, Format::Prompty));
    }
    let value = value_of(path, text)?;
    let format = format.or_else(|| seen(&value)).ok_or_else(|| {
        "no prompt of a known format; name it: `--format github|prompty|promptfoo|langsmith|\
         langfuse`"
            .to_owned()
    })?;
    let imported = match format {
        Format::Github => github::read(&value)?,
        Format::Prompty => prompty::read(path, text)?,
        Format::Promptfoo => chat::read(&value)?,
        Format::Langsmith => langsmith::read(&value)?,
        Format::Langfuse => langfuse::read(&value)?,
    };
    Ok((imported, format))
}

fn value_of(path: &Path, text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    parse_yaml(text, path).map_err(|error| error.to_string())
}

fn seen(value: &Value) -> Option<Format> {
    let has = |key: &str| value.get(key).is_some();
    match value {
        Value::Array(_) => Some(Format::Promptfoo),
        _ if has("lc") || has("manifest") => Some(Format::Langsmith),
        _ if has("messages") => Some(Format::Github),
        _ if has("prompt") => Some(Format::Langfuse),
        _ => None,
    }
}

/// What an import wrote.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Written {
    /// The version.
    pub(crate) version: String,
    /// Its folder, as it is shown.
    pub(crate) folder: PathBuf,
    /// The file of its cases; absent where it has none.
    pub(crate) cases: Option<PathBuf>,
}

/// Writes the prompt as a new version: the one named, or the next free `v<n>`.
///
/// # Errors
/// There is such a version already, or a file cannot be written.
pub(crate) fn write(hub: &Hub<'_>, imported: &Imported, name: Option<&str>) -> Result<Written> {
    let names = hub.folder.names();
    let version = match name {
        Some(name) => hub.folder.meant(Some(name))?,
        None => next(&names),
    };
    let (root, shown) = (hub.folder.path.join(&version), hub.folder.shown.join(&version));
    // The folder is made and not replaced: whoever was first keeps it.
    std::fs::create_dir(&root)
        .map_err(|source| HubError::Unwritten { path: shown.clone(), source })?;
    let config = match imported.config.is_empty() {
        true => String::new(),
        // JSON is YAML.
        false => imported.config.iter().map(|(key, value)| format!("{key}: {value}\n")).collect(),
    };
    let files = [(SYSTEM, &imported.system), (USER_TEMPLATE, &imported.user), (CONFIG, &config)];
    for (file, text) in files {
        put(&root.join(file), text)?;
    }
    let cases = match imported.cases.is_empty() {
        true => None,
        false => {
            let path = Path::new("tests/prompts").join(&version).join(CASES);
            let lines = imported.cases.iter().map(|case| format!("{case}\n"));
            put(&hub.loaded.root.join(&path), &lines.collect::<String>())?;
            Some(path)
        }
    };
    Ok(Written { version, folder: shown, cases })
}

fn put(path: &Path, text: &str) -> Result<()> {
    replace_file(path, text.as_bytes())
        .map_err(|source| HubError::Unwritten { path: path.to_owned(), source })
}

/// The name after the highest `v<n>`.
fn next(names: &[String]) -> String {
    let numbers = names.iter().filter_map(|name| name.strip_prefix('v')?.parse::<u64>().ok());
    format!("v{}", numbers.max().unwrap_or(0).saturating_add(1))
}

/// A case with its checks.
fn case(input: &str, more: Map<String, Value>) -> Value {
    let mut case = json!({"input": input});
    if let Value::Object(members) = &mut case {
        members.extend(more);
    }
    case
}
