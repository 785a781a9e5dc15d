//! What of a text is indexed, and what of a question is searched for.
//!
//! An index by trigrams finds any three characters or more, whatever the language. Most Chinese and
//! Japanese words have two, and some Latin ones (`AI`, `5G`): beside the trigrams an index holds
//! the **short words** of a text: words of one or two characters, and of a script written without
//! spaces each two neighbours.
//!
//! A question is not looked for as it is written, which no document says: each of its words is.

use crate::text::{folded_head, is_wide};
use std::collections::BTreeSet;

/// Of a longer question only its beginning is searched for, characters.
const QUESTION_CHARS: usize = 4_000;
/// Most words of each kind that one question is searched for: what comes after them is left out.
const TERMS_MAX: usize = 64;
/// Longest stretch of a word that is searched for, characters.
const WORD_CHARS: usize = 40;
/// From this length on a word is searched for without its end, so that `refunds` finds `refund`,
/// characters.
const STEM_FROM: usize = 6;
/// How much of the end is left out then, characters.
const ENDING: usize = 2;

/// What is searched for; the more of it a chunk has, the better it fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Stretches of three characters and more, for the index of trigrams.
    pub long: Vec<String>,
    /// Words of one or two characters, for the index of short words.
    pub short: Vec<Short>,
}

impl Terms {
    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.long.is_empty() && self.short.is_empty()
    }
}

/// A short word that is searched for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Short {
    /// It is in the index as it is.
    Whole(String),
    /// A single character of a script written without spaces: it may begin a pair.
    Begins(String),
}

/// A stretch of letters and digits.
pub(super) enum Run {
    /// Of a script that has spaces between its words.
    Word(Vec<char>),
    /// Of a script that has none.
    Unspaced(Vec<char>),
}

/// The short words of a [folded](crate::text::folded) text, with a space between them. Of a stretch
/// without spaces each two neighbours, and its last character alone: so each single one begins one.
pub fn short_words(folded: &str) -> String {
    let mut out = String::new();
    let mut add = |chars: &[char]| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(chars);
    };
    for run in runs(folded) {
        match run {
            Run::Word(word) if word.len() < 3 => add(&word),
            Run::Word(_) => {}
            Run::Unspaced(chars) => {
                chars.windows(2).for_each(&mut add);
                add(&chars[chars.len() - 1..]);
            }
        }
    }
    out
}

/// What a question is searched for.
pub fn terms(question: &str) -> Terms {
    let folded = folded_head(question, QUESTION_CHARS);
    let (mut seen_long, mut seen_short) = (BTreeSet::new(), BTreeSet::new());
    let mut terms = Terms::default();
    let mut long = |chars: &[char]| {
        let word: String = chars.iter().collect();
        if terms.long.len() < TERMS_MAX && seen_long.insert(word.clone()) {
            terms.long.push(word);
        }
    };
    let mut short = |short: Short| {
        if terms.short.len() < TERMS_MAX && seen_short.insert(short.clone()) {
            terms.short.push(short);
        }
    };
    let whole = |chars: &[char]| Short::Whole(chars.iter().collect());
    for run in runs(&folded) {
        match run {
            Run::Word(word) if word.len() < 3 => short(whole(&word)),
            Run::Word(word) => {
                let word = &word[..word.len().min(WORD_CHARS)];
                long(stem(word));
            }
            Run::Unspaced(chars) => {
                if let [single] = chars[..] {
                    short(Short::Begins(single.into()));
                }
                chars.windows(2).for_each(|pair| short(whole(pair)));
                chars.windows(3).for_each(&mut long);
            }
        }
    }
    terms
}

/// A word without its ending, where it is long enough to have one.
pub(super) fn stem(word: &[char]) -> &[char] {
    let ending = match word {
        _ if word.len() < STEM_FROM => 0,
        // `batteries` is more than one `battery`.
        [.., 'i', 'e', 's'] => ENDING + 1,
        _ => ENDING,
    };
    &word[..word.len() - ending]
}

/// The stretches of a [folded](crate::text::folded) text, in their order.
pub(super) fn runs(folded: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    for c in folded.chars().map(Some).chain([None]) {
        let kind = c.filter(|c| c.is_alphanumeric() || is_thai(*c)).map(is_unspaced);
        match (kind, c, runs.last_mut()) {
            (Some(true), Some(c), Some(Some(Run::Unspaced(chars)))) => chars.push(c),
            (Some(false), Some(c), Some(Some(Run::Word(chars)))) => chars.push(c),
            (Some(true), Some(c), _) => runs.push(Some(Run::Unspaced(vec![c]))),
            (Some(false), Some(c), _) => runs.push(Some(Run::Word(vec![c]))),
            (None, _, _) | (_, None, _) => runs.push(None),
        }
    }
    runs.into_iter().flatten().collect()
}

/// Whether a letter is of a script that has no spaces between words, or, as Korean, of one whose
/// words carry their particles.
fn is_unspaced(c: char) -> bool {
    is_wide(c) || is_thai(c)
}

/// Thai, Lao, Burmese and Khmer letters and the marks over them.
fn is_thai(c: char) -> bool {
    matches!(c as u32, 0x0E01..=0x0E4E | 0x0E81..=0x0ECD | 0x1000..=0x103E | 0x1780..=0x17D2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::folded;

    fn short(text: &str) -> Short {
        Short::Whole(text.to_owned())
    }

    #[track_caller]
    fn check(question: &str, long: &[&str], expected: &[Short]) {
        let found = terms(question);
        assert_eq!(
            (found.long, found.short.as_slice()),
            (long.iter().map(|word| (*word).to_owned()).collect(), expected,),
            "{question}"
        );
    }

    #[test]
    fn a_question_is_its_words() {
        check("Can I get refunds?", &["can", "get", "refun"], &[short("i")]);
        check("ＡＩ for 5G", &["for"], &[short("ai"), short("5g")]);
        check("退货", &[], &[short("退货")]);
        check("可退货", &["可退货"], &[short("可退"), short("退货")]);
        check("退", &[], &[Short::Begins("退".to_owned())]);
        check("?! …", &[], &[]);
        check("", &[], &[]);
    }

    #[test]
    fn what_is_asked_twice_is_searched_for_once() {
        check("bike bike 退货 退货", &["bike"], &[short("退货")]);
        let long = terms(&(0..500).map(|n| format!("{n:04}word ")).collect::<String>());
        assert_eq!(long.long.len(), TERMS_MAX);
    }

    #[test]
    fn short_words_are_indexed_with_the_end_of_each_stretch() {
        assert_eq!(short_words(&folded("支持退货, AI ok then")), "支持 持退 退货 货 ai ok");
        assert_eq!(short_words(&folded("返品できます")), "返品 品で でき きま ます す");
        assert_eq!(short_words("nothing here"), "");
    }

    #[test]
    fn whatever_two_characters_a_text_has_are_found() {
        let text = folded("自行车骑过就不能退。");
        let indexed = short_words(&text);
        let indexed: BTreeSet<&str> = indexed.split(' ').collect();
        for pair in ["自行", "车骑", "不能", "能退"] {
            assert!(indexed.contains(pair), "{pair}");
        }
        for c in "自行车骑过就不能退".chars() {
            assert!(indexed.iter().any(|word| word.starts_with(c)), "{c}");
        }
    }
}
