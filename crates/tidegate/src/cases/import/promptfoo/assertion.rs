//! One assertion as checks that ask the same of an answer.

use super::super::template::{rendered, scalar};
use super::super::{as_read, is_empty};
use serde_json::{Map, Value, json};
use tidegate_core::gate::CheckKind;

/// What an assertion is here.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Checks that are written out.
    pub(super) checks: Vec<Value>,
    /// Why there is none, or what of it they leave out.
    pub(super) lost: Vec<String>,
    /// What is measured in another way.
    pub(super) notes: Vec<String>,
}

/// Members that say what is asked; without them it would be something else.
const MEANT: [&str; 8] = [
    "transform",
    "contextTransform",
    "config",
    "provider",
    "rubricPrompt",
    "normalizeUnicode",
    "scoringFunction",
    "assertScoringFunction",
];

/// Types that have no check of their name here, and their names in tables.
const OF_OTHERS: [&str; 23] = [
    "agent-rubric",
    "answer-relevance",
    "classifier",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "conversation-relevance",
    "factuality",
    "guardrails",
    "meteor",
    "model-graded-factuality",
    "moderation",
    "perplexity",
    "perplexity-score",
    "pi",
    "ruby",
    "search-rubric",
    "skill-used",
    "trajectory:step-count",
    "trajectory:tool-args-match",
    "trace-error-spans",
    "trace-span-count",
    "webhook",
];

/// Whether promptfoo has an assertion of this type.
pub(super) fn is_type(name: &str) -> bool {
    // Our own names have `_`, theirs have not.
    let theirs = !name.contains('_') && CheckKind::parse(name).is_some();
    theirs || OF_OTHERS.contains(&name)
}

/// Reads an assertion.
pub(super) fn checks(assertion: &Value, vars: &Map<String, Value>) -> Read {
    let mut read = Read::default();
    let Value::Object(members) = assertion else {
        read.lost.push("an assertion that is not keys with values".to_owned());
        return read;
    };
    let Some(name) = members.get("type").and_then(Value::as_str) else {
        read.lost.push("an assertion without a type".to_owned());
        return read;
    };
    match as_checks(name, members, vars) {
        Ok(checks) => {
            read.checks = checks;
            let metric = members.get("metric").filter(|metric| !is_empty(metric));
            read.lost.extend(metric.map(|_| format!("the `metric` of the assertion `{name}`")));
            if read.checks.iter().any(|check| check["check"] == "rubric") {
                read.notes.push(format!("`{name}` is asked of the project's judge, in its words"));
            }
            if name.ends_with("bleu") {
                read.notes.push(
                    "`bleu` is sacrebleu's here, which the threshold was not made for".to_owned(),
                );
            }
        }
        Err(problem) => read.lost.push(format!("the assertion `{name}`: {problem}")),
    }
    read
}

fn as_checks(
    name: &str,
    members: &Map<String, Value>,
    vars: &Map<String, Value>,
) -> Result<Vec<Value>, String> {
    let (kind, not) = match name.strip_prefix("not-") {
        Some(kind) => (kind, true),
        None => (name, false),
    };
    let known = ["type", "value", "threshold", "weight", "metric"];
    if let Some(key) = members.iter().find_map(|(key, value)| {
        let odd = MEANT.contains(&key.as_str()) || !known.contains(&key.as_str());
        (odd && !is_empty(value)).then_some(key)
    }) {
        return Err(format!("its `{key}` has no place in a check"));
    }
    let value = with_vars(members.get("value").unwrap_or(&Value::Null), vars)?;
    let threshold = members.get("threshold").filter(|it| !it.is_null());
    let mut checks = meant(kind, not, value, threshold)?;
    let weight = members.get("weight").filter(|weight| !weight.is_null());
    for check in &mut checks {
        if let (Some(weight), Value::Object(check)) = (weight, check) {
            check.insert("weight".to_owned(), weight.clone());
        }
    }
    let case = json!({"input": "?", "expected": "?", "assert": checks});
    if let Value::Object(case) = case {
        as_read(case, "", "").map_err(|problem| problem.replacen("assert[0]: ", "", 1))?;
    }
    Ok(checks)
}

/// The value with its variables, where it is written out.
fn with_vars(value: &Value, vars: &Map<String, Value>) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let text = rendered(text, vars)?;
            match ["file://", "package:"].iter().any(|far| text.starts_with(far)) {
                true => Err(format!("its value is in `{text}`")),
                false => Ok(text.into()),
            }
        }
        Value::Array(items) => items.iter().map(|item| with_vars(item, vars)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| Ok((key.clone(), with_vars(value, vars)?)))
            .collect::<Result<Map<String, Value>, String>>()
            .map(Value::from),
        other => Ok(other.clone()),
    }
}

/// The checks that mean what the assertion does.
fn meant(
    kind: &str,
    not: bool,
    value: Value,
    threshold: Option<&Value>,
) -> Result<Vec<Value>, String> {
    let one = |check: &str, value: Value| written(check, value, not);
    match kind {
        "contains-all" | "contains-any" | "icontains-all" | "icontains-any" => {
            Ok(vec![one(kind, texts(&value)?.into())])
        }
        "contains" | "icontains" | "starts-with" => match scalar(&value) {
            Some(text) => Ok(vec![one(kind, text.into())]),
            None => Err("its value is no text".to_owned()),
        },
        "is-json" if is_empty(&value) => Ok(vec![one("is_json", Value::Null)]),
        "is-json" => Ok(vec![one("json_schema", schema(value)?)]),
        "contains-json" if !is_empty(&value) => {
            Err("a schema of JSON somewhere in an answer has no check".to_owned())
        }
        "is-refusal" => Ok(vec![json!({"check": "refusal", "value": !not})]),
        "latency" | "cost" => match threshold {
            Some(most) => Ok(vec![one(kind, most.clone())]),
            None => Err("it has no threshold".to_owned()),
        },
        "word-count" => {
            let exact = scalar(&value).and_then(|text| text.trim().parse::<u64>().ok());
            Ok(vec![one(kind, exact.map_or(value, Value::from))])
        }
        "tool-call-f1"
        | "trajectory:tool-used"
        | "trajectory:tool-sequence"
        | "trajectory:tool-args-match" => of_tools(kind, not, &value, threshold),
        "trajectory:step-count" => Err("steps of a trace have no check".to_owned()),
        "assert-set" | "select-best" | "human" | "max-score" => {
            Err("it compares answers, or asks a person".to_owned())
        }
        _ => {
            let mut check = one(kind, value);
            if let Some(least) = threshold {
                check["threshold"] = least.clone();
            }
            Ok(vec![check])
        }
    }
}

/// A check that is written out.
fn written(check: &str, value: Value, not: bool) -> Value {
    let check = CheckKind::parse(check).map_or(check, |(kind, _)| kind.name());
    let mut written = Map::from_iter([("check".to_owned(), Value::from(check))]);
    if !value.is_null() {
        written.insert("value".to_owned(), value);
    }
    if not {
        written.insert("not".to_owned(), true.into());
    }
    written.into()
}

/// The texts of a list, or of a text with commas between them.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let none = || "its value is no list of texts".to_owned();
    match value {
        Value::Array(items) => items.iter().map(|item| scalar(item).ok_or_else(none)).collect(),
        other => scalar(other).map(|text| comma_separated(&text)).ok_or_else(none),
    }
}

/// The checks of what tools were called.
fn of_tools(
    kind: &str,
    not: bool,
    value: &Value,
    threshold: Option<&Value>,
) -> Result<Vec<Value>, String> {
    match kind {
        "tool-call-f1" => {
            let mut check = written(kind, texts(value)?.into(), not);
            check["threshold"] = threshold.cloned().unwrap_or_else(|| 1.0.into());
            Ok(vec![check])
        }
        "trajectory:tool-used" => {
            let tools = tools(value)?;
            // Not one of them, which is more than not all of them.
            match not {
                true => {
                    Ok(tools.iter().map(|tool| written("tools_used", json!([tool]), not)).collect())
                }
                false => Ok(vec![written("tools_used", tools.into(), not)]),
            }
        }
        "trajectory:tool-sequence" => {
            let check = match value["mode"].as_str() {
                Some("exact") => "tools_exactly",
                _ => "tool_sequence",
            };
            let steps = if value.is_object() { &value["steps"] } else { value };
            Ok(vec![written(check, tools(steps)?.into(), not)])
        }
        _ => arguments(value).map(|given| vec![written("tool_arguments", given, not)]),
    }
}

/// A schema as it is, or as YAML in a text.
fn schema(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => crate::config::parse_yaml(&text, std::path::Path::new("schema"))
            .map_err(|error| format!("its schema is not YAML: {error}")),
        other => Ok(other),
    }
}

/// Names of tools, none of them a pattern.
fn tools(value: &Value) -> Result<Vec<String>, String> {
    let name = |item: &Value| {
        let plain = |members: &Map<String, Value>| {
            let only = members.keys().all(|key| ["name", "type", "min"].contains(&key.as_str()));
            only && members.get("min").is_none_or(|min| *min == 1)
        };
        let text = match item {
            Value::Object(members) if plain(members) => item["name"].as_str(),
            other => other.as_str(),
        };
        text.filter(|text| !text.is_empty() && !text.contains(['*', '?'])).map(str::to_owned)
    };
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let names: Option<Vec<String>> = items.iter().map(name).collect();
    names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| "its value is more than the names of tools".to_owned())
}

/// The arguments of one tool, others beside them allowed.
fn arguments(value: &Value) -> Result<Value, String> {
    let known = ["name", "args", "arguments", "mode"];
    let odd = value.as_object().and_then(|it| it.keys().find(|key| !known.contains(&key.as_str())));
    if let Some(key) = odd {
        return Err(format!("its `{key}` has no place in a check"));
    }
    if value["mode"].as_str().is_some_and(|mode| mode != "partial") {
        return Err("arguments that are all there are have no check".to_owned());
    }
    let given = if value["args"].is_null() { &value["arguments"] } else { &value["args"] };
    match (value["name"].as_str().filter(|name| !name.contains(['*', '?'])), given) {
        (Some(name), Value::Object(_)) => Ok(json!({name: given})),
        _ => Err("its value is not the name of a tool with arguments".to_owned()),
    }
}

/// The texts of a list with commas between them; one with a comma in it is in quotes.
fn comma_separated(text: &str) -> Vec<String> {
    let (mut items, mut item, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            c => item.push(c),
        }
    }
    items.push(item);
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}
