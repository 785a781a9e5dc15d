//! The output contract: what an answer's text must be, and one short line when it is not.

use super::error::{Result, SetError};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Longest description of a broken contract, characters; it is kept in records and metrics' logs.
const PROBLEM_CHARS_MAX: usize = 200;
/// Most JSON values of an answer that is compared with a contract: twice the tokens of the longest
/// answers, and some 40 MiB in memory.
const VALUES_MAX: usize = 262_144;

/// Compiles a JSON Schema; `place` names it in errors. References to other documents are refused:
/// a contract must not depend on a network. Patterns use an engine with linear time, because they
/// are matched against text that a model wrote.
///
/// # Errors
/// The schema is not valid.
pub(crate) fn compile(place: &str, schema: &Value) -> Result<Validator> {
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| SetError::Schema {
            place: place.to_owned(),
            at: error.instance_path().to_string(),
            problem: cut(&error),
        })
}

/// Why the answer breaks the contract; `None` when it keeps it. The answer's values are masked.
pub(crate) fn problem(validator: &Validator, answer: &str) -> Option<String> {
    if answer.len() > VALUES_MAX && tidegate_wire::json_values(answer.as_bytes()) > VALUES_MAX {
        return Some(format!("more than {VALUES_MAX} JSON values"));
    }
    let value = match serde_json::from_str::<Value>(answer) {
        Ok(value) => value,
        Err(error) => return Some(json_problem(answer, &error)),
    };
    let error = validator.validate(&value).err()?;
    let path = error.instance_path().to_string();
    let path = if path.is_empty() { "/".to_owned() } else { path };
    Some(format!("at `{}`: {}", cut(&path), cut(&error.masked())))
}

fn json_problem(answer: &str, error: &serde_json::Error) -> String {
    if answer.trim().is_empty() {
        return "the answer is empty, JSON was wanted".to_owned();
    }
    if inner_json(answer) {
        return "extra text around the JSON".to_owned();
    }
    match answer.contains(['{', '[']) {
        true => format!("invalid JSON at {}:{}", error.line(), error.column()),
        false => "plain text, JSON was wanted".to_owned(),
    }
}

/// Whether a whole JSON object or array is within other text, as in a code fence.
fn inner_json(answer: &str) -> bool {
    [('{', '}'), ('[', ']')].into_iter().any(|(open, close)| {
        match (answer.find(open), answer.rfind(close)) {
            (Some(from), Some(to)) if from < to => {
                serde_json::from_str::<serde::de::IgnoredAny>(&answer[from..=to]).is_ok()
            }
            _ => false,
        }
    })
}

fn cut(text: &impl std::fmt::Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(PROBLEM_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(answer: &str, expected: Option<&str>) {
        let schema = json!({
            "type": "object",
            "required": ["answer"],
            "additionalProperties": false,
            "properties": {
                "answer": {"type": "string", "maxLength": 8, "pattern": "^[^<]*$"},
                "confidence": {"type": "number", "maximum": 1}
            }
        });
        let got = problem(&compile("contract.output", &schema).unwrap(), answer);
        match (expected, &got) {
            (None, None) => {}
            (Some(part), Some(text)) if text.contains(part) => {}
            _ => panic!("{answer:?}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn answers() {
        check(r#"{"answer": "42", "confidence": 0.95}"#, None);
        check(" {\"answer\": \"四十二\"}\n", None);
        check("", Some("empty"));
        check("The answer is 42.", Some("plain text"));
        check("```json\n{\"answer\": \"42\"}\n```", Some("extra text around the JSON"));
        check("好的：{\"answer\": \"42\"}。", Some("extra text around the JSON"));
        check("{\"answer\": \"42\"} {\"answer\"", Some("extra text around the JSON"));
        check("{\n\"answer\": 42,\n}", Some("invalid JSON at 3:1"));
        check(r#"{"answer": 42}"#, Some("at `/answer`: value is not of type \"string\""));
        check(r#"{"confidence": 1}"#, Some("at `/`: \"answer\" is a required property"));
        check(r#"{"answer": "一二三四五六七八九"}"#, Some("at `/answer`"));
        check(r#"{"answer": "a", "confidence": 2}"#, Some("at `/confidence`"));
        check(&"[".repeat(100_000), Some("invalid JSON"));
    }

    #[test]
    fn a_problem_is_short_and_holds_no_value() {
        let schema = json!({"type": "object", "additionalProperties": false});
        let validator = compile("contract.output", &schema).unwrap();
        let answer = json!({"秘".repeat(1000): "secret-value"}).to_string();
        let got = problem(&validator, &answer).unwrap();
        assert!(got.chars().count() < 250 && !got.contains("secret-value"), "{got}");
    }

    #[test]
    fn a_schema_needs_no_network_and_no_backtracking() {
        let refuse = |schema: Value| compile("contract.output", &schema).unwrap_err().to_string();
        let remote = refuse(json!({"$ref": "https://example.com/schema.json"}));
        assert!(remote.starts_with("contract.output: not a valid JSON Schema"), "{remote}");
        assert!(refuse(json!({"type": "strin"})).contains("`/type`"));
        refuse(json!({"type": "string", "pattern": "(?=a)b"}));
        let local = json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}});
        assert!(compile("contract.output", &local).is_ok());
    }
}
