//! Requests.

use super::Options;
use crate::anthropic::shape as theirs;
use crate::bedrock::shape::{
    Block, CachePoint, Inference, Message, Reasoning, Request, Schema, Source, Tool, ToolChoice,
    ToolConfig,
};
use crate::request_error::RequestError;
use crate::translate::Translated;
use crate::translate::anthropic_out::{self, Thinking, messages, settings, tools};
use crate::translate::chat_request::{self, Format, max_tokens, one_text, only_known, stops};
use crate::translate::node::Object;
use crate::translate::warnings::{NO_SAMPLING, Warnings};
use serde_json::{Map, Value, json};

/// Members that are translated beside those that each API has a word for.
const READ: [&str; 1] = ["thinking"];

/// Members that the answer means the same without, beside those that no other API has.
const HARMLESS: [&str; 9] = [
    "top_k",
    "top_logprobs",
    "user",
    "safety_identifier",
    "metadata",
    "service_tier",
    "seed",
    "frequency_penalty",
    "presence_penalty",
];

/// Translates a chat completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(body: &Map<String, Value>, options: &Options) -> Result<Translated, RequestError> {
    let mut warnings = Warnings::default();
    let body = Object::body(body);
    only_known(&body, &READ, &HARMLESS, &mut warnings, |name| match name {
        "functions" | "function_call" => "use `tools` and `tool_choice`",
        "logprobs" => "Converse gives no log probabilities",
        "logit_bias" => "Converse has no token biases",
        "audio" => "Converse writes text only",
        _ => "Converse has nothing for it",
    })?;
    one_text(&body)?;
    no_schema(&body)?;
    let thinks = anthropic_out::Options {
        max_tokens_default: 4096,
        sampling: options.sampling,
        thinking: options.thinking,
        system_later: false,
    };
    let conversation = messages::read(&body, &thinks, &mut warnings)?;
    let (tools, choice) = tools::read(&body)?;
    let is_forced = choice.as_ref().is_some_and(|c| ["any", "tool"].contains(&c.r#type));
    let unsigned = conversation.has_unsigned_call && options.thinking == Thinking::Budget;
    let max_tokens = max_tokens(&body)?;
    let asked = settings::Asked {
        max_tokens: max_tokens.unwrap_or(thinks.max_tokens_default),
        cannot_think: is_forced || unsigned,
    };
    let (thinking, effort) = settings::thinking(&body, &thinks, &asked, &mut warnings)?;
    let mut number = |key: &str| -> Result<Option<&Value>, RequestError> {
        let Some(node) = body.get(key) else { return Ok(None) };
        node.number()?;
        if options.sampling && !thinking.as_ref().is_some_and(settings::is_on) {
            return Ok(Some(node.value));
        }
        warnings.add(key, NO_SAMPLING);
        Ok(None)
    };
    let (temperature, top_p) = (number("temperature")?, number("top_p")?);
    let stops = stops(&body)?;
    let request = Request {
        system: conversation.system.map(blocks).transpose()?.unwrap_or_default(),
        messages: conversation.messages.into_iter().map(message).collect::<Result<_, _>>()?,
        inference_config: Inference {
            // A budget to think is part of it, so it must be said beside one.
            max_tokens: max_tokens.or_else(|| thinking.as_ref().map(|_| asked.max_tokens)),
            temperature,
            top_p,
            stop_sequences: stops.iter().map(|stop| stop.text()).collect::<Result<_, _>>()?,
        },
        tool_config: tool_config(tools, choice)?,
        additional_model_request_fields: own_fields(thinking.as_ref(), effort),
    };
    // Strings and numbers only: this cannot fail.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    Ok(Translated { body, warnings })
}

fn no_schema(body: &Object<'_>) -> Result<(), RequestError> {
    let why = "Converse does not hold an answer to a form; describe it in the prompt";
    match chat_request::format(body)? {
        None => Ok(()),
        Some(Format::Json(node)) => Err(node.untranslatable(why)),
        Some(Format::Schema { .. }) => {
            let param = "response_format.type".to_owned();
            Err(RequestError::Untranslatable { param, why })
        }
    }
}

/// What only models of Anthropic take.
fn own_fields(
    thinking: Option<&theirs::Thinking<'_>>,
    effort: Option<&'static str>,
) -> Option<Value> {
    let mut fields = Map::new();
    if let Some(thinking) = thinking {
        fields.insert("thinking".to_owned(), serde_json::to_value(thinking).unwrap_or_default());
    }
    if let Some(effort) = effort {
        fields.insert("output_config".to_owned(), json!({ "effort": effort }));
    }
    (!fields.is_empty()).then_some(Value::Object(fields))
}

fn message(message: theirs::Message<'_>) -> Result<Message<'_>, RequestError> {
    let role = match message.role {
        theirs::Role::Assistant => "assistant",
        // There is no later system message: it was moved to the first.
        theirs::Role::User | theirs::Role::System => "user",
    };
    Ok(Message { role, content: blocks(message.content)? })
}

fn blocks(content: theirs::Content<'_>) -> Result<Vec<Block<'_>>, RequestError> {
    let all = match content {
        theirs::Content::Text(text) => return Ok(vec![Block::Text(text)]),
        theirs::Content::Blocks(blocks) => blocks,
    };
    let mut blocks = Vec::new();
    for (number, one) in all.into_iter().enumerate() {
        let mark = push(one, number, &mut blocks)?;
        blocks.extend(mark.map(cache_point).map(Block::CachePoint));
    }
    Ok(blocks)
}

fn cache_point(mark: &Value) -> CachePoint {
    let ttl = mark.get("ttl").and_then(Value::as_str).map(str::to_owned);
    CachePoint { r#type: "default", ttl }
}

/// Adds a block; gives its mark of what to cache.
fn push<'a>(
    block: theirs::Block<'a>,
    number: usize,
    blocks: &mut Vec<Block<'a>>,
) -> Result<Option<&'a Value>, RequestError> {
    let (block, mark) = match block {
        theirs::Block::Text { text, cache_control } => (Block::Text(text), cache_control),
        theirs::Block::Image { source, cache_control } => {
            let (media_type, data) = bytes(source)?;
            let format = media_type.strip_prefix("image/").unwrap_or(media_type);
            (Block::Image { format, source: Source::Bytes(data) }, cache_control)
        }
        theirs::Block::Document { source, title, cache_control } => {
            let (_, data) = bytes(source)?;
            let (format, name) = ("pdf", document_name(title, number));
            (Block::Document { format, name, source: Source::Bytes(data) }, cache_control)
        }
        theirs::Block::Thinking { thinking: text, signature } => {
            (Block::ReasoningContent(Reasoning::ReasoningText { text, signature }), None)
        }
        theirs::Block::RedactedThinking { data } => {
            (Block::ReasoningContent(Reasoning::RedactedContent(data)), None)
        }
        theirs::Block::ToolUse { id, name, input, cache_control } => {
            (Block::ToolUse { tool_use_id: id, name, input }, cache_control)
        }
        theirs::Block::ToolResult { tool_use_id, content, is_error, cache_control } => {
            let content = content.map(self::blocks).transpose()?.unwrap_or_default();
            let status = is_error.then_some("error");
            (Block::ToolResult { tool_use_id, content, status }, cache_control)
        }
    };
    blocks.push(block);
    Ok(mark)
}

/// The type of a picture or document, and its bytes in base64.
fn bytes(source: theirs::Source<'_>) -> Result<(&str, &str), RequestError> {
    match source {
        theirs::Source::Base64 { media_type, data } => Ok((media_type, data)),
        theirs::Source::Url { url: _ } => Err(RequestError::Untranslatable {
            param: "messages[].content[].image_url.url".to_owned(),
            why: "Converse fetches no picture; send it as a `data:` URL",
        }),
    }
}

/// A name as the service takes it: letters, digits, single blanks, hyphens and brackets.
fn document_name(title: Option<&str>, number: usize) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { ' ' };
    let name: String = title.unwrap_or_default().chars().map(safe).collect();
    let name: Vec<&str> = name.split_whitespace().collect();
    match name.is_empty() {
        // No two of a message may have the same.
        true => format!("document {}", number + 1),
        false => name.join(" "),
    }
}

fn tool_config<'a>(
    tools: Vec<theirs::Tool<'a>>,
    choice: Option<theirs::ToolChoice<'a>>,
) -> Result<Option<ToolConfig<'a>>, RequestError> {
    let refused = |param: &str, why| RequestError::Untranslatable { param: param.to_owned(), why };
    if tools.is_empty() {
        return Ok(None);
    }
    let tool_choice = match choice {
        None => None,
        Some(choice) if choice.disable_parallel_tool_use => {
            let why = "Converse cannot be kept to one call at a time";
            return Err(refused("parallel_tool_calls", why));
        }
        Some(theirs::ToolChoice { r#type: "auto", .. }) => Some(ToolChoice::Auto {}),
        Some(theirs::ToolChoice { r#type: "any", .. }) => Some(ToolChoice::Any {}),
        Some(theirs::ToolChoice { name: Some(name), .. }) => Some(ToolChoice::Tool { name }),
        Some(_) => {
            let why = "Converse cannot be kept from calling tools; leave `tools` out";
            return Err(refused("tool_choice", why));
        }
    };
    let mut written = Vec::new();
    for tool in tools {
        let theirs::Tool { name, description, input_schema, strict, cache_control } = tool;
        let input_schema = Schema { json: input_schema };
        written.push(Tool::ToolSpec { name, description, input_schema, strict });
        written.extend(cache_control.map(cache_point).map(Tool::CachePoint));
    }
    Ok(Some(ToolConfig { tools: written, tool_choice }))
}
