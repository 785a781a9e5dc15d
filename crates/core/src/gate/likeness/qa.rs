//! Exact match and token F1 of question answering: SQuAD's, and CMRC 2018's for Chinese.

use super::super::kind::Tokens;
use super::ngrams::f1;
use super::split::is_space;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What CMRC leaves out; its list also has an ellipsis of two characters, which no character is.
const CMRC_SKIPPED: &str = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』";

/// Whether both say the same, case, punctuation, white space and English articles aside.
pub fn exact_match(answer: &str, reference: &str, by: Tokens) -> bool {
    match by {
        Tokens::Cmrc => cmrc_plain(answer) == cmrc_plain(reference),
        _ => squad(answer) == squad(reference),
    }
}

/// F1 over what both have in common, 0 to 1: words as often as both have them, or CMRC's longest
/// common run.
pub fn token_f1(answer: &str, reference: &str, by: Tokens) -> f64 {
    if by == Tokens::Cmrc {
        let (answer, reference) = (cmrc_tokens(answer), cmrc_tokens(reference));
        return f1(longest_run(&answer, &reference), answer.len().max(1), reference.len().max(1));
    }
    let (answer, reference) = (squad(answer), squad(reference));
    if answer.is_empty() || reference.is_empty() {
        return if answer == reference { 1.0 } else { 0.0 };
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    reference.iter().for_each(|word| *left.entry(word).or_insert(0) += 1);
    let mut both = 0;
    for word in &answer {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            both += 1;
        }
    }
    f1(both, answer.len(), reference.len())
}

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test")]
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").unwrap());

/// The words of SQuAD: lower-case, without ASCII punctuation and articles.
fn squad(text: &str) -> Vec<String> {
    let text: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let text = WORD.replace_all(&text, |word: &regex::Captures<'_>| match &word[0] {
        "a" | "an" | "the" => " ".to_owned(),
        word => word.to_owned(),
    });
    text.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn cmrc_plain(text: &str) -> String {
    let text = text.to_lowercase();
    text.trim_matches(is_space).chars().filter(|c| !CMRC_SKIPPED.contains(*c)).collect()
}

/// Each Chinese character, and what is between them by white space.
fn cmrc_tokens(text: &str) -> Vec<String> {
    let mut apart = String::with_capacity(text.len() * 2);
    for c in cmrc_plain(text).chars() {
        if ('\u{4e00}'..='\u{9fa5}').contains(&c) {
            apart.extend([' ', c, ' ']);
        } else {
            apart.push(c);
        }
    }
    apart.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The length of the longest run of tokens that both have.
fn longest_run(one: &[String], other: &[String]) -> usize {
    let (mut row, mut longest) = (vec![0; other.len() + 1], 0);
    for a in one {
        let mut diagonal = 0;
        for (at, b) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if a == b { diagonal + 1 } else { 0 };
            longest = longest.max(row[at + 1]);
            diagonal = above;
        }
    }
    longest
}
