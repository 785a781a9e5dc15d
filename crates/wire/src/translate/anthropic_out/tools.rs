//! Tools, and which of them the model is to call.

use super::settings::cache_control;
use crate::anthropic::shape::{Tool, ToolChoice};
use crate::request_error::RequestError;
use crate::translate::chat_request::{self, ChatTool};
use crate::translate::node::{Node, Object};
use serde_json::{Value, json};
use std::borrow::Cow;

type Tools<'a> = (Vec<Tool<'a>>, Option<ToolChoice<'a>>);

pub(in crate::translate) fn read<'a>(body: &Object<'a>) -> Result<Tools<'a>, RequestError> {
    let chat_request::ChatTools { tools, choice } = chat_request::tools(body)?;
    let parallel = body.get("parallel_tool_calls").map(|node| node.flag()).transpose()?;
    let tools = tools.into_iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    let one_at_a_time = parallel == Some(false);
    let of = |r#type, name| {
        // No tool is no tool: the API has no such member there.
        let disable_parallel_tool_use = one_at_a_time && r#type != "none";
        Some(ToolChoice { r#type, name, disable_parallel_tool_use })
    };
    let choice = match choice {
        _ if tools.is_empty() => None,
        None if one_at_a_time => of("auto", None),
        None => None,
        Some(chat_request::ToolChoice::None) => of("none", None),
        Some(chat_request::ToolChoice::Auto) => of("auto", None),
        Some(chat_request::ToolChoice::Required) => of("any", None),
        Some(chat_request::ToolChoice::Named(name)) => of("tool", Some(name)),
    };
    Ok((tools, choice))
}

fn tool(tool: ChatTool<'_>) -> Result<Tool<'_>, RequestError> {
    let ChatTool { object, function, name, description, parameters, strict } = tool;
    let input_schema = schema(parameters.as_ref())?;
    let cache_control = cache_control(&object).or_else(|| cache_control(&function));
    Ok(Tool { name, description, input_schema, strict, cache_control })
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
