//! The project's word list: literal words and phrases, matched after folding.

use crate::text::folded;
use aho_corasick::{AhoCorasick, MatchKind};

/// Words that are looked for, ready to be looked for; none by default.
#[derive(Debug, Clone, Default)]
pub struct Words {
    automaton: Option<AhoCorasick>,
    of: usize,
    longest: usize,
}

impl Words {
    /// A list. Case, width and invisible characters make no difference; simplified and traditional
    /// characters do. A word of letters matches whole words only where its ends are ASCII. A list
    /// that is too large for an automaton (millions of words) is none.
    pub fn new(words: &[String]) -> Words {
        let sought: Vec<String> = words.iter().map(|word| folded(word).trim().to_owned()).collect();
        if sought.iter().all(String::is_empty) {
            return Words::default();
        }
        let builder = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&sought);
        let longest = sought.iter().map(|word| word.chars().count()).max().unwrap_or(0);
        Words { automaton: builder.ok(), of: words.len(), longest }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// Length of the longest word, characters.
    pub(super) fn longest_chars(&self) -> usize {
        self.longest
    }

    /// Which of the words are in a text, by their places in the list: the words themselves may be
    /// what the project does not want read.
    pub(super) fn in_text(&self, text: &str) -> Vec<String> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let text = folded(text);
        let mut found: Vec<usize> = automaton
            .find_overlapping_iter(&text)
            .filter(|at| !at.is_empty() && is_whole(&text, at.start(), at.end()))
            .map(|at| at.pattern().as_usize())
            .collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|at| format!("word {} of {}", at + 1, self.of)).collect()
    }
}

/// Whether no ASCII letter or digit goes on at either end.
fn is_whole(text: &str, from: usize, to: usize) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let joins = |outside: Option<&u8>, inside: Option<&u8>| is_letter(outside) && is_letter(inside);
    !joins(from.checked_sub(1).and_then(|at| bytes.get(at)), bytes.get(from))
        && !joins(bytes.get(to), bytes.get(to - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], text: &str, expected: &[usize]) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let expected: Vec<String> =
            expected.iter().map(|at| format!("word {at} of {}", words.len())).collect();
        assert_eq!(Words::new(&words).in_text(text), expected, "{text}");
    }

    #[test]
    fn words_are_found_however_they_are_typed() {
        let words = ["Acme Corp", "赌博", "カジノ", "cat"];
        check(&words, "we beat ACME\u{3000}corp, and ａｃｍｅ ｃｏｒｐ", &[1]);
        check(&words, "线上赌\u{200B}博和オンラインカジノ", &[2, 3]);
        check(&words, "a cat, concatenated", &[4]);
        check(&words, "concatenated acme corpus", &[]);
        check(&words, "賭博", &[]);
        check(&[], "anything", &[]);
        check(&[" "], "a b", &[]);
    }
}
