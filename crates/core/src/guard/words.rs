//! The project's word list: literal words and phrases, matched after folding.

use crate::text::folded;
use aho_corasick::{AhoCorasick, MatchKind};
use std::borrow::Cow;

/// What the half-width kana from U+FF66 on are in full width.
const KANA: &str = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテト\
                    ナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";
/// Kana whose voiced form is the next character; of those from ハ on, the half-voiced follows that.
const VOICED: &str = "カキクケコサシスセソタチツテトハヒフヘホ";

/// Words that are looked for, ready to be looked for; none by default.
#[derive(Debug, Clone, Default)]
pub struct Words {
    automaton: Option<AhoCorasick>,
    of: usize,
    longest: usize,
}

impl Words {
    /// A list. Case, width (also of kana) and invisible characters make no difference; simplified
    /// and traditional characters do. A word of letters matches whole words only where its ends are
    /// ASCII. A list that is too large for an automaton (millions of words) is none.
    pub fn new(words: &[String]) -> Words {
        let sought: Vec<String> =
            words.iter().map(|word| folded(&wide_kana(word)).trim().to_owned()).collect();
        if sought.iter().all(String::is_empty) {
            return Words::default();
        }
        let builder = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&sought);
        // A half-width kana may have its mark beside it.
        let length = |word: &String| word.chars().map(|c| 1 + usize::from(may_be_two(c))).sum();
        let longest = sought.iter().map(length).max().unwrap_or(0);
        Words { automaton: builder.ok(), of: words.len(), longest }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// Most characters of a word however it is written.
    pub(super) fn longest_chars(&self) -> usize {
        self.longest
    }

    /// Which of the words are in a text, by their places in the list: the words themselves may be
    /// what the project does not want read.
    pub(super) fn in_text(&self, text: &str) -> Vec<String> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let text = folded(&wide_kana(text));
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

/// The text with kana of half width in full width, each with its mark as one character.
fn wide_kana(text: &str) -> Cow<'_, str> {
    let is_half = |c: char| ('\u{FF66}'..='\u{FF9F}').contains(&c);
    if !text.contains(is_half) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let at = (c as usize).checked_sub(0xFF66).filter(|_| is_half(c));
        let marked = || out.chars().next_back().and_then(|before| marked(before, c));
        if let Some(marked) = marked() {
            out.pop();
            out.push(marked);
        } else {
            out.push(at.and_then(|at| KANA.chars().nth(at)).unwrap_or(c));
        }
    }
    Cow::Owned(out)
}

/// A kana with the half-width mark that follows it; `None` where that is none of its marks.
fn marked(kana: char, mark: char) -> Option<char> {
    let steps = match (kana, mark) {
        ('ウ', '\u{FF9E}') => return Some('ヴ'),
        (_, '\u{FF9E}') if VOICED.contains(kana) => 1,
        ('ハ' | 'ヒ' | 'フ' | 'ヘ' | 'ホ', '\u{FF9F}') => 2,
        _ => return None,
    };
    char::from_u32(kana as u32 + steps)
}

/// Whether a kana of full width may be two characters in half width.
fn may_be_two(c: char) -> bool {
    ('ガ'..='ポ').contains(&c) || c == 'ヴ'
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
    fn a_word_is_as_long_as_its_longest_form() {
        let longest = |word: &str| Words::new(&[word.to_owned()]).longest_chars();
        assert!(longest("パチンコ") >= "ﾊﾟﾁﾝｺ".chars().count() && longest("ｶﾞ") >= 2);
        assert_eq!(longest("賭博"), 2);
    }

    #[test]
    fn every_half_width_kana_has_a_full_width_one() {
        let half: String = ('\u{FF66}'..='\u{FF9D}').collect();
        assert_eq!(wide_kana(&half), KANA);
        assert!(VOICED.chars().all(|c| marked(c, '\u{FF9E}').is_some_and(may_be_two)));
    }

    #[test]
    fn words_are_found_however_they_are_typed() {
        let words = ["Acme Corp", "赌博", "カジノ", "cat"];
        check(&words, "we beat ACME\u{3000}corp, and ａｃｍｅ ｃｏｒｐ", &[1]);
        check(&words, "线上赌\u{200B}博和オンラインカジノ", &[2, 3]);
        check(&words, "a cat, concatenated", &[4]);
        check(&words, "ｵﾝﾗｲﾝｶｼﾞﾉ", &[3]);
        check(&["ﾊﾟﾁﾝｺ", "ヴ"], "パチンコとｳﾞ、ﾊﾟﾁﾝｺ", &[1, 2]);
        check(&["カ"], "ガ、ｶﾞ", &[]);
        check(&words, "concatenated acme corpus", &[]);
        check(&words, "賭博", &[]);
        check(&[], "anything", &[]);
        check(&[" "], "a b", &[]);
    }
}
