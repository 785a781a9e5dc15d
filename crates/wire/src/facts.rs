//! What an answer says, whatever the dialect and whether it came whole or in pieces.
//!
//! A whole answer is one [`Piece`] that holds everything, so that both are added up by the same
//! code. Tool calls fail closed: one whose name cannot be read counts with an empty name, which no
//! list of allowed tools holds.
//!
//! Texts are kept up to a bound, and what is in other members is not kept at all; both are given
//! out once, in [`AnswerFacts::windows`], so that all an answer says can be searched whatever its
//! length.

use crate::problem::AnswerProblem;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

mod progress;
#[cfg(test)]
mod tests;
mod usage;

pub use progress::Progress;
pub use usage::{Tier, Usage};

/// Most text kept of one answer, in bytes, over all its choices and kinds of text: 4 MiB is about
/// a million tokens, more than any model in use writes; the rest is counted as cut.
pub const ANSWER_TEXT_MAX_BYTES: usize = 4 << 20;
/// From here on, bytes, a text is given much room at once.
const LONG_TEXT_BYTES: usize = 32 << 10;
/// How much of a text that is not kept is given out again with what follows it, bytes: what is
/// split between two pieces is found as long as it fits in here.
pub const WINDOW_OVERLAP_BYTES: usize = 8 << 10;
/// Most tool calls read of one answer; the OpenAI API allows 128 tools in a request.
pub const TOOL_CALLS_MAX: usize = 128;
/// Longest tool name kept, in bytes; the OpenAI API allows 64 characters.
pub const TOOL_NAME_MAX_BYTES: usize = 256;
/// Most choices of one answer that are kept apart; the OpenAI API allows 128.
const CHOICES_MAX: usize = 128;
/// More tokens than any answer has; who reports more has reported nothing.
pub(crate) const TOKENS_MAX: u64 = 100_000_000;

/// Why a choice ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Stop,
    /// It has as many tokens as it may.
    Length,
    /// A tool is to be called.
    ToolCalls,
    /// The model server's moderation ended it.
    ContentFilter,
    /// The model server failed.
    Error,
    /// Another reason, as it was given.
    Other(String),
}

impl Finish {
    /// Reads a `finish_reason`; an empty one is none.
    pub fn parse(text: &str) -> Option<Finish> {
        Some(match text.trim() {
            "" => return None,
            "stop" => Finish::Stop,
            "length" => Finish::Length,
            "tool_calls" | "function_call" => Finish::ToolCalls,
            "content_filter" => Finish::ContentFilter,
            "error" => Finish::Error,
            other => Finish::Other(other.chars().take(64).collect()),
        })
    }

    /// Its name in the OpenAI API.
    pub fn as_str(&self) -> &str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
            Finish::ContentFilter => "content_filter",
            Finish::Error => "error",
            Finish::Other(other) => other,
        }
    }
}

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCall {
    /// The tool; empty where the name could not be read.
    pub name: String,
    /// Its arguments, as the model wrote them: usually JSON.
    pub arguments: String,
    /// What identifies the call within its choice while pieces come.
    id: Option<String>,
    index: Option<u64>,
}

impl ToolCall {
    /// What the server calls it by (`id`), where it does.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// What one choice of an answer says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChoiceFacts {
    /// Its number, from 0.
    pub index: u64,
    /// The answer's text, with the transcript of spoken answers.
    pub text: String,
    /// What the model thought before it answered, where the server shows it.
    pub reasoning: String,
    /// The text of a refusal that the server marks as one.
    pub refusal: String,
    /// The tools it calls, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended; `None` until it did, and where the server gave no reason.
    pub finish: Option<Finish>,
}

/// Which text of an answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextKind {
    /// A choice's text.
    Answer,
    /// What the model thought before the answer, where it is sent.
    Reasoning,
    /// Why the model will not answer, in the API's own member for that.
    Refusal,
    /// The name of a tool it calls.
    ToolName,
    /// The arguments of that call.
    ToolArguments,
    /// A member that is none of these; never kept.
    Other,
}

/// What an answer says, or a stream so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerFacts {
    /// Its choices by number; most answers have one.
    pub choices: Vec<ChoiceFacts>,
    /// Tokens; `None` where the server reported none.
    pub usage: Option<Usage>,
    /// Tokens as the server counted them before the answer's end: the whole prompt, and of the
    /// answer as much as it had counted by then.
    pub so_far: Option<Box<Usage>>,
    /// `model` as the server names itself.
    pub model: Option<String>,
    /// `system_fingerprint`: by what the server runs, where it says so in a whole answer. A stream
    /// names it in each of its pieces, where nothing reads it.
    pub fingerprint: Option<String>,
    /// Whether text beyond [`ANSWER_TEXT_MAX_BYTES`], or choices beyond 128, were left out.
    pub text_cut: bool,
    kept_bytes: usize,
    windows: BTreeMap<(u64, TextKind, usize), Window>,
}

/// A text that is not kept, as far as it is still known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Window {
    text: String,
    is_fresh: bool,
}

impl Window {
    /// A piece with what came before it.
    fn of_all(before: &str, mut piece: String) -> Window {
        if !before.is_empty() {
            piece.insert_str(0, before);
        }
        Window { text: piece, is_fresh: true }
    }

    fn of_end(text: &str) -> Window {
        Window { text: end(text).to_owned(), is_fresh: false }
    }

    fn push(&mut self, more: &str) {
        let kept = end(&self.text).len();
        self.text.drain(..self.text.len() - kept);
        self.text.push_str(more);
        self.is_fresh = true;
    }
}

/// The end of a text that goes before what follows it.
fn end(text: &str) -> &str {
    let from = text.len().saturating_sub(WINDOW_OVERLAP_BYTES);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..]
}

impl AnswerFacts {
    /// Adds what a piece says.
    ///
    /// # Errors
    /// [`AnswerProblem::TooManyToolCalls`].
    pub fn push(&mut self, piece: Piece) -> Result<(), AnswerProblem> {
        let Piece { choices, usage, so_far, model, other } = piece;
        self.windows.values_mut().for_each(|window| window.is_fresh = false);
        if !other.is_empty() {
            self.window((u64::MAX, TextKind::Other, 0), "").push(&other);
        }
        self.usage = usage.or(self.usage);
        self.so_far = so_far.or(self.so_far.take());
        self.model = self.model.take().or(model);
        for choice in choices {
            self.push_choice(choice)?;
        }
        Ok(())
    }

    /// What the last piece said that is not kept, each text with the end of what came before it:
    /// what is over the bound, and every member that is no text of the answer (annotations,
    /// citations), as JSON.
    pub fn windows(&self) -> impl Iterator<Item = &str> {
        self.windows.values().filter(|window| window.is_fresh).map(|window| &*window.text)
    }

    /// The window of a text, which begins with the end of what is kept of it.
    fn window(&mut self, key: (u64, TextKind, usize), kept: &str) -> &mut Window {
        self.windows.entry(key).or_insert_with(|| Window::of_end(kept))
    }

    fn push_choice(&mut self, piece: ChoicePiece) -> Result<(), AnswerProblem> {
        let ChoicePiece { index, text, reasoning, refusal, calls, finish, other } = piece;
        let place = match self.choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(place) => place,
            Err(_) if self.choices.len() == CHOICES_MAX => {
                self.text_cut = true;
                let calls = calls.iter().flat_map(|call| [&call.name, &call.arguments]);
                let window = self.window((u64::MAX, TextKind::Answer, 0), "");
                for text in [&text, &reasoning, &refusal, &other].into_iter().chain(calls) {
                    window.push(text);
                }
                return Ok(());
            }
            Err(place) => {
                self.choices.insert(place, ChoiceFacts { index, ..ChoiceFacts::default() });
                place
            }
        };
        let others: usize = self.choices.iter().map(|choice| choice.tool_calls.len()).sum();
        let choice = &mut self.choices[place];
        let left = ANSWER_TEXT_MAX_BYTES - self.kept_bytes;
        let mut room = Room { left, cut: false, windows: &mut self.windows };
        room.append(&mut choice.text, text, (index, TextKind::Answer, 0));
        room.append(&mut choice.reasoning, reasoning, (index, TextKind::Reasoning, 0));
        room.append(&mut choice.refusal, refusal, (index, TextKind::Refusal, 0));
        if !other.is_empty() {
            room.windows.entry((index, TextKind::Other, 0)).or_default().push(&other);
        }
        choice.finish = finish.or(choice.finish.take());
        let free = TOOL_CALLS_MAX.saturating_sub(others - choice.tool_calls.len());
        let added = calls.into_iter().try_for_each(|call| choice.push_call(call, free, &mut room));
        let Room { left, cut, windows: _ } = room;
        self.kept_bytes = ANSWER_TEXT_MAX_BYTES - left;
        self.text_cut |= cut;
        added
    }

    /// The first choice's text, or its refusal where there is only that.
    pub fn text(&self) -> &str {
        match self.choices.first() {
            Some(choice) if choice.text.is_empty() => &choice.refusal,
            Some(choice) => &choice.text,
            None => "",
        }
    }

    /// What each choice says: its number, and its text, or its refusal where there is only that. An
    /// answer without choices says nothing once.
    pub fn choice_texts(&self) -> impl Iterator<Item = (u64, &str)> {
        let none = self.choices.is_empty().then_some((0, ""));
        none.into_iter().chain(self.choices.iter().map(|choice| match choice.text.is_empty() {
            true => (choice.index, choice.refusal.as_str()),
            false => (choice.index, choice.text.as_str()),
        }))
    }

    /// Every text that the model wrote, in order, with what it is: all choices, reasoning,
    /// refusals, tool names and arguments. Empty texts are left out.
    pub fn texts(&self) -> impl Iterator<Item = (TextKind, &str)> {
        self.choices.iter().flat_map(|choice| {
            let said = [
                (TextKind::Reasoning, choice.reasoning.as_str()),
                (TextKind::Answer, choice.text.as_str()),
                (TextKind::Refusal, choice.refusal.as_str()),
            ];
            let calls = choice.tool_calls.iter().flat_map(|call| {
                let ToolCall { name, arguments, id: _, index: _ } = call;
                [(TextKind::ToolName, name.as_str()), (TextKind::ToolArguments, arguments.as_str())]
            });
            said.into_iter().chain(calls).filter(|(_, text)| !text.is_empty())
        })
    }

    /// The tools called, in order, over all choices.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.choices.iter().flat_map(|choice| &choice.tool_calls)
    }

    /// Their names; an empty text for one without a name.
    pub fn tool_names(&self) -> Vec<&str> {
        self.tool_calls().map(|call| call.name.as_str()).collect()
    }

    /// Why the first choice ended.
    pub fn finish(&self) -> Option<&Finish> {
        self.choices.first().and_then(|choice| choice.finish.as_ref())
    }

    /// Whether the server itself marks the answer, or a choice of it, as a refusal.
    pub fn is_refusal(&self) -> bool {
        self.choices.iter().any(|choice| {
            !choice.refusal.is_empty() || choice.finish == Some(Finish::ContentFilter)
        })
    }

    /// Whether the answer is of any use to its reader: text, a tool call, or a refusal. An
    /// answer of white space, or of reasoning alone, is not.
    pub fn is_useful(&self) -> bool {
        self.is_refusal()
            || self
                .choices
                .iter()
                .any(|choice| !choice.text.trim().is_empty() || !choice.tool_calls.is_empty())
    }
}

impl ChoiceFacts {
    /// Joins the piece to the call it belongs to: by index, or by id where a server gives the same
    /// index to several calls, or to the last call where it gives neither.
    fn push_call(
        &mut self,
        piece: CallPiece,
        free: usize,
        room: &mut Room<'_>,
    ) -> Result<(), AnswerProblem> {
        let CallPiece { index, id, name, arguments } = piece;
        let belongs = |call: &ToolCall| {
            let same_id = match (&id, &call.id) {
                (Some(new), Some(old)) => new == old,
                (Some(_), None) | (None, Some(_)) | (None, None) => true,
            };
            let same_index = match index {
                Some(index) => call.index == Some(index),
                None => id.is_some() && call.id.is_some() || name.is_empty(),
            };
            same_id && same_index
        };
        let place = match self.tool_calls.iter().rposition(belongs) {
            Some(place) => place,
            None if self.tool_calls.len() >= free => return Err(AnswerProblem::TooManyToolCalls),
            None => {
                self.tool_calls.push(ToolCall { index, ..ToolCall::default() });
                self.tool_calls.len() - 1
            }
        };
        let call = &mut self.tool_calls[place];
        call.id = call.id.take().or(id);
        // Some servers repeat the whole name in every piece, some send it in pieces.
        if call.name != name {
            let left = TOOL_NAME_MAX_BYTES.saturating_sub(call.name.len());
            call.name.push_str(cut(&name, left));
        }
        room.append(&mut call.arguments, arguments, (self.index, TextKind::ToolArguments, place));
        Ok(())
    }
}

/// What one event of a stream says, or a whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// What it adds to the choices.
    pub choices: Vec<ChoicePiece>,
    /// Tokens, where it reports them.
    pub usage: Option<Usage>,
    /// Tokens up to here, where the server counts before the answer's end.
    pub so_far: Option<Box<Usage>>,
    /// `model` as the server names itself.
    pub model: Option<String>,
    /// Members beside the choices that the API does not have for itself, as JSON.
    pub other: String,
}

impl Piece {
    /// Whether it has a token of the answer.
    pub fn has_token(&self) -> bool {
        self.choices.iter().any(ChoicePiece::has_token)
    }
}

/// What a piece adds to one choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChoicePiece {
    /// The choice's number, from 0.
    pub index: u64,
    /// More of its text.
    pub text: String,
    /// More of its reasoning.
    pub reasoning: String,
    /// More of its refusal.
    pub refusal: String,
    /// More of its tool calls.
    pub calls: Vec<CallPiece>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// Everything else it says (annotations, parts of unknown kinds), as JSON.
    pub other: String,
}

impl ChoicePiece {
    fn has_token(&self) -> bool {
        let texts = [&self.text, &self.reasoning, &self.refusal];
        !self.calls.is_empty() || texts.iter().any(|text| !text.is_empty())
    }
}

/// A piece of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallPiece {
    /// The call's number, where the server gives one.
    pub index: Option<u64>,
    /// The call's id, where the piece has it.
    pub id: Option<String>,
    /// The tool's name, or a piece of it; at most [`TOOL_NAME_MAX_BYTES`].
    pub name: String,
    /// More of the arguments.
    pub arguments: String,
}

/// The room that is left for text.
struct Room<'a> {
    left: usize,
    cut: bool,
    windows: &'a mut BTreeMap<(u64, TextKind, usize), Window>,
}

impl Room<'_> {
    /// Adds a piece to a text. It is moved where it can be: whole answers have 30 MB.
    fn append(&mut self, text: &mut String, piece: String, key: (u64, TextKind, usize)) {
        let fits = cut(&piece, self.left).len();
        self.left -= fits;
        if fits == piece.len() {
            match text.is_empty() {
                true => *text = piece,
                false => {
                    if text.capacity() - text.len() < fits {
                        text.reserve_exact(fits.max(growth(text.len())));
                    }
                    text.push_str(&piece);
                }
            }
            return;
        }
        // A text with a hole in it would be read as another text.
        (self.left, self.cut) = (0, true);
        match self.windows.entry(key) {
            Entry::Occupied(window) => window.into_mut().push(&piece),
            Entry::Vacant(place) => {
                let before = end(text).to_owned();
                text.push_str(&piece[..fits]);
                place.insert(Window::of_all(&before, piece));
            }
        }
    }
}

/// By how much a text of so many bytes grows. A short one that doubled would take twice its memory;
/// of what a long one has room for, only what is written takes any, and each step would leave a
/// block behind that no other text fits.
fn growth(bytes: usize) -> usize {
    match bytes < LONG_TEXT_BYTES {
        true => (bytes / 8).max(512),
        false => bytes.max(8 * LONG_TEXT_BYTES),
    }
}

/// The first `max` bytes, less what would split a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
