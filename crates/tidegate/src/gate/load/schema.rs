//! The JSON Schema of a case, as a line of JSONL, an item of YAML or one of a JSON list has it.
//!
//! It says what [`super::jsonl_cases`] reads as far as a schema can: whether a pattern compiles, or
//! a conversation ends with the user, only the reader knows. Whatever the reader takes the schema
//! allows.

use super::super::run::REPEAT_MAX;
use super::{fields, handling, jsonl_cases};
use serde_json::{Map, Value, json};
use tidegate_core::gate::{CheckKind, CheckRow, Risk, Severity, Takes, Tokens};

/// The schema.
pub(crate) fn case_schema() -> Value {
    let mut properties = own_keys();
    properties.extend(check_keys());
    let both = |one: &str, other: &str| {
        json!({"not": {"required": [one, other], "properties": {
            one: {"not": {"type": "null"}}, other: {"not": {"type": "null"}},
        }}})
    };
    let has =
        |key: &str| json!({"required": [key], "properties": {key: {"not": {"type": "null"}}}});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A case of Tidegate",
        "type": "object",
        "properties": properties,
        "patternProperties": other_names(),
        "additionalProperties": false,
        "anyOf": [has("input"), has("prompt"), has("messages")],
        "allOf": [both("input", "prompt"), both("case_id", "id"), both("input", "messages"),
            both("prompt", "messages")],
        "$defs": {"assert": assert_item(), "message": message()},
    })
}

fn own_keys() -> Map<String, Value> {
    let text = json!({"type": ["string", "null"]});
    let name = json!({"type": ["string", "number", "null"], "pattern": r"\S"});
    let input = json!({"type": ["string", "null"], "pattern": r"\S"});
    let switch = json!({"type": ["boolean", "null"]});
    let words = |all: Vec<&str>| {
        json!({"enum": all.iter().map(|word| json!(word))
        .chain([Value::Null]).collect::<Vec<Value>>()})
    };
    // A capital or a blank at the end is read too, as spreadsheets write them.
    let risks = Risk::ALL.map(Risk::as_str).join("|");
    let risk = json!({"type": ["string", "null"], "pattern": format!(r"(?i)^\s*({risks})\s*$")});
    let short = json!({"type": "string"});
    let keys = jsonl_cases::KEYS.iter().chain(&handling::KEYS);
    let schema_of = |key: &str| match key {
        "case_id" | "id" => name.clone(),
        "input" | "prompt" => input.clone(),
        "expected" => json!({"type": ["string", "number", "null"]}),
        "risk" => risk.clone(),
        "severity" => words(Severity::ALL.map(Severity::as_str).to_vec()),
        "checks" => json!({
            "type": ["object", "null"],
            "properties": check_keys(),
            "patternProperties": other_names(),
            "additionalProperties": false,
        }),
        "human" => json!({"type": ["string", "null"], "pattern": r"^\s*(pass|fail)\s*$"}),
        "strict" | "as_served" | "needs_review" => switch.clone(),
        "repeat" => json!({"type": ["integer", "null"], "minimum": 1, "maximum": REPEAT_MAX}),
        "threshold" => json!({"type": ["number", "null"], "minimum": 0, "maximum": 1}),
        "tags" => json!({"type": ["array", "string", "null"], "items": short}),
        "metadata" => json!({
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }),
        "messages" => json!({
            "type": ["array", "null"], "minItems": 1, "items": {"$ref": "#/$defs/message"},
        }),
        _ => text.clone(),
    };
    keys.map(|key| ((*key).to_owned(), schema_of(key))).collect()
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["role"],
        "properties": {"role": {"enum": handling::ROLES}},
    })
}

/// The names of checks and of their opposites, as the pages list them.
fn check_keys() -> Map<String, Value> {
    let mut keys = Map::new();
    for row in CheckKind::ROWS {
        let meaning = format!("The answer {}.", row.meaning);
        let mut schema = value_of(row, false);
        schema["description"] = meaning.into();
        keys.insert(row.name.to_owned(), schema);
        let not = format!("not_{}", row.name);
        if CheckKind::parse(&not).is_some_and(|(kind, negated)| kind == row.kind && negated) {
            keys.insert(not, value_of(row, true));
        }
    }
    let items = json!({"type": ["array", "null"], "items": {"$ref": "#/$defs/assert"}});
    keys.insert(fields::ASSERT.to_owned(), items);
    keys
}

/// Other names of checks: promptfoo's, and all with `-` or `:` where ours have `_`.
fn other_names() -> Map<String, Value> {
    let mut patterns = Map::new();
    for row in CheckKind::ROWS {
        patterns.insert(format!("^{}$", named(row)), value_of(row, false));
        patterns.insert(format!("^not[-_:]{}$", named(row)), value_of(row, true));
    }
    patterns
}

fn named(row: &CheckRow) -> String {
    let names: Vec<String> =
        row.also.iter().chain([&row.name]).map(|name| name.replace('_', "[-_:]")).collect();
    format!("({})", names.join("|"))
}

/// What a check takes as the value of its key; null counts as absent.
fn value_of(row: &CheckRow, not: bool) -> Value {
    let plain = !not && fields::is_member(row.kind);
    match row.takes {
        Takes::List if plain => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Takes::Text if plain => json!({"type": ["string", "null"]}),
        Takes::Share | Takes::Distance => json!({
            "type": ["boolean", "number", "string", "array", "null"],
            "minimum": 0, "minLength": 1, "minItems": 1, "items": {"type": "string"},
        }),
        _ => written_value(row),
    }
}

/// What a check takes as the `value` of one that is written out.
fn written_value(row: &CheckRow) -> Value {
    match row.takes {
        Takes::List => json!({
            "type": ["array", "string", "null"],
            "minItems": 1, "minLength": 1, "items": {"type": "string"},
        }),
        Takes::Text => json!({"type": ["string", "null"], "minLength": 1}),
        Takes::Number => json!({"type": ["integer", "null"], "minimum": 0}),
        Takes::Range => json!({
            "type": ["integer", "object", "null"], "minimum": 0, "minProperties": 1,
            "properties": {"min": whole_number(), "max": whole_number()},
            "additionalProperties": false,
        }),
        Takes::Amount => json!({"type": ["number", "null"], "minimum": 0}),
        Takes::Switch => json!({"type": ["boolean", "null"]}),
        Takes::Json if row.kind == CheckKind::ToolArguments => {
            json!({"type": ["object", "null"]})
        }
        Takes::Json => json!({}),
        Takes::Share => json!({
            "type": ["string", "array", "null"],
            "minLength": 1, "minItems": 1, "items": {"type": "string"},
        }),
        Takes::Distance => json!({"type": ["string", "null"], "minLength": 1}),
    }
}

fn whole_number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A check that is written out.
fn assert_item() -> Value {
    let all: Vec<String> = CheckKind::ROWS.iter().map(named).collect();
    let name =
        json!({"type": "string", "pattern": format!(r"^\s*(not[-_:])?({})\s*$", all.join("|"))});
    let tokens = Tokens::ALL.map(Tokens::as_str);
    let of_kind = |row: &CheckRow| {
        let is = json!({"pattern": format!(r"^\s*(not[-_:])?{}\s*$", named(row))});
        let named = |key: &str| json!({"required": [key], "properties": {key: is.clone()}});
        json!({
            "if": {"anyOf": [named("check"), named("type")]},
            "then": {"properties": {"value": written_value(row)}},
        })
    };
    json!({
        "type": "object",
        "properties": {
            "check": name, "type": name, "not": {"type": ["boolean", "null"]}, "value": {},
            "threshold": {"type": ["number", "null"], "minimum": 0},
            "tokenize": {"enum": tokens.map(Value::from).into_iter().chain([Value::Null])
                .collect::<Vec<Value>>()},
            "weight": {"type": ["number", "null"], "minimum": 0},
        },
        "additionalProperties": false,
        "oneOf": [{"required": ["check"]}, {"required": ["type"]}],
        "allOf": CheckKind::ROWS.iter().map(of_kind).collect::<Vec<Value>>(),
    })
}
