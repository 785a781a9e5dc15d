//! Texts to tokens, as the packages do it that measures are compared with.

use super::super::kind::{CheckKind, Tokens};
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What a kind splits by where the check does not say: by the script of its references.
pub(super) fn for_reference(kind: CheckKind, references: &[&str]) -> Tokens {
    let any = |of: fn(char) -> bool| references.iter().any(|text| text.chars().any(of));
    let allowed = kind.row().tokens;
    let wanted = match (any(is_kana_or_hangul), any(is_han)) {
        (true, _) => [Tokens::Char, Tokens::Cmrc],
        (false, true) => [Tokens::Zh, Tokens::Cmrc],
        (false, false) => [Tokens::T13a, Tokens::En],
    };
    let found = wanted.into_iter().chain([Tokens::Char]).find(|one| allowed.contains(one));
    found.or(allowed.first().copied()).unwrap_or(Tokens::Char)
}

/// Whether a character is Chinese, in any of the blocks that have them.
pub(super) fn is_han(c: char) -> bool {
    matches!(c as u32, 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF)
}

fn is_kana_or_hangul(c: char) -> bool {
    matches!(c as u32, 0x3041..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9D | 0xAC00..=0xD7A3)
}

/// White space as Python's `str.split` has it: also the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn words(text: &str) -> Vec<String> {
    text.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The tokens of a text for BLEU and GLEU.
pub(super) fn tokens(text: &str, by: Tokens) -> Vec<String> {
    let text = text.trim_end_matches(is_space);
    match by {
        Tokens::Char => text.chars().filter(|c| !is_space(*c)).map(String::from).collect(),
        Tokens::Zh => {
            let mut apart = String::with_capacity(text.len() * 2);
            for c in text.trim_matches(is_space).chars() {
                if is_zh(c) {
                    apart.extend([' ', c, ' ']);
                } else {
                    apart.push(c);
                }
            }
            words(&western(apart))
        }
        Tokens::Intl => {
            let rules = [(&*AFTER, "$1 $2 "), (&*BEFORE, " $1 $2"), (&*SYMBOL, " $1 ")];
            words(&replaced(text.to_owned(), &rules))
        }
        Tokens::T13a | Tokens::En | Tokens::Cmrc => {
            let mut text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
            for (name, character) in [("quot", "\""), ("amp", "&"), ("lt", "<"), ("gt", ">")] {
                text = text.replace(&format!("&{name};"), character);
            }
            words(&western(format!(" {text} ")))
        }
    }
}

/// Splits punctuation off, as mteval-v13a does, except for points and commas within numbers.
fn western(text: String) -> String {
    let rules = [
        (&*PUNCTUATION, " $1 "),
        (&*POINT_AFTER, "$1 $2 "),
        (&*POINT_BEFORE, " $1 $2"),
        (&*DASH, "$1 $2 "),
    ];
    replaced(text, &rules)
}

fn replaced(mut text: String, rules: &[(&Regex, &str)]) -> String {
    for (regex, by) in rules {
        if let Cow::Owned(changed) = regex.replace_all(&text, *by) {
            text = changed;
        }
    }
    text
}

static PUNCTUATION: LazyLock<Regex> = LazyLock::new(|| regex(r"([{-~\[-` -&(-+:-@/])"));
static POINT_AFTER: LazyLock<Regex> = LazyLock::new(|| regex(r"([^0-9])([.,])"));
static POINT_BEFORE: LazyLock<Regex> = LazyLock::new(|| regex(r"([.,])([^0-9])"));
static DASH: LazyLock<Regex> = LazyLock::new(|| regex(r"([0-9])(-)"));
static AFTER: LazyLock<Regex> = LazyLock::new(|| regex(r"(\P{N})(\p{P})"));
static BEFORE: LazyLock<Regex> = LazyLock::new(|| regex(r"(\p{P})(\P{N})"));
static SYMBOL: LazyLock<Regex> = LazyLock::new(|| regex(r"(\p{S})"));

#[expect(clippy::unwrap_used, reason = "constant patterns, compiled by every test")]
fn regex(pattern: &str) -> Regex {
    // `[^0-9]` and `\P{N}` take a line end, as in Python.
    Regex::new(&format!("(?s){pattern}")).unwrap()
}

/// What sacrebleu's `zh` takes for a Chinese character. Two of its ranges were meant for characters
/// beyond 16 bits and are others as written: U+2001 to U+2A6D, with dashes, curly quotes and
/// arrows, and U+2F81 to U+2FA1.
fn is_zh(c: char) -> bool {
    matches!(c as u32,
        0x3400..=0x4DB5 | 0x4E00..=0x9FBB | 0xF900..=0xFA2D | 0xFA30..=0xFA6A | 0xFA70..=0xFAD9
        | 0x2001..=0x2A6D | 0x2F81..=0x2FA1 | 0xFF00..=0xFFEF | 0x2E80..=0x2EFF | 0x3000..=0x303F
        | 0x31C0..=0x31EF | 0x2F00..=0x2FDF | 0x2FF0..=0x2FFF | 0x3100..=0x312F | 0x31A0..=0x31BF
        | 0xFE10..=0xFE1F | 0xFE30..=0xFE4F | 0x3200..=0x33FF)
}

/// The tokens of a text for ROUGE: words of `a` to `z` and digits; over characters also each
/// Chinese, Japanese or Korean one.
pub(super) fn rouge_tokens(text: &str, by: Tokens) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_open = false;
    for c in text.to_lowercase().chars() {
        let is_letter = c.is_ascii_lowercase() || c.is_ascii_digit();
        match found.last_mut().filter(|_| is_open && is_letter) {
            Some(word) => word.push(c),
            None if is_letter || (by == Tokens::Char && (is_han(c) || is_kana_or_hangul(c))) => {
                found.push(c.to_string());
            }
            None => {}
        }
        is_open = is_letter;
    }
    found
}
