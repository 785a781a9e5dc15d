//! Reading checks of every kind.

use super::*;

/// The checks that a line of JSONL makes, as they are kept.
fn kept(members: &str) -> Value {
    let line = format!("{{\"input\": \"a\", {members}}}");
    serde_json::to_value(&jsonl(&line).unwrap()[0].checks).unwrap()
}

#[test]
fn any_check_may_be_negated_weighed_and_listed() {
    let listed = |check: Value| json!({"assert": [check]});
    assert_eq!(
        kept(r#""not_regex": "a""#),
        listed(json!({"check": "regex", "not": true, "value": "a"}))
    );
    assert_eq!(kept(r#""contains": "a""#), json!({"expected_contains": "a"}), "by its other name");
    assert_eq!(
        kept(r#""checks": {"max_words": 3.0}"#),
        listed(json!({"check": "max_words", "value": 3}))
    );
    let written = r#""assert": [{"type": "not-icontains-any", "value": ["a"], "weight": 2}]"#;
    let expected = json!({"check": "must_include_any", "not": true, "value": ["a"], "weight": 2.0});
    assert_eq!(kept(written), listed(expected));
    // A comparison takes the place of the likeness that an `expected` otherwise switches on.
    let bare = json!({"check": "levenshtein", "threshold": 3.0});
    assert_eq!(kept(r#""expected": "b", "levenshtein": 3"#), listed(bare));
    assert_eq!(kept(r#""is_json": false, "not_empty": true"#), json!({"not_empty": true}));
    let bleu = r#""assert": [{"check": "bleu", "value": ["b", "c"], "tokenize": "char"}]"#;
    let expected = json!({"check": "bleu", "value": ["b", "c"], "tokenize": "char"});
    assert_eq!(kept(bleu), listed(expected));
    let case = jsonl(r#"{"input": "a", "threshold": 0.5, "not_empty": true}"#).unwrap().remove(0);
    assert_eq!(case.handling.threshold, Some(0.5));
}

#[test]
fn a_check_that_cannot_be_read_is_an_error_that_names_it() {
    let wrong = |members: &str, error: &str| {
        check_error(jsonl(&format!("{{\"input\": \"a\", {members}}}")), error);
    };
    wrong(
        r#""assert": [{"check": "lebenshtein"}]"#,
        "assert[0]: there is no check `lebenshtein`; did you mean `levenshtein`?",
    );
    wrong(r#""assert": [{"value": 1}]"#, "assert[0]: `check` is missing");
    wrong(r#""assert": [{"check": "regex", "type": "regex"}]"#, "are the same field");
    wrong(
        r#""assert": [{"check": "regex", "valeu": "a"}]"#,
        "no key `valeu`; did you mean `value`?",
    );
    wrong(r#""assert": {"check": "regex"}"#, "`assert` is not a list");
    wrong(r#""assert": [{"check": "contains", "value": 5}]"#, "assert[0]: `contains` needs a text");
    wrong(r#""assert": [{"check": "is_json", "weight": -1}]"#, "needs a `weight` from 0");
    wrong(r#""assert": [{"check": "is_json", "threshold": 0.5}]"#, "`threshold` does not apply");
    wrong(r#""assert": [{"check": "tool_call_f1", "value": "a", "threshold": 2}]"#, "from 0 to 1");
    wrong(
        r#""assert": [{"check": "bleu", "value": "b", "tokenize": "ja-mecab"}]"#,
        "`bleu` splits by 13a, zh, char, intl, not by `ja-mecab`",
    );
    wrong(r#""assert": [{"check": "regex", "value": "b", "tokenize": "zh"}]"#, "does not apply");
    wrong(r#""contains": "a", "expected_contains": "b""#, "`expected_contains` is given twice");
    wrong(r#""levenshtein": 3"#, "`levenshtein` needs a reference answer in `expected`");
    wrong(r#""threshold": 1.5, "not_empty": true"#, "`threshold` is not a number from 0 to 1");
    // One that would take exponential time by backtracking runs; one too large to compile does not.
    assert!(jsonl(r#"{"input": "a", "regex": "^(a+)+$"}"#).is_ok());
    wrong(r#""regex": "(?:\\w{1000}){1000}""#, "bytes once compiled");
    wrong(r#""regex": "(?=a)b""#, "look-around");
    let remote = r#""json_schema": {"$ref": "https://example.com/schema.json"}"#;
    wrong(remote, "`json_schema` is not a JSON Schema");
}

#[test]
fn a_csv_column_may_be_any_check_or_its_negation() {
    let text = "case_id,prompt,risk,equals,not_contains_any,latency\n\
        format_1,p,format,\"{\"\"a\"\": 1}\",,5\nsafety_1,p,safety,,密码|口令,\n\
        latency_1,p,performance,,,\nrag,p,grounding,,x,\n5,p,regression,退款,,\n";
    let cases = csv(text).unwrap();
    let listed = |at: usize| serde_json::to_value(&cases[at].checks).unwrap()["assert"].clone();
    assert_eq!(listed(0), json!([{"check": "equals", "value": {"a": 1}}]));
    let none = json!([{"check": "contains_any", "not": true, "value": ["密码", "口令"]}]);
    assert_eq!(listed(1), none);
    assert_eq!(listed(4), json!([{"check": "equals", "value": "退款"}]));
    assert_eq!(cases[0].checks.max_latency_ms, None, "another's column is left alone");
}
