//! Cases as JSONL.

use super::{Defaults, content_id, defaults, fields, finish};
use crate::error::{CliError, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::gate::{Case, Checks, Severity};

/// The keys of a line beside those of its checks.
const KEYS: [&str; 11] = [
    "case_id",
    "id",
    "input",
    "prompt",
    "system",
    "expected",
    "expected_behavior",
    "risk",
    "severity",
    "source",
    "checks",
];

/// Reads cases from JSONL text; empty lines are skipped. Each is at least as severe as `least`.
///
/// # Errors
/// A usage error that names file and line.
pub(crate) fn read_jsonl(
    text: &str,
    path: &Path,
    least: Severity,
    defaults: &Defaults<'_>,
) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), i + 1);
        let case = case(line, &stem, &place)
            .map_err(|problem| CliError::usage(format!("{place}: {problem}")))?;
        if let Some(first) = seen.insert(case.id.clone(), i + 1) {
            let message = format!("{place}: case id `{}` was given on line {first}", case.id);
            return Err(CliError::usage(message)
                .hint("give one of them another id, or remove it")
                .hint("a line without id is named by its content"));
        }
        let severity = case.severity.max(least);
        cases.push(finish(Case { severity, ..case }, &place, defaults)?);
    }
    Ok(cases)
}

fn case(line: &str, stem: &str, place: &str) -> Result<Case, String> {
    let value = serde_json::from_str(line).map_err(|error| format!("not valid JSON: {error}"))?;
    let Value::Object(mut members) = value else {
        return Err("the line is not a JSON object".to_owned());
    };
    let checks = checks(&mut members)?;
    if let Some(key) = members.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let near = fields::near(key, KEYS.into_iter().chain(fields::check_names()));
        return Err(format!("there is no key `{}`{near}", fields::cut(key)));
    }
    let system = text(&mut members, "system")?;
    let Some(input) = one_of(&mut members, "input", "prompt")? else {
        return Err("`input` is missing".to_owned());
    };
    if input.trim().is_empty() {
        return Err("`input` is empty".to_owned());
    }
    let id = match one_of(&mut members, "case_id", "id")? {
        Some(id) if id.trim().is_empty() => return Err("`case_id` is empty".to_owned()),
        Some(id) => id.trim().to_owned(),
        None => format!("{stem}-{}", content_id(system.as_deref(), &input)),
    };
    let risk = match text(&mut members, "risk")? {
        Some(risk) => fields::risk(&risk)?,
        None => defaults::risk_of_id(&id),
    };
    let severity = text(&mut members, "severity")?.map(|s| fields::severity(&s)).transpose()?;
    let source = match text(&mut members, "source")? {
        Some(source) => format!("{place} (from {})", fields::cut(&source)),
        None => place.to_owned(),
    };
    Ok(Case {
        id,
        input,
        system,
        expected_behavior: text(&mut members, "expected_behavior")?.unwrap_or_default(),
        expected: text(&mut members, "expected")?,
        risk,
        severity: severity.unwrap_or_default(),
        checks,
        source,
    })
}

/// Takes the checks out: those under `checks` and those beside the other keys.
fn checks(members: &mut Map<String, Value>) -> Result<Checks, String> {
    let mut values = match members.remove("checks") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(values)) => values,
        Some(_) => return Err("`checks` is not a JSON object".to_owned()),
    };
    if let Some(key) = values.keys().find(|key| !fields::is_check(key)) {
        let near = fields::near(key, fields::check_names());
        return Err(format!("there is no check `{}`{near}", fields::cut(key)));
    }
    for name in fields::check_names() {
        if let Some(value) = members.remove(name)
            && values.insert(name.to_owned(), value).is_some()
        {
            return Err(format!("`{name}` is given twice, once under `checks`"));
        }
    }
    values.retain(|_, value| !value.is_null());
    fields::checks(values)
}

/// Takes a text out; null counts as absent.
fn text(members: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) if matches!(key, "id" | "case_id" | "expected") => {
            Ok(Some(number.to_string()))
        }
        Some(_) => Err(format!("`{key}` is not a text")),
    }
}

/// Takes the one of two names of the same field out.
fn one_of(
    members: &mut Map<String, Value>,
    name: &str,
    other: &str,
) -> Result<Option<String>, String> {
    match (text(members, name)?, text(members, other)?) {
        (Some(_), Some(_)) => Err(format!("`{name}` and `{other}` are the same field; give one")),
        (Some(value), None) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => Ok(None),
    }
}
