//! What an answer says and what its request said, as plain texts: the dialects' types stay outside.

use std::borrow::Cow;

/// Which part of an answer a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What the user reads.
    Content,
    /// How the model came to it (`reasoning_content`, `reasoning`, `thinking`).
    Reasoning,
    /// Why it does not answer.
    Refusal,
}

/// A text of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// The choice it belongs to, from 0.
    pub choice: u64,
    /// Which part of it.
    pub part: Part,
    /// The text, as far as it has come.
    pub text: &'a str,
}

/// A tool call of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The choice it belongs to, from 0.
    pub choice: u64,
    /// The tool; empty when it has no name, which no list allows.
    pub name: &'a str,
    /// Its arguments as the model wrote them, mostly JSON.
    pub arguments: &'a str,
}

/// Everything an answer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// Its texts, of every choice.
    pub texts: Vec<Text<'a>>,
    /// Its tool calls, choice after choice; a stream only ever adds to the end of each choice's.
    pub calls: Vec<Call<'a>>,
    /// What is searched for planted texts and nothing else: members that are no text of the answer,
    /// and the newest of a text that is too long to be kept.
    pub windows: Vec<&'a str>,
    /// Whether it broke off: the last call may have half a name.
    pub is_cut: bool,
}

impl<'a> Said<'a> {
    /// The last call of each choice: the only ones of a stream that may go on.
    pub(super) fn last_calls(&self) -> impl Iterator<Item = (usize, &Call<'a>)> {
        let next = |at: usize| self.calls.get(at + 1).map(|call| call.choice);
        let calls = self.calls.iter().enumerate();
        calls.filter(move |(at, call)| next(*at) != Some(call.choice))
    }

    /// An answer of one text and nothing else.
    pub fn text(text: &'a str) -> Said<'a> {
        let texts = vec![Text { choice: 0, part: Part::Content, text }];
        Said { texts, ..Said::default() }
    }

    /// Every text, tool names and arguments among them.
    pub fn all(&self) -> impl Iterator<Item = &'a str> + Clone + use<'_, 'a> {
        let calls = self.calls.iter().flat_map(|call| [call.name, call.arguments]);
        self.texts.iter().map(|text| text.text).chain(calls).filter(|text| !text.is_empty())
    }
}

/// What a request said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Texts of the messages of users, tools and the model before.
    pub client: Vec<Cow<'a, str>>,
    /// Texts of the messages of the application itself, `system` and `developer`. What they hold is
    /// nothing that the user knew.
    pub system: Vec<Cow<'a, str>>,
}
