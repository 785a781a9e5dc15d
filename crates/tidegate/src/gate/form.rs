//! The form of an answer: whether it is JSON, and what is wrong where it is not.

use serde_json::Value;

/// Quotes that models write where JSON has `"`.
const WRONG_QUOTES: [char; 11] = ['“', '”', '„', '‟', '＂', '‘', '’', '「', '」', '『', '』'];

/// How many brackets of an answer are tried as the start of JSON.
const JSON_STARTS_MAX: usize = 1_000;

/// Reads the whole answer as JSON; only white space may be around it.
///
/// # Errors
/// What is wrong, in words that name no part of the answer: it is empty, there is extra prose or a
/// code fence around the JSON, its quotes are not JSON's, or where it stops being JSON.
pub(crate) fn read_json(answer: &str) -> Result<Value, String> {
    let text = answer.trim();
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if text.is_empty() {
        return Err("the answer is empty, not JSON".to_owned());
    }
    if let Some(problem) = prose_around(text) {
        return Err(problem);
    }
    if let Some(problem) = invalid_quotes(text) {
        return Err(problem);
    }
    if !text.contains(['{', '[']) {
        return Err("the answer is prose, not JSON".to_owned());
    }
    Err(format!("not valid JSON: {error}"))
}

/// Reads the whole answer as one JSON object that has the keys.
///
/// # Errors
/// As [`read_json`]; or that it is not an object; or the keys that are missing.
pub(crate) fn read_object(answer: &str, keys: &[String]) -> Result<(), String> {
    let object = match read_json(answer)? {
        Value::Object(object) => object,
        other => return Err(format!("the answer is a JSON {}, not an object", kind(&other))),
    };
    let missing: Vec<String> = keys
        .iter()
        .filter(|key| !object.contains_key(*key))
        .map(|key| format!("`{key}`"))
        .collect();
    match missing.len() {
        0 => Ok(()),
        1 => Err(format!("missing JSON key {}", missing[0])),
        _ => Err(format!("missing JSON keys {}", missing.join(", "))),
    }
}

/// Whether there is a JSON object or array somewhere in the answer. Each bracket is tried until one
/// begins a value, up to a bound: one of nothing but brackets would take the square of its length.
pub(crate) fn has_json(answer: &str) -> bool {
    let starts = answer.match_indices(['{', '[']).take(JSON_STARTS_MAX);
    starts.into_iter().any(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&answer[at..]).into_iter::<Value>();
        matches!(values.next(), Some(Ok(_)))
    })
}

/// Extra prose where there is a good JSON value inside of it.
fn prose_around(text: &str) -> Option<String> {
    if let Some(inner) = fenced(text)
        && serde_json::from_str::<Value>(inner.trim()).is_ok()
    {
        return Some("extra prose around the JSON: a code fence".to_owned());
    }
    let start = text.find(['{', '['])?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    match values.next() {
        Some(Ok(Value::Object(_) | Value::Array(_))) => {}
        Some(Ok(_) | Err(_)) | None => return None,
    }
    let before = text[..start].chars().count();
    let after = text[start + values.byte_offset()..].chars().count();
    let place = match (before, after) {
        (0, after) => format!("{after} characters after it"),
        (before, 0) => format!("{before} characters before it"),
        (before, after) => format!("{before} characters before it and {after} after it"),
    };
    Some(format!("extra prose around the JSON: {place}"))
}

/// The text between the first two code fences, without the language's name.
fn fenced(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```")?;
    let (inner, _) = rest.split_once("```")?;
    Some(inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric()))
}

/// Quotes that are not JSON's, where other quotes would make it JSON.
fn invalid_quotes(text: &str) -> Option<String> {
    let start = text.find('{')?;
    let end = text.rfind('}').filter(|end| *end > start)?;
    let inside = &text[start..=end];
    let straight = inside.replace(WRONG_QUOTES, "\"");
    let from_single = straight.replace('\'', "\"");
    let repaired = [straight, from_single];
    if !repaired.iter().any(|text| serde_json::from_str::<Value>(text).is_ok()) {
        return None;
    }
    let wrong = inside.chars().find(|c| WRONG_QUOTES.contains(c)).unwrap_or('\'');
    Some(format!("invalid quotes: `{wrong}` where JSON needs `\"`"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: Result<(), &str>) {
        let keys = ["answer".to_owned(), "citations".to_owned()];
        let got = read_object(answer, &keys);
        assert_eq!(got, expected.map_err(str::to_owned), "{answer}");
    }

    #[test]
    fn an_object_with_its_keys() {
        check(r#"{"answer": "42", "citations": []}"#, Ok(()));
        check("\n {\"answer\": \"退款\", \"citations\": [1], \"more\": 1}\n", Ok(()));
    }

    #[test]
    fn missing_keys_are_named() {
        check(r#"{"answer": 1}"#, Err("missing JSON key `citations`"));
        check("{}", Err("missing JSON keys `answer`, `citations`"));
        check("[1]", Err("the answer is a JSON array, not an object"));
        check("\"text\"", Err("the answer is a JSON string, not an object"));
    }

    #[test]
    fn prose_around_the_json_is_named() {
        let json = r#"{"answer": 1, "citations": []}"#;
        let fence = format!("```json\n{json}\n```");
        check(&fence, Err("extra prose around the JSON: a code fence"));
        check(&format!("好的：{json}"), Err("extra prose around the JSON: 3 characters before it"));
        check(&format!("{json} 以上"), Err("extra prose around the JSON: 3 characters after it"));
        check(
            &format!("Here: {json}!"),
            Err("extra prose around the JSON: 6 characters before it and 1 after it"),
        );
        check(&format!("{json}{json}"), Err("extra prose around the JSON: 30 characters after it"));
    }

    #[test]
    fn quotes_are_named() {
        check("{'answer': 1, 'citations': []}", Err("invalid quotes: `'` where JSON needs `\"`"));
        check("{“answer”: 1}", Err("invalid quotes: `“` where JSON needs `\"`"));
        check("结果 {「answer」: 「好」}", Err("invalid quotes: `「` where JSON needs `\"`"));
    }

    #[test]
    fn anything_else_says_what_it_is() {
        check("", Err("the answer is empty, not JSON"));
        check("  ", Err("the answer is empty, not JSON"));
        check("无法回答", Err("the answer is prose, not JSON"));
        check(
            "{\"answer\": ",
            Err("not valid JSON: EOF while parsing a value at line 1 column 10"),
        );
    }
}
