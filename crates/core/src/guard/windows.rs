//! The texts of a stream in windows, for a guard that is asked about them while they come.
//!
//! A window ends after so many characters of its text, and has some of what came before it, so
//! that what lies across an end is seen whole. Where the pieces of the stream end makes no
//! difference. The first windows are short: a client waits for the first of them.

use super::said::{Part, Said, Text};
use std::collections::BTreeMap;

/// Length of a text's first window, characters; each next one is twice as long.
const FIRST_CHARS: usize = 64;
/// Longest window, characters.
const LONGEST_CHARS: usize = 512;
/// How much of what came before a window has, characters.
const OVERLAP_CHARS: usize = 128;

/// Which text of an answer: its choice and part.
pub type TextId = (u64, Part);

/// A stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window<'a> {
    /// Whose it is.
    pub of: TextId,
    /// What is to be looked at.
    pub text: &'a str,
    /// Where in its text it ends, bytes.
    pub end: usize,
}

/// How far the texts of a stream have been cut.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// Of each text where the last window ended, bytes, and how many there were.
    cut: BTreeMap<TextId, (usize, u32)>,
}

impl Windows {
    /// Whether this part of an answer is cut: what a user reads.
    pub fn is_cut(part: Part) -> bool {
        match part {
            Part::Content | Part::Refusal => true,
            Part::Reasoning => false,
        }
    }

    /// The windows that are full by now; `said` is all that has come so far.
    pub fn full<'a>(&mut self, said: &Said<'a>) -> Vec<Window<'a>> {
        let mut full = Vec::new();
        for Text { choice, part, text } in read_by_users(said) {
            let (from, count) = self.cut.entry((choice, part)).or_default();
            // A character is a byte at least.
            while let length = length(*count)
                && text.len() - *from >= length
                && let Some((last, c)) = text[*from..].char_indices().nth(length - 1)
            {
                let end = *from + last + c.len_utf8();
                full.push(window((choice, part), text, *from, end));
                (*from, *count) = (end, *count + 1);
            }
        }
        full
    }

    /// Windows to the end of each text as far as it has come.
    pub fn rest<'a>(&mut self, said: &Said<'a>) -> Vec<Window<'a>> {
        let mut rest = self.full(said);
        for Text { choice, part, text } in read_by_users(said) {
            let (from, count) = self.cut.entry((choice, part)).or_default();
            if *from < text.len() {
                rest.push(window((choice, part), text, *from, text.len()));
                (*from, *count) = (text.len(), *count + 1);
            }
        }
        rest
    }
}

fn read_by_users<'s, 'a>(said: &'s Said<'a>) -> impl Iterator<Item = Text<'a>> + use<'s, 'a> {
    said.texts.iter().filter(|text| Windows::is_cut(text.part)).copied()
}

fn length(count: u32) -> usize {
    (FIRST_CHARS << count.min(3)).min(LONGEST_CHARS)
}

fn window(of: TextId, text: &str, from: usize, end: usize) -> Window<'_> {
    let before = text[..from].char_indices().rev().take(OVERLAP_CHARS).last();
    Window { of, text: &text[before.map_or(from, |(at, _)| at)..end], end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the windows of a stream hold that brings its text so.
    fn windows(text: &str, cuts: &[usize]) -> Vec<(String, usize)> {
        let mut windows = Windows::default();
        let mut all = Vec::new();
        for cut in cuts {
            let said = Said::text(&text[..*cut]);
            all.extend(windows.full(&said).iter().map(|w| (w.text.to_owned(), w.end)));
        }
        let said = Said::text(text);
        all.extend(windows.rest(&said).iter().map(|w| (w.text.to_owned(), w.end)));
        all
    }

    #[test]
    fn windows_grow_and_overlap() {
        let text = "退".repeat(1500);
        let ends = windows(&text, &[]);
        let ends: Vec<(usize, usize)> =
            ends.iter().map(|(text, end)| (text.chars().count(), end / 3)).collect();
        assert_eq!(ends, [(64, 64), (192, 192), (384, 448), (640, 960), (640, 1472), (156, 1500)]);
        assert_eq!(windows("", &[]), []);
    }

    proptest! {
        #[test]
        fn wherever_pieces_end_the_windows_are_the_same(
            text in "[a-z退货 é😀]{0,900}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let places: Vec<usize> =
                text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|at| *at.get(&places)).collect();
            cuts.sort_unstable();
            let whole = windows(&text, &[]);
            prop_assert_eq!(&windows(&text, &cuts), &whole);
            // Every character is in a window, and what is as long as the overlap is whole in one.
            let mut end = 0;
            for (window, to) in whole {
                prop_assert!(text[..to].ends_with(&window) && to - window.len() <= end);
                end = to;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
