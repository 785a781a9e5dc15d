//! The members of a request beside its items, tools with them.

use super::Echo;
use crate::openai_chat::LENGTH_MEMBERS;
use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_request::{leave_out, only};
use crate::translate::node::{Node, Object};
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::{Map, Value, json};

/// Members that are translated.
const READ: [&str; 20] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "user",
    "safety_identifier",
    "metadata",
    "stream",
    "stream_options",
    "store",
    "include",
    "truncation",
    "top_logprobs",
];

/// Members that the answer means the same without.
const HARMLESS: [&str; 5] = [
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "max_tool_calls",
];

/// Members that an answer repeats.
const ECHOED: [&str; 14] = [
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
];

const STORED: &str = "nothing is stored here; send the whole conversation in `input`";

/// Refuses members that change what the answer means and have no counterpart.
pub(super) fn check_members(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    only(body, &READ, &HARMLESS, warnings, |name| match name {
        "previous_response_id" | "conversation" | "background" | "prompt" => STORED,
        _ => NOTHING,
    })?;
    if body.flag("store")? {
        warnings.add("store", "is left out: nothing is stored here");
    }
    if let Some(truncation) = body.get("truncation")
        && truncation.text()? != "disabled"
    {
        return Err(truncation.untranslatable("the model server does not drop items by itself"));
    }
    for include in body.list("include")? {
        match include.text()? {
            // What is encrypted is for OpenAI's own models.
            "reasoning.encrypted_content" => warnings.add("include", LEFT_OUT),
            _ => return Err(include.untranslatable(NOTHING)),
        }
    }
    Ok(())
}

pub(super) fn echo(body: &Object<'_>) -> Echo {
    let given = ECHOED.iter().filter_map(|key| Some(((*key).to_owned(), body.map.get(*key)?)));
    Echo(given.map(|(key, value)| (key, value.clone())).collect())
}

/// Puts the request together.
pub(super) fn write(
    body: &Object<'_>,
    messages: Vec<Value>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Map<String, Value>, RequestError> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        out.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("model", body.text("model")?.map(Value::from));
    put("messages", Some(messages.into()));
    let tools = tools(body, warnings)?;
    if !tools.is_empty() {
        put("tools", Some(tools.into()));
        put("tool_choice", body.get("tool_choice").map(|node| choice(&node)).transpose()?);
        let parallel = body.get("parallel_tool_calls").map(|node| node.flag()).transpose()?;
        put("parallel_tool_calls", parallel.map(Value::from));
    }
    if let Some(max_tokens) = body.get("max_output_tokens") {
        max_tokens.count()?;
        let [older, newer] = LENGTH_MEMBERS;
        let key = if server.newer_length { newer } else { older };
        put(key, Some(max_tokens.value.clone()));
    }
    for key in ["temperature", "top_p"] {
        let Some(node) = body.get(key) else { continue };
        node.number()?;
        put(key, Some(node.value.clone()));
    }
    for key in ["user", "safety_identifier"] {
        put(key, body.text(key)?.map(Value::from));
    }
    put("metadata", body.get("metadata").map(|node| node.value.clone()));
    put("reasoning_effort", effort(body, server, warnings)?);
    put("response_format", format(body, warnings)?);
    if body.flag("stream")? {
        put("stream", Some(true.into()));
        // The end of the stream names the tokens.
        put("stream_options", Some(json!({ "include_usage": true })));
    }
    Ok(out)
}

fn tools(body: &Object<'_>, warnings: &mut Warnings) -> Result<Vec<Value>, RequestError> {
    let mut tools = Vec::new();
    for node in body.list("tools")? {
        let tool = node.object()?;
        let kind = tool.required("type", "a string")?;
        if kind.text()? != "function" {
            return Err(kind.untranslatable("only tools of type `function` can be"));
        }
        let known = ["type", "name", "description", "parameters", "strict"];
        leave_out(&tool, &known, warnings);
        let mut function = Map::new();
        function.insert("name".to_owned(), tool.required_text("name")?.into());
        tool.text("description")?;
        if let Some(parameters) = tool.get("parameters") {
            parameters.object()?;
        }
        tool.flag("strict")?;
        for key in ["description", "parameters", "strict"] {
            function.extend(tool.get(key).map(|node| (key.to_owned(), node.value.clone())));
        }
        tools.push(json!({ "type": "function", "function": function }));
    }
    Ok(tools)
}

fn choice(node: &Node<'_>) -> Result<Value, RequestError> {
    let named = |tool: &Object<'_>| -> Result<Value, RequestError> {
        let kind = tool.required("type", "a string")?;
        match kind.text()? {
            "function" => {
                let name = tool.required_text("name")?;
                Ok(json!({ "type": "function", "function": { "name": name } }))
            }
            _ => Err(kind.untranslatable("only tools of type `function` can be")),
        }
    };
    if let Value::String(mode) = node.value {
        return match mode.as_str() {
            "none" | "auto" | "required" => Ok(node.value.clone()),
            _ => Err(node.bad_value("`none`, `auto`, `required` or an object is allowed")),
        };
    }
    let object = node.object()?;
    if object.text("type")? != Some("allowed_tools") {
        return named(&object);
    }
    let mut tools = Vec::new();
    for tool in object.list("tools")? {
        tools.push(named(&tool.object()?)?);
    }
    let allowed = json!({ "mode": object.required_text("mode")?, "tools": tools });
    Ok(json!({ "type": "allowed_tools", "allowed_tools": allowed }))
}

fn effort(
    body: &Object<'_>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Option<Value>, RequestError> {
    let Some(reasoning) = body.get("reasoning") else { return Ok(None) };
    let reasoning = reasoning.object()?;
    // Thoughts come as they are, where the model server shows them.
    leave_out(&reasoning, &["effort", "summary"], warnings);
    let Some(effort) = reasoning.get("effort") else { return Ok(None) };
    let level = effort.text()?;
    if !server.reasoning {
        warnings.add(&effort.at, "is left out: the model does not think");
    }
    Ok(server.reasoning.then(|| level.into()))
}

/// The form of the answer: the same with other nesting.
fn format(body: &Object<'_>, warnings: &mut Warnings) -> Result<Option<Value>, RequestError> {
    let Some(text) = body.get("text") else { return Ok(None) };
    let text = text.object()?;
    leave_out(&text, &["format"], warnings);
    let Some(format) = text.get("format") else { return Ok(None) };
    let format = format.object()?;
    let kind = format.required("type", "a string")?;
    match kind.text()? {
        "text" => Ok(None),
        "json_object" => Ok(Some(json!({ "type": "json_object" }))),
        "json_schema" => {
            format.required("schema", "an object")?.object()?;
            let mut schema = format.map.clone();
            schema.shift_remove("type");
            Ok(Some(json!({ "type": "json_schema", "json_schema": schema })))
        }
        _ => Err(kind.bad_value("`text`, `json_object` and `json_schema` are allowed")),
    }
}
