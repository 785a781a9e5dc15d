//! Functions that the model may call, and which of them it is to.

use super::fields::{Fields, word};
use super::schema::{is_closed, json_schema};
use crate::request_error::RequestError;
use crate::translate::node::Node;
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::{Map, Value, json};

const NOT_STRICT: &str = "is followed as well as the model can: a server of OpenAI's API keeps to \
                          a schema to the letter only where every object of it is closed";

/// `tools` and `tool_choice` of the other API.
pub(super) type Tools = (Option<Value>, Option<Value>);

/// How calls are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Auto,
    Any,
    None,
    /// Auto, with arguments of the schema.
    Validated,
}

pub(super) fn read(body: &Fields<'_>, warnings: &mut Warnings) -> Result<Tools, RequestError> {
    let calling = calling(body, warnings)?;
    let mut functions = Vec::new();
    for node in body.list("tools")? {
        let tool = Fields::of(&node)?;
        // An empty object switches one on.
        let is_ours = |key: &&String| Fields::is_called(key, "functionDeclarations");
        let other = tool.0.map.keys().filter(|key| !is_ours(key)).find_map(|key| tool.0.get(key));
        if let Some(other) = other {
            return Err(other.untranslatable("only Google's models have it; declare functions"));
        }
        for node in tool.list("functionDeclarations")? {
            functions.push(function(&node, calling.mode, warnings)?);
        }
    }
    // What is not offered is not called.
    let is_allowed = |function: &Value| {
        let name = function["function"]["name"].as_str();
        calling.names.is_empty() || calling.names.iter().any(|allowed| name == Some(allowed))
    };
    functions.retain(is_allowed);
    if functions.is_empty() {
        return Ok((None, None));
    }
    let choice = match (calling.mode, calling.names.as_slice()) {
        (None, _) => None,
        (Some(Mode::Auto | Mode::Validated), _) => Some("auto".into()),
        (Some(Mode::None), _) => Some("none".into()),
        (Some(Mode::Any), [name]) => {
            Some(json!({ "type": "function", "function": { "name": name } }))
        }
        (Some(Mode::Any), _) => Some("required".into()),
    };
    Ok((Some(functions.into()), choice))
}

#[derive(Default)]
struct Calling<'a> {
    mode: Option<Mode>,
    /// The functions that may be called; all where none is named.
    names: Vec<&'a str>,
}

fn calling<'a>(body: &Fields<'a>, warnings: &mut Warnings) -> Result<Calling<'a>, RequestError> {
    let Some(config) = body.object("toolConfig")? else { return Ok(Calling::default()) };
    config.only(&["functionCallingConfig"], &[], warnings)?;
    let calling = config.object("functionCallingConfig")?;
    let Some(calling) = calling else { return Ok(Calling::default()) };
    calling.only(&["mode", "allowedFunctionNames"], &["streamFunctionCallArguments"], warnings)?;
    let mode = match calling.get("mode") {
        None => None,
        Some(node) => match word(&node)?.as_str() {
            "MODE_UNSPECIFIED" => None,
            "AUTO" => Some(Mode::Auto),
            "ANY" => Some(Mode::Any),
            "NONE" => Some(Mode::None),
            "VALIDATED" => Some(Mode::Validated),
            _ => return Err(node.bad_value("`AUTO`, `ANY`, `NONE` and `VALIDATED` are allowed")),
        },
    };
    let mut names = Vec::new();
    for node in calling.list("allowedFunctionNames")? {
        names.push(node.text()?);
    }
    Ok(Calling { mode, names })
}

fn function(
    node: &Node<'_>,
    mode: Option<Mode>,
    warnings: &mut Warnings,
) -> Result<Value, RequestError> {
    let declared = Fields::of(node)?;
    let known = ["name", "description", "parameters", "parametersJsonSchema", "behavior"];
    // What it answers with is in its results.
    declared.only(&known, &["response", "responseJsonSchema"], warnings)?;
    if let Some(behavior) = declared.get("behavior")
        && !["BLOCKING", "UNSPECIFIED"].contains(&word(&behavior)?.as_str())
    {
        return Err(behavior.untranslatable(NOTHING));
    }
    let mut function = Map::new();
    function.insert("name".to_owned(), declared.required_text("name")?.into());
    if let Some(description) = declared.text("description")? {
        function.insert("description".to_owned(), description.into());
    }
    let (parameters, given) = match declared.get("parametersJsonSchema") {
        Some(schema) => (Some(schema.value.clone()), Some(schema)),
        None => {
            let given = declared.get("parameters");
            (given.as_ref().map(json_schema), given)
        }
    };
    if let Some((parameters, given)) = parameters.zip(given) {
        given.object()?;
        if mode == Some(Mode::Validated) {
            strict(&parameters, &given.at, &mut function, warnings);
        }
        function.insert("parameters".to_owned(), parameters);
    }
    Ok(json!({ "type": "function", "function": function }))
}

/// Asks for the schema to the letter where the other API can.
pub(super) fn strict(
    schema: &Value,
    at: &str,
    out: &mut Map<String, Value>,
    warnings: &mut Warnings,
) {
    match is_closed(schema) {
        true => drop(out.insert("strict".to_owned(), true.into())),
        false => warnings.add(at, NOT_STRICT),
    }
}

/// Settings of the service's own filters: those that switch one off are left out.
pub(super) fn safety(body: &Fields<'_>, warnings: &mut Warnings) -> Result<(), RequestError> {
    for node in body.list("safetySettings")? {
        let setting = Fields::of(&node)?;
        let Some(threshold) = setting.get("threshold") else { continue };
        match word(&threshold)?.as_str() {
            "HARM_BLOCK_THRESHOLD_UNSPECIFIED" => {}
            "BLOCK_NONE" | "OFF" => warnings.add(&node.at, LEFT_OUT),
            _ => {
                return Err(threshold.untranslatable(
                    "the model server has no such filter; `BLOCK_NONE` and `OFF` can be",
                ));
            }
        }
    }
    Ok(())
}
