//! Templates of other programs, as far as they are variables: `{{ name }}`.

use serde_json::{Map, Value};

/// The text with its variables in it.
///
/// # Errors
/// What of it is no variable that is there.
pub(super) fn rendered(text: &str, vars: &Map<String, Value>) -> Result<String, String> {
    if text.contains("{%") || text.contains("{#") {
        return Err("a template with `{%` or `{#`; only `{{ name }}` is read".to_owned());
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("{{") {
        let Some(end) = rest[start..].find("}}").map(|end| start + end) else { break };
        let name = rest[start + 2..end].trim();
        let Some(value) = vars.get(name).and_then(scalar) else {
            return Err(format!(
                "a template in which `{{{{ {name} }}}}` is no variable with a text"
            ));
        };
        out.push_str(&rest[..start]);
        out.push_str(&value);
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A text, number or truth value as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Names that a question has among variables, the surest first.
const QUESTIONS: [&str; 10] = [
    "input",
    "question",
    "query",
    "user_input",
    "user_message",
    "message",
    "prompt",
    "text",
    "request",
    "content",
];

/// Which variable is the question: the one that is named, the only one, or one that is called so;
/// or what of several a template makes. With the variables that it leaves out.
///
/// # Errors
/// Why there is no question.
pub(super) fn question(
    vars: &Map<String, Value>,
    named: Option<&str>,
) -> Result<(String, Vec<String>), String> {
    let others = |used: &dyn Fn(&str) -> bool| -> Vec<String> {
        vars.keys().filter(|key| !used(key)).cloned().collect()
    };
    if let Some(template) = named.filter(|named| named.contains("{{")) {
        let spaced = template.replace("{{ ", "{{").replace(" }}", "}}");
        let uses = |key: &str| spaced.contains(&format!("{{{{{key}}}}}"));
        return Ok((rendered(template, vars)?, others(&uses)));
    }
    let only = || vars.keys().next().filter(|_| vars.len() == 1).map(String::as_str);
    let called = || QUESTIONS.into_iter().find(|name| vars.contains_key(*name));
    let Some(name) = named.or_else(only).or_else(called) else {
        let names: Vec<&str> = vars.keys().map(String::as_str).collect();
        return Err(match names.is_empty() {
            true => "there is no variable, and so no question".to_owned(),
            false => format!(
                "none of the variables {} is the question by its name; name it: `--input NAME`",
                names.join(", ")
            ),
        });
    };
    match vars.get(name).map(scalar) {
        Some(Some(text)) => Ok((text, others(&|key| key == name))),
        Some(None) => Err(format!("the variable `{name}` is no text")),
        None => Err(format!("there is no variable `{name}`")),
    }
}
