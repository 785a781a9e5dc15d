//! Whole answers.

use crate::facts::{ChoiceFacts, Finish};
use crate::gemini::write::{CallShape, Generated, SaidPart};
use crate::openai_chat::read_answer;
use crate::problem::AnswerProblem;
use serde_json::value::RawValue;

/// Translates a whole chat completion into an answer of this id.
///
/// # Errors
/// [`AnswerProblem`]: what it is instead, or why it cannot be said in the other API.
pub fn answer(body: &[u8], id: &str, shows_thoughts: bool) -> Result<Vec<u8>, AnswerProblem> {
    let facts = read_answer(body)?;
    if facts.text_cut {
        return Err(AnswerProblem::Untranslatable("it has more text than is read of an answer"));
    }
    let nothing = ChoiceFacts::default();
    let choice = facts.choices.first().unwrap_or(&nothing);
    let mut parts = Vec::new();
    if shows_thoughts && !choice.reasoning.is_empty() {
        parts.push(SaidPart::Thought { text: &choice.reasoning, thought: true });
    }
    let texts = [&choice.text, &choice.refusal].into_iter().filter(|text| !text.is_empty());
    parts.extend(texts.map(|text| SaidPart::Text { text }));
    let is_cut = choice.finish == Some(Finish::Length);
    for call in &choice.tool_calls {
        match args(&call.arguments) {
            Ok(args) => {
                let function_call = CallShape { id: call.id(), name: &call.name, args };
                parts.push(SaidPart::Call { function_call });
            }
            // The rest of its arguments did not come, and the finish reason says so.
            Err(_) if is_cut => {}
            Err(problem) => return Err(problem),
        }
    }
    let model = facts.model.as_deref().unwrap_or_default();
    let generated = Generated::new(id, model, parts);
    Ok(generated.ended(choice.finish.as_ref(), facts.usage).written())
}

/// The arguments of a call, which must be an object.
pub(super) fn args(arguments: &str) -> Result<&RawValue, AnswerProblem> {
    let arguments = arguments.trim();
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    let raw = serde_json::from_str::<&RawValue>(arguments).ok();
    raw.filter(|raw| raw.get().starts_with('{')).ok_or(AnswerProblem::Untranslatable(
        "it calls a tool with arguments that are no JSON object",
    ))
}
