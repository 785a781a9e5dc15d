//! Items of a Langfuse dataset, as the batch export writes them (JSON, JSON lines or CSV) or the
//! public API lists them.

use super::super::error::Result;
use super::document::Document;
use super::template::{question, scalar};
use super::{Imported, Options, are_messages, asked, is_empty, stem};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What Langfuse keeps about an item, which says nothing of what is asked.
const KEPT: [&str; 14] = [
    "id",
    "status",
    "input",
    "expectedOutput",
    "metadata",
    "sourceTraceId",
    "sourceObservationId",
    "datasetId",
    "datasetName",
    "projectId",
    "createdAt",
    "updatedAt",
    "validFrom",
    "htmlSourcePath",
];

/// Reads the items of a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub(super) fn read(path: &Path, options: Options<'_>, out: &mut Imported) -> Result<()> {
    let ending = path.extension().map(|it| it.to_ascii_lowercase()).unwrap_or_default();
    let document = match ending == "csv" {
        true => Document::table(path, "input")?,
        false => Document::read(path)?,
    };
    let (under, items) = match &document.value {
        Value::Array(items) => ("", items),
        Value::Object(page) => match (page.get("data"), page.get("items")) {
            (Some(Value::Array(items)), _) => ("data", items),
            (None, Some(Value::Array(items))) => ("items", items),
            _ => return Err(document.wrong("", "there is no list of items, nor one in `data`")),
        },
        _ => return Err(document.wrong("", "the file is not a list of items")),
    };
    if let Some(pages) = document.value["meta"]["totalPages"].as_u64().filter(|pages| *pages > 1) {
        let page = document.value["meta"]["page"].as_u64().unwrap_or(1);
        out.note(document.place("meta"), format!("this is page {page} of {pages}"));
    }
    for (i, item) in items.iter().enumerate() {
        let at = format!("{under}[{i}]");
        let Value::Object(item) = item else {
            return Err(document.wrong(&at, "the item is not a JSON object"));
        };
        one(&document, &at, item, (path, options), out);
    }
    Ok(())
}

fn one(
    document: &Document,
    at: &str,
    item: &Map<String, Value>,
    (path, options): (&Path, Options<'_>),
    out: &mut Imported,
) {
    let place = document.place(at);
    if item.get("status").and_then(Value::as_str) == Some("ARCHIVED") {
        return out.note(place, "an archived item, which Langfuse does not ask either");
    }
    let mut members = match input(item.get("input"), options) {
        Ok((members, left)) => {
            for name in left {
                let place = document.place(&format!("{at}.input.{name}"));
                out.lose(place, format!("`{name}` beside the question; see `--input`"));
            }
            members
        }
        Err(problem) => return out.lose(place, format!("the item: {problem}")),
    };
    match item.get("expectedOutput") {
        None | Some(Value::Null) => {}
        Some(value) => match (scalar(value), value) {
            (Some(text), _) => drop(members.insert("expected".to_owned(), text.into())),
            (None, value) => {
                let check = json!([{"check": "equals", "value": value}]);
                members.insert("assert".to_owned(), check);
                let place = document.place(&format!("{at}.expectedOutput"));
                out.note(place, "the answer must equal it as JSON");
            }
        },
    }
    let given = item.get("metadata").unwrap_or(&Value::Null);
    members.extend(out.metadata(document, &format!("{at}.metadata"), given));
    if let Some(trace) = item.get("sourceTraceId").and_then(Value::as_str) {
        members.insert("source".to_owned(), format!("trace {trace}").into());
    }
    out.rest(document, at, item, &KEPT);
    if let Some(id) = item.get("id").and_then(scalar) {
        members.insert("case_id".to_owned(), id.into());
    }
    out.take(members, &stem(path), &place);
}

/// What is asked, and the names of what is beside the question.
fn input(
    given: Option<&Value>,
    options: Options<'_>,
) -> std::result::Result<(Map<String, Value>, Vec<String>), String> {
    match given {
        Some(Value::String(text)) => {
            Ok((Map::from_iter([("input".to_owned(), text.as_str().into())]), Vec::new()))
        }
        Some(Value::Array(messages)) if are_messages(messages) => {
            Ok((asked(messages.clone()), Vec::new()))
        }
        Some(Value::Object(members)) => match members.get("messages") {
            Some(Value::Array(messages)) if are_messages(messages) => {
                let beside = members
                    .iter()
                    .filter(|(key, value)| key.as_str() != "messages" && !is_empty(value));
                Ok((asked(messages.clone()), beside.map(|(key, _)| key.clone()).collect()))
            }
            _ => {
                let (text, left) = question(members, options.input)?;
                let left = left.into_iter().filter(|name| !is_empty(&members[name]));
                Ok((Map::from_iter([("input".to_owned(), text.into())]), left.collect()))
            }
        },
        None | Some(Value::Null) => Err("it has no input".to_owned()),
        Some(_) => Err("its input is neither a text, messages nor keys with values".to_owned()),
    }
}
