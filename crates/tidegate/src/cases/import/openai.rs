//! Samples of OpenAI evals: `{"input": …, "ideal": …}`, a line each. How `ideal` is compared is
//! said by the class of the eval, which is in another file.

use super::super::error::{Result, TransferError};
use super::document::Document;
use super::{Ideal, Imported, Options, are_messages, asked, stem};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Reads the samples of a file.
///
/// # Errors
/// It cannot be read, holds something else, or how `ideal` is compared is not said.
pub(super) fn read(path: &Path, options: Options<'_>, out: &mut Imported) -> Result<()> {
    let document = Document::read(path)?;
    let Some(samples) = document.value.as_array() else {
        return Err(document.wrong("", "the file is not one sample a line"));
    };
    for (i, sample) in samples.iter().enumerate() {
        let at = format!("[{i}]");
        let place = document.place(&at);
        let Value::Object(sample) = sample else {
            return Err(document.wrong(&at, "the sample is not a JSON object"));
        };
        let mut members = match sample.get("input") {
            Some(Value::String(input)) => {
                Map::from_iter([("input".to_owned(), Value::from(input.as_str()))])
            }
            Some(Value::Array(messages)) if are_messages(messages) => asked(messages.clone()),
            _ => {
                out.lose(place, "the sample: `input` is neither a text nor messages");
                continue;
            }
        };
        match check(sample.get("ideal"), options.ideal)? {
            Ok(check) => members.extend(check.map(|it| ("assert".to_owned(), json!([it])))),
            Err(problem) => out.lose(document.place(&format!("{at}.ideal")), problem),
        }
        if let Some(given) = sample.get("metadata") {
            members.extend(out.metadata(&document, &format!("{at}.metadata"), given));
        }
        out.rest(&document, &at, sample, &["input", "ideal", "metadata"]);
        members.insert("strict".to_owned(), true.into());
        out.take(members, &stem(path), &place);
    }
    Ok(())
}

/// The check that `ideal` is.
fn check(
    ideal: Option<&Value>,
    how: Option<Ideal>,
) -> Result<std::result::Result<Option<Value>, String>> {
    let texts: Vec<&str> = match ideal {
        None | Some(Value::Null) => return Ok(Ok(None)),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
            several.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => return Ok(Err("`ideal` is neither a text nor texts".to_owned())),
    };
    let Some(how) = how else { return Err(TransferError::Ideal) };
    let any = || texts.iter().map(|text| regex::escape(text)).collect::<Vec<String>>().join("|");
    let check = match (how, texts.as_slice()) {
        (_, []) => return Ok(Ok(None)),
        (Ideal::Match, [one]) => json!({"check": "starts_with", "value": one}),
        (Ideal::Match, _) => json!({"check": "regex", "value": format!("^(?:{})", any())}),
        (Ideal::Includes, texts) => json!({"check": "contains_any", "value": texts}),
        (Ideal::Exact, [one]) => json!({"check": "equals", "value": one}),
        (Ideal::Exact, _) => json!({"check": "regex", "value": format!("^(?:{})$", any())}),
    };
    Ok(Ok(Some(check)))
}
