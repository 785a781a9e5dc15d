//! The dialect of OpenAI's moderations, which many guards speak: what texts hold, by category.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Longest name of a category that is kept, characters.
const CATEGORY_MAX: usize = 64;
/// Most categories that are kept.
const CATEGORIES_MAX: usize = 32;

/// Writes the request for some texts, with a model where one is named.
pub fn write_request(model: Option<&str>, texts: &[&str]) -> Vec<u8> {
    let mut request = Map::new();
    if let Some(model) = model {
        request.insert("model".to_owned(), Value::from(model));
    }
    request.insert("input".to_owned(), json!(texts));
    // A map of texts can be written as JSON.
    serde_json::to_vec(&request).unwrap_or_default()
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    flagged: bool,
    #[serde(default)]
    categories: Map<String, Value>,
}

/// Reads which categories the texts are flagged for, of which there are so many; `Some` and empty
/// where none is. `None` where it is no such answer, or one of fewer texts.
pub fn read_answer(body: &[u8], texts: usize) -> Option<BTreeSet<String>> {
    let Answer { results } = serde_json::from_slice(body).ok()?;
    if results.len() < texts {
        return None;
    }
    let mut found = BTreeSet::new();
    for Outcome { categories, .. } in results.into_iter().filter(|outcome| outcome.flagged) {
        let named = categories.into_iter().filter(|(_, is)| *is == Value::Bool(true));
        let before = found.len();
        found.extend(named.map(|(name, _)| plain(&name)).take(CATEGORIES_MAX));
        if found.len() == before && found.is_empty() {
            found.insert("flagged".to_owned());
        }
    }
    Some(found.into_iter().take(CATEGORIES_MAX).collect())
}

/// A name that is safe in logs and metrics: another server made it.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-/ ".contains(c);
    name.chars().take(CATEGORY_MAX).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &Value, texts: usize, expected: Option<&[&str]>) {
        let found = read_answer(body.to_string().as_bytes(), texts);
        let found: Option<Vec<String>> = found.map(|found| found.into_iter().collect());
        let expected: Option<Vec<String>> =
            expected.map(|all| all.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn what_is_flagged_is_named() {
        let clean = json!({"flagged": false, "categories": {"hate": false}});
        let hate = json!({"flagged": true, "categories": {"hate": true, "self-harm/intent": true,
            "violence": false}});
        check(&json!({"id": "m", "results": [clean]}), 1, Some(&[]));
        check(&json!({"results": [clean, hate]}), 2, Some(&["hate", "self-harm/intent"]));
        check(&json!({"results": [{"flagged": true}]}), 1, Some(&["flagged"]));
        check(&json!({"results": [clean]}), 2, None);
        check(&json!({"results": [{"categories": {}}]}), 1, None);
        check(&json!({"error": {"message": "no"}}), 1, None);
        let odd = json!({"flagged": true, "categories": {"a\n\u{202E}b": true}});
        check(&json!({"results": [odd]}), 1, Some(&["a??b"]));
    }

    #[test]
    fn a_request_has_its_texts_in_order() {
        let request = write_request(Some("omni-moderation-latest"), &["一", "two"]);
        let value: Value = serde_json::from_slice(&request).unwrap();
        assert_eq!(value, json!({"model": "omni-moderation-latest", "input": ["一", "two"]}));
        assert!(!String::from_utf8(write_request(None, &[])).unwrap().contains("model"));
    }
}
