//! Packing the project's files into a version set, and getting a set ready to serve.
//!
//! A set is packed once ([`pack()`]) and lives from then on by its own bytes: what is served
//! ([`LiveSet`]) is read from the set and never from the project's folders, so whatever runs can be
//! named.

mod contract;
mod diff;
mod error;
mod files;
mod lint;
mod live;
mod model;
mod pack;
mod prompt;
mod render;
mod rule;
mod search;
mod served;
mod settings;
pub(crate) mod snapshot;
mod template;
mod tools;

pub(crate) use contract::compile as compile_schema;
pub(crate) use diff::{Edit, Hunk, Piece, SetDiff, by_words, compare, unified};
pub(crate) use error::{
    FilesError, ModelError, PromptError, SearchProblem, SetError, TemplateError, TemplateProblem,
    Versions,
};
pub(crate) use files::Bounds;
pub(crate) use lint::{Finding, lint};
pub(crate) use live::{Fallback, LiveSet};
pub(crate) use pack::{PackOverrides, pack, prompt_findings, warnings};
pub(crate) use prompt::{CONFIG, CURRENT, PromptFolder, SYSTEM, USER_TEMPLATE};
pub(crate) use render::{Rendered, Slots};
pub(crate) use search::Searched;
pub(crate) use served::{FilesState, edits_since};
pub(crate) use settings::Settings;
pub(crate) use tidegate_core::version_set::PackedSet;

#[cfg(test)]
pub(crate) use template::is_template;
#[cfg(test)]
mod tests;
