//! The members of a request beside its messages and tools.

use super::{Options, Thinking};
use crate::anthropic::shape;
use crate::request_error::RequestError;
use crate::translate::chat_request::{self, Effort, Format, effort, only_known};
use crate::translate::node::{Node, Object, is_neutral};
use crate::translate::warnings::{LEFT_OUT, NO_SAMPLING, Warnings};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Members that are translated beside those that each API has a word for.
const READ: [&str; 7] =
    ["top_k", "user", "safety_identifier", "metadata", "thinking", "service_tier", "top_logprobs"];

/// Members that the answer means the same without, beside those that no other API has.
const HARMLESS: [&str; 3] = ["seed", "frequency_penalty", "presence_penalty"];

const NOT_THINKING: &str = "is left out: a model that thinks takes no sampling parameters";

/// The least budget of thinking that the API takes, tokens.
const BUDGET_MIN: u64 = 1024;

/// Refuses members that change what the answer means and have no counterpart.
pub(in crate::translate) fn check_members(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    only_known(body, &READ, &HARMLESS, warnings, |name| match name {
        "functions" | "function_call" => "use `tools` and `tool_choice`",
        "logprobs" => "the Anthropic API gives no log probabilities",
        "logit_bias" => "the Anthropic API has no token biases",
        "audio" => "the Anthropic API writes text only",
        _ => "the Anthropic API has nothing for it",
    })?;
    chat_request::one_text(body)
}

pub(in crate::translate) fn stops<'a>(body: &Object<'a>) -> Result<Vec<&'a str>, RequestError> {
    let read = |stop: &Node<'a>| match stop.text()? {
        text if text.trim().is_empty() => {
            Err(stop.untranslatable("the Anthropic API does not stop at white space alone"))
        }
        text => Ok(text),
    };
    chat_request::stops(body)?.iter().map(read).collect()
}

#[derive(Default)]
pub(in crate::translate) struct Sampling<'a> {
    pub(in crate::translate) temperature: Option<Value>,
    pub(in crate::translate) top_p: Option<&'a Value>,
    pub(in crate::translate) top_k: Option<&'a Value>,
}

pub(in crate::translate) fn sampling<'a>(
    body: &Object<'a>,
    is_taken: bool,
    is_thinking: bool,
    warnings: &mut Warnings,
) -> Result<Sampling<'a>, RequestError> {
    let mut sampling = Sampling::default();
    for key in ["temperature", "top_p", "top_k"] {
        let Some(node) = body.get(key) else { continue };
        let number = node.number()?;
        if !is_taken || is_thinking {
            warnings.add(key, if is_taken { NOT_THINKING } else { NO_SAMPLING });
            continue;
        }
        match key {
            "top_p" => sampling.top_p = Some(node.value),
            "top_k" => sampling.top_k = Some(node.value),
            _ if number > 1.0 => {
                warnings.add(key, "is set to 1: the Anthropic API has 0 to 1");
                sampling.temperature = Some(1.into());
            }
            _ => sampling.temperature = Some(node.value.clone()),
        }
    }
    Ok(sampling)
}

/// The id of the user, from any of the members that have one. Other metadata is for OpenAI's own
/// store of answers.
pub(in crate::translate) fn user<'a>(
    body: &Object<'a>,
    warnings: &mut Warnings,
) -> Result<Option<shape::Metadata<'a>>, RequestError> {
    let metadata = body.get("metadata").map(|node| node.object()).transpose()?;
    if let Some(metadata) = &metadata {
        let others = metadata.others(&["user_id"]);
        others.for_each(|node| warnings.add(&node.at, LEFT_OUT));
    }
    let user = body.text("user")?;
    let inner = metadata.map(|metadata| metadata.text("user_id")).transpose()?.flatten();
    let safety = body.text("safety_identifier")?;
    let user_id = [user, inner, safety].into_iter().flatten().find(|id| !id.is_empty());
    Ok(user_id.map(|user_id| shape::Metadata { user_id }))
}

pub(in crate::translate) fn service_tier(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<Option<&'static str>, RequestError> {
    Ok(match body.text("service_tier")? {
        None | Some("auto") => None,
        Some("default" | "standard_only") => Some("standard_only"),
        Some(_) => {
            warnings.add("service_tier", LEFT_OUT);
            None
        }
    })
}

/// The form of the answer. Without a schema there is none in this API: it would be a plain answer.
pub(in crate::translate) fn format<'a>(
    body: &Object<'a>,
) -> Result<Option<shape::OutputFormat<'a>>, RequestError> {
    let (node, description) = match chat_request::format(body)? {
        None => return Ok(None),
        Some(Format::Json(kind)) => {
            return Err(kind.untranslatable(
                "the Anthropic API writes JSON by a schema only; use `json_schema`",
            ));
        }
        Some(Format::Schema { schema, description }) => (schema, description),
    };
    let mut schema = Cow::Borrowed(node.value);
    let described = node.object()?.get("description").is_some();
    if let Some(description) = description.filter(|_| !described)
        && let Value::Object(members) = schema.to_mut()
    {
        members.insert("description".to_owned(), description.into());
    }
    Ok(Some(shape::OutputFormat { r#type: "json_schema", schema }))
}

/// What else of a request decides whether the model may think.
pub(in crate::translate) struct Asked {
    pub(in crate::translate) max_tokens: u64,
    /// A tool is forced, or the thinking before an earlier call is missing: the API refuses both
    /// together with thinking.
    pub(in crate::translate) cannot_think: bool,
}

type Level = Option<&'static str>;

/// How the model is asked to think: `thinking` and `output_config.effort`.
pub(in crate::translate) fn thinking<'a>(
    body: &Object<'a>,
    options: &Options,
    asked: &Asked,
    warnings: &mut Warnings,
) -> Result<(Option<shape::Thinking<'a>>, Level), RequestError> {
    const KEY: &str = "reasoning_effort";
    let given = body.get("thinking").map(|node| node.object().map(|_| node.value)).transpose()?;
    let Some(effort) = effort(body)? else {
        return Ok((given.map(shape::Thinking::Given), None));
    };
    let (level, budget) = match effort {
        Effort::None => (None, 0),
        Effort::Minimal | Effort::Low => (Some("low"), BUDGET_MIN),
        Effort::Medium => (Some("medium"), 8 * BUDGET_MIN),
        Effort::High => (Some("high"), 24 * BUDGET_MIN),
        Effort::Xhigh => (Some("xhigh"), 32 * BUDGET_MIN),
        Effort::Max => (Some("max"), 32 * BUDGET_MIN),
    };
    let set = |r#type, budget_tokens| Some(shape::Thinking::Set { r#type, budget_tokens });
    let given = given.map(shape::Thinking::Given);
    match options.thinking {
        Thinking::Never if level.is_none() => Ok((given, None)),
        Thinking::Never => {
            warnings.add(KEY, "is left out: the model does not think");
            Ok((given, None))
        }
        Thinking::Adaptive | Thinking::Budget if level.is_none() => {
            Ok((given.or(set("disabled", None)), None))
        }
        Thinking::Adaptive | Thinking::Budget if asked.cannot_think => {
            let why = "is left out: the Anthropic API does not think before a forced tool call, \
                       or after a call whose thinking is missing";
            warnings.add(KEY, why);
            Ok((given, None))
        }
        Thinking::Adaptive => Ok((given.or(set("adaptive", None)), level)),
        // The budget is part of `max_tokens`: half of them are left for the answer.
        Thinking::Budget => match budget.min(asked.max_tokens / 2) {
            0..BUDGET_MIN => {
                warnings.add(KEY, "is left out: `max_tokens` leaves no room to think");
                Ok((given, None))
            }
            budget => Ok((given.or(set("enabled", Some(budget))), None)),
        },
    }
}

/// Whether the model thinks.
pub(in crate::translate) fn is_on(thinking: &shape::Thinking<'_>) -> bool {
    match thinking {
        shape::Thinking::Given(value) => value["type"] != json!("disabled"),
        shape::Thinking::Set { r#type, budget_tokens: _ } => *r#type != "disabled",
    }
}

/// A mark of what the model server shall cache, as several clients send it.
pub(in crate::translate) fn cache_control<'a>(object: &Object<'a>) -> Option<&'a Value> {
    object.get("cache_control").map(|node| node.value).filter(|value| !is_neutral(value))
}
