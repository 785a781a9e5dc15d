//! The members of a request beside its contents.

use super::Path;
use super::fields::{Fields, word};
use super::schema::json_schema;
use super::tools::{self, strict};
use crate::openai_chat::LENGTH_MEMBERS;
use crate::request_error::RequestError;
use crate::translate::ChatServer;
use crate::translate::chat_request::effort_of;
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::{Map, Value, json};

/// Members that are translated.
const READ: [&str; 8] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "serviceTier",
    "model",
];

/// The same of `generationConfig`.
const CONFIG: [&str; 14] = [
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
];

/// A request in the other form.
pub(super) struct Written {
    pub(super) body: Map<String, Value>,
    pub(super) shows_thoughts: bool,
}

/// Refuses members that change what the answer means and have no counterpart.
pub(super) fn check_members(
    body: &Fields<'_>,
    path: &Path<'_>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    if let Some(cached) = body.get("cachedContent") {
        return Err(cached.untranslatable("nothing is kept here; send it in `contents`"));
    }
    if let Some(model) = body.get("model") {
        let name = model.text()?;
        if name.strip_prefix("models/").unwrap_or(name) != path.model {
            return Err(model.bad_value("the model that the path names is allowed"));
        }
    }
    body.only(&READ, &["labels", "store"], warnings)?;
    tools::safety(body, warnings)
}

/// Puts the request together.
pub(super) fn write(
    body: &Fields<'_>,
    path: &Path<'_>,
    messages: Vec<Value>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<Written, RequestError> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        out.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("model", Some(path.model.into()));
    put("messages", Some(messages.into()));
    let (tools, choice) = tools::read(body, warnings)?;
    put("tools", tools);
    put("tool_choice", choice);
    let mut shows_thoughts = false;
    if let Some(config) = body.object("generationConfig")? {
        config.only(&CONFIG, &["mediaResolution"], warnings)?;
        one_text(&config)?;
        if let Some(length) = config.get("maxOutputTokens") {
            length.count()?;
            let [older, newer] = LENGTH_MEMBERS;
            put(if server.newer_length { newer } else { older }, Some(length.value.clone()));
        }
        let mut stops = Vec::new();
        for stop in config.list("stopSequences")? {
            stops.push(Value::from(stop.text()?));
        }
        put("stop", (!stops.is_empty()).then(|| stops.into()));
        sampling(&config, server, &mut put, warnings)?;
        let (effort, shows) = thinking(&config, server, warnings)?;
        shows_thoughts = shows;
        put("reasoning_effort", effort.map(Value::from));
        put("response_format", format(&config, warnings)?);
    }
    put("service_tier", service_tier(body, warnings)?.map(Value::from));
    if path.stream {
        put("stream", Some(true.into()));
        // The end of the stream names the tokens.
        put("stream_options", Some(json!({ "include_usage": true })));
    }
    Ok(Written { body: out, shows_thoughts })
}

/// Refuses several candidates, and answers that are no text.
fn one_text(config: &Fields<'_>) -> Result<(), RequestError> {
    if let Some(candidates) = config.get("candidateCount")
        && candidates.count()? != 1
    {
        return Err(candidates.untranslatable("one candidate can be"));
    }
    for modality in config.list("responseModalities")? {
        if word(&modality)? != "TEXT" {
            return Err(modality.untranslatable("only text can be"));
        }
    }
    Ok(())
}

fn sampling(
    config: &Fields<'_>,
    server: &ChatServer,
    put: &mut impl FnMut(&str, Option<Value>),
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    for (theirs, ours) in [
        ("temperature", "temperature"),
        ("topP", "top_p"),
        ("topK", "top_k"),
        ("presencePenalty", "presence_penalty"),
        ("frequencyPenalty", "frequency_penalty"),
        ("seed", "seed"),
    ] {
        let Some(node) = config.get(theirs) else { continue };
        node.number()?;
        if theirs == "topK" && !server.extensions {
            warnings.add(&node.at, LEFT_OUT);
        } else {
            put(ours, Some(node.value.clone()));
        }
    }
    Ok(())
}

/// How hard the model is to think, and whether the answer shows it.
fn thinking(
    config: &Fields<'_>,
    server: &ChatServer,
    warnings: &mut Warnings,
) -> Result<(Option<&'static str>, bool), RequestError> {
    let Some(thinking) = config.object("thinkingConfig")? else { return Ok((None, false)) };
    thinking.only(&["includeThoughts", "thinkingBudget", "thinkingLevel"], &[], warnings)?;
    let shows = thinking.flag("includeThoughts")?;
    let mut asked = None;
    if let Some(node) = thinking.get("thinkingBudget") {
        node.number()?;
        asked = match node.value.as_i64() {
            // As the model sees fit.
            Some(-1) => None,
            Some(0) => {
                warnings.add(&node.at, "is left out: whether the model thinks is the model's");
                None
            }
            Some(budget @ 1..) => Some((effort_of(budget.unsigned_abs()), node)),
            Some(_) | None => return Err(node.bad_value("an integer from -1 up is allowed")),
        };
    }
    if let Some(node) = thinking.get("thinkingLevel") {
        let level = match word(&node)?.as_str() {
            "THINKING_LEVEL_UNSPECIFIED" => None,
            "MINIMAL" => Some("minimal"),
            "LOW" => Some("low"),
            "MEDIUM" => Some("medium"),
            "HIGH" => Some("high"),
            _ => return Err(node.bad_value("`MINIMAL`, `LOW`, `MEDIUM` and `HIGH` are allowed")),
        };
        asked = level.map(|level| (level, node)).or(asked);
    }
    let effort = asked.and_then(|(effort, node)| {
        if !server.reasoning {
            warnings.add(&node.at, "is left out: the model does not think");
        }
        server.reasoning.then_some(effort)
    });
    Ok((effort, shows))
}

/// The form of the answer.
fn format(config: &Fields<'_>, warnings: &mut Warnings) -> Result<Option<Value>, RequestError> {
    let given = config.get("responseSchema");
    let schema = match config.get("responseJsonSchema") {
        Some(node) => Some((node.value.clone(), node)),
        None => given.map(|node| (json_schema(&node), node)),
    };
    let mime = config.get("responseMimeType");
    let is_json = match mime.as_ref().map(|node| node.text()).transpose()? {
        None => schema.is_some(),
        Some("text/plain") => false,
        Some("application/json") => true,
        Some(_) => {
            let mime = mime.map(|node| node.untranslatable(NOTHING));
            return mime.map_or(Ok(None), Err);
        }
    };
    match schema {
        None => Ok(is_json.then(|| json!({ "type": "json_object" }))),
        Some((_, node)) if !is_json => {
            Err(node.bad_value("it needs a `responseMimeType` of `application/json`"))
        }
        Some((schema, node)) => {
            node.object()?;
            let mut out = Map::new();
            out.insert("name".to_owned(), "answer".into());
            strict(&schema, &node.at, &mut out, warnings);
            out.insert("schema".to_owned(), schema);
            Ok(Some(json!({ "type": "json_schema", "json_schema": out })))
        }
    }
}

fn service_tier(
    body: &Fields<'_>,
    warnings: &mut Warnings,
) -> Result<Option<&'static str>, RequestError> {
    let Some(node) = body.get("serviceTier") else { return Ok(None) };
    Ok(match word(&node)?.as_str() {
        "UNSPECIFIED" | "SERVICE_TIER_UNSPECIFIED" => None,
        "STANDARD" => Some("default"),
        "FLEX" => Some("flex"),
        "PRIORITY" => Some("priority"),
        _ => {
            warnings.add(&node.at, LEFT_OUT);
            None
        }
    })
}
