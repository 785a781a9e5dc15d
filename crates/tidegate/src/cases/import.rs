//! Cases of other programs as ours.
//!
//! | format | read from |
//! |---|---|
//! | `promptfoo` | a configuration or tests as YAML or JSON, tests as CSV, a result as JSON |
//! | `openai-evals` | samples as JSONL |
//! | `langfuse` | items of a dataset as JSON, JSONL or CSV: exported, or as the API lists them |
//! | `inspect` | a log as JSON, or samples of a dataset as JSON or JSONL |
//!
//! What has no place in a case is listed with file and line, and so is what means the same but is
//! written in another way. Nothing is left out without being named. Each case is read as the gate
//! reads it before it counts as imported, so that no file is written that the gate refuses.

mod document;
mod inspect;
mod langfuse;
mod openai;
mod promptfoo;
mod template;

use super::error::Result;
use crate::gate::{self, CasesError, Defaults};
use crate::prompts::import::Named;
use clap::ValueEnum;
use document::Document;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;
use tidegate_core::gate::Case;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tests or results of promptfoo
    Promptfoo,
    /// Samples of OpenAI evals
    OpenaiEvals,
    /// A dataset of Langfuse
    Langfuse,
    /// A log or a dataset of Inspect
    Inspect,
}

/// How OpenAI's samples compare an answer with `ideal`: the class of their eval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ideal {
    /// The answer starts with it
    Match,
    /// The answer contains it
    Includes,
    /// The answer is it
    Exact,
}

/// What a reader has to know beside the file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// What is asked, of the variables of a test: the name of one, or a template of several.
    pub(crate) input: Option<&'a str>,
    /// How `ideal` is compared.
    pub(crate) ideal: Option<Ideal>,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The cases, each with its id.
    pub(crate) cases: Vec<Map<String, Value>>,
    /// What has no place in a case.
    pub(crate) lost: Vec<Named>,
    /// What was changed and means the same here.
    pub(crate) notes: Vec<Named>,
    ids: BTreeSet<String>,
}

/// Reads a file of another program.
///
/// # Errors
/// The file cannot be read, or is not of that format.
pub(crate) fn read(path: &Path, format: Format, options: Options<'_>) -> Result<Imported> {
    let mut imported = Imported::default();
    match format {
        Format::Promptfoo => promptfoo::read(path, options, &mut imported)?,
        Format::OpenaiEvals => openai::read(path, options, &mut imported)?,
        Format::Langfuse => langfuse::read(path, options, &mut imported)?,
        Format::Inspect => inspect::read(path, &mut imported)?,
    }
    Ok(imported)
}

impl Imported {
    fn lose(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.lost.push(Named { place: place.into(), what: what.into() });
    }

    fn note(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.notes.push(Named { place: place.into(), what: what.into() });
    }

    /// Takes a case, where the gate can read it; it is lost otherwise. One without an id gets one
    /// from what it asks, begun by `stem`; of several that ask the same the later ones are
    /// numbered.
    fn take(&mut self, mut members: Map<String, Value>, stem: &str, place: &str) {
        members.retain(|_, value| !value.is_null());
        let case = match as_read(members.clone(), stem, place) {
            Ok(case) => case,
            Err(problem) => return self.lose(place, format!("the case: {problem}")),
        };
        let numbered = (2..).map(|n| format!("{}-{n}", case.id));
        let id = std::iter::once(case.id.clone()).chain(numbered).find(|id| !self.ids.contains(id));
        let id = id.unwrap_or_default();
        if id != case.id && members.contains_key("case_id") {
            self.note(place, format!("the id `{}` is there twice; this one is `{id}`", case.id));
        }
        self.ids.insert(id.clone());
        let mut named = Map::from_iter([("case_id".to_owned(), id.into())]);
        members.remove("case_id");
        named.extend(members);
        self.cases.push(named);
    }

    /// Names the members that nothing has read.
    fn rest(
        &mut self,
        document: &Document,
        path: &str,
        members: &Map<String, Value>,
        known: &[&str],
    ) {
        for (key, value) in members {
            if !known.contains(&key.as_str()) && !is_empty(value) {
                let place = document.place(&format!("{path}.{key}"));
                self.lose(place, format!("`{key}` has no place in a case"));
            }
        }
    }

    /// Takes what is known of a case: texts, numbers and truth values that may be labels; `tags`
    /// are tags. The others are lost.
    fn metadata(&mut self, document: &Document, path: &str, given: &Value) -> Map<String, Value> {
        let mut members = Map::new();
        let Value::Object(given) = given else {
            if !is_empty(given) {
                self.lose(document.place(path), "metadata that is not keys with values");
            }
            return members;
        };
        let mut metadata = Map::new();
        for (key, value) in given.iter().filter(|(_, value)| !is_empty(value)) {
            let one = match (key.as_str(), value) {
                ("tags", Value::Array(_)) => Map::from_iter([("tags".to_owned(), value.clone())]),
                _ => {
                    let one = Map::from_iter([(key.clone(), value.clone())]);
                    Map::from_iter([("metadata".to_owned(), one.into())])
                }
            };
            let input = [("input".to_owned(), "?".into())];
            let tried = as_read(one.clone().into_iter().chain(input).collect(), "", "");
            match tried {
                Ok(_) if one.contains_key("tags") => members.extend(one),
                Ok(_) => drop(metadata.insert(key.clone(), value.clone())),
                Err(problem) => self.lose(document.place(&format!("{path}.{key}")), problem),
            }
        }
        if !metadata.is_empty() {
            members.insert("metadata".to_owned(), metadata.into());
        }
        members
    }
}

/// The case that members are, as the gate reads it.
///
/// # Errors
/// What is wrong with it, without its place.
fn as_read(members: Map<String, Value>, stem: &str, place: &str) -> Result<Case, String> {
    gate::read_members(members, stem, place, &Defaults::AS_WRITTEN).map_err(|error| match error {
        // The place is named, and the id of a part of a case means nothing.
        CasesError::Field { place: _, problem } => match problem.split_once("`: ") {
            Some((case, problem)) if case.starts_with("case `") => problem.to_owned(),
            _ => problem,
        },
        other => other.to_string(),
    })
}

/// The stem of a file's name: what ids begin with.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
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

/// Messages as members of a case: `input` for a single question.
fn asked(messages: Vec<Value>) -> Map<String, Value> {
    let only = match messages.as_slice() {
        [one] if one["role"] == "user" => one["content"].as_str().map(str::to_owned),
        _ => None,
    };
    match only {
        Some(input) => Map::from_iter([("input".to_owned(), input.into())]),
        None => Map::from_iter([("messages".to_owned(), messages.into())]),
    }
}

/// Whether a value is a list of chat messages.
fn are_messages(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item["role"].is_string())
}
