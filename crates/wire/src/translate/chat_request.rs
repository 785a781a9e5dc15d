//! What the pairs read alike of a request, most of it of a chat completion's.

use super::node::{Node, Object};
use super::warnings::{LEFT_OUT, NOTHING, Warnings};
use crate::request_error::RequestError;
use crate::strict_json::parse_json_object;
use serde_json::value::RawValue;

/// A tool that the model may call.
pub(super) struct ChatTool<'a> {
    /// The whole entry of `tools`.
    pub(super) object: Object<'a>,
    /// Its function.
    pub(super) function: Object<'a>,
    pub(super) name: &'a str,
    pub(super) description: Option<&'a str>,
    /// The schema of its arguments.
    pub(super) parameters: Option<Node<'a>>,
    /// Whether arguments must be of the schema.
    pub(super) strict: bool,
}

/// Which tool the model is to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolChoice<'a> {
    None,
    Auto,
    Required,
    Named(&'a str),
}

/// The tools that may be called, and which of them is to be.
pub(super) struct ChatTools<'a> {
    pub(super) tools: Vec<ChatTool<'a>>,
    pub(super) choice: Option<ToolChoice<'a>>,
}

/// Reads `tools` and `tool_choice`. A tool that the choice does not allow is not among them: what
/// is not offered is not called.
pub(super) fn tools<'a>(body: &Object<'a>) -> Result<ChatTools<'a>, RequestError> {
    let mut tools = Vec::new();
    for node in body.list("tools")? {
        tools.push(tool(node.object()?)?);
    }
    let choice = choice(body, &mut tools)?;
    Ok(ChatTools { tools, choice })
}

fn tool<'a>(object: Object<'a>) -> Result<ChatTool<'a>, RequestError> {
    let function = function(&object)?;
    let known = ["name", "description", "parameters", "strict", "cache_control"];
    if let Some(other) = function.others(&known).next() {
        return Err(other.untranslatable(NOTHING));
    }
    let parameters = function.get("parameters");
    parameters.as_ref().map(Node::object).transpose()?;
    Ok(ChatTool {
        name: function.required_text("name")?,
        description: function.text("description")?,
        parameters,
        strict: function.flag("strict")?,
        function,
        object,
    })
}

/// The function that a tool, or a choice of one, names.
fn function<'a>(tool: &Object<'a>) -> Result<Object<'a>, RequestError> {
    let kind = tool.required("type", "a string")?;
    match kind.text()? {
        "function" => tool.required("function", "an object")?.object(),
        _ => Err(kind.untranslatable("only tools of type `function` can be")),
    }
}

fn choice<'a>(
    body: &Object<'a>,
    tools: &mut Vec<ChatTool<'a>>,
) -> Result<Option<ToolChoice<'a>>, RequestError> {
    let mode = |node: &Node<'a>| match node.text()? {
        "none" => Ok(ToolChoice::None),
        "auto" => Ok(ToolChoice::Auto),
        "required" => Ok(ToolChoice::Required),
        _ => Err(node.bad_value("`none`, `auto`, `required` or an object is allowed")),
    };
    let Some(node) = body.get("tool_choice") else { return Ok(None) };
    if node.value.is_string() {
        return mode(&node).map(Some);
    }
    let object = node.object()?;
    if object.text("type")? != Some("allowed_tools") {
        return Ok(Some(ToolChoice::Named(function(&object)?.required_text("name")?)));
    }
    let allowed = object.required("allowed_tools", "an object")?.object()?;
    let mut names = Vec::new();
    for tool in allowed.list("tools")? {
        names.push(function(&tool.object()?)?.required_text("name")?);
    }
    tools.retain(|tool| names.contains(&tool.name));
    mode(&allowed.required("mode", "a string")?).map(Some)
}

/// Refuses members of a body that are not among the known ones, with what `why` says of each;
/// those that the answer means the same without are left out.
pub(super) fn only(
    body: &Object<'_>,
    known: &[&str],
    harmless: &[&str],
    warnings: &mut Warnings,
    why: impl Fn(&str) -> &'static str,
) -> Result<(), RequestError> {
    for node in body.others(known) {
        if !harmless.contains(&node.at.as_str()) {
            return Err(node.untranslatable(why(&node.at)));
        }
        warnings.add(&node.at, LEFT_OUT);
    }
    Ok(())
}

/// Members of a chat completion that each API has a word for, or that say nothing to a model
/// server.
const IN_EACH: [&str; 16] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "temperature",
    "top_p",
    "reasoning_effort",
    "response_format",
    "stream",
    "stream_options",
    "n",
    "modalities",
];

/// Members that only servers of this API have, and that the answer means the same without.
const IN_NO_OTHER: [&str; 8] = [
    "repetition_penalty",
    "min_p",
    "store",
    "prediction",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
];

/// [`only`] for a chat completion that another API takes: with the members that it translates, and
/// those that it leaves out, beside those of all.
pub(super) fn only_known(
    body: &Object<'_>,
    known: &[&str],
    harmless: &[&str],
    warnings: &mut Warnings,
    why: impl Fn(&str) -> &'static str,
) -> Result<(), RequestError> {
    let known = [&IN_EACH[..], known].concat();
    let harmless = [&IN_NO_OTHER[..], harmless].concat();
    only(body, &known, &harmless, warnings, why)
}

/// Refuses what an assistant's message held before there were `tool_calls`, or says by sound.
pub(super) fn no_other_answer(message: &Object<'_>) -> Result<(), RequestError> {
    let other = ["function_call", "audio"].iter().find_map(|key| message.get(key));
    other.map_or(Ok(()), |node| Err(node.untranslatable("use `tool_calls` and `content`")))
}

/// Leaves out the members of a message, a part or a call that are not among the known ones: they
/// are what clients send back of an answer.
pub(super) fn leave_out(object: &Object<'_>, known: &[&str], warnings: &mut Warnings) {
    object.others(known).for_each(|node| warnings.add(&node.at, LEFT_OUT));
}

/// A message's content as parts: a text is one.
pub(super) enum Part<'a> {
    Text(&'a str),
    /// A part and its type.
    Part(Object<'a>, &'a str),
}

pub(super) fn parts<'a>(content: &Node<'a>) -> Result<Vec<Part<'a>>, RequestError> {
    if content.value.is_string() {
        return Ok(vec![Part::Text(content.text()?)]);
    }
    let mut parts = Vec::new();
    for node in content.list()? {
        let part = node.object()?;
        let kind = part.required_text("type")?;
        parts.push(Part::Part(part, kind));
    }
    Ok(parts)
}

/// A part of a kind that is not translated.
pub(super) fn other_kind(part: &Object<'_>, why: &'static str) -> RequestError {
    RequestError::Untranslatable { param: part.path("type"), why }
}

/// A tool call of an earlier answer.
pub(super) struct ChatCall<'a> {
    pub(super) object: Object<'a>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: &'a RawValue,
}

pub(super) fn call<'a>(
    node: &Node<'a>,
    warnings: &mut Warnings,
) -> Result<ChatCall<'a>, RequestError> {
    let object = node.object()?;
    let known = ["id", "type", "function", "index", "cache_control", "extra_content"];
    leave_out(&object, &known, warnings);
    if let Some(kind) = object.get("type")
        && kind.text()? != "function"
    {
        return Err(kind.untranslatable("only calls of type `function` can be"));
    }
    let function = object.required("function", "an object")?.object()?;
    Ok(ChatCall {
        id: object.required_text("id")?,
        name: function.required_text("name")?,
        arguments: arguments(&function)?,
        object,
    })
}

/// The arguments of a call; none is an empty object. They become part of the body, so they are as
/// strict as it: no key twice, no depth without end.
fn arguments<'a>(function: &Object<'a>) -> Result<&'a RawValue, RequestError> {
    let Some(node) = function.get("arguments") else { return Ok(empty()) };
    let text = node.text()?.trim();
    if text.is_empty() {
        return Ok(empty());
    }
    strict_object(text)
        .ok_or_else(|| node.untranslatable("a JSON object in a string, with no key twice, can be"))
}

fn empty() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// The text, where it is one JSON object that a body may hold.
pub(super) fn strict_object(text: &str) -> Option<&RawValue> {
    parse_json_object(text.as_bytes()).ok()?;
    serde_json::from_str(text.trim()).ok()
}

/// The sequences at which the model is to stop.
pub(super) fn stops<'a>(body: &Object<'a>) -> Result<Vec<Node<'a>>, RequestError> {
    let stops = match body.get("stop") {
        None => Vec::new(),
        Some(one) if one.value.is_string() => vec![one],
        Some(list) => list.list()?,
    };
    stops.iter().try_for_each(|stop| stop.text().map(drop))?;
    Ok(stops)
}

/// How long the answer may be: the smaller where both members are given.
pub(super) fn max_tokens(body: &Object<'_>) -> Result<Option<u64>, RequestError> {
    let given = |key| body.get(key).map(|node| node.count()).transpose();
    let (old, new) = (given("max_tokens")?, given("max_completion_tokens")?);
    Ok(old.into_iter().chain(new).min())
}

/// Refuses what only other APIs write: several choices, and answers that are no text.
pub(super) fn one_text(body: &Object<'_>) -> Result<(), RequestError> {
    if let Some(n) = body.get("n")
        && n.count()? != 1
    {
        return Err(n.untranslatable("one choice can be"));
    }
    for modality in body.list("modalities")? {
        if modality.text()? != "text" {
            return Err(modality.untranslatable("only text can be"));
        }
    }
    Ok(())
}

/// How hard the model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// Budgets of thinking below which an effort is low, and medium, tokens.
const BUDGET_MEDIUM: u64 = 4_096;
const BUDGET_HIGH: u64 = 16_384;

/// The effort that a budget of thinking means.
pub(super) fn effort_of(budget: u64) -> &'static str {
    match budget {
        0..BUDGET_MEDIUM => "low",
        BUDGET_MEDIUM..BUDGET_HIGH => "medium",
        BUDGET_HIGH.. => "high",
    }
}

pub(super) fn effort(body: &Object<'_>) -> Result<Option<Effort>, RequestError> {
    let Some(node) = body.get("reasoning_effort") else { return Ok(None) };
    Ok(Some(match node.text()? {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Xhigh,
        "max" => Effort::Max,
        _ => {
            return Err(node.bad_value(
                "`none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max` are allowed",
            ));
        }
    }))
}

/// The form in which the answer is to be.
pub(super) enum Format<'a> {
    /// Any JSON; where it is asked for.
    Json(Node<'a>),
    /// JSON of a schema, which is an object.
    Schema { schema: Node<'a>, description: Option<&'a str> },
}

pub(super) fn format<'a>(body: &Object<'a>) -> Result<Option<Format<'a>>, RequestError> {
    let Some(format) = body.get("response_format") else { return Ok(None) };
    let format = format.object()?;
    let kind = format.required("type", "a string")?;
    match kind.text()? {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json(kind))),
        "json_schema" => {
            let inner = format.required("json_schema", "an object")?.object()?;
            let schema = inner.required("schema", "an object")?;
            schema.object()?;
            Ok(Some(Format::Schema { schema, description: inner.text("description")? }))
        }
        _ => Err(kind.bad_value("`text`, `json_object` and `json_schema` are allowed")),
    }
}
