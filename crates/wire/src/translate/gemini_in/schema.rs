//! Schemas of Google's kind, a part of OpenAPI's, as JSON Schema.

use super::fields::count;
use crate::translate::node::Node;
use serde_json::{Map, Value};

/// What JSON Schema calls a member; the rest has the same name in both.
fn name(key: &str) -> &str {
    match key {
        "any_of" => "anyOf",
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        "property_ordering" => "propertyOrdering",
        "additional_properties" => "additionalProperties",
        "prefix_items" => "prefixItems",
        "ref" => "$ref",
        "defs" => "$defs",
        other => other,
    }
}

/// The same schema in the other form. What is JSON Schema already stays as it is.
pub(super) fn json_schema(node: &Node<'_>) -> Value {
    of(node.value)
}

fn of(value: &Value) -> Value {
    let Value::Object(given) = value else { return value.clone() };
    let mut out = Map::new();
    let mut is_nullable = false;
    let mut order = Vec::new();
    for (key, value) in given {
        match (name(key), value) {
            ("nullable", value) => is_nullable = value == &Value::Bool(true),
            ("propertyOrdering", Value::Array(names)) => {
                order = names.iter().filter_map(Value::as_str).collect();
            }
            // `enum` says it.
            ("format", Value::String(format)) if format == "enum" => {}
            ("type", value) => out.extend(kind(value).map(|kind| ("type".to_owned(), kind))),
            ("example", value) => {
                drop(out.insert("examples".to_owned(), vec![value.clone()].into()))
            }
            (key @ ("properties" | "$defs"), Value::Object(schemas)) => {
                let schemas = schemas.iter().map(|(name, schema)| (name.clone(), of(schema)));
                out.insert(key.to_owned(), Value::Object(schemas.collect()));
            }
            (key @ ("items" | "additionalProperties"), value) => {
                out.insert(key.to_owned(), of(value));
            }
            (key @ ("anyOf" | "prefixItems"), Value::Array(schemas)) => {
                out.insert(key.to_owned(), schemas.iter().map(of).collect());
            }
            (
                key @ ("minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
                | "maxProperties"),
                value,
            ) => {
                let number = count(value).map_or_else(|| value.clone(), Value::from);
                out.insert(key.to_owned(), number);
            }
            (key, value) => drop(out.insert(key.to_owned(), value.clone())),
        }
    }
    if let Some(Value::Object(properties)) = out.get_mut("properties") {
        *properties = ordered(std::mem::take(properties), &order);
    }
    if is_nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

/// A type, or several, in small letters; `None` where it says nothing.
fn kind(value: &Value) -> Option<Value> {
    let small = |value: &Value| match value {
        Value::String(kind) => kind.to_ascii_lowercase().into(),
        other => other.clone(),
    };
    match value {
        Value::String(kind) if kind == "TYPE_UNSPECIFIED" => None,
        Value::Array(kinds) => Some(kinds.iter().map(small).collect()),
        one => Some(small(one)),
    }
}

/// The members in this order, then the others.
fn ordered(mut members: Map<String, Value>, order: &[&str]) -> Map<String, Value> {
    let mut out = Map::new();
    for name in order {
        out.extend(members.shift_remove_entry(*name));
    }
    out.extend(members);
    out
}

fn allow_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::Array(kinds)) => kinds.push("null".into()),
        Some(kind) => *kind = vec![kind.take(), "null".into()].into(),
        None => {
            if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
                any.push(serde_json::json!({ "type": "null" }));
            }
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// Whether every object of a schema takes its own members alone and needs each of them: OpenAI's
/// servers follow only such a schema to the letter, and refuse to with another.
pub(super) fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            let is_object = members.get("type").is_some_and(|kind| kind == "object");
            let is_this = !is_object && properties.is_none() || closes(members, properties);
            is_this && members.values().all(is_closed)
        }
        Value::Array(items) => items.iter().all(is_closed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn closes(schema: &Map<String, Value>, properties: Option<&Map<String, Value>>) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    let needs = |name: &String| required.is_some_and(|all| all.iter().any(|it| it == name));
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_none_or(|properties| properties.keys().all(needs))
}
