//! The members of a request beside its messages and tools.

use super::{Options, Thinking};
use crate::gemini::shape;
use crate::request_error::RequestError;
use crate::translate::chat_request::{
    Effort, Format, effort, format, max_tokens, one_text, only_known, stops,
};
use crate::translate::node::Object;
use crate::translate::warnings::{LEFT_OUT, NO_SAMPLING, Warnings};

/// Members that are translated beside those that each API has a word for.
const READ: [&str; 6] =
    ["top_k", "seed", "presence_penalty", "frequency_penalty", "service_tier", "top_logprobs"];

/// Members that the answer means the same without, beside those that no other API has.
const HARMLESS: [&str; 4] = ["user", "safety_identifier", "metadata", "cache_control"];

/// Refuses members that change what the answer means and have no counterpart.
pub(super) fn check_members(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<(), RequestError> {
    only_known(body, &READ, &HARMLESS, warnings, |name| match name {
        "functions" | "function_call" => "use `tools` and `tool_choice`",
        "logit_bias" => "the Gemini API has no token biases",
        _ => "the Gemini API has nothing for it",
    })?;
    one_text(body)
}

pub(super) fn generation<'a>(
    body: &Object<'a>,
    options: &Options,
    warnings: &mut Warnings,
) -> Result<shape::GenerationConfig<'a>, RequestError> {
    let mut number = |key: &str| -> Result<Option<&'a serde_json::Value>, RequestError> {
        let Some(node) = body.get(key) else { return Ok(None) };
        node.number()?;
        if key != "seed" && !options.sampling {
            warnings.add(key, NO_SAMPLING);
            return Ok(None);
        }
        Ok(Some(node.value))
    };
    let mut config = shape::GenerationConfig {
        max_output_tokens: max_tokens(body)?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        seed: number("seed")?,
        presence_penalty: number("presence_penalty")?,
        frequency_penalty: number("frequency_penalty")?,
        ..shape::GenerationConfig::default()
    };
    for stop in stops(body)? {
        config.stop_sequences.push(stop.text()?);
    }
    let format = format(body)?;
    config.response_mime_type = format.as_ref().map(|_| "application/json");
    if let Some(Format::Schema { schema, description: _ }) = format {
        config.response_json_schema = Some(schema.value);
    }
    config.thinking_config = thinking(body, options, warnings)?;
    Ok(config)
}

/// How hard the model is to think, in the steps that Google's own chat completions have.
fn thinking(
    body: &Object<'_>,
    options: &Options,
    warnings: &mut Warnings,
) -> Result<Option<shape::Thinking>, RequestError> {
    let Some(effort) = effort(body)? else { return Ok(None) };
    let (thinking_level, thinking_budget) = match effort {
        // No model of this kind can be kept from thinking at all.
        Effort::None | Effort::Minimal => ("minimal", 1024),
        Effort::Low => ("low", 1024),
        Effort::Medium => ("medium", 8192),
        Effort::High => ("high", 24_576),
        Effort::Xhigh | Effort::Max => ("xhigh", 32_768),
    };
    let is_none = effort == Effort::None;
    Ok(match options.thinking {
        Thinking::Level => Some(shape::Thinking::Level { thinking_level }),
        Thinking::Budget if is_none => Some(shape::Thinking::Budget { thinking_budget: 0 }),
        Thinking::Budget => Some(shape::Thinking::Budget { thinking_budget }),
        Thinking::Never => {
            if !is_none {
                warnings.add("reasoning_effort", "is left out: the model does not think");
            }
            None
        }
    })
}

pub(super) fn service_tier(
    body: &Object<'_>,
    warnings: &mut Warnings,
) -> Result<Option<&'static str>, RequestError> {
    Ok(match body.text("service_tier")? {
        None | Some("auto") => None,
        Some("default") => Some("standard"),
        Some("flex") => Some("flex"),
        Some("priority" | "fast") => Some("priority"),
        Some(_) => {
            warnings.add("service_tier", LEFT_OUT);
            None
        }
    })
}
