//! How much of one text is repeated in another, by n-grams.
//!
//! A forbidden phrase flags honest answers and misses recitations; the share of the prompt's own
//! n-grams does neither. Case, white space and punctuation do not count. Chinese, Japanese and
//! Korean are compared by 8 characters, other text by 5 words: both are long enough that two
//! texts on one subject share few, as with ROUGE-n. Time and memory are linear in both texts.

use crate::text::{folded, is_wide};
use std::collections::HashSet;
use std::hash::Hash;

const CHARS_PER_GRAM: usize = 8;
const WORDS_PER_GRAM: usize = 5;
/// As long as three words.
const LETTERS_PER_GRAM: usize = 16;

/// Which share (0 to 1) of the system prompt's n-grams are in the answer. A prompt shorter than
/// one n-gram is one; an empty one gives 0.
pub fn overlap_share(answer: &str, system_prompt: &str) -> f64 {
    measure(answer, system_prompt).0
}

/// The share, and how many different n-grams the prompt has.
pub(super) fn measure(answer: &str, system_prompt: &str) -> (f64, usize) {
    let (answer, prompt) = (lowered(answer), lowered(system_prompt));
    let letters = prompt.chars().filter(|c| c.is_alphabetic()).count();
    let wide = prompt.chars().filter(|c| c.is_alphabetic() && is_wide(*c)).count();
    if wide * 2 > letters {
        let chars =
            |text: &str| -> Vec<char> { text.chars().filter(|c| c.is_alphanumeric()).collect() };
        share(&chars(&answer), &chars(&prompt), CHARS_PER_GRAM)
    } else {
        share(&words(&answer), &words(&prompt), WORDS_PER_GRAM)
    }
}

/// The share of a Latin prompt's letters that are in a text which has letters alone, by runs of
/// [`LETTERS_PER_GRAM`].
pub(super) fn measure_letters(letters: &str, system_prompt: &str) -> (f64, usize) {
    let only = |text: &str| -> Vec<char> {
        lowered(text).chars().filter(|c| c.is_alphanumeric()).collect()
    };
    share(&only(letters), &only(system_prompt), LETTERS_PER_GRAM)
}

/// How many n-grams an answer needs to hold a share of a prompt: fewer characters hold none. An
/// n-gram more takes a character at least.
pub(super) fn may_hold(answer: &str, grams: usize, share: f64) -> bool {
    answer.len() as f64 >= grams as f64 * share
}

fn lowered(text: &str) -> String {
    folded(text).to_lowercase()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

fn share<T: Hash + Eq>(answer: &[T], prompt: &[T], n: usize) -> (f64, usize) {
    let n = n.min(prompt.len());
    if n == 0 {
        return (0.0, 0);
    }
    let wanted: HashSet<&[T]> = prompt.windows(n).collect();
    let found: HashSet<&[T]> = answer.windows(n).filter(|gram| wanted.contains(gram)).collect();
    (found.len() as f64 / wanted.len() as f64, wanted.len())
}
