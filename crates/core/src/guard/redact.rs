//! Personal data and secrets of an answer replaced by their marks while it comes in pieces; of a
//! whole text [`redact_wanted`](crate::text::redact_wanted) replaces them.
//!
//! A stream is looked at in windows with overlap. A window ends at every [`STEP`]th character of
//! the text, wherever the pieces end, so that every split of a text gives the same result. The
//! newest [`HOLD`] characters wait for what follows them: longer than any value but keys, of which
//! the rest is left out as it comes. What went out already, as it went out, is the context of what
//! follows.

use crate::text::{Private, PrivateKind, Wants, find_private};

/// How often a stream is looked at, characters: each look is at some [`HOLD`] + [`CONTEXT`] more.
const STEP: usize = 64;
/// How much waits for what follows it, characters: an account number in groups has 42, an address
/// hardly more than 80.
const HOLD: usize = 192;
/// How much of what went out is looked at again, characters; labels are looked for in 48 bytes.
const CONTEXT: usize = 128;
/// The most that a stream is behind, characters.
pub const REDACT_DELAY_CHARS: usize = HOLD + STEP;
/// Longest rest of a key that is left out, characters.
const REST_MAX: usize = 1 << 14;
const KEY_BEGINS: &str = "-----BEGIN";
const KEY_ENDS: &str = "-----END";
const DASHES: &str = "-----";

/// A text that is redacted as it comes.
#[derive(Debug, Clone, Default)]
pub struct RedactedStream {
    /// The end of what went out.
    context: String,
    /// What waits.
    waiting: String,
    /// How many characters came.
    came: usize,
    /// The rest of a key, which is left out.
    rest: Option<Rest>,
    /// Whether anything was replaced.
    pub is_changed: bool,
}

/// The rest of a value that is longer than what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rest {
    /// Of a token: until a character that is none of a token's.
    Token,
    /// Of a private key: until its last line, of which the end is kept here.
    Key { left_out: usize, end: String },
}

/// Whether a character belongs to what is left out.
enum Taken {
    Inside,
    Last,
    Not,
}

impl Rest {
    fn takes(&mut self, c: char) -> Taken {
        let is_part = |signs: &str| c.is_ascii_alphanumeric() || signs.contains(c);
        match self {
            Rest::Token if is_part("-._~+/=") => Taken::Inside,
            Rest::Key { left_out, end } if is_part("+/=\\- \r\n\t") && *left_out < REST_MAX => {
                *left_out += 1;
                end.push(c);
                let over = end.find(KEY_ENDS).map(|at| &end[at + KEY_ENDS.len()..]);
                match over {
                    Some(rest) if rest.ends_with(DASHES) => return Taken::Last,
                    Some(_) => {}
                    // What may begin the last line is kept.
                    None if end.len() >= 2 * KEY_ENDS.len() => drop(end.drain(..KEY_ENDS.len())),
                    None => {}
                }
                Taken::Inside
            }
            Rest::Token | Rest::Key { .. } => Taken::Not,
        }
    }
}

impl RedactedStream {
    /// Takes a piece; gives what can go on.
    pub fn push(&mut self, wants: Wants<'_>, piece: &str) -> String {
        let mut out = String::new();
        for c in piece.chars() {
            self.take(c);
            self.came += 1;
            if self.came.is_multiple_of(STEP) {
                self.look(wants, false, &mut out);
                // Behind a key that broke off there may be more than waits.
                while self.waiting.chars().nth(HOLD).is_some() {
                    self.look(wants, false, &mut out);
                }
            }
        }
        out
    }

    /// Gives the rest: nothing follows.
    pub fn end(&mut self, wants: Wants<'_>) -> String {
        let mut out = String::new();
        self.look(wants, true, &mut out);
        out
    }

    fn take(&mut self, c: char) {
        match self.rest.as_mut().map(|rest| rest.takes(c)) {
            Some(Taken::Inside) => {}
            Some(Taken::Last) => self.rest = None,
            Some(Taken::Not) | None => {
                self.rest = None;
                self.waiting.push(c);
            }
        }
    }

    fn look(&mut self, wants: Wants<'_>, is_last: bool, out: &mut String) {
        let before = self.context.len();
        let window = std::mem::take(&mut self.context) + &self.waiting;
        let held =
            || window[before..].char_indices().rev().nth(HOLD - 1).map(|(at, _)| before + at);
        let free = if is_last { window.len() } else { held().unwrap_or(before) };
        let (mut at, begun) = (before, out.len());
        let open = (!is_last).then(|| open_token(&window, before)).flatten();
        let mut all = find_private(&window);
        all.extend(
            open.filter(|open| all.last().is_none_or(|last| last.range.end <= open.range.start)),
        );
        for found in all {
            let Private { range, kind } = &found;
            if range.start >= free {
                break;
            }
            if range.end <= before || !wants(*kind, &window[range.clone()]) {
                continue;
            }
            out.push_str(&window[at..range.start.max(at)]);
            out.push_str(kind.mark());
            self.is_changed = true;
            at = range.end;
            let value = &window[range.clone()];
            if !is_last && value.starts_with(KEY_BEGINS) && !value.contains(KEY_ENDS) {
                self.rest = Some(Rest::Key { left_out: 0, end: String::new() });
                break;
            }
            if !is_last && at == window.len() {
                self.rest = Some(Rest::Token);
            }
        }
        if at < free && self.rest.is_none() {
            out.push_str(&window[at..free]);
            at = free;
        }
        self.waiting.clear();
        window[at..].chars().for_each(|c| self.take(c));
        self.context = ending(&window[..before], &out[begun..]);
    }
}

/// A web token that is not over yet, and so long that what waits does not hold it: only its third
/// part would show what it is.
fn open_token(window: &str, from: usize) -> Option<Private> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let run = window.trim_end_matches(is_part).len();
    let is_token = window[run..].starts_with("eyJ") && window.len() - run > HOLD && run >= from;
    is_token.then_some(Private { range: run..window.len(), kind: PrivateKind::Key })
}

/// The last characters of two texts together, from the beginning of a word on.
fn ending(first: &str, second: &str) -> String {
    let all = [first, second].concat();
    let Some((from, _)) = all.char_indices().rev().nth(CONTEXT) else { return all };
    let is_word = |c: char| c.is_ascii_alphanumeric();
    // Half a word would be read as another.
    let half = match all[from..].starts_with(is_word) {
        true => all[from..].find(|c| !is_word(c)).unwrap_or(0),
        false => 0,
    };
    all[from + half..].to_owned()
}

#[cfg(test)]
mod tests;
