//! What Converse's answers and events hold, in the form of Anthropic's: the two differ in names. A
//! value that is not expected counts as absent.

use super::error::error_of;
use crate::anthropic::{Block, BlockDelta, Event, Message, Tokens, finish_of};
use crate::facts::Finish;
use crate::members::{Members, list};
use crate::problem::{AnswerProblem, members_of};
use serde_json::value::RawValue;

fn object_of(body: &[u8]) -> Result<Members<'_>, AnswerProblem> {
    let members = members_of(body)?;
    match members.get("error") {
        Some(_) => Err(AnswerProblem::Error(error_of(&members))),
        None => Ok(members),
    }
}

/// Reads a whole answer.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub(crate) fn read_converse(body: &[u8]) -> Result<Message<'_>, AnswerProblem> {
    let answer = object_of(body)?;
    let message = answer.object("output").and_then(|output| output.object("message"));
    let content = message.and_then(|message| message.get("content")).and_then(list);
    Ok(Message {
        id: None,
        model: None,
        blocks: content.ok_or(AnswerProblem::NoContent)?.into_iter().map(block).collect(),
        finish: finish(&answer),
        refusal: None,
        tokens: Tokens::of_bedrock(answer.object("usage").as_ref()),
    })
}

fn block(raw: &RawValue) -> Block<'_> {
    let block = Members::of(raw).unwrap_or_default();
    if let Some(text) = block.text("text") {
        return Block::Text(text, None);
    }
    if let Some(call) = block.object("toolUse") {
        return tool_use(&call);
    }
    match block.object("reasoningContent") {
        Some(thought) => thinking(&thought),
        None => Block::Other(raw),
    }
}

fn tool_use<'a>(call: &Members<'a>) -> Block<'a> {
    Block::ToolUse {
        id: call.text("toolUseId"),
        name: call.text("name").unwrap_or_default(),
        input: call.get("input"),
    }
}

fn thinking<'a>(thought: &Members<'_>) -> Block<'a> {
    if let Some(data) = thought.text("redactedContent") {
        return Block::Redacted { data };
    }
    let said = thought.object("reasoningText").unwrap_or_default();
    Block::Thinking {
        text: said.text("text").unwrap_or_default(),
        signature: said.text("signature").unwrap_or_default(),
    }
}

fn finish(members: &Members<'_>) -> Option<Finish> {
    let reason = members.text("stopReason")?;
    Some(match reason.as_str() {
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => Finish::Error,
        reason => return finish_of(reason),
    })
}

/// Reads the data of one event, which may be several of Anthropic's: a thought has no beginning of
/// its own here. `begun` says which blocks have begun.
///
/// # Errors
/// [`AnswerProblem`] when it is not a JSON object, or is an error.
pub(crate) fn read_events(
    data: &[u8],
    mut begins: impl FnMut(u64) -> bool,
) -> Result<Vec<Event<'_>>, AnswerProblem> {
    let event = object_of(data)?;
    if event.get("messageStart").is_some() {
        return Ok(vec![Event::Start { id: None, model: None, tokens: Tokens::default() }]);
    }
    if let Some(start) = event.object("contentBlockStart") {
        let index = start.number("contentBlockIndex").unwrap_or(0);
        let call = start.object("start").and_then(|start| start.object("toolUse"));
        let Some(call) = call else { return Ok(Vec::new()) };
        begins(index);
        return Ok(vec![Event::BlockStart { index, block: tool_use(&call) }]);
    }
    if let Some(delta) = event.object("contentBlockDelta") {
        let index = delta.number("contentBlockIndex").unwrap_or(0);
        let delta = delta.object("delta").unwrap_or_default();
        return Ok(deltas(index, &delta, begins));
    }
    if let Some(stop) = event.object("contentBlockStop") {
        let index = stop.number("contentBlockIndex").unwrap_or(0);
        return Ok(vec![Event::BlockStop { index }]);
    }
    if let Some(stop) = event.object("messageStop") {
        let tokens = Tokens::default();
        return Ok(vec![Event::Delta { finish: finish(&stop), refusal: None, tokens }]);
    }
    let Some(metadata) = event.object("metadata") else { return Ok(vec![Event::Other]) };
    let tokens = Tokens::of_bedrock(metadata.object("usage").as_ref());
    Ok(vec![Event::Delta { finish: None, refusal: None, tokens }, Event::Stop])
}

fn deltas<'a>(
    index: u64,
    delta: &Members<'a>,
    mut begins: impl FnMut(u64) -> bool,
) -> Vec<Event<'a>> {
    if let Some(text) = delta.text("text") {
        return vec![Event::BlockDelta { index, delta: BlockDelta::Text(text) }];
    }
    if let Some(call) = delta.object("toolUse") {
        let delta = BlockDelta::InputJson(call.text("input").unwrap_or_default());
        return vec![Event::BlockDelta { index, delta }];
    }
    let Some(thought) = delta.object("reasoningContent") else { return Vec::new() };
    let mut events = Vec::new();
    if let Some(data) = thought.text("redactedContent") {
        begins(index);
        events.push(Event::BlockStart { index, block: Block::Redacted { data } });
        return events;
    }
    if begins(index) {
        let block = Block::Thinking { text: String::new(), signature: String::new() };
        events.push(Event::BlockStart { index, block });
    }
    let text = thought.text("text").map(BlockDelta::Thinking);
    let delta = text.or_else(|| thought.text("signature").map(BlockDelta::Signature));
    events.extend(delta.map(|delta| Event::BlockDelta { index, delta }));
    events
}
