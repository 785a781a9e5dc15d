//! Taking personal data and secrets out of text before it is kept.
//!
//! Kinds: `[email]`, `[phone]`, `[id]` (Chinese, Hong Kong and Taiwanese identity numbers, Japanese
//! My Number, American social security numbers, passports), `[card]`, `[iban]`, `[secret]` (API
//! keys, tokens, JWTs, private keys, passwords). Numbers count only when their check digits hold,
//! or when they have the form or the label of what they are, so that order numbers, dates and
//! prices stay. Names and street addresses are not seen: they need a model, not a pattern. IP
//! addresses are left in.
//!
//! Matching is done on a [folded] copy – full-width letters, digits and marks are ASCII, invisible
//! characters are gone –; what is replaced is the original. Every pattern is linear in the text (no
//! backtracking), and begins and ends at an ASCII word boundary, so that replacing one finding does
//! not uncover another.
//!
//! [folded]: super::folded

mod checks;
mod labels;
mod pattern;
mod patterns;
mod phones;

#[cfg(test)]
mod tests;

use super::fold::{ascii_at_start, is_invisible, plain};
use std::borrow::Cow;
use std::ops::Range;

/// How often the text is gone over again because a mark brought two pieces closer together
/// (a label and its number). Two passes settle every text but one made for the purpose.
const PASSES_MAX: usize = 8;

/// A kind of personal data or secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrivateKind {
    // In order of precedence where two findings overlap.
    /// A key in the form of its maker: an API key, a token, a JWT, a private key.
    Key,
    /// A password or key that only its label shows.
    Password,
    /// An identity number with a check digit, or one that its label shows.
    Id,
    /// A payment card.
    Card,
    /// A bank account.
    Iban,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A number that only its label shows: a passport's.
    Number,
}

impl PrivateKind {
    /// What it is replaced by.
    pub fn mark(self) -> &'static str {
        match self {
            PrivateKind::Key | PrivateKind::Password => "[secret]",
            PrivateKind::Id | PrivateKind::Number => "[id]",
            PrivateKind::Card => "[card]",
            PrivateKind::Iban => "[iban]",
            PrivateKind::Email => "[email]",
            PrivateKind::Phone => "[phone]",
        }
    }
}

/// Personal data or a secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// Where it is, in bytes of the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: PrivateKind,
}

/// The text with personal data and secrets replaced by `[kind]` marks. Text without any comes back
/// unchanged, and so does text that was redacted before.
pub fn redact(text: &str) -> String {
    redact_wanted(text, &|_, _| true).unwrap_or_else(|| text.to_owned())
}

/// Whether a value of this kind is replaced.
pub type Wants<'a> = &'a dyn Fn(PrivateKind, &str) -> bool;

/// The text with what is wanted replaced, as [`redact`] does it; `None` where nothing is.
pub fn redact_wanted(text: &str, wants: Wants<'_>) -> Option<String> {
    let mut redacted: Option<String> = None;
    for _ in 0..PASSES_MAX {
        let text = redacted.as_deref().unwrap_or(text);
        let mut findings = find_private(text);
        findings.retain(|found| wants(found.kind, &text[found.range.clone()]));
        if findings.is_empty() {
            break;
        }
        redacted = Some(replace(text, &findings));
    }
    redacted
}

/// Whether the text contains personal data or a secret: anything that [`redact`] would replace.
/// Secrets count too, since a credential in an answer is a leak whoever it belongs to.
pub fn has_pii(text: &str) -> bool {
    !find_private(text).is_empty()
}

fn replace(text: &str, findings: &[Private]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for Private { range, kind } in findings {
        out.push_str(&text[copied..range.start]);
        out.push_str(kind.mark());
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// Personal data and secrets in the text, in order and without overlap.
pub fn find_private(text: &str) -> Vec<Private> {
    let folded = Folded::new(text);
    let mut findings = patterns::find(&folded.text);
    findings.sort_by_key(|(range, kind)| (range.start, *kind));
    let mut joined: Vec<Private> = Vec::new();
    for (range, kind) in findings {
        match joined.last_mut() {
            // Two findings that overlap become one: none of either may stay.
            Some(last) if range.start < last.range.end => {
                last.range.end = last.range.end.max(range.end);
                last.kind = last.kind.min(kind);
            }
            Some(_) | None => joined.push(Private { range, kind }),
        }
    }
    for found in &mut joined {
        found.range = folded.original(found.range.clone());
    }
    joined
}

/// A text with letters, digits and marks in their plain form and without what is invisible, and
/// the way back to its bytes.
struct Folded<'a> {
    text: Cow<'a, str>,
    /// Behind each character that is shorter here, or left out: where `text` goes on, and the
    /// original. No text has 4 GiB.
    places: Vec<(u32, u32)>,
}

impl<'a> Folded<'a> {
    fn new(original: &'a str) -> Self {
        let mut at = plain_until(original, 0);
        if at == original.len() {
            return Folded { text: Cow::Borrowed(original), places: Vec::new() };
        }
        let mut text = String::with_capacity(original.len());
        text.push_str(&original[..at]);
        let (mut places, mut shorter) = (Vec::new(), 0);
        while let Some(c) = original[at..].chars().next() {
            at += c.len_utf8();
            if !is_invisible(c) {
                let next = original[at..].chars().next().map(plain);
                text.push(in_number(c, text.chars().next_back(), next));
            }
            if at - text.len() != shorter {
                shorter = at - text.len();
                places.push((text.len() as u32, at as u32));
            }
            let run = plain_until(original, at);
            text.push_str(&original[at..run]);
            at = run;
        }
        Folded { text: Cow::Owned(text), places }
    }

    fn original(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let behind = self.places.partition_point(|(here, _)| *here as usize <= at);
            let Some(last) = behind.checked_sub(1) else { return at };
            let (here, there) = self.places[last];
            at - here as usize + there as usize
        };
        place(range.start)..place(range.end)
    }
}

/// The end of what is in its plain form already, from a place on: ASCII, most Chinese characters
/// and most kana. What follows may be as well.
fn plain_until(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at..) {
            Some([..=0x7F, ..]) => at += ascii_at_start(&bytes[at..]),
            // U+4E00 is a dash between digits, U+30FC as well, U+3000 a space.
            Some([0xE4, 0xB8, 0x80, ..] | [0xE3, 0x83, 0xBC, ..]) => return at,
            Some([0xE4..=0xE9, ..] | [0xE3, 0x81..=0x83, ..]) => at += 3,
            _ => return at,
        }
    }
}

/// The plain form of a character; the long-vowel mark between digits is what a Japanese keyboard
/// gives for a dash, and a wide space is a space.
fn in_number(c: char, before: Option<char>, next: Option<char>) -> char {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match c {
        'ー' | 'ｰ' | '一' if is_digit(before) && is_digit(next) => '-',
        '\u{3000}' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' => ' ',
        c => plain(c),
    }
}
