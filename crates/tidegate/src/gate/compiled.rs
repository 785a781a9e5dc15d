//! What checks need compiled – regular expressions, schemas – is compiled once for all cases that
//! have the same: a file of cases often repeats one schema in each line.

use crate::version_set::compile_schema;
use regex::Regex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many of each kind are kept. Where every case brings its own, keeping them is no gain.
const KEPT_MAX: usize = 32;

/// Most steps back of a schema's pattern with look-around; beyond them it does not match.
const BACKTRACK_MAX: usize = 100_000;

static REGEXES: Kept<Regex> = Kept::new();
static SCHEMAS: Kept<Arc<jsonschema::Validator>> = Kept::new();

/// What was compiled, by its text.
struct Kept<T>(LazyLock<Mutex<HashMap<String, T>>>);

impl<T: Clone> Kept<T> {
    const fn new() -> Kept<T> {
        Kept(LazyLock::new(Mutex::default))
    }

    /// What the text compiles to.
    fn of<E>(&self, text: &str, compile: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        // Every change is whole before the lock is let go.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(text) {
            return Ok(kept.clone());
        }
        let compiled = compile()?;
        let mut kept = lock();
        if kept.len() == KEPT_MAX {
            kept.clear();
        }
        kept.insert(text.to_owned(), compiled.clone());
        Ok(compiled)
    }
}

/// A regular expression.
///
/// # Errors
/// Why it is none.
pub(super) fn regex(pattern: &str) -> Result<Regex, regex::Error> {
    REGEXES.of(pattern, || Regex::new(pattern))
}

/// A schema, compiled by [`compile`]; `name` says what it is of.
///
/// # Errors
/// Why it is none.
pub(crate) fn schema(name: &str, schema: &Value) -> Result<Arc<jsonschema::Validator>, String> {
    SCHEMAS.of(&schema.to_string(), || compile(name, schema).map(Arc::new))
}

/// The schema, compiled without access to other documents. Its patterns run in linear time; one
/// with look-around, which that engine lacks, gets bounded backtracking.
fn compile(name: &str, schema: &Value) -> Result<jsonschema::Validator, String> {
    let error = match compile_schema(name, schema) {
        Ok(schema) => return Ok(schema),
        Err(error) => error,
    };
    let patterns = jsonschema::PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_MAX);
    let options = jsonschema::options().offline().with_pattern_options(patterns);
    let compiled = options.build(schema);
    compiled.map_err(|_| format!("`{name}` is not a JSON Schema: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_is_bounded_and_right() {
        for number in 0..2 * KEPT_MAX + 3 {
            let text = format!("case {number}$");
            assert!(regex(&text).unwrap().is_match(&text[..text.len() - 1]));
            assert!(regex("case 0$").unwrap().is_match("case 0"));
        }
        assert!(REGEXES.0.lock().unwrap().len() <= KEPT_MAX);
    }

    #[test]
    fn what_is_wrong_is_said_each_time() {
        for name in ["one", "other"] {
            let error = schema(name, &json!({"type": "wrong"})).unwrap_err();
            assert!(error.contains(name), "{error}");
            regex("(").unwrap_err();
        }
        let first = schema("one", &json!({"type": "object"})).unwrap();
        let again = schema("other", &json!({"type": "object"})).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }
}
