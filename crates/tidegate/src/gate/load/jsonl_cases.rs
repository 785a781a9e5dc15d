//! Cases as JSONL.

use super::super::run::REPEAT_MAX;
use super::{CasesError, Defaults, content_id, defaults, fields, finish};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::gate::{Case, Checks, Handling, Severity};

/// The keys of a line beside those of its checks.
const KEYS: [&str; 18] = [
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
    "strict",
    "as_served",
    "repeat",
    "reproduced",
    "needs_review",
    "threshold",
    fields::ASSERT,
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
) -> Result<Vec<Case>, CasesError> {
    let mut cases = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), i + 1);
        let case = case(line, &stem, &place)
            .map_err(|problem| CasesError::Field { place: place.clone(), problem })?;
        if let Some(first) = seen.insert(case.id.clone(), i + 1) {
            return Err(CasesError::TwiceInLines { place, id: case.id, first });
        }
        let severity = case.severity.max(least);
        cases.push(finish(Case { severity, ..case }, &place, defaults)?);
    }
    Ok(cases)
}

fn case(line: &str, stem: &str, place: &str) -> Result<Case, String> {
    let value = json(line).map_err(|error| format!("not valid JSON: {error}"))?;
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
    let handling = Handling {
        strict: switch(&mut members, "strict")?,
        as_served: switch(&mut members, "as_served")?,
        repeat: repeat(&mut members)?,
        threshold: threshold(&mut members)?,
        reproduced: text(&mut members, "reproduced")?,
        needs_review: switch(&mut members, "needs_review")?,
        uncovered: false,
    };
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
        handling,
    })
}

/// Reads a line as JSON. Half of a surrogate pair, which programs that cut texts by 16-bit units
/// leave in escapes such as `\ud83d`, becomes U+FFFD: it is no character, and no reason to refuse
/// the whole file.
fn json(line: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(line).or_else(|error| match whole_surrogates(line) {
        Some(repaired) => serde_json::from_str(&repaired),
        None => Err(error),
    })
}

/// The line with `\ufffd` in place of each escape of half a surrogate pair; `None` where there is
/// none.
fn whole_surrogates(line: &str) -> Option<String> {
    let unit = |at: usize| -> Option<u32> {
        let digits = line.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at, mut replaced) = (String::with_capacity(line.len()), 0, false);
    while let Some(found) = line[at..].find('\\').map(|found| at + found) {
        out.push_str(&line[at..found]);
        let low = |at| unit(at).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        let length = match unit(found) {
            Some(0xd800..0xdc00) if low(found + 6) => 12,
            Some(0xd800..0xe000) => {
                (replaced, at) = (true, found + 6);
                out.push_str("\\ufffd");
                continue;
            }
            Some(_) => 6,
            // An escape of one character; it may not be ASCII in a broken line.
            None => 1 + line[found + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&line[found..found + length]);
        at = found + length;
    }
    out.push_str(&line[at..]);
    replaced.then_some(out)
}

/// Takes the checks out: those under `checks` and those beside the other keys.
fn checks(members: &mut Map<String, Value>) -> Result<Checks, String> {
    let mut values = match members.remove("checks") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(values)) => values,
        Some(_) => return Err("`checks` is not a JSON object".to_owned()),
    };
    let is_known = |key: &str| fields::is_check(key) || key == fields::ASSERT;
    if let Some(key) = values.keys().find(|key| !is_known(key)) {
        let near = fields::near(key, fields::check_names());
        return Err(format!("there is no check `{}`{near}", fields::cut(key)));
    }
    let named: Vec<String> = members.keys().filter(|key| is_known(key)).cloned().collect();
    for name in named {
        if let Some(value) = members.remove(&name)
            && values.insert(name.clone(), value).is_some()
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

/// Takes `true` or `false` out; absent counts as false.
fn switch(members: &mut Map<String, Value>, key: &str) -> Result<bool, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(on)) => Ok(on),
        Some(_) => Err(format!("`{key}` is not `true` or `false`")),
    }
}

/// Takes out how often the case is asked in each run.
fn repeat(members: &mut Map<String, Value>) -> Result<Option<u32>, String> {
    let Some(value) = members.remove("repeat").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = fields::whole_number(&value).and_then(|number| u32::try_from(number).ok());
    match number.filter(|number| (1..=REPEAT_MAX).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("`repeat` is not a whole number from 1 to {REPEAT_MAX}")),
    }
}

/// Takes out the score that makes the case correct.
fn threshold(members: &mut Map<String, Value>) -> Result<Option<f64>, String> {
    let Some(value) = members.remove("threshold").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_f64().filter(|number| (0.0..=1.0).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err("`threshold` is not a number from 0 to 1".to_owned()),
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
