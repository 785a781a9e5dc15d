//! Strict YAML: bounded, no key twice, and errors that say where, what was given and what was
//! allowed.

use super::error::{ConfigError, Result};
use super::places::{Node, Place, Places};
use crate::near;
use serde::de::DeserializeOwned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{
    DuplicateKeyPolicy, Error, MessageFormatter as _, NonFiniteFloatPolicy, Options,
    UserMessageFormatter,
};
use std::collections::HashMap;
use std::path::Path;

/// Largest YAML file, bytes: a thousand times a usual project file.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Deepest nesting. An output contract takes two levels for each object in an object; 32 is room
/// for fourteen of them. At 64 an unoptimised build overflows a thread's 2 MiB of stack.
const MAX_DEPTH: usize = 32;
/// Most aliases (`*name`) in a file; people write a handful.
const MAX_ALIASES: usize = 64;
/// Most parser events, aliases' contents counted each time: a megabyte of short lists.
const MAX_EVENTS: usize = 200_000;
/// Longest given value that an error repeats, characters.
const MAX_GIVEN_CHARS: usize = 40;

/// A YAML text that is being read.
pub(super) struct Source<'a> {
    /// Its content.
    pub(super) text: &'a str,
    /// Where it came from, for errors.
    pub(super) file: &'a Path,
    /// Values for `${NAME}`; none where the text is taken unchanged.
    pub(super) env: Option<HashMap<String, String>>,
    /// Lines on which the text holds values of variables: errors do not repeat their text.
    pub(super) rewritten: Vec<u64>,
}

impl Source<'_> {
    /// Reads the text as a tree with places.
    pub(super) fn tree(&self) -> Result<Node> {
        if self.text.len() > MAX_FILE_BYTES {
            let bytes = self.text.len();
            let message = format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are read");
            return Err(self.at(None, &message));
        }
        let mut options = self.options();
        // `12e4567` is a version, and the tree is for places; a number is checked where it is read.
        options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
        serde_saphyr::from_str_with_options(self.text, options)
            .map_err(|error| self.explain(&error, &Places::default()))
    }

    /// Reads the text as a value; `places` names the keys of errors.
    pub(super) fn parse<T: DeserializeOwned>(&self, places: &Places) -> Result<T> {
        serde_saphyr::from_str_with_options(self.text, self.options())
            .map_err(|error| self.explain(&error, places))
    }

    fn options(&self) -> Options {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_aliases: MAX_ALIASES,
                max_anchors: MAX_ALIASES,
                max_merge_keys: MAX_ALIASES,
                max_events: MAX_EVENTS,
                max_nodes: MAX_EVENTS,
                max_documents: 1,
                max_recorded_anchor_events: MAX_EVENTS,
                max_recorded_anchor_bytes: MAX_FILE_BYTES,
                max_total_scalar_bytes: 4 * MAX_FILE_BYTES,
                max_property_expansion_depth: 8,
                max_total_property_interpolation_work: 4 * MAX_FILE_BYTES,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: MAX_EVENTS,
                max_replay_stack_depth: 16,
                max_alias_expansions_per_anchor: MAX_ALIASES,
            },
            duplicate_keys: DuplicateKeyPolicy::Error,
            // `no` and `on` are words in most languages; only true and false are truth values.
            strict_booleans: true,
            with_snippet: false,
        };
        match &self.env {
            Some(env) => options.with_properties(env.clone()),
            None => options,
        }
    }

    /// An error about the value at a path, with its place.
    pub(super) fn at(&self, place: Option<Place>, message: &str) -> ConfigError {
        ConfigError::new(message).at(self.file, place)
    }

    /// The parser's error in our words.
    fn explain(&self, error: &Error, places: &Places) -> ConfigError {
        let error = error.without_snippet();
        if let Error::AliasError { error, .. } = error {
            return self.explain(error, places);
        }
        let place = error.location().and_then(Place::of);
        let path = place.and_then(|place| places.path_at(place));
        let message = |text: String| self.at(place, &with_path(path, &text));
        match error {
            Error::SerdeUnknownField { field, expected, .. } => {
                let field = self.written(error).unwrap_or(field);
                unknown_key(|text| self.at(place, text), field, expected)
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                let variant = self.written(error).unwrap_or(variant);
                message(format!("given `{variant}`, allowed {}", any_of(expected)))
                    .with(near::hint(variant, expected.iter().copied()))
            }
            Error::SerdeMissingField { field, .. } => {
                // The parser points at the first key of the map that lacks one.
                let map = path.and_then(|path| Some(&path[..path.rfind('.')?]));
                self.at(place, &with_path(map, &format!("missing key `{field}`")))
            }
            Error::Eof { .. } => self
                .at(place, "the file is empty or ends too early")
                .hint("make a project that works at once: `tidegate init my-service`"),
            Error::Budget { breach, .. } => over_budget(message, breach),
            Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
            | Error::AliasReplayCounterOverflow { .. } => aliases(message),
            Error::SerdeInvalidType { unexpected, expected, .. }
            | Error::SerdeInvalidValue { unexpected, expected, .. } => {
                let given = self.given(error).unwrap_or_else(|| unexpected.clone());
                message(format!("given {given}, allowed {}", plain_type(expected)))
            }
            Error::InvalidScalar { ty, .. } => self.mistyped(message, error, ty),
            Error::Unexpected { expected, .. } => self.mistyped(message, error, expected),
            Error::InvalidBooleanStrict { .. } => self.mistyped(message, error, "bool"),
            Error::NullIntoString { .. } => {
                message("no value is given, allowed is a text".to_owned())
            }
            Error::DuplicateMappingKey { key, .. } => {
                let key = key.as_deref().unwrap_or("?");
                self.at(place, &format!("key `{key}` is given twice")).hint("keep one of the two")
            }
            Error::NonFiniteFloat { value, .. } => {
                message(format!("given `{value}`, allowed a finite number"))
            }
            Error::UnresolvedProperty { name, .. }
            | Error::PropertyRequiredButUnset { name, .. } => unset(message, name, "not set"),
            Error::PropertyRequiredButEmpty { name, .. } => unset(message, name, "empty"),
            Error::InvalidPropertyName { name, .. } => {
                message(format!("given `{name}`, allowed `${{NAME}}` or `${{NAME:-default}}`"))
            }
            // The scanner reads ahead of the budget, and has no other name for this.
            Error::ExternalMessage { msg, .. } if msg == "recursion limit exceeded" => {
                too_deep(message)
            }
            Error::ExternalMessage { .. } if self.variable_in_flow(place) => message(
                UserMessageFormatter.format_message(error).into_owned(),
            )
            .hint("a variable's `}` ends a `{…}` around it: write that key on a separate line"),
            // The parser's list of errors may grow; its own words are good enough for the rest.
            other => message(UserMessageFormatter.format_message(other).into_owned()),
        }
    }

    /// Whether the line of the error has a variable inside braces.
    fn variable_in_flow(&self, place: Option<Place>) -> bool {
        let line = place.and_then(|place| usize::try_from(place.line).ok()).unwrap_or(0);
        let line = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let brace = line.replace("${", "$ ").find('{');
        brace.is_some_and(|brace| line.find("${").is_some_and(|variable| brace < variable))
    }

    fn mistyped(
        &self,
        message: impl Fn(String) -> ConfigError,
        error: &Error,
        expected: &str,
    ) -> ConfigError {
        let allowed = plain_type(expected);
        message(match self.given(error) {
            Some(given) => format!("given {given}, allowed {allowed}"),
            None => format!("allowed {allowed}"),
        })
    }

    /// The text of the file where the error is: the text as written, so that the value of an
    /// environment variable is never repeated; long texts are not repeated either.
    fn given(&self, error: &Error) -> Option<String> {
        let text = self.written(error)?;
        let start = usize::try_from(error.location()?.span().byte_offset()?).ok()?;
        match self.text.get(start..)?.chars().next()? {
            '[' => return Some("a list".to_owned()),
            '{' => return Some("keys with values".to_owned()),
            '-' if text.is_empty() || text == "-" => return Some("a list".to_owned()),
            _ => {}
        }
        let short = text.chars().count() <= MAX_GIVEN_CHARS && !text.contains('\n');
        (short && !text.is_empty()).then(|| format!("`{text}`"))
    }

    /// The text of the file where the error is. In a file with a variable in it the parser hides
    /// what it repeats, names of keys included.
    fn written(&self, error: &Error) -> Option<&str> {
        let location = error.location()?;
        if self.rewritten.contains(&location.line()) {
            return None;
        }
        let span = location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let len = usize::try_from(span.byte_len()?).ok()?;
        Some(self.text.get(start..start.checked_add(len)?)?.trim())
    }
}

/// The error of a key that is not one, with the nearest key or all of them.
pub(super) fn unknown_key(
    at: impl Fn(&str) -> ConfigError,
    given: &str,
    allowed: &[&'static str],
) -> ConfigError {
    let all = || format!("keys allowed here: {}", allowed.join(", "));
    at(&format!("unknown key `{given}`"))
        .hint(near::hint(given, allowed.iter().copied()).unwrap_or_else(all))
}

/// `a`, `b` or `c`.
pub(super) fn any_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

fn with_path(path: Option<&str>, text: &str) -> String {
    match path {
        Some(path) => format!("{path}: {text}"),
        None => text.to_owned(),
    }
}

fn unset(message: impl Fn(String) -> ConfigError, name: &str, how: &str) -> ConfigError {
    message(format!("environment variable `{name}` is {how}"))
        .hint(format!("set it, or give a default: `${{{name}:-value}}`"))
}

/// Which bound of ours a text is over.
fn over_budget(message: impl Fn(String) -> ConfigError, breach: &BudgetBreach) -> ConfigError {
    match breach {
        BudgetBreach::Documents { .. } => {
            message("a second document (`---`) starts here; one is allowed".to_owned())
        }
        BudgetBreach::Depth { .. } => too_deep(message),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            message(format!("more than {MAX_ALIASES} anchors or aliases"))
        }
        BudgetBreach::Events { .. } | BudgetBreach::Nodes { .. } => message(format!(
            "more than {MAX_EVENTS} values, what aliases (`*name`) repeat counted each time"
        ))
        .hint(LESS),
        BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. }
        | BudgetBreach::ScalarBytes { .. } => aliases(message),
        BudgetBreach::MergeKeys { .. } => message(format!("more than {MAX_ALIASES} merges (`<<`)")),
        // The parser's list may grow.
        _ => message("the file is too large or too complex".to_owned()),
    }
}

fn too_deep(message: impl Fn(String) -> ConfigError) -> ConfigError {
    message(format!("nested deeper than {MAX_DEPTH} levels"))
}

/// Aliases that repeat too much: of aliases that hold aliases, each level multiplies.
fn aliases(message: impl Fn(String) -> ConfigError) -> ConfigError {
    message(format!(
        "the aliases (`*name`) repeat too much; allowed are {MAX_ALIASES} uses of one anchor, and \
         {MAX_EVENTS} repeated values in a file"
    ))
    .hint(LESS)
}

/// What to do about aliases of aliases, and about a file that is too large.
const LESS: &str = "write out what the aliases stand for, or split the file";

/// A type's name in serde's and the parser's words, in plain ones.
fn plain_type(expected: &str) -> String {
    match expected {
        "u16" => "a whole number, 0 to 65535".to_owned(),
        "u32" => "a whole number, 0 to 4294967295".to_owned(),
        "u64" | "usize" | "unsigned integer" => "a whole number of at least 0".to_owned(),
        "i64" | "integer" => "a whole number".to_owned(),
        "f64" | "f32" | "float" | "floating point" | "floating point number" => {
            "a number".to_owned()
        }
        "bool" | "boolean" | "a boolean" => "`true` or `false`".to_owned(),
        "string scalar" | "string" | "a string" | "path string" => "a text".to_owned(),
        "sequence start" | "a sequence" | "sequence" => "a list".to_owned(),
        "mapping start" | "a map" | "mapping" => "keys with values".to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "keys with values".to_owned(),
            None => other.to_owned(),
        },
    }
}
