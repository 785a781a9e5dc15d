//! Logs of Inspect as JSON, and its datasets. What the scorers of a log look for becomes checks.

use super::super::error::{Result, TransferError};
use super::document::Document;
use super::template::scalar;
use super::{Imported, asked, stem};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a log keeps of how a sample was answered, which says nothing of what is asked.
const OF_THE_RUN: [&str; 24] = [
    "id",
    "epoch",
    "input",
    "target",
    "metadata",
    "messages",
    "output",
    "scores",
    "store",
    "events",
    "model_usage",
    "role_usage",
    "total_time",
    "working_time",
    "started_at",
    "completed_at",
    "uuid",
    "error",
    "error_retries",
    "attachments",
    "limit",
    "invalidation",
    "timelines",
    "events_data",
];

/// Reads the samples of a log or of a dataset.
///
/// # Errors
/// It cannot be read, or holds something else.
pub(super) fn read(path: &Path, out: &mut Imported) -> Result<()> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("eval")) {
        return Err(TransferError::InspectArchive(path.to_owned()));
    }
    let document = Document::read(path)?;
    let (under, samples) = match &document.value {
        Value::Array(samples) => ("", samples),
        Value::Object(log) => match log.get("samples") {
            Some(Value::Array(samples)) => ("samples", samples),
            _ => return Err(document.wrong("", "the log has no `samples`")),
        },
        _ => return Err(document.wrong("", "the file is neither a log nor a list of samples")),
    };
    let scorers = match under {
        "" => Vec::new(),
        _ => document.value["eval"]["scorers"].as_array().cloned().unwrap_or_default(),
    };
    let repeat = document.value["eval"]["config"]["epochs"].as_u64().filter(|epochs| *epochs > 1);
    for (i, sample) in samples.iter().enumerate() {
        let at = format!("{under}[{i}]");
        let Value::Object(sample) = sample else {
            return Err(document.wrong(&at, "the sample is not a JSON object"));
        };
        // The same sample once more.
        if sample.get("epoch").and_then(Value::as_u64).is_some_and(|epoch| epoch > 1) {
            continue;
        }
        let place = document.place(&at);
        let mut members = match input(sample.get("input")) {
            Ok(members) => members,
            Err(problem) => {
                out.lose(place, format!("the sample: {problem}"));
                continue;
            }
        };
        let targets = texts(sample.get("target"));
        let (checks, problems) = checks(&scorers, &targets);
        for problem in problems {
            out.lose(place.clone(), problem);
        }
        match (checks.is_empty(), targets.as_slice()) {
            (false, _) => drop(members.insert("assert".to_owned(), checks.into())),
            (true, [one]) => drop(members.insert("expected".to_owned(), one.as_str().into())),
            (true, []) => {}
            (true, _) => out.lose(document.place(&format!("{at}.target")), "several targets"),
        }
        let given = sample.get("metadata").unwrap_or(&Value::Null);
        members.extend(out.metadata(&document, &format!("{at}.metadata"), given));
        members.extend(repeat.map(|times| ("repeat".to_owned(), times.into())));
        out.rest(&document, &at, sample, &OF_THE_RUN);
        if let Some(id) = sample.get("id").and_then(scalar) {
            members.insert("case_id".to_owned(), id.into());
        }
        out.take(members, &stem(path), &place);
    }
    Ok(())
}

fn texts(target: Option<&Value>) -> Vec<String> {
    match target {
        Some(Value::Array(items)) => items.iter().filter_map(scalar).collect(),
        Some(one) => scalar(one).filter(|text| !text.is_empty()).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What is asked: a text, or messages without what the log adds to them.
fn input(given: Option<&Value>) -> std::result::Result<Map<String, Value>, String> {
    match given {
        Some(Value::String(text)) => {
            Ok(Map::from_iter([("input".to_owned(), text.as_str().into())]))
        }
        Some(Value::Array(messages)) => {
            let messages: std::result::Result<Vec<Value>, String> =
                messages.iter().map(message).collect();
            Ok(asked(messages?))
        }
        _ => Err("its input is neither a text nor messages".to_owned()),
    }
}

fn message(given: &Value) -> std::result::Result<Value, String> {
    let is_text = |part: &Value| part["type"] == "text";
    let content = match &given["content"] {
        text @ Value::String(_) => text.clone(),
        Value::Array(parts) if parts.iter().all(is_text) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<&str>>().join("\n").into()
        }
        _ => return Err("its input has a message that is not text".to_owned()),
    };
    if given["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        return Err("its input has a message that calls tools".to_owned());
    }
    Ok(json!({"role": given["role"], "content": content}))
}

/// The checks that the scorers are, and why some are none.
fn checks(scorers: &[Value], targets: &[String]) -> (Vec<Value>, Vec<String>) {
    let (mut checks, mut problems) = (Vec::new(), Vec::new());
    for scorer in scorers {
        let name = scorer["name"].as_str().unwrap_or_default();
        let options = &scorer["options"];
        let plain = name.rsplit('/').next().unwrap_or_default();
        let ignore_case = options["ignore_case"].as_bool().unwrap_or(true);
        let check = match plain {
            _ if targets.is_empty() => None,
            "includes" => {
                let check = if ignore_case { "must_include_any" } else { "contains_any" };
                Some(json!({"check": check, "value": targets}))
            }
            "match" if options["numeric"] != true => {
                let location = options["location"].as_str().unwrap_or("end");
                matching(location, ignore_case, targets)
                    .map(|pattern| json!({"check": "regex", "value": pattern}))
            }
            "exact" => Some(json!({"check": "exact_match", "value": targets})),
            _ => None,
        };
        match check {
            Some(check) => checks.push(check),
            None => problems.push(format!("the scorer `{name}` has no check that does the same")),
        }
    }
    (checks, problems)
}

/// Inspect's `match`: both texts without white space and ASCII punctuation at their ends.
fn matching(location: &str, ignore_case: bool, targets: &[String]) -> Option<String> {
    let end = |c: char| c.is_whitespace() || c.is_ascii_punctuation();
    let any = targets.iter().map(|target| regex::escape(target.trim_matches(end)));
    let any = any.collect::<Vec<String>>().join("|");
    let case = if ignore_case { "(?i)" } else { "" };
    let space = r"[\s[:punct:]]*";
    match location {
        "begin" => Some(format!("{case}^{space}(?:{any})")),
        "end" => Some(format!("{case}(?:{any}){space}$")),
        "exact" => Some(format!("{case}^{space}(?:{any}){space}$")),
        "any" => Some(format!("{case}(?:{any})")),
        _ => None,
    }
}
