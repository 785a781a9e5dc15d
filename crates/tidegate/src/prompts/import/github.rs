//! GitHub Models' `.prompt.yml`: messages with `{{name}}`, test data and evaluators.

use super::chat::{messages, take};
use super::template::Syntax;
use super::{Imported, case};
use serde_json::{Map, Value, json};

const KNOWN: [&str; 7] =
    ["name", "description", "model", "modelParameters", "messages", "testData", "evaluators"];

pub(super) fn read(value: &Value) -> Result<Imported, String> {
    let object = value.as_object().ok_or("the file is not an object")?;
    let mut imported = Imported::default();
    imported.describe(object, &["name", "description"]);
    imported.rest("", object, &KNOWN);
    if let Some(Value::String(model)) = object.get("model") {
        imported.set("model", model.as_str().into());
    }
    match object.get("modelParameters") {
        Some(Value::Object(given)) => imported.settings("modelParameters", given),
        Some(Value::Null) | None => {}
        Some(_) => imported.lose("modelParameters", "not an object"),
    }
    let list = object.get("messages").ok_or("there are no `messages`")?;
    let messages = messages(&mut imported, "messages", list)?;
    let input = take(&mut imported, &messages, Syntax::Braces);
    let checks = evaluators(&mut imported, object.get("evaluators"));
    test_data(&mut imported, object.get("testData"), input.as_deref(), &checks);
    Ok(imported)
}

/// The checks that every row gets; those that need another judge are lost.
fn evaluators(imported: &mut Imported, given: Option<&Value>) -> Map<String, Value> {
    let mut checks = Map::new();
    for (i, one) in given.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = format!("evaluators[{i}]");
        let Some(string) = one.get("string").and_then(Value::as_object) else {
            imported.lose(place, "an evaluator by a model or by GitHub: cases here name checks");
            continue;
        };
        for (key, value) in string {
            let check = match key.as_str() {
                "contains" => "expected_contains",
                "startsWith" => "starts_with",
                "endsWith" => "ends_with",
                "equals" => "equals",
                _ => {
                    imported.lose(format!("{place}.string.{key}"), "not known here");
                    continue;
                }
            };
            match checks.contains_key(check) {
                true => imported.lose(format!("{place}.string.{key}"), "a second one of its kind"),
                false => drop(checks.insert(check.to_owned(), value.clone())),
            }
        }
    }
    checks
}

fn test_data(
    imported: &mut Imported,
    given: Option<&Value>,
    input: Option<&str>,
    checks: &Map<String, Value>,
) {
    let rows = given.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (i, row) in rows.iter().enumerate() {
        let place = format!("testData[{i}]");
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let Some(question) = input.and_then(text).or_else(|| text("input")) else {
            imported.lose(place, "a row without the user's text");
            continue;
        };
        let mut more = Map::new();
        for (key, value) in row.as_object().into_iter().flatten() {
            match key.as_str() {
                "expected" => drop(more.insert("expected".to_owned(), value.clone())),
                key if Some(key) == input || key == "input" => {}
                key => imported.lose(format!("{place}.{key}"), "a variable of one test"),
            }
        }
        for (check, value) in checks {
            let filled = value.as_str().map(|text| fill(text, row));
            more.insert(check.clone(), filled.map_or_else(|| value.clone(), |text| json!(text)));
        }
        imported.cases.push(case(question, more));
    }
    if rows.is_empty() && !checks.is_empty() {
        imported.lose("evaluators", "checks without a row of testData");
    }
}

/// A value with the row's own values in it.
fn fill(text: &str, row: &Value) -> String {
    let members = row.as_object().into_iter().flatten();
    members.fold(text.to_owned(), |text, (key, value)| match value.as_str() {
        Some(value) => text
            .replace(&format!("{{{{{key}}}}}"), value)
            .replace(&format!("{{{{ {key} }}}}"), value),
        None => text,
    })
}
