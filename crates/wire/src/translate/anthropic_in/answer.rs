//! Whole answers.

use crate::anthropic::write::{AnswerBlock, Message, StopReason, UsageShape};
use crate::facts::{ChoiceFacts, Finish, ToolCall};
use crate::openai_chat::read_answer;
use crate::problem::AnswerProblem;
use serde_json::value::RawValue;

/// Translates a whole chat completion into a message of this id.
///
/// # Errors
/// [`AnswerProblem`]: what it is instead, or why it cannot be said in the other API.
pub fn answer(body: &[u8], id: &str) -> Result<Vec<u8>, AnswerProblem> {
    let facts = read_answer(body)?;
    if facts.text_cut {
        return Err(AnswerProblem::Untranslatable("it has more text than is read of an answer"));
    }
    let nothing = ChoiceFacts::default();
    let choice = facts.choices.first().unwrap_or(&nothing);
    let mut content = Vec::new();
    if !choice.reasoning.is_empty() {
        content.push(AnswerBlock::Thinking { thinking: &choice.reasoning, signature: "" });
    }
    let texts = [&choice.text, &choice.refusal].into_iter().filter(|text| !text.is_empty());
    content.extend(texts.map(|text| AnswerBlock::Text { text }));
    let is_cut = choice.finish == Some(Finish::Length);
    for (n, call) in choice.tool_calls.iter().enumerate() {
        match tool_use(call, id, n) {
            Ok(block) => content.push(block),
            // The rest of its arguments did not come, and the stop reason says so.
            Err(_) if is_cut => {}
            Err(problem) => return Err(problem),
        }
    }
    let message = Message {
        id,
        r#type: "message",
        role: "assistant",
        model: facts.model.as_deref().unwrap_or_default(),
        stop_reason: Some(StopReason::of(choice.finish.as_ref(), !choice.tool_calls.is_empty())),
        stop_sequence: (),
        usage: UsageShape::of(facts.usage.unwrap_or_default()),
        content,
    };
    // Strings and numbers only: this cannot fail.
    Ok(serde_json::to_vec(&message).unwrap_or_default())
}

fn tool_use<'a>(
    call: &'a ToolCall,
    message: &str,
    n: usize,
) -> Result<AnswerBlock<'a>, AnswerProblem> {
    let arguments = call.arguments.trim();
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    let input = serde_json::from_str::<&RawValue>(arguments).ok();
    let input = input.filter(|raw| raw.get().starts_with('{'));
    let input = input.ok_or(AnswerProblem::Untranslatable(
        "it calls a tool with arguments that are no JSON object",
    ))?;
    Ok(AnswerBlock::ToolUse { id: call_id(call.id(), message, n), name: &call.name, input })
}

/// A call's id; one is made where the server gives none, since results name it.
pub(super) fn call_id(id: Option<&str>, message: &str, n: usize) -> String {
    id.map_or_else(|| format!("toolu_{message}_{n}"), str::to_owned)
}
