//! The members of a request beside its messages, tools with them.

use crate::openai_chat::LENGTH_MEMBERS;
use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_request::{effort_of, leave_out, only};
use crate::translate::node::{Node, Object};
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::{Map, Value, json};

/// Members that are translated.
const READ: [&str; 14] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "metadata",
    "thinking",
    "output_config",
];

/// Members that the answer means the same without: marks for caches and bills, and edits that make
/// long conversations shorter.
const HARMLESS: [&str; 9] = [
    "cache_control",
    "context_management",
    "diagnostics",
    "service_tier",
    "speed",
    "user_profile_id",
    "workspace_id",
    "anthropic_beta",
    "anthropic_version",
];

/// Refuses members that change what the answer means and have no counterpart.
pub(super) fn check_members(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    only(body, &READ, &HARMLESS, warnings, |_| NOTHING)
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
    put("model", Some(body.required_text("model")?.into()));
    put("messages", Some(messages.into()));
    let (tools, choice, parallel) = tools(body, warnings)?;
    put("tools", tools);
    put("tool_choice", choice);
    put("parallel_tool_calls", parallel);
    let max_tokens = body.required("max_tokens", "an integer")?;
    if max_tokens.count()? == 0 {
        return Err(max_tokens.untranslatable("an answer of no tokens, which fills the cache, is"));
    }
    let [older, newer] = LENGTH_MEMBERS;
    put(if server.newer_length { newer } else { older }, Some(max_tokens.value.clone()));
    let stops = body.list("stop_sequences")?;
    let stops: Vec<Value> =
        stops.iter().map(|stop| stop.text().map(Value::from)).collect::<Result<_, _>>()?;
    put("stop", (!stops.is_empty()).then(|| stops.into()));
    for key in ["temperature", "top_p", "top_k"] {
        let Some(node) = body.get(key) else { continue };
        node.number()?;
        if key == "top_k" && !server.extensions {
            warnings.add(key, LEFT_OUT);
        } else {
            put(key, Some(node.value.clone()));
        }
    }
    put("user", user(body, warnings)?);
    let (effort, format) = output(body, server, warnings)?;
    put("reasoning_effort", effort);
    put("response_format", format);
    if body.flag("stream")? {
        put("stream", Some(true.into()));
        // The end of the stream names the tokens.
        put("stream_options", Some(json!({ "include_usage": true })));
    }
    Ok(out)
}

fn user(body: &Object<'_>, warnings: &mut Warnings) -> Result<Option<Value>, RequestError> {
    let Some(metadata) = body.get("metadata") else { return Ok(None) };
    let metadata = metadata.object()?;
    leave_out(&metadata, &["user_id"], warnings);
    Ok(metadata.text("user_id")?.map(Value::from))
}

type Tools = (Option<Value>, Option<Value>, Option<Value>);

fn tools(body: &Object<'_>, warnings: &mut Warnings) -> Result<Tools, RequestError> {
    let mut tools = Vec::new();
    for node in body.list("tools")? {
        tools.push(tool(&node, warnings)?);
    }
    if tools.is_empty() {
        return Ok((None, None, None));
    }
    let mut parallel = None;
    let mut choice = None;
    if let Some(node) = body.get("tool_choice") {
        let object = node.object()?;
        let kind = object.required("type", "a string")?;
        choice = Some(match kind.text()? {
            "auto" => "auto".into(),
            "any" => "required".into(),
            "none" => "none".into(),
            "tool" => {
                let name = object.required_text("name")?;
                json!({ "type": "function", "function": { "name": name } })
            }
            _ => return Err(kind.bad_value("`auto`, `any`, `tool` and `none` are allowed")),
        });
        let one_at_a_time = object.flag("disable_parallel_tool_use")?;
        parallel = one_at_a_time.then_some(Value::Bool(false));
    }
    Ok((Some(tools.into()), choice, parallel))
}

fn tool(node: &Node<'_>, warnings: &mut Warnings) -> Result<Value, RequestError> {
    let tool = node.object()?;
    if let Some(kind) = tool.get("type")
        && kind.text()? != "custom"
    {
        return Err(kind.untranslatable("it is a tool that only Anthropic's models know or run"));
    }
    let known = ["type", "name", "description", "input_schema", "strict"];
    leave_out(&tool, &known, warnings);
    let schema = tool.required("input_schema", "an object")?;
    schema.object()?;
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.required_text("name")?.into());
    if let Some(description) = tool.text("description")? {
        function.insert("description".to_owned(), description.into());
    }
    function.insert("parameters".to_owned(), schema.value.clone());
    if tool.flag("strict")? {
        function.insert("strict".to_owned(), true.into());
    }
    Ok(json!({ "type": "function", "function": function }))
}

/// How hard the model is to think, and the form of its answer.
fn output(
    body: &Object<'_>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<(Option<Value>, Option<Value>), RequestError> {
    let (mut effort, mut format) = (None, None);
    let config = body.get("output_config").map(|node| node.object()).transpose()?;
    if let Some(config) = config {
        if let Some(other) = config.others(&["effort", "format"]).next() {
            return Err(other.untranslatable(NOTHING));
        }
        effort = config.text("effort")?.map(|effort| (config.path("effort"), effort));
        format = config.get("format").map(|node| response_format(&node)).transpose()?;
    }
    let asked = thinking(body, warnings)?;
    let effort = effort.or(asked.map(|effort| ("thinking".to_owned(), effort)));
    let effort = effort.and_then(|(at, effort)| {
        if !server.reasoning {
            warnings.add(&at, "is left out: the model does not think");
        }
        server.reasoning.then(|| effort.into())
    });
    Ok((effort, format))
}

/// The effort that a budget of thinking means; none where the model decides.
fn thinking(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<Option<&'static str>, RequestError> {
    let Some(node) = body.get("thinking") else { return Ok(None) };
    let thinking = node.object()?;
    let kind = thinking.required("type", "a string")?;
    match kind.text()? {
        "enabled" => {
            Ok(Some(effort_of(thinking.required("budget_tokens", "an integer")?.count()?)))
        }
        "adaptive" => Ok(None),
        _ => {
            warnings.add(&kind.at, "is left out: whether the model thinks is the model's");
            Ok(None)
        }
    }
}

fn response_format(node: &Node<'_>) -> Result<Value, RequestError> {
    let format = node.object()?;
    let kind = format.required("type", "a string")?;
    if kind.text()? != "json_schema" {
        return Err(kind.bad_value("`json_schema` is allowed"));
    }
    let schema = format.required("schema", "an object")?;
    schema.object()?;
    let json_schema = json!({ "name": "answer", "schema": schema.value, "strict": true });
    Ok(json!({ "type": "json_schema", "json_schema": json_schema }))
}
