//! `.prompty`: YAML front matter, then a body whose lines `system:`, `user:` and `assistant:` begin
//! messages; Jinja2 by default, or mustache.

use super::chat::{Message, take};
use super::template::Syntax;
use super::{Imported, case, value_of};
use serde_json::{Map, Value};
use std::path::Path;

const KNOWN: [&str; 14] = [
    "name",
    "description",
    "version",
    "authors",
    "author",
    "tags",
    "metadata",
    "model",
    "inputs",
    "input",
    "sample",
    "template",
    "$schema",
    "outputs",
];
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "function"];

pub(super) fn read(path: &Path, text: &str) -> Result<Imported, String> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line.trim_end()) != Some("---") {
        return Err("the file does not begin with `---` and front matter".to_owned());
    }
    let Some((end, _)) = lines.find(|(_, line)| line.trim_end() == "---") else {
        return Err("the front matter is not closed by `---`".to_owned());
    };
    let front: String = text.lines().take(end).skip(1).map(|line| format!("{line}\n")).collect();
    let mut imported = Imported::default();
    let front = match value_of(path, &front)? {
        Value::Object(front) => front,
        Value::Null => Map::new(),
        _ => return Err("the front matter is not an object".to_owned()),
    };
    let about = ["name", "description", "version", "authors", "author", "tags", "metadata"];
    imported.describe(&front, &about);
    imported.rest("", &front, &KNOWN);
    if let Some(model) = front.get("model") {
        read_model(&mut imported, model);
    }
    read_template(&mut imported, front.get("template"));
    for key in ["inputs", "input"] {
        if front.get(key).is_some_and(|value| !super::is_empty(value)) {
            imported.note(key, "declarations of variables: templates name what they use");
        }
    }
    if front.get("outputs").is_some_and(|value| !super::is_empty(value)) {
        imported.lose("outputs", "the form of answers: write it as `contract.output`");
    }
    let messages = body(text, end + 1);
    let input = take(&mut imported, &messages, Syntax::Braces);
    sample(&mut imported, front.get("sample"), input.as_deref());
    Ok(imported)
}

/// The messages of the body; what comes before the first role mark is the system prompt.
fn body(text: &str, first: usize) -> Vec<Message> {
    let start = |role: &str, line| Message {
        role: role.to_owned(),
        text: String::new(),
        place: "body".to_owned(),
        line,
    };
    let mut messages = vec![start("system", first + 1)];
    for (i, line) in text.lines().enumerate().skip(first) {
        let mark = line.trim().trim_start_matches('#').trim().strip_suffix(':');
        let mark = mark.map(str::to_lowercase).filter(|mark| ROLES.contains(&mark.as_str()));
        match (mark, messages.last_mut()) {
            (Some(role), _) => messages.push(start(&role, i + 2)),
            (None, Some(message)) => {
                message.text.push_str(line);
                message.text.push('\n');
            }
            (None, None) => {}
        }
    }
    messages.retain(|message| !message.text.trim().is_empty());
    for message in &mut messages {
        let blank = message.text.lines().take_while(|line| line.trim().is_empty()).count();
        message.line += blank;
        message.text = message.text.trim().to_owned() + "\n";
    }
    messages
}

fn read_model(imported: &mut Imported, model: &Value) {
    let Some(object) = model.as_object() else {
        match model.as_str() {
            Some(name) => imported.set("model", name.into()),
            None => imported.lose("model", "not an object"),
        }
        return;
    };
    for (key, value) in object {
        let place = format!("model.{key}");
        match (key.as_str(), value) {
            ("parameters" | "options", Value::Object(given)) => imported.settings(&place, given),
            ("id" | "name", Value::String(name)) => imported.set("model", name.as_str().into()),
            ("configuration" | "connection", Value::Object(given)) => {
                let name =
                    ["azure_deployment", "name", "model"].iter().find_map(|key| given.get(*key));
                if let Some(name) = name.and_then(Value::as_str).filter(|it| !it.contains("${")) {
                    imported.set("model", name.into());
                }
                imported.note(place, "where the model is: `upstreams` of the project say it");
            }
            ("provider" | "apiType", _) => {
                imported.note(place, "where the model is: `upstreams` of the project say it");
            }
            ("api", Value::String(api)) if api == "chat" => {}
            (_, value) if super::is_empty(value) => {}
            _ => imported.lose(place, "not known here"),
        }
    }
}

fn read_template(imported: &mut Imported, template: Option<&Value>) {
    let format = |value: &Value| {
        let named = value.get("format").unwrap_or(value);
        named.as_str().or_else(|| named.get("kind").and_then(Value::as_str)).map(str::to_owned)
    };
    match template.and_then(format).as_deref() {
        None | Some("jinja2" | "mustache" | "handlebars" | "nunjucks") => {}
        Some(other) => imported.lose("template", format!("templates of `{other}`")),
    }
}

/// The sample values as a case, where the user's text is among them.
fn sample(imported: &mut Imported, given: Option<&Value>, input: Option<&str>) {
    let Some(given) = given.filter(|value| !super::is_empty(value)) else { return };
    match input.and_then(|input| given.get(input)).and_then(Value::as_str) {
        Some(text) => {
            imported.cases.push(case(text, Map::new()));
            let others = given.as_object().into_iter().flatten();
            for (key, _) in others.filter(|(key, _)| Some(key.as_str()) != input) {
                imported.lose(format!("sample.{key}"), "a variable of one test");
            }
        }
        None => imported.lose("sample", "sample values without the user's text"),
    }
}
