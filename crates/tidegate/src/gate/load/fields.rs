//! Fields of a case as files spell them: risks, severities, and checks by key.

use crate::near::{nearest, question};
use serde_json::{Map, Value};
use tidegate_core::gate::{Checks, Risk, Severity};

/// How a check's value is written in a CSV cell.
enum Kind {
    /// Several texts, `|` between them.
    List,
    /// One text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// JSON.
    Json,
}

impl Kind {
    fn is_number(&self) -> bool {
        matches!(self, Kind::Number)
    }
}

/// Above this a floating-point number is not one exact whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The whole number that a JSON number is, however it is written.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    let whole = |number: f64| number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number);
    // Checked to be whole and within the range just above.
    value.as_u64().or_else(|| value.as_f64().filter(|n| whole(*n)).map(|n| n as u64))
}

/// Every check of [`Checks`] with its kind.
const CHECKS: [(&str, Kind); 19] = [
    ("json_keys", Kind::List),
    ("json_schema", Kind::Json),
    ("expected_contains", Kind::Text),
    ("expected_keywords", Kind::List),
    ("must_include_any", Kind::List),
    ("forbidden_keywords", Kind::List),
    ("regex", Kind::Text),
    ("max_length", Kind::Number),
    ("refusal", Kind::Switch),
    ("max_latency_ms", Kind::Number),
    ("citation", Kind::Switch),
    ("no_prompt_echo", Kind::Switch),
    ("not_empty", Kind::Switch),
    ("declines", Kind::Switch),
    ("comparable", Kind::Switch),
    ("matches_expected", Kind::Switch),
    ("literal_leak", Kind::Switch),
    ("max_total_tokens", Kind::Number),
    ("no_pii", Kind::Switch),
];

/// Whether there is a check of that name.
pub(super) fn is_check(key: &str) -> bool {
    CHECKS.iter().any(|(name, _)| *name == key)
}

/// The names of all checks.
pub(super) fn check_names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// A risk by name; a spreadsheet may have made its first letter a capital.
pub(super) fn risk(given: &str) -> Result<Risk, String> {
    Risk::parse(&given.trim().to_lowercase()).ok_or_else(|| {
        let allowed = Risk::ALL.map(Risk::as_str);
        format!(
            "risk `{}` is not one of {}{}",
            cut(given),
            allowed.join(", "),
            near(given, allowed)
        )
    })
}

/// A severity by name.
pub(super) fn severity(given: &str) -> Result<Severity, String> {
    Severity::parse(given).ok_or_else(|| {
        let allowed = Severity::ALL.map(Severity::as_str);
        let near = near(given, allowed);
        format!("severity `{}` is not one of {}{near}", cut(given), allowed.join(", "))
    })
}

/// Checks from their keys and JSON values. A whole number may be written `120.0`, as programs that
/// know one kind of number write it.
pub(super) fn checks(mut values: Map<String, Value>) -> Result<Checks, String> {
    for (key, value) in &mut values {
        let is_number = CHECKS.iter().any(|(name, kind)| name == key && kind.is_number());
        if let Some(whole) = is_number.then(|| whole_number(value)).flatten() {
            *value = whole.into();
        }
    }
    for (key, value) in &values {
        // Read one by one, so that the error names the key.
        let one = Map::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = serde_json::from_value::<Checks>(Value::Object(one)) {
            return Err(format!("`{key}`: {error}"));
        }
    }
    serde_json::from_value(Value::Object(values)).map_err(|error| error.to_string())
}

/// A check that has its own column.
pub(super) fn column(key: &str, text: &str) -> Result<Value, String> {
    let Some((_, kind)) = CHECKS.iter().find(|(name, _)| *name == key) else {
        return Err(format!("there is no check `{key}`"));
    };
    value(kind, text).map_err(|what| format!("`{key}` is `{}`; it must be {what}", cut(text)))
}

/// What a cell `notes` says to the machine: checks and a severity; nothing for a note to people.
pub(super) fn notes(cell: &str) -> Result<(Map<String, Value>, Option<Severity>), String> {
    let Some(pairs) = pairs(cell)? else { return Ok((Map::new(), None)) };
    let mut values = Map::new();
    let mut given_severity = None;
    for (key, text) in pairs {
        if key == "severity" {
            given_severity = Some(severity(text)?);
            continue;
        }
        if !is_check(key) {
            let near = near(key, check_names());
            return Err(format!("notes: there is no check `{key}`{near}"));
        }
        let value = column(key, text).map_err(|problem| format!("notes: {problem}"))?;
        if values.insert(key.to_owned(), value).is_some() {
            return Err(format!("notes: `{key}` is given twice"));
        }
    }
    Ok((values, given_severity))
}

/// The `key=value` pairs of a cell; `None` when it is a note to people.
fn pairs(cell: &str) -> Result<Option<Vec<(&str, &str)>>, String> {
    let parts: Vec<&str> = cell.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
    let read: Vec<Option<(&str, &str)>> = parts.iter().map(|part| pair(part)).collect();
    let known = |(key, _): &(&str, &str)| is_check(key) || *key == "severity";
    if read.iter().all(Option::is_some) && !read.is_empty() {
        return Ok(Some(read.into_iter().flatten().collect()));
    }
    // A check beside words that are none would be read over silently.
    match read.iter().position(Option::is_none) {
        Some(odd) if read.iter().flatten().any(known) => Err(format!(
            "notes: `{}` is not `key=value`; pairs are separated by `;`",
            cut(parts[odd])
        )),
        Some(_) | None => Ok(None),
    }
}

fn pair(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some((key, value))
}

fn value(kind: &Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::List => {
            let items = list(text);
            if items.is_empty() { Err("texts with `|` between them") } else { Ok(items.into()) }
        }
        Kind::Text if text.is_empty() => Err("a text"),
        Kind::Text => Ok(text.into()),
        Kind::Number => match serde_json::from_str(text).ok().and_then(|v| whole_number(&v)) {
            Some(number) => Ok(number.into()),
            None => Err("a whole number"),
        },
        Kind::Switch => text.parse::<bool>().map(Value::from).map_err(|_| "`true` or `false`"),
        Kind::Json => serde_json::from_str(text).map_err(|_| "JSON"),
    }
}

/// The texts of a list with `|` between them.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split('|').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// `; did you mean ...` where a name is near.
pub(super) fn near<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let meant = nearest(given, allowed).map(question);
    meant.map(|question| format!("; {question}")).unwrap_or_default()
}

/// What was given, cut to 40 characters and without control characters.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
