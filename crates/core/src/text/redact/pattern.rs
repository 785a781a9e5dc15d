//! What a pattern is: an expression, and what keeps it from matching too much or too often.

use super::PrivateKind;
use regex::Regex;
use std::ops::Range;

/// A match and the text around it.
pub(super) struct Match<'a> {
    pub(super) before: &'a str,
    pub(super) found: &'a str,
    pub(super) after: &'a str,
}

impl<'a> Match<'a> {
    pub(super) fn new(text: &'a str, range: &Range<usize>) -> Self {
        Match {
            before: &text[..range.start],
            found: &text[range.clone()],
            after: &text[range.end..],
        }
    }

    pub(super) fn digits(&self) -> Vec<u8> {
        self.found.bytes().filter(u8::is_ascii_digit).collect()
    }
}

/// One pattern. If it has a group, the group is the finding and the rest is its context.
pub(super) struct Pattern {
    pub(super) kind: PrivateKind,
    pub(super) regex: Regex,
    /// Whether a match at this place counts.
    pub(super) holds: fn(&Match<'_>) -> bool,
    /// Whether the pattern can match a text with these signs.
    pub(super) needs: fn(&Signs) -> bool,
}

impl Pattern {
    pub(super) fn new(kind: PrivateKind, regex: &str, holds: fn(&Match<'_>) -> bool) -> Pattern {
        Pattern { kind, regex: compile(regex), holds, needs: |_| true }
    }

    /// The same pattern, tried only on texts with these signs.
    pub(super) fn needs(self, needs: fn(&Signs) -> bool) -> Pattern {
        Pattern { needs, ..self }
    }
}

/// What a text contains, so that most patterns need not be tried on most texts.
pub(super) struct Signs {
    pub(super) digits: usize,
    pub(super) at: bool,
    pub(super) plus: bool,
    pub(super) bracket: bool,
    pub(super) address: bool,
    pub(super) spelt: bool,
    pub(super) said: bool,
    pub(super) numerals: bool,
}

impl Signs {
    pub(super) fn of(text: &str) -> Signs {
        /// How an `at` in brackets ends, and the words for it.
        const SPELT: [&str; 12] =
            ["艾特", "アット", "t)", "t]", "t}", "t>", "t）", "t】", "t )", "t ]", "@)", "@]"];
        let ascii = text.to_ascii_lowercase();
        Signs {
            digits: text.bytes().filter(u8::is_ascii_digit).count(),
            at: text.contains('@'),
            plus: text.contains('+') || text.contains("00"),
            bracket: text.contains('('),
            address: text.contains("://"),
            spelt: SPELT.iter().any(|sign| ascii.contains(sign)),
            said: ascii.contains(" dot "),
            numerals: text.contains(['一', '幺']),
        }
    }
}

#[expect(clippy::expect_used, reason = "the patterns are constants; a test compiles them all")]
pub(super) fn compile(regex: &str) -> Regex {
    Regex::new(regex).expect("a constant pattern compiles")
}

/// Begins and ends where no ASCII letter, digit or underscore is next to it. ASCII, because
/// Chinese text puts a number next to letters; and the fast engine knows only this kind.
macro_rules! word {
    ($($inside:literal),+ $(,)?) => {
        concat!(r"(?-u:\b{start-half})(?:", $($inside),+, r")(?-u:\b{end-half})")
    };
}
pub(super) use word;
