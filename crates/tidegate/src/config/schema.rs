//! The JSON Schema of `tidegate.yaml`, for editors.

use super::project::Project;
use serde_json::{Map, Value, json};

/// What editors show for the file as a whole.
const DESCRIPTION: &str =
    "The project file of one service: where its answers come from, and how releases climb.";

/// The schema (draft 2020-12). Numbers and truth values may also be `${NAME:-default}`.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Project).to_value();
    allow_variables(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), json!("tidegate.yaml"));
        root.insert("description".to_owned(), json!(DESCRIPTION));
    }
    schema
}

/// Editors check the text before variables are replaced, so a number may be a text there.
fn allow_variables(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            allow_variable(object);
            object.values_mut().for_each(allow_variables);
        }
        Value::Array(items) => items.iter_mut().for_each(allow_variables),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn allow_variable(object: &mut Map<String, Value>) {
    let Some(types) = object.get("type") else { return };
    let mut types: Vec<Value> = match types {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let replaceable = |t: &Value| ["integer", "number", "boolean"].iter().any(|name| t == name);
    if types.iter().any(replaceable) && !types.contains(&json!("string")) {
        types.push(json!("string"));
        object.insert("type".to_owned(), Value::Array(types));
        object.insert("pattern".to_owned(), json!(r"^\$\{.+\}$"));
    }
}
