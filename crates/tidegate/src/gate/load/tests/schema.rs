//! The JSON Schema of a case, compared with the reader.

use super::*;
use crate::gate::{case_schema, compiled_schema};

/// What reader and schema say of a line; they must agree.
#[track_caller]
fn check_both(schema: &jsonschema::Validator, line: &Value, is_case: bool) {
    let read = jsonl(&line.to_string());
    assert_eq!(read.is_ok(), is_case, "the reader, of {line}: {read:?}");
    assert_eq!(schema.is_valid(line), is_case, "the schema, of {line}");
}

#[test]
fn the_schema_takes_and_refuses_what_the_reader_does() {
    let schema = compiled_schema("case", &case_schema()).unwrap();
    let question = json!({"role": "user", "content": "q"});
    for line in [
        json!({"input": "a"}),
        json!({"prompt": "问", "id": 7, "risk": " Safety ", "severity": "red_line"}),
        json!({"messages": [question], "tags": "vip", "metadata": {"a": 1, "b": null}}),
        json!({"input": "a", "prompt": null, "expected": 5, "repeat": 100, "threshold": 0.5}),
        json!({"input": "a", "checks": {"refusal": false, "max_length": 9}, "strict": true}),
        json!({"input": "a", "icontains-any": ["b"], "not-regex": "c", "max_words": 5}),
        json!({"input": "a", "expected": "b", "bleu": 0.4, "levenshtein": true}),
        json!({"input": "a", "assert": [{"type": "not-contains", "value": "b", "weight": 0}]}),
        json!({"input": "a", "assert": [{"check": "tool_arguments", "value": {"t": {}}}]}),
        json!({"input": "a", "json_schema": {"type": "object"}, "citation": null}),
    ] {
        check_both(&schema, &line, true);
    }
    for line in [
        json!({}),
        json!({"input": " "}),
        json!({"input": null}),
        json!({"input": "a", "prompt": "b"}),
        json!({"input": "a", "messages": [question]}),
        json!({"input": "a", "id": "b", "case_id": "c"}),
        json!({"input": "a", "risk": "latency"}),
        json!({"input": "a", "severity": "high"}),
        json!({"input": "a", "repeat": 101}),
        json!({"input": "a", "threshold": 1.5}),
        json!({"input": "a", "metadata": {"a": []}}),
        json!({"input": "a", "messages": []}),
        json!({"messages": [{"role": "pope", "content": "q"}]}),
        json!({"input": "a", "checks": {"input": "b"}}),
        json!({"input": "a", "max_length": "long"}),
        json!({"input": "a", "json_keys": "b"}),
        json!({"input": "a", "contains_any": []}),
        json!({"input": "a", "inptu": "b"}),
        json!({"input": "a", "assert": [{"value": "b"}]}),
        json!({"input": "a", "assert": [{"check": "regex", "type": "regex", "value": "b"}]}),
        json!({"input": "a", "assert": [{"check": "no_such_check"}]}),
        json!({"input": "a", "assert": [{"check": "max_length", "value": "b"}]}),
        json!({"input": "a", "assert": [{"check": "contains", "value": "b", "weight": -1}]}),
        json!([{"input": "a"}]),
    ] {
        check_both(&schema, &line, false);
    }
}

#[test]
fn the_schema_takes_every_kind_of_check_by_each_of_its_names() {
    use tidegate_core::gate::Takes;
    let schema = compiled_schema("case", &case_schema()).unwrap();
    for row in CheckKind::ROWS {
        let value = match row.takes {
            Takes::List => json!(["a"]),
            Takes::Text | Takes::Distance => json!("a"),
            Takes::Number => json!(3),
            Takes::Range => json!({"min": 3}),
            Takes::Amount => json!(0.5),
            Takes::Switch => json!(true),
            Takes::Json => json!({"type": "object"}),
            Takes::Share => json!("a"),
        };
        for name in row.also.iter().chain([&row.name]) {
            for name in [(*name).to_owned(), name.replace('_', "-"), format!("not_{name}")] {
                let bare = json!({"input": "q", "expected": "a", &name: value});
                let written = json!({"check": name, "value": value});
                let listed = json!({"input": "q", "expected": "a", "assert": [written]});
                for line in [bare, listed] {
                    // Some kinds want more than their type says; what is read must be allowed.
                    let read = jsonl(&line.to_string());
                    assert!(schema.is_valid(&line) || read.is_err(), "{line}: {read:?}");
                }
            }
        }
    }
}

#[test]
fn the_examples_of_the_page_match_the_schema() {
    let schema = compiled_schema("case", &case_schema()).unwrap();
    let page = include_str!("../../../../../../docs/how-to-write-a-case.md");
    let blocks = page.split("```jsonl\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() > 8, "{lines:?}");
    for line in lines {
        check_both(&schema, &serde_json::from_str(line).unwrap(), true);
    }
}
