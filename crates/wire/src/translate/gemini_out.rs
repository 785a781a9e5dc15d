//! OpenAI's chat completions on the client's side, Google's Gemini API on the model server's.
//!
//! What differs, and what is made of it:
//!
//! - The model and whether to stream are in the path, which is the caller's.
//! - All system messages join in `systemInstruction`; a later one is moved with a warning.
//! - A schema goes over unchanged (`parametersJsonSchema`, `responseJsonSchema`).
//! - A result names its tool: the name is that of the call with its id. A result that is a JSON
//!   object goes over as it is, another as `{"result": …}`, one that failed as `{"error": …}`.
//! - A call's signature of what was thought before it comes in `extra_content.google`, where
//!   Google's own chat completions have it, and the next request brings it back.
//! - The end of a stream is the end of its body, after a reason to end.
//! - Tokens of the answer include thoughts, and those of the prompt what tools brought.

mod answer;
mod messages;
mod settings;

#[cfg(test)]
mod tests;

pub use answer::{Stream, answer};

use super::Translated;
use super::chat_request::{ToolChoice, tools};
use super::node::{Object, is_neutral};
use super::warnings::{LEFT_OUT, Warnings};
use crate::gemini::shape;
use crate::request_error::RequestError;
use serde_json::{Map, Value};

/// What the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether it takes `temperature`, `topP` and `topK`: models before Gemini 3.5.
    pub sampling: bool,
    /// How it is asked to think.
    pub thinking: Thinking,
    /// Whether a call without a signature gets the mark that Google documents for calls of other
    /// models: Gemini 3 and later refuse it without.
    pub marks_unsigned_calls: bool,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// By a level: Gemini 3 and later.
    Level,
    /// By a budget of tokens: Gemini 2.5.
    Budget,
    /// It cannot think, or shall not.
    Never,
}

/// Translates a chat completion request.
///
/// # Errors
/// [`RequestError`], which names the member at fault as the client knows it.
pub fn request(body: &Map<String, Value>, options: &Options) -> Result<Translated, RequestError> {
    let mut warnings = Warnings::default();
    let body = Object::body(body);
    settings::check_members(&body, &mut warnings)?;
    let conversation = messages::read(&body, options, &mut warnings)?;
    let chat_tools = tools(&body)?;
    for tool in &chat_tools.tools {
        let marks = [&tool.object, &tool.function].map(|object| object.get("cache_control"));
        let marks = marks.iter().flatten().filter(|node| !is_neutral(node.value));
        marks.for_each(|node| warnings.add(&node.at, LEFT_OUT));
    }
    let is_strict = chat_tools.tools.iter().any(|tool| tool.strict);
    let declared = chat_tools.tools.iter().map(|tool| shape::Function {
        name: tool.name,
        description: tool.description,
        parameters_json_schema: tool.parameters.as_ref().map(|node| node.value),
    });
    let function_declarations: Vec<_> = declared.collect();
    let has_tools = !function_declarations.is_empty();
    if has_tools
        && let Some(parallel) = body.get("parallel_tool_calls")
        && !parallel.flag()?
    {
        return Err(parallel.untranslatable("the Gemini API cannot be kept to one call at a time"));
    }
    let choice = match chat_tools.choice {
        // Arguments of a strict tool are of its schema, as they are where a call is forced.
        None | Some(ToolChoice::Auto) if is_strict => Some(("VALIDATED", None)),
        None => None,
        Some(ToolChoice::Auto) => Some(("AUTO", None)),
        Some(ToolChoice::None) => Some(("NONE", None)),
        Some(ToolChoice::Required) => Some(("ANY", None)),
        Some(ToolChoice::Named(name)) => Some(("ANY", Some(name))),
    };
    let tool_config = choice.filter(|_| has_tools).map(|(mode, name)| shape::ToolConfig {
        function_calling_config: shape::CallingConfig {
            mode,
            allowed_function_names: name.into_iter().collect(),
        },
    });
    let request = shape::Request {
        system_instruction: conversation.system,
        contents: conversation.contents,
        tools: if has_tools { vec![shape::Tools { function_declarations }] } else { Vec::new() },
        tool_config,
        generation_config: settings::generation(&body, options, &mut warnings)?,
        service_tier: settings::service_tier(&body, &mut warnings)?,
    };
    // Strings and numbers only: this cannot fail.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    Ok(Translated { body, warnings })
}
