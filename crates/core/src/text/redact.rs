//! Taking personal data and secrets out of text before it is kept (anchors A16, A17).
//!
//! Kinds: `[email]`, `[phone]`, `[id]` (Chinese resident identity number, Japanese My Number),
//! `[card]`, `[iban]`, `[secret]` (API keys, tokens, JWTs, private keys, passwords). Numbers count
//! only when their check digits hold, so that order numbers, dates and prices stay. Names and
//! street addresses are not seen: they need a model, not a pattern. IP addresses are left in.
//!
//! Matching is done on a copy in which full-width letters, digits and marks are ASCII; what is
//! replaced is the original. Every pattern is linear in the text (no backtracking), and begins and
//! ends at an ASCII word boundary, so that replacing one finding does not uncover another.

mod checks;
mod patterns;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// How often the text is gone over again because a mark brought two pieces closer together
/// (a label and its number). Two passes settle every text but one made for the purpose.
const PASSES_MAX: usize = 8;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    // In order of precedence where two findings overlap.
    Secret,
    Id,
    Card,
    Iban,
    Email,
    Phone,
}

impl Kind {
    fn mark(self) -> &'static str {
        match self {
            Kind::Secret => "[secret]",
            Kind::Id => "[id]",
            Kind::Card => "[card]",
            Kind::Iban => "[iban]",
            Kind::Email => "[email]",
            Kind::Phone => "[phone]",
        }
    }
}

/// The text with personal data and secrets replaced by `[kind]` marks. Text without any comes back
/// unchanged, and so does text that was redacted before.
pub fn redact(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for _ in 0..PASSES_MAX {
        let findings = find(&text);
        if findings.is_empty() {
            break;
        }
        text = Cow::Owned(replace(&text, &findings));
    }
    text.into_owned()
}

/// Whether personal data or a secret stands in the text: anything that [`redact`] would replace.
/// Secrets count too, since a credential in an answer is a leak whoever it belongs to.
pub fn has_pii(text: &str) -> bool {
    !find(text).is_empty()
}

fn replace(text: &str, findings: &[(Range<usize>, Kind)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, kind) in findings {
        out.push_str(&text[copied..range.start]);
        out.push_str(kind.mark());
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// What is to be replaced, in order and without overlap.
fn find(text: &str) -> Vec<(Range<usize>, Kind)> {
    let folded = Folded::new(text);
    let mut findings = patterns::find(&folded.text);
    findings.sort_by_key(|(range, kind)| (range.start, *kind));
    let mut joined: Vec<(Range<usize>, Kind)> = Vec::new();
    for (range, kind) in findings {
        match joined.last_mut() {
            // Two findings that overlap become one: none of either may stay.
            Some((last, last_kind)) if range.start < last.end => {
                last.end = last.end.max(range.end);
                *last_kind = (*last_kind).min(kind);
            }
            Some(_) | None => joined.push((range, kind)),
        }
    }
    joined.into_iter().map(|(range, kind)| (folded.original(range), kind)).collect()
}

/// A text with full-width ASCII and dashes as ASCII, and the way back to its bytes.
struct Folded<'a> {
    text: Cow<'a, str>,
    /// For each byte of `text` and its end, where it is in the original; empty when it is the same.
    places: Vec<usize>,
}

impl<'a> Folded<'a> {
    fn new(original: &'a str) -> Self {
        if original.is_ascii() || !original.chars().any(|c| plain(c) != c) {
            return Folded { text: Cow::Borrowed(original), places: Vec::new() };
        }
        let mut text = String::with_capacity(original.len());
        let mut places = Vec::with_capacity(original.len() + 1);
        for (place, c) in original.char_indices() {
            let c = plain(c);
            text.push(c);
            places.extend((0..c.len_utf8()).map(|offset| place + offset));
        }
        places.push(original.len());
        Folded { text: Cow::Owned(text), places }
    }

    fn original(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).copied().unwrap_or(at);
        place(range.start)..place(range.end)
    }
}

fn plain(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        _ => c,
    }
}
