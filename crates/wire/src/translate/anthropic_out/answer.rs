//! Whole answers.

use crate::anthropic::{Block, Message, read_message};
use crate::facts::TOOL_CALLS_MAX;
use crate::openai_chat::shape::{Call, Envelope, Function, Said, Text, ThinkingBlock};
use crate::problem::AnswerProblem;
use std::borrow::Cow;

/// Translates a whole answer; `created` is when it came, seconds since the epoch.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn answer(body: &[u8], created: u64) -> Result<Vec<u8>, AnswerProblem> {
    written(read_message(body)?, created)
}

/// An answer as a chat completion.
pub(in crate::translate) fn written(
    message: Message<'_>,
    created: u64,
) -> Result<Vec<u8>, AnswerProblem> {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut said = Said { role: Some("assistant"), ..Said::default() };
    for block in message.blocks {
        match block {
            Block::Text(text, _) => content.push_str(&text),
            Block::Thinking { text, signature } => {
                reasoning.push_str(&text);
                said.thinking_blocks.extend(signed(None, text, signature));
            }
            Block::Redacted { data } => {
                let block = ThinkingBlock::RedactedThinking { index: None, data: Cow::Owned(data) };
                said.thinking_blocks.push(block);
            }
            Block::ToolUse { .. } if said.tool_calls.len() == TOOL_CALLS_MAX => {
                return Err(AnswerProblem::TooManyToolCalls);
            }
            Block::ToolUse { id, name, input } => {
                let arguments = Cow::Borrowed(input.map_or("{}", |raw| raw.get()));
                said.tool_calls.push(Call {
                    id: Some(Cow::Owned(id.unwrap_or_default())),
                    r#type: Some("function"),
                    function: Function { name: Some(Cow::Owned(name)), arguments },
                    ..Call::default()
                });
            }
            // The model server's own tools, which a translated request cannot ask for.
            Block::Other(_) => {}
        }
    }
    said.content = Text::or_null(content);
    said.refusal = Text::or_null(message.refusal.unwrap_or_default());
    said.reasoning_content = (!reasoning.is_empty()).then_some(Cow::Owned(reasoning));
    let (id, model) = (message.id.unwrap_or_default(), message.model.unwrap_or_default());
    let envelope = Envelope { id: &id, created, model: &model };
    Ok(envelope.answer(&said, message.finish.as_ref(), message.tokens.usage()))
}

/// What the model thought, to be sent back; without a signature the API would refuse it.
pub(super) fn signed(
    index: Option<usize>,
    thinking: String,
    signature: String,
) -> Option<ThinkingBlock<'static>> {
    let is_signed = !signature.is_empty();
    let (thinking, signature) = (Cow::Owned(thinking), Cow::Owned(signature));
    is_signed.then_some(ThinkingBlock::Thinking { index, thinking, signature })
}
