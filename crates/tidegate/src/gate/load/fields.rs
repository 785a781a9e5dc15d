//! Fields of a case as files spell them: risks, severities, and checks by key.

use crate::near::{nearest, question};
use serde_json::{Map, Value};
use std::sync::LazyLock;
use tidegate_core::gate::{Check, CheckKind, Checks, Risk, Severity, Takes, Tokens, check_value};

/// Above this a floating-point number is not one exact whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The whole number that a JSON number is, however it is written.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    let whole = |number: f64| number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number);
    // Checked to be whole and within the range just above.
    value.as_u64().or_else(|| value.as_f64().filter(|n| whole(*n)).map(|n| n as u64))
}

/// What a range is in a cell.
const RANGE: &str = "a whole number, or `{\"min\": 2, \"max\": 80}`";

/// The key of a list of checks that are written out: `{"check": "regex", "value": "^\\d+$"}`.
pub(super) const ASSERT: &str = "assert";
/// The keys of one of them.
const ASSERT_KEYS: [&str; 7] = ["check", "type", "not", "value", "threshold", "tokenize", "weight"];

/// Whether there is a check of that name, negated or not.
pub(super) fn is_check(key: &str) -> bool {
    CheckKind::parse(key).is_some()
}

/// The names of all checks.
pub(super) fn check_names() -> impl Iterator<Item = &'static str> {
    CheckKind::ROWS.iter().map(|row| row.name)
}

/// The names of all checks and those of their negations: the columns of a CSV.
pub(super) fn columns() -> impl Iterator<Item = &'static str> {
    static NEGATED: LazyLock<Vec<String>> =
        LazyLock::new(|| check_names().map(|name| format!("not_{name}")).collect());
    check_names().chain(NEGATED.iter().map(String::as_str))
}

/// The names of checks that [`Checks`] has a member for. Columns that are nearly named like one of
/// these are refused; there are too many names of the others for that.
pub(super) fn member_names() -> impl Iterator<Item = &'static str> {
    CheckKind::ROWS.iter().filter(|row| is_member(row.kind)).map(|row| row.name)
}

pub(super) fn is_member(kind: CheckKind) -> bool {
    use CheckKind as K;
    matches!(
        kind,
        K::JsonKeys
            | K::JsonSchema
            | K::ExpectedContains
            | K::ExpectedKeywords
            | K::MustIncludeAny
            | K::ForbiddenKeywords
            | K::Regex
            | K::MaxLength
            | K::Refusal
            | K::MaxLatencyMs
            | K::Citation
            | K::NoPromptEcho
            | K::NotEmpty
            | K::Declines
            | K::Comparable
            | K::MatchesExpected
            | K::LiteralLeak
            | K::MaxTotalTokens
            | K::NoPii
    )
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
    let mut listed = Vec::new();
    let mut members = Map::new();
    let asserts = values.remove(ASSERT);
    for (key, value) in values {
        let Some((kind, not)) = CheckKind::parse(&key) else {
            return Err(format!("there is no check `{}`{}", cut(&key), near(&key, check_names())));
        };
        let value = whole(kind, value);
        if not || !is_member(kind) {
            listed.extend(bare(kind, not, value).map_err(|what| format!("`{key}` {what}"))?);
            continue;
        }
        // Read one by one, so that the error names the key.
        let one = Map::from_iter([(kind.name().to_owned(), value.clone())]);
        if let Err(error) = serde_json::from_value::<Checks>(Value::Object(one)) {
            return Err(format!("`{key}`: {error}"));
        }
        if members.insert(kind.name().to_owned(), value).is_some() {
            return Err(format!("`{}` is given twice, once as `{}`", kind.name(), cut(&key)));
        }
    }
    match asserts {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => {
            for (i, item) in items.into_iter().enumerate() {
                let check = written_out(item).map_err(|what| format!("assert[{i}]: {what}"))?;
                listed.push(check);
            }
        }
        Some(_) => return Err("`assert` is not a list".to_owned()),
    }
    let checks: Checks =
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
    Ok(Checks { listed, ..checks })
}

/// The number as a whole one, where the kind takes that and it is one.
fn whole(kind: CheckKind, value: Value) -> Value {
    match (kind.row().takes, whole_number(&value)) {
        (Takes::Number | Takes::Range, Some(number)) => number.into(),
        _ => value,
    }
}

/// A check by a key and its value alone; `None` for one that is switched off. A number is the
/// measure that a comparison needs, a text its reference.
fn bare(kind: CheckKind, not: bool, value: Value) -> Result<Option<Check>, String> {
    if kind.row().takes == Takes::Switch
        && value == Value::Bool(false)
        && kind != CheckKind::Refusal
    {
        return Ok(None);
    }
    let mut check = Check { not, ..Check::new(kind, value) };
    if matches!(kind.row().takes, Takes::Share | Takes::Distance) {
        match check.value {
            Value::Bool(false) => return Ok(None),
            Value::Bool(true) => check.value = Value::Null,
            Value::Number(number) => {
                (check.threshold, check.value) = (number.as_f64(), Value::Null);
            }
            _ => {}
        }
    }
    sound(check).map(Some)
}

/// A check that is written out as an object.
fn written_out(item: Value) -> Result<Check, String> {
    let Value::Object(mut members) = item else { return Err("is not a JSON object".to_owned()) };
    if let Some(key) = members.keys().find(|key| !ASSERT_KEYS.contains(&key.as_str())) {
        return Err(format!("there is no key `{}`{}", cut(key), near(key, ASSERT_KEYS)));
    }
    let name = match (members.remove("check"), members.remove("type")) {
        (Some(Value::String(name)), None) | (None, Some(Value::String(name))) => name,
        (None, None) => return Err("`check` is missing".to_owned()),
        (Some(_), Some(_)) => {
            return Err("`check` and `type` are the same field; give one".to_owned());
        }
        _ => return Err("`check` is not a text".to_owned()),
    };
    let Some((kind, negated)) = CheckKind::parse(&name) else {
        return Err(format!("there is no check `{}`{}", cut(&name), near(&name, check_names())));
    };
    let not = match members.remove("not") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(not)) => not,
        Some(_) => return Err("`not` is not `true` or `false`".to_owned()),
    };
    let mut number = |key: &str| match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("`{key}` is not a number")),
        },
    };
    let (threshold, weight) = (number("threshold")?, number("weight")?);
    let tokenize = tokenize(kind, members.remove("tokenize"))?;
    let value = match (kind.row().takes, members.remove("value")) {
        (Takes::Switch, None) => true.into(),
        (_, value) => whole(kind, value.unwrap_or_default()),
    };
    let check = Check { not: not != negated, threshold, tokenize, ..Check::new(kind, value) };
    sound(Check { weight: weight.unwrap_or(1.0), ..check })
        .map_err(|what| format!("`{name}` {what}"))
}

/// How a check splits texts.
fn tokenize(kind: CheckKind, given: Option<Value>) -> Result<Option<Tokens>, String> {
    let name = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name,
        Some(_) => return Err("`tokenize` is not a text".to_owned()),
    };
    let allowed = kind.row().tokens;
    if allowed.is_empty() {
        return Err(format!("`{}` splits no text; `tokenize` does not apply", kind.name()));
    }
    match Tokens::parse(&name).filter(|tokens| allowed.contains(tokens)) {
        Some(tokens) => Ok(Some(tokens)),
        None => {
            let names: Vec<&str> = allowed.iter().map(|tokens| tokens.as_str()).collect();
            let near = near(&name, names.iter().copied());
            let (kind, name, names) = (kind.name(), cut(&name), names.join(", "));
            Err(format!("`{kind}` splits by {names}, not by `{name}`{near}"))
        }
    }
}

/// The check, where its value, threshold and weight are such.
fn sound(check: Check) -> Result<Check, String> {
    check_value(&check).map_err(|needed| format!("needs {needed}"))?;
    if !(check.weight >= 0.0 && check.weight.is_finite()) {
        return Err("needs a `weight` from 0".to_owned());
    }
    let measures = check.kind.default_threshold().is_some() || check.kind.is_share();
    match check.threshold {
        Some(_) if !measures => Err("measures nothing; `threshold` does not apply".to_owned()),
        Some(least) if check.kind.row().takes == Takes::Distance => {
            if least >= 0.0 {
                Ok(check)
            } else {
                Err("needs a `threshold` from 0".to_owned())
            }
        }
        Some(least) if !(0.0..=1.0).contains(&least) => {
            Err("needs a `threshold` from 0 to 1".to_owned())
        }
        Some(_) | None => Ok(check),
    }
}

/// A check that has its own column.
pub(super) fn column(key: &str, text: &str) -> Result<Value, String> {
    let Some((kind, _)) = CheckKind::parse(key) else {
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

fn value(kind: CheckKind, text: &str) -> Result<Value, &'static str> {
    let json = || serde_json::from_str::<Value>(text).ok();
    match kind.row().takes {
        Takes::List => {
            let items = list(text);
            if items.is_empty() { Err("texts with `|` between them") } else { Ok(items.into()) }
        }
        Takes::Text if text.is_empty() => Err("a text"),
        Takes::Text => Ok(text.into()),
        Takes::Number => match json().and_then(|v| whole_number(&v)) {
            Some(number) => Ok(number.into()),
            None => Err("a whole number"),
        },
        Takes::Range => match json() {
            Some(value @ Value::Object(_)) => Ok(value),
            Some(value) => whole_number(&value).map(Value::from).ok_or(RANGE),
            None => Err(RANGE),
        },
        Takes::Amount => json().filter(Value::is_number).ok_or("a number from 0"),
        Takes::Switch => text.parse::<bool>().map(Value::from).map_err(|_| "`true` or `false`"),
        // A text needs no quotes in a cell.
        Takes::Json if kind == CheckKind::Equals => match json() {
            Some(value @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => Ok(value),
            Some(_) | None => Ok(text.into()),
        },
        Takes::Json => json().ok_or("JSON"),
        Takes::Share | Takes::Distance => match json() {
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value),
            Some(_) | None => Ok(text.into()),
        },
    }
}

/// Takes a text out; null counts as absent.
pub(super) fn text(members: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) if matches!(key, "id" | "case_id" | "expected") => {
            Ok(Some(number.to_string()))
        }
        Some(_) => Err(format!("`{key}` is not a text")),
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
