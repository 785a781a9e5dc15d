//! Signals: what a request or an answer holds that is worth counting and no proof of anything.
//!
//! A request's new texts – those after the last answer – are looked at before the model sees them:
//! text that no reader sees, phrases that injections use, and the project's word list. What a tool
//! brought back is looked at like what a user wrote, and more strictly: a document has no reason to
//! give orders to an assistant. Phrases are matched after folding, so that full-width letters and
//! invisible characters hide none. An honest text may well use such a phrase, so a signal is
//! counted and stops nothing unless the project says so.

use super::words::Words;
use crate::text::{is_invisible, readings};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A kind of signal; a small closed list, it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// Text that a screen does not show and a model reads.
    HiddenText,
    /// A phrase that injections use.
    Injection,
    /// A word of the project's list.
    Word,
    /// The project's moderation endpoint flags it.
    Moderation,
    /// That endpoint gave no answer in time.
    ModerationUnreachable,
}

impl SignalKind {
    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            SignalKind::HiddenText => "hidden_text",
            SignalKind::Injection => "injection",
            SignalKind::Word => "word",
            SignalKind::Moderation => "moderation",
            SignalKind::ModerationUnreachable => "moderation_unreachable",
        }
    }
}

/// Where a signal was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In what a user wrote.
    User,
    /// In what a tool brought back.
    Tool,
    /// In the answer.
    Answer,
}

impl Place {
    /// The name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::User => "user",
            Place::Tool => "tool",
            Place::Answer => "answer",
        }
    }
}

/// Something worth counting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signal {
    /// What.
    pub kind: SignalKind,
    /// Where.
    pub place: Place,
    /// What was seen, in our own words.
    pub detail: String,
}

/// The signals in texts of a request or of an answer, each kind of detail once a place.
pub fn signals<'a>(
    texts: impl IntoIterator<Item = (Place, &'a str)>,
    words: &Words,
) -> Vec<Signal> {
    let mut found = BTreeSet::new();
    for (place, text) in texts {
        let mut add = |kind, detail: String| found.insert(Signal { kind, place, detail });
        if place != Place::Answer {
            if let Some(detail) = hidden(text) {
                add(SignalKind::HiddenText, detail.to_owned());
            }
            for detail in injections(text, place) {
                add(SignalKind::Injection, detail.to_owned());
            }
        }
        for detail in words.in_text(text) {
            add(SignalKind::Word, detail);
        }
    }
    found.into_iter().collect()
}

/// Fewest characters without width that are no accident of copying.
const ZERO_WIDTH_MIN: usize = 6;
/// Fewest variation selectors in a row that are no picture's: bytes are smuggled in them.
const SELECTORS_MIN: usize = 4;
/// Longest tag sequence of a flag (England's has six).
const FLAG_TAGS_MAX: usize = 8;

fn hidden(text: &str) -> Option<&'static str> {
    if text.is_ascii() {
        return None;
    }
    let (mut tags, mut widthless, mut selectors, mut in_flag) = (0, 0, 0, false);
    for c in text.chars() {
        match c as u32 {
            0x1F3F4 => in_flag = true,
            0xE0000..=0xE007F => tags += 1,
            // Joiners are how emoji and Indic scripts are written, so they are not counted.
            0x200B | 0x2060..=0x2064 | 0xFEFF | 0x180E => widthless += 1,
            0x202D | 0x202E => return Some("text that is shown in another order"),
            0xFE00..=0xFE0F | 0xE0100..=0xE01EF => {
                selectors += 1;
                if selectors >= SELECTORS_MIN {
                    return Some("variation selectors in a row");
                }
                continue;
            }
            _ if is_invisible(c) => {}
            _ => in_flag = in_flag && tags <= FLAG_TAGS_MAX,
        }
        selectors = 0;
    }
    if tags > if in_flag { FLAG_TAGS_MAX } else { 0 } {
        return Some("tag characters");
    }
    (widthless >= ZERO_WIDTH_MIN).then_some("characters without width")
}

/// What injections say, by what it does; the file's head says how it is read.
const PHRASES_FILE: &str = include_str!("phrases.txt");

/// A phrase: what it does, and whether only what tools bring back is searched for it.
struct Phrase {
    detail: &'static str,
    tools_only: bool,
    regex: Regex,
}

/// The lines of the file, each with its section.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = PHRASES_FILE.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let in_sections = lines.scan("", |section, line| {
        let name = line.strip_prefix("== ");
        *section = name.unwrap_or(section);
        Some(name.is_none().then_some((*section, line)))
    });
    in_sections.flatten()
}

/// The section of [`HINTS`].
const HINTS_SECTION: &str = "hints";

/// What shows that a text may hold a phrase. Most texts hold none, and so the phrases take neither
/// time nor memory before one does.
static HINTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let hints = lines().filter(|(section, _)| *section == HINTS_SECTION);
    automaton(&hints.map(|(_, line)| line.trim_matches('"')).collect::<Vec<_>>())
});

static PHRASES: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    let phrases = lines().filter(|(section, _)| *section != HINTS_SECTION);
    let phrase = |(section, line): (&'static str, &str)| {
        let detail = section.strip_prefix("tools: ");
        let (tools_only, detail) = (detail.is_some(), detail.unwrap_or(section));
        Phrase { detail, tools_only, regex: compile(line) }
    };
    phrases.map(phrase).collect()
});

#[expect(clippy::expect_used, reason = "the words are constants; a test builds it")]
fn automaton(hints: &[&str]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(hints)
        .expect("constant words make an automaton")
}

#[expect(clippy::expect_used, reason = "the patterns are constants; a test compiles them all")]
fn compile(pattern: &str) -> Regex {
    // Letters of another script are next to a word and no part of it.
    Regex::new(&pattern.replace(r"\b", r"(?-u:\b)")).expect("a constant pattern compiles")
}

fn injections(text: &str, place: Place) -> BTreeSet<&'static str> {
    let (mut found, hints) = (BTreeSet::new(), &*HINTS);
    // A text without anything to fold is its own reading, in lower case.
    if text.is_ascii() && !hints.is_match(text) {
        return found;
    }
    for reading in readings(text) {
        if !hints.is_match(&reading) {
            continue;
        }
        for phrase in PHRASES.iter().filter(|phrase| place == Place::Tool || !phrase.tools_only) {
            if !found.contains(phrase.detail) && phrase.regex.is_match(&reading) {
                found.insert(phrase.detail);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
