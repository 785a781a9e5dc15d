//! A document's text → chunks of at most so many characters.
//!
//! A chunk ends where a reader would pause: at a paragraph, else at a sentence, else at a line,
//! else at a word. Only a text without any of these is cut between two characters. The same text
//! and the same length always give the same chunks.

use crate::text::is_invisible;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// Longest chunk where the project does not say, characters.
pub const CHUNK_CHARS: usize = 500;
/// What the longest chunk may be, characters: below, a chunk holds no thought; above, a few of
/// them fill a prompt.
pub const CHUNK_CHARS_RANGE: RangeInclusive<usize> = 50..=20_000;
/// Longest version of an index, bytes: it is a file's name.
const VERSION_MAX: usize = 80;

/// The name of a chunk: its document and its number there, from 1. It is written `refunds.md#2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(String);

impl ChunkId {
    /// The chunk with this number, from 1, of a document.
    pub fn new(document: &str, number: u64) -> ChunkId {
        ChunkId(format!("{document}#{number}"))
    }

    /// A name that another program gave.
    pub fn given(name: &str) -> ChunkId {
        ChunkId(name.to_owned())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether this can be an index's version, such as `v2025.12.24.01`: 1 to 80 of `A-Za-z0-9._-`,
/// no dot first.
pub fn is_version(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=VERSION_MAX).contains(&text.len()) && text.bytes().all(good) && !text.starts_with('.')
}

/// Cuts a text into chunks of at most `chunk_chars` characters, at least 1. No chunk is blank, and
/// all of them together have every character of the text but white space between them.
pub fn chunks(text: &str, chunk_chars: usize) -> Vec<&str> {
    let chunk_chars = chunk_chars.max(1);
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(cut(rest, chunk_chars));
        found.push(chunk.trim_end());
        rest = after.trim_start();
    }
    found
}

/// Where the first chunk of a text ends, byte. The text is not empty.
fn cut(text: &str, chunk_chars: usize) -> usize {
    let Some((end, _)) = text.char_indices().nth(chunk_chars) else { return text.len() };
    // An earlier pause would leave the chunk half empty.
    let half = text.char_indices().nth(chunk_chars / 2).map_or(0, |(at, _)| at);
    let pauses = [paragraph_end, sentence_end, line_end, word_end];
    let pause = pauses.iter().find_map(|pause| pause(text, half, end));
    pause.unwrap_or_else(|| whole_letter(text, end))
}

/// The last place in `half..=end` where what follows is a paragraph or a heading.
fn paragraph_end(text: &str, half: usize, end: usize) -> Option<usize> {
    let breaks = text[..end].rmatch_indices('\n').map(|(at, _)| at);
    breaks.take_while(|at| *at >= half).find(|at| {
        let next = &text[at + 1..];
        let line = next.split('\n').next().unwrap_or_default();
        line.trim().is_empty() || line.starts_with('#')
    })
}

/// The last place in `half..=end` where a sentence has ended, its closing marks with it.
fn sentence_end(text: &str, half: usize, end: usize) -> Option<usize> {
    sentence_ends(text, end).filter(|after| *after >= half).last()
}

/// The places up to `end` where a sentence has ended, its closing marks with it.
pub(super) fn sentence_ends(text: &str, end: usize) -> impl Iterator<Item = usize> {
    let mut chars = text[..end].char_indices().peekable();
    std::iter::from_fn(move || {
        while let Some((at, c)) = chars.next() {
            let is_wide = matches!(c, '。' | '！' | '？' | '｡' | '…');
            if !is_wide && !matches!(c, '.' | '!' | '?') {
                continue;
            }
            let mut after = at + c.len_utf8();
            while let Some((at, closing)) = chars.next_if(|(_, c)| closes(*c)) {
                after = at + closing.len_utf8();
            }
            // `3.5` and `example.com` go on.
            let next = text[after..].chars().next();
            let goes_on = !is_wide && next.is_some_and(|next| !next.is_whitespace());
            let is_cut = next.is_some_and(closes);
            if !goes_on && !is_cut {
                return Some(after);
            }
        }
        None
    })
}

/// What belongs to the sentence before it.
pub(super) fn closes(c: char) -> bool {
    matches!(
        c,
        '」' | '』'
            | '）'
            | ')'
            | '”'
            | '’'
            | '"'
            | '\''
            | '】'
            | '》'
            | '。'
            | '！'
            | '？'
            | '.'
            | '!'
            | '?'
            | '…'
    )
}

fn line_end(text: &str, half: usize, end: usize) -> Option<usize> {
    text[..end].rfind('\n').filter(|at| *at >= half)
}

fn word_end(text: &str, half: usize, end: usize) -> Option<usize> {
    // A word that ends just here is whole.
    if text[end..].starts_with(char::is_whitespace) {
        return Some(end);
    }
    text[..end].rfind(char::is_whitespace).filter(|at| *at >= half && *at > 0)
}

/// The last place up to `end` that does not part a letter from its marks; `end` where all of the
/// text is marks.
fn whole_letter(text: &str, end: usize) -> usize {
    let joins = |c: char| is_invisible(c) || is_mark(c);
    let mut at = end;
    while let Some(next) = text[at..].chars().next()
        && (joins(next) || text[..at].ends_with('\u{200d}'))
    {
        match text[..at].char_indices().next_back() {
            Some((before, _)) if before > 0 => at = before,
            _ => return end,
        }
    }
    at
}

/// Marks that are written over the letter before them, of the scripts that need them most.
fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x0300..=0x036F | 0x0E31 | 0x0E34..=0x0E3A | 0x0E47..=0x0E4E
        | 0x3099..=0x309A | 0x1F3FB..=0x1F3FF)
}

#[cfg(test)]
mod tests;
