//! What an answer says, whole or in chunks: the one reader of its bytes.

use crate::facts::{
    AnswerFacts, CallPiece, ChoicePiece, Finish, Piece, TOKENS_MAX, TOOL_NAME_MAX_BYTES, Tier,
    Usage, cut,
};
use crate::members::{Members, list, text};
use crate::problem::{AnswerProblem, ErrorFacts, members_of};
use serde_json::value::RawValue;
use std::borrow::Cow;

mod usual;

#[cfg(test)]
mod tests;

/// Members of every chunk: one that has no other, and no choices, says nothing but its usage.
const ENVELOPE: [&str; 9] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "provider",
    "choices",
    "usage",
];

/// Members of a choice that are read, or repeat what is (`logprobs`: the text, token by token).
const CHOICE: [&str; 6] = ["index", "delta", "message", "finish_reason", "logprobs", "error"];
/// Members of a message that are read, or hold no text.
const MESSAGE: [&str; 9] = [
    "role",
    "content",
    "audio",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
    "error",
];
/// Members of a spoken answer that are read, and its sound.
const AUDIO: [&str; 4] = ["id", "transcript", "data", "expires_at"];
/// Members of a part of a content that are read.
const PART: [&str; 4] = ["type", "text", "refusal", "thinking"];

/// Reads a whole answer, a `chat.completion`.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead. An error inside a choice is the server's error
/// as much as one in its place.
pub fn read_answer(body: &[u8]) -> Result<AnswerFacts, AnswerProblem> {
    let (piece, fingerprint) = match usual::answer(body) {
        Some(answer) => answer,
        None => answer_piece(body)?,
    };
    let mut facts = AnswerFacts::default();
    facts.push(piece)?;
    facts.fingerprint = fingerprint;
    Ok(facts)
}

/// A whole answer of any form, with its `system_fingerprint`.
fn answer_piece(body: &[u8]) -> Result<(Piece, Option<String>), AnswerProblem> {
    let answer = answer_members(body)?;
    let choices = answer.list("choices");
    if choices.is_empty() {
        return Err(AnswerProblem::NoChoices);
    }
    let mut piece = envelope(&answer);
    for (index, choice) in (0..).zip(choices) {
        let choice = Members::of(choice).ok_or(AnswerProblem::NoMessage)?;
        let finish = finish_of(&choice)?;
        let message = choice.object("message").ok_or(AnswerProblem::NoMessage)?;
        let beside = others(&choice, &CHOICE);
        let mut choice = choice_piece(index, &message, finish);
        choice.other.push_str(&beside);
        // Nothing more comes of any of them: each is a call by itself, whatever its id.
        (0..).zip(&mut choice.calls).for_each(|(at, call)| call.index = Some(at));
        piece.choices.push(choice);
    }
    Ok((piece, answer.text("system_fingerprint")))
}

/// Reads the data of one server-sent event, a `chat.completion.chunk`. A chunk without choices is
/// no problem: the last one brings the usage.
///
/// # Errors
/// [`AnswerProblem`] when it is not JSON or is an error, also inside a choice.
pub fn read_chunk(data: &[u8]) -> Result<Piece, AnswerProblem> {
    match usual::chunk(data) {
        Some(piece) => Ok(piece),
        None => chunk_piece(data),
    }
}

/// A chunk of any form.
fn chunk_piece(data: &[u8]) -> Result<Piece, AnswerProblem> {
    let chunk = answer_members(data)?;
    let mut piece = envelope(&chunk);
    let choices = chunk.get("choices").map(|choices| list(choices).ok_or(AnswerProblem::NoChoices));
    for (place, choice) in (0..).zip(choices.transpose()?.unwrap_or_default()) {
        let Some(choice) = Members::of(choice) else { continue };
        let finish = finish_of(&choice)?;
        let index = choice.number("index").unwrap_or(place);
        // Some servers send the whole message in the one chunk they have.
        let delta = choice.object("delta").or_else(|| choice.object("message"));
        let delta = delta.unwrap_or_default();
        let mut said = choice_piece(index, &delta, finish);
        said.other.push_str(&others(&choice, &CHOICE));
        piece.choices.push(said);
    }
    Ok(piece)
}

/// A chunk without what a client that did not ask for usage must not see: `None` when nothing is
/// left of it, otherwise the same bytes less the member `usage`.
pub fn hide_usage(data: &[u8]) -> Option<Cow<'_, [u8]>> {
    const KEY: &[u8] = b"\"usage\"";
    let unchanged = Some(Cow::Borrowed(data));
    if !data.windows(KEY.len()).any(|window| window == KEY) {
        return unchanged;
    }
    let Ok(chunk) = members_of(data) else { return unchanged };
    if !chunk.0.iter().any(|(key, _)| key == "usage") {
        return unchanged;
    }
    let says_more = chunk.0.iter().any(|(key, _)| !ENVELOPE.contains(&key.as_ref()));
    if chunk.get("usage").is_some() && chunk.list("choices").is_empty() && !says_more {
        return None;
    }
    let kept: Vec<String> = chunk
        .0
        .iter()
        .filter(|(key, _)| key != "usage")
        .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_ref()), value.get()))
        .collect();
    Some(Cow::Owned(format!("{{{}}}", kept.join(",")).into_bytes()))
}

/// The members of an answer or a chunk that is not an error.
pub(crate) fn answer_members(body: &[u8]) -> Result<Members<'_>, AnswerProblem> {
    let members = members_of(body)?;
    // Older vLLM and its relatives have the error's members beside `object`.
    let is_error = members.text("object").as_deref() == Some("error");
    if members.get("error").is_some() || is_error {
        return Err(AnswerProblem::Error(ErrorFacts::of(&members)));
    }
    Ok(members)
}

/// What an answer says beside its choices.
pub(crate) fn envelope(answer: &Members<'_>) -> Piece {
    let (usage, model) = (usage_of(answer), answer.text("model"));
    Piece { usage, model, other: others(answer, &ENVELOPE), ..Piece::default() }
}

fn usage_of(answer: &Members<'_>) -> Option<Usage> {
    let usage = answer.object("usage")?;
    let count = |key| usage.number(key).filter(|count| *count <= TOKENS_MAX);
    let detail = |of: &str, key| {
        let details = usage.object(of);
        details.and_then(|details| details.number(key)).unwrap_or(0)
    };
    let (tokens_in, tokens_out) = (count("prompt_tokens")?, count("completion_tokens")?);
    Some(Usage {
        tokens_in,
        tokens_out,
        cache_read_in: detail("prompt_tokens_details", "cached_tokens").min(tokens_in),
        cache_write_in: detail("prompt_tokens_details", "cache_write_tokens").min(tokens_in),
        reasoning_out: detail("completion_tokens_details", "reasoning_tokens").min(tokens_out),
        cache_hour_in: detail("prompt_tokens_details", "cache_hour_tokens").min(tokens_in),
        audio_in: detail("prompt_tokens_details", "audio_tokens").min(tokens_in),
        audio_out: detail("completion_tokens_details", "audio_tokens").min(tokens_out),
        tier: answer.text("service_tier").map(|tier| Tier::parse(&tier)).unwrap_or_default(),
    })
}

/// Why the choice ended; an error in it, or as its reason, is the server's.
pub(crate) fn finish_of(choice: &Members<'_>) -> Result<Option<Finish>, AnswerProblem> {
    let finish = choice.text("finish_reason").and_then(|reason| Finish::parse(&reason));
    match choice.get("error") {
        Some(error) => Err(AnswerProblem::Error(ErrorFacts::of_error(error))),
        None if finish == Some(Finish::Error) => Err(AnswerProblem::Error(ErrorFacts::default())),
        None => Ok(finish),
    }
}

fn choice_piece(index: u64, message: &Members<'_>, finish: Option<Finish>) -> ChoicePiece {
    let mut piece = ChoicePiece { index, finish, ..ChoicePiece::default() };
    if let Some(content) = message.get("content") {
        add_content(&mut piece, content);
    }
    // OpenAI's spoken answers have a transcript beside no content.
    if let Some(audio) = message.object("audio") {
        piece.text.push_str(&audio.text("transcript").unwrap_or_default());
        piece.other.push_str(&others(&audio, &AUDIO));
    }
    piece.other.push_str(&others(message, &MESSAGE));
    // vLLM, DeepSeek and llama.cpp; newer vLLM and OpenRouter. Who sends both sends one text twice.
    let mut reasoning =
        ["reasoning_content", "reasoning"].into_iter().filter_map(|key| message.text(key));
    let first = reasoning.next().unwrap_or_default();
    piece.other.extend(reasoning.filter(|second| *second != first));
    piece.reasoning.push_str(&first);
    piece.refusal.push_str(&message.text("refusal").unwrap_or_default());
    piece.calls.extend(message.list("tool_calls").into_iter().map(call_piece));
    if let Some(call) = message.object("function_call") {
        // The old form has one call for an answer; it is read as one more call.
        piece.calls.push(CallPiece { index: Some(u64::MAX), ..called(&call, "arguments") });
    }
    piece
}

/// Content is a text, or a list of parts: text, refusals, and the thinking of some servers.
fn add_content(piece: &mut ChoicePiece, content: &RawValue) {
    if let Some(text) = text(content) {
        piece.text.push_str(&text);
        return;
    }
    for part in list(content).unwrap_or_default().into_iter().filter_map(Members::of) {
        if let Some(thinking) = part.get("thinking") {
            let parts = list(thinking).unwrap_or_default().into_iter().filter_map(Members::of);
            let texts = parts.filter_map(|part| part.text("text"));
            piece.reasoning.extend(text(thinking).into_iter().chain(texts));
        }
        piece.text.push_str(&part.text("text").unwrap_or_default());
        piece.refusal.push_str(&part.text("refusal").unwrap_or_default());
        piece.other.push_str(&others(&part, &PART));
    }
}

/// The members that are not among the known ones: a text as it reads, all else as JSON, where what
/// is escaped is found as in the arguments of tools.
pub(crate) fn others(of: &Members<'_>, known: &[&str]) -> String {
    let mut said = String::new();
    for (key, value) in &of.0 {
        let is_empty = matches!(value.get(), "null" | "true" | "false" | "[]" | "{}" | "\"\"");
        if !is_empty && !known.contains(&key.as_ref()) {
            said.push_str(&text(value).unwrap_or_else(|| value.get().to_owned()));
        }
    }
    said
}

/// A tool call, or a piece of one; what cannot be read is still a call, of a tool without a name.
fn call_piece(raw: &RawValue) -> CallPiece {
    let call = Members::of(raw).unwrap_or_default();
    let forms = [("function", "arguments"), ("custom", "input")];
    let tool = forms.iter().find_map(|(form, texts)| Some(called(&call.object(form)?, texts)));
    let CallPiece { name, arguments, index: _, id: _ } = tool.unwrap_or_default();
    CallPiece { index: call.number("index"), id: call.text("id"), name, arguments }
}

fn called(tool: &Members<'_>, arguments: &str) -> CallPiece {
    let name = tool.text("name").unwrap_or_default();
    let name = cut(&name, TOOL_NAME_MAX_BYTES).to_owned();
    // Arguments are JSON in a string; servers that send the JSON itself are read all the same.
    let given = tool.get(arguments);
    let arguments = given.map(|raw| text(raw).unwrap_or_else(|| raw.get().to_owned()));
    CallPiece { name, arguments: arguments.unwrap_or_default(), ..CallPiece::default() }
}
