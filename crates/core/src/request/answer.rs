//! What an upstream's answer says, whole or in pieces.
//!
//! Upstreams differ, and some lie: everything is read leniently and nothing is trusted. A member
//! of a type that is not expected counts as absent; only what makes the answer useless is a
//! problem. Tool calls fail closed: one whose name cannot be read counts with an empty name, which
//! no allow-list holds.

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Most text kept of one answer, in bytes: 1 MiB is above 250 000 tokens, more than any model in
/// use writes in one answer; the rest is counted as cut.
pub const ANSWER_TEXT_MAX_BYTES: usize = 1 << 20;
/// Most tool calls read of one answer; the OpenAI API allows 128 tools in a request.
pub const TOOL_CALLS_MAX: usize = 128;
/// Longest tool name kept, in bytes; the OpenAI API allows 64 characters.
const TOOL_NAME_MAX_BYTES: usize = 256;
/// Longest upstream error code kept, in characters.
const CODE_MAX: usize = 64;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerFacts {
    /// Text of the first choice (of a stream: all of it); the refusal where there is only that.
    pub text: String,
    /// Texts of the choices after the first, where `n` asked for more; detectors must see them.
    pub other_texts: Vec<String>,
    /// Names of the tools called, in order, over all choices; empty text for one without a name.
    pub tool_calls: Vec<String>,
    /// `finish_reason` of the first choice.
    pub finish_reason: Option<String>,
    /// Prompt and answer tokens as the upstream reports them.
    pub usage: Option<(u64, u64)>,
    /// `model` as the upstream names itself.
    pub model: Option<String>,
    /// Whether the upstream itself marks the answer as a refusal (`refusal`, `content_filter`).
    pub refusal: bool,
    /// Whether text beyond [`ANSWER_TEXT_MAX_BYTES`] was left out.
    pub text_cut: bool,
}

impl AnswerFacts {
    /// The tool names as slices, as `Detectors::inspect` takes them.
    pub fn tool_names(&self) -> Vec<&str> {
        self.tool_calls.iter().map(String::as_str).collect()
    }
}

/// Why an answer is not one. Texts never hold the upstream's own words but for its error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// No bytes.
    #[error("the upstream's answer is empty")]
    Empty,
    /// A web page, as proxies and login walls send.
    #[error("the upstream's answer is HTML, not JSON")]
    Html,
    /// Not JSON.
    #[error("the upstream's answer is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but not an object.
    #[error("the upstream's answer is not a JSON object")]
    NotObject,
    /// An `error` member in what should be an answer.
    #[error("the upstream sent an error in place of an answer{}", shown_code(code))]
    Error {
        /// `error.code` or `error.type`, cut to 64 characters of `A-Za-z0-9._-`.
        code: Option<String>,
    },
    /// `choices` is absent, not a list, or empty.
    #[error("the upstream's answer has no choices")]
    NoChoices,
    /// The first choice has no `message`.
    #[error("the upstream's answer has a choice without a message")]
    NoMessage,
    /// More than [`TOOL_CALLS_MAX`] tool calls.
    #[error("the upstream's answer calls more than 128 tools")]
    TooManyToolCalls,
}

/// Reads a whole answer, a `chat.completion`.
///
/// # Errors
/// [`AnswerProblem`], which says what it is instead.
pub fn read_answer(body: &[u8]) -> Result<AnswerFacts, AnswerProblem> {
    let answer = object_of(body)?;
    let choices = match answer.get("choices") {
        Some(Value::Array(choices)) if !choices.is_empty() => choices,
        Some(_) | None => return Err(AnswerProblem::NoChoices),
    };
    let mut facts = AnswerFacts {
        usage: usage_of(&answer),
        model: text_of(&answer, "model"),
        ..AnswerFacts::default()
    };
    for (i, choice) in choices.iter().enumerate() {
        let message = choice.get("message").and_then(Value::as_object);
        let message = message.ok_or(AnswerProblem::NoMessage)?;
        let mut text = String::new();
        facts.text_cut |= !append(&mut text, &content_text(message.get("content")));
        let refusal = message.get("refusal").and_then(Value::as_str).unwrap_or_default();
        let finish = choice.get("finish_reason").and_then(Value::as_str);
        facts.refusal |= !refusal.is_empty() || finish == Some("content_filter");
        if text.is_empty() {
            facts.text_cut |= !append(&mut text, refusal);
        }
        if i == 0 {
            facts.finish_reason = finish.map(str::to_owned);
            facts.text = text;
        } else {
            facts.other_texts.push(text);
        }
        facts.tool_calls.extend(names_in(message));
        if facts.tool_calls.len() > TOOL_CALLS_MAX {
            return Err(AnswerProblem::TooManyToolCalls);
        }
    }
    Ok(facts)
}

/// What a stream says so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamFacts {
    facts: AnswerFacts,
    refusal_text: String,
    calls: Vec<PartialCall>,
    token_seen: bool,
}

/// A tool call whose pieces are still coming.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct PartialCall {
    choice: u64,
    index: Option<u64>,
    id: Option<String>,
    name: String,
}

impl StreamFacts {
    /// Reads the data of one server-sent event, a `chat.completion.chunk`; `[DONE]` and empty data
    /// say nothing.
    ///
    /// # Errors
    /// [`AnswerProblem`] when it is not JSON, is an error object, or calls too many tools. A chunk
    /// without choices is none: the last one brings the usage.
    pub fn push(&mut self, data: &[u8]) -> Result<(), AnswerProblem> {
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Ok(());
        }
        let chunk = object_of(data)?;
        if let Some(usage) = usage_of(&chunk) {
            self.facts.usage = Some(usage);
        }
        if self.facts.model.is_none() {
            self.facts.model = text_of(&chunk, "model");
        }
        let choices = chunk.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten().filter_map(Value::as_object) {
            self.push_choice(choice)?;
        }
        Ok(())
    }

    fn push_choice(&mut self, choice: &Map<String, Value>) -> Result<(), AnswerProblem> {
        if let Some(finish) = text_of(choice, "finish_reason") {
            self.facts.refusal |= finish == "content_filter";
            self.facts.finish_reason = Some(finish);
        }
        let Some(delta) = choice.get("delta").and_then(Value::as_object) else {
            return Ok(());
        };
        let text = content_text(delta.get("content"));
        self.facts.text_cut |= !append(&mut self.facts.text, &text);
        let refusal = delta.get("refusal").and_then(Value::as_str).unwrap_or_default();
        self.facts.refusal |= !refusal.is_empty();
        self.facts.text_cut |= !append(&mut self.refusal_text, refusal);
        self.token_seen |= !text.is_empty() || !refusal.is_empty();

        let number = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            self.push_call(number, call)?;
        }
        if let Some(call) = delta.get("function_call").filter(|call| call.is_object()) {
            // The old form has one call per answer; it is read as a call of its own name.
            let wrapped = serde_json::json!({ "index": u64::MAX, "function": call });
            self.push_call(number, &wrapped)?;
        }
        Ok(())
    }

    /// Joins the piece to the call it belongs to: by index, or by id where a server gives the same
    /// index to several calls, or to the last call where it gives neither.
    fn push_call(&mut self, choice: u64, piece: &Value) -> Result<(), AnswerProblem> {
        self.token_seen = true;
        let index = piece.get("index").and_then(Value::as_u64);
        let id = piece.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let name = name_in(piece);
        let belongs = |call: &PartialCall| {
            let same_id = match (id, call.id.as_deref()) {
                (Some(new), Some(old)) => new == old,
                (Some(_), None) | (None, Some(_)) | (None, None) => true,
            };
            let same_index = match index {
                Some(index) => call.index == Some(index),
                None => id.is_some() && call.id.is_some() || name.is_empty(),
            };
            call.choice == choice && same_id && same_index
        };
        let place = match self.calls.iter().rposition(belongs) {
            Some(place) => place,
            None if self.calls.len() == TOOL_CALLS_MAX => {
                return Err(AnswerProblem::TooManyToolCalls);
            }
            None => {
                self.calls.push(PartialCall { choice, index, ..PartialCall::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[place];
        call.id = call.id.take().or_else(|| id.map(str::to_owned));
        // Some servers repeat the whole name in every piece, some send it in pieces.
        if call.name != name {
            let room = TOOL_NAME_MAX_BYTES.saturating_sub(call.name.len());
            call.name.push_str(cut(name, room));
        }
        Ok(())
    }

    /// Whether a token of the answer has come: text, a refusal or a piece of a tool call.
    pub fn has_token(&self) -> bool {
        self.token_seen
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.facts.text
    }

    /// Whether a `finish_reason` has come: an answer that ends without one was cut short.
    pub fn is_finished(&self) -> bool {
        self.facts.finish_reason.is_some()
    }

    /// What the stream said.
    pub fn finish(self) -> AnswerFacts {
        let mut facts = self.facts;
        facts.tool_calls = self.calls.into_iter().map(|call| call.name).collect();
        if facts.text.is_empty() {
            facts.text = self.refusal_text;
        }
        facts
    }
}

fn object_of(body: &[u8]) -> Result<Map<String, Value>, AnswerProblem> {
    match body.trim_ascii().first() {
        None => return Err(AnswerProblem::Empty),
        Some(b'<') => return Err(AnswerProblem::Html),
        Some(_) => {}
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| AnswerProblem::NotJson { line: error.line(), column: error.column() })?;
    let Value::Object(map) = value else { return Err(AnswerProblem::NotObject) };
    match map.get("error") {
        None | Some(Value::Null) => Ok(map),
        Some(error) => Err(AnswerProblem::Error { code: code_of(error) }),
    }
}

fn shown_code(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" (code `{code}`)")).unwrap_or_default()
}

/// `code` or `type` of an error object, as far as it is safe to show.
fn code_of(error: &Value) -> Option<String> {
    let value = ["code", "type"].iter().find_map(|key| error.get(key).filter(|v| !v.is_null()))?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let safe = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let code: String = text.chars().take(CODE_MAX).filter(safe).collect();
    (!code.is_empty()).then_some(code)
}

fn text_of(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// More tokens than any answer has; who reports more has reported nothing.
const TOKENS_MAX: u64 = 100_000_000;

fn usage_of(map: &Map<String, Value>) -> Option<(u64, u64)> {
    let usage = map.get("usage")?;
    let count = |key| usage.get(key).and_then(Value::as_u64).filter(|count| *count <= TOKENS_MAX);
    Some((count("prompt_tokens")?, count("completion_tokens")?))
}

/// Text of a message's `content`: a string, or the text parts of a list; empty for anything else.
pub fn content_text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            String::new()
        }
    }
}

fn names_in(message: &Map<String, Value>) -> Vec<String> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let mut names: Vec<String> =
        calls.into_iter().flatten().map(|call| name_in(call).to_owned()).collect();
    if let Some(call) = message.get("function_call").and_then(Value::as_object) {
        let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
        names.push(cut(name, TOOL_NAME_MAX_BYTES).to_owned());
    }
    names
}

/// The name in a tool call: of a function, or of a custom tool.
fn name_in(call: &Value) -> &str {
    let named = |form| call.get(form).and_then(|tool: &Value| tool.get("name")?.as_str());
    cut(named("function").or_else(|| named("custom")).unwrap_or_default(), TOOL_NAME_MAX_BYTES)
}

/// Appends as much as fits; false when something was left out.
fn append(text: &mut String, piece: &str) -> bool {
    let fits = cut(piece, ANSWER_TEXT_MAX_BYTES.saturating_sub(text.len()));
    text.push_str(fits);
    fits.len() == piece.len()
}

/// The first `max` bytes, less what would split a character.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
