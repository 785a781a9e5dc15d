//! Tools, and which of them the model is to call.

use super::settings::cache_control;
use crate::anthropic::shape::{Tool, ToolChoice};
use crate::request_error::RequestError;
use crate::translate::node::{Node, Object};
use serde_json::{Value, json};
use std::borrow::Cow;

const FUNCTIONS_ONLY: &str = "only tools of type `function` can be";

type Tools<'a> = (Vec<Tool<'a>>, Option<ToolChoice<'a>>);

pub(super) fn read<'a>(body: &Object<'a>) -> Result<Tools<'a>, RequestError> {
    let mut tools = Vec::new();
    for node in body.list("tools")? {
        tools.push(tool(&node)?);
    }
    let parallel = body.get("parallel_tool_calls").map(|node| node.flag()).transpose()?;
    let choice = choice(body, &mut tools)?;
    if tools.is_empty() {
        return Ok((tools, None));
    }
    let one_at_a_time = parallel == Some(false);
    let auto = ToolChoice { r#type: "auto", name: None, disable_parallel_tool_use: false };
    let choice = choice.or(one_at_a_time.then_some(auto)).map(|choice| ToolChoice {
        // No tool is no tool: the API has no such member there.
        disable_parallel_tool_use: one_at_a_time && choice.r#type != "none",
        ..choice
    });
    Ok((tools, choice))
}

fn tool<'a>(node: &Node<'a>) -> Result<Tool<'a>, RequestError> {
    let tool = node.object()?;
    let function = function(&tool)?;
    let known = ["name", "description", "parameters", "strict", "cache_control"];
    if let Some(other) = function.others(&known).next() {
        return Err(other.untranslatable("the Anthropic API has nothing for it"));
    }
    let parameters = function.get("parameters");
    Ok(Tool {
        name: function.required_text("name")?,
        description: function.text("description")?,
        input_schema: schema(parameters.as_ref())?,
        strict: function.flag("strict")?,
        cache_control: cache_control(&tool).or_else(|| cache_control(&function)),
    })
}

/// The schema of a tool's input, which must say that it is an object.
fn schema<'a>(parameters: Option<&Node<'a>>) -> Result<Cow<'a, Value>, RequestError> {
    let Some(node) = parameters else {
        return Ok(Cow::Owned(json!({ "type": "object", "properties": {} })));
    };
    let schema = node.object()?;
    if schema.get("type").is_some() {
        return Ok(Cow::Borrowed(node.value));
    }
    let mut typed = schema.map.clone();
    typed.insert("type".to_owned(), "object".into());
    Ok(Cow::Owned(Value::Object(typed)))
}

/// The function that a tool, or a choice of one, names.
fn function<'a>(tool: &Object<'a>) -> Result<Object<'a>, RequestError> {
    let kind = tool.required("type", "a string")?;
    match kind.text()? {
        "function" => tool.required("function", "an object")?.object(),
        _ => Err(kind.untranslatable(FUNCTIONS_ONLY)),
    }
}

fn choice<'a>(
    body: &Object<'a>,
    tools: &mut Vec<Tool<'a>>,
) -> Result<Option<ToolChoice<'a>>, RequestError> {
    let of = |r#type, name| ToolChoice { r#type, name, disable_parallel_tool_use: false };
    let mode = |node: &Node<'a>| match node.text()? {
        "none" => Ok(of("none", None)),
        "auto" => Ok(of("auto", None)),
        "required" => Ok(of("any", None)),
        _ => Err(node.bad_value("`none`, `auto`, `required` or an object is allowed")),
    };
    let Some(node) = body.get("tool_choice") else { return Ok(None) };
    if node.value.is_string() {
        return mode(&node).map(Some);
    }
    let object = node.object()?;
    if object.text("type")? != Some("allowed_tools") {
        let name = function(&object)?.required_text("name")?;
        return Ok(Some(of("tool", Some(name))));
    }
    // What is not allowed is not offered.
    let allowed = object.required("allowed_tools", "an object")?.object()?;
    let mut names = Vec::new();
    for tool in allowed.list("tools")? {
        names.push(function(&tool.object()?)?.required_text("name")?);
    }
    tools.retain(|tool| names.contains(&tool.name));
    mode(&allowed.required("mode", "a string")?).map(Some)
}
