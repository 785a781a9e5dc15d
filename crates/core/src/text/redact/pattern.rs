//! What a pattern is: an expression, and what keeps it from matching too much or too often.

use super::PrivateKind;
use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::dfa::DFA;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

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

/// A mark or word that a text holds; most patterns cannot match without theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    At,
    Plus,
    Bracket,
    Address,
    Spelt,
    Dot,
    Numeral,
    Token,
    SecretKey,
    PrivateKey,
    Bearer,
    Authorization,
    Password,
    KeyWord,
}

/// The signs and what shows them, ASCII letters in either case.
const SIGNS: [(Sign, &[&str]); 14] = [
    (Sign::At, &["@"]),
    (Sign::Plus, &["+", "00"]),
    (Sign::Bracket, &["("]),
    (Sign::Address, &["://"]),
    // How an `at` in brackets ends, and the words for it.
    (
        Sign::Spelt,
        &[
            "艾特",
            "アット",
            "t)",
            "t]",
            "t}",
            "t>",
            "t）",
            "t】",
            "t )",
            "t ]",
            "t }",
            "t >",
            "t ）",
            "t 】",
            "@)",
            "@]",
            "@}",
            "@>",
            "@）",
            "@】",
            "@ )",
            "@ ]",
            "@ }",
            "@ >",
            "@ ）",
            "@ 】",
        ],
    ),
    (Sign::Dot, &[" dot "]),
    (Sign::Numeral, &["一", "幺"]),
    (
        Sign::Token,
        &[
            "gho_",
            "ghp_",
            "ghs_",
            "ghu_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "akia",
            "asia",
            "xox",
            "aiza",
            "xapp-",
            "hf_",
            "npm_",
            "dop_v1_",
            "k_live_",
            "k_test_",
            "whsec_",
            "ya29.",
            "sg.",
            ":aa",
            "age-secret-key",
            "pypi-",
            "tg-",
            "ltai",
            "akid",
            "eyj",
        ],
    ),
    (Sign::SecretKey, &["sk-"]),
    (Sign::PrivateKey, &["-----begin"]),
    (Sign::Bearer, &["bearer "]),
    (Sign::Authorization, &["authorization"]),
    (
        Sign::Password,
        &[
            "password",
            "passwd",
            "pwd",
            "secret",
            "apikey",
            "api_key",
            "api key",
            "api-key",
            "privatekey",
            "private_key",
            "private key",
            "private-key",
            "accesskey",
            "access_key",
            "access key",
            "access-key",
            "accesstoken",
            "access_token",
            "authtoken",
            "auth_token",
            "refreshtoken",
            "refresh_token",
            "密码",
            "密碼",
            "口令",
            "パスワード",
        ],
    ),
    (Sign::KeyWord, &["密钥", "密鑰", "秘钥", "令牌", "キー", "秘密鍵", "トークン"]),
];

/// What a text contains, so that most patterns need not be tried on most texts.
pub(super) struct Signs {
    pub(super) digits: usize,
    found: u32,
}

/// Parts of a text that are read at a time: a step waits for the one before it, not for those of
/// the other parts.
const LANES: usize = 4;

/// Finds all signs in a text in one pass.
struct Finder {
    words: DFA,
    start: StateID,
    /// Bytes of the longest word.
    longest: usize,
    /// For each word, the sign that it shows.
    shows: Vec<Sign>,
}

static FINDER: LazyLock<Finder> = LazyLock::new(|| {
    let longest = all_words().map(|(_, word)| word.len()).max().unwrap_or(0);
    let (words, start) = automaton(all_words().map(|(_, word)| word));
    Finder { words, start, longest, shows: all_words().map(|(sign, _)| sign).collect() }
});

/// Each word with the sign that it shows.
pub(super) fn all_words() -> impl Iterator<Item = (Sign, &'static str)> {
    SIGNS.iter().flat_map(|(sign, words)| words.iter().map(|word| (*sign, *word)))
}

#[expect(
    clippy::expect_used,
    reason = "the words are constants; every test of redaction builds it"
)]
fn automaton(words: impl Iterator<Item = &'static str>) -> (DFA, StateID) {
    let words = DFA::builder()
        .ascii_case_insensitive(true)
        .prefilter(false)
        .build(words)
        .expect("constant words make an automaton");
    let start = words.start_state(Anchored::No).expect("an automaton searches unanchored");
    (words, start)
}

impl Finder {
    /// The signs of the words in a text, also of those within others, a bit a sign.
    fn signs(&self, text: &[u8]) -> u32 {
        // A word that begins in a part ends within it or `longest` bytes behind.
        let part = text.len() / LANES;
        if part < self.longest {
            return self.read(self.start, text);
        }
        let parts: [&[u8]; LANES] = std::array::from_fn(|lane| match lane + 1 == LANES {
            true => &text[part * lane..],
            false => &text[part * lane..part * (lane + 1) + self.longest],
        });
        let (mut states, mut found) = ([self.start; LANES], 0);
        let shortest = parts.iter().map(|part| part.len()).min().unwrap_or(0);
        let steps = parts.map(|part| &part[..shortest]);
        for at in 0..shortest {
            let mut is_special = false;
            for (state, steps) in states.iter_mut().zip(&steps) {
                *state = self.words.next_state(Anchored::No, *state, steps[at]);
                is_special |= self.words.is_special(*state);
            }
            if is_special {
                found |= states.iter().fold(0, |found, state| found | self.shown(*state));
            }
        }
        let rests = states.into_iter().zip(parts);
        rests.fold(found, |found, (state, part)| found | self.read(state, &part[shortest..]))
    }

    /// The signs of the words that end in the bytes behind a state.
    fn read(&self, mut state: StateID, bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |found, byte| {
            state = self.words.next_state(Anchored::No, state, *byte);
            found | self.shown(state)
        })
    }

    /// The signs of the words that end in a state.
    fn shown(&self, state: StateID) -> u32 {
        if !self.words.is_match(state) {
            return 0;
        }
        let words = (0..self.words.match_len(state)).map(|n| self.words.match_pattern(state, n));
        words.fold(0, |found, word| found | 1 << self.shows[word.as_usize()] as u32)
    }
}

impl Signs {
    pub(super) fn of(text: &str) -> Signs {
        Signs { digits: digits(text), found: FINDER.signs(text.as_bytes()) }
    }

    pub(super) fn has(&self, sign: Sign) -> bool {
        self.found & (1 << sign as u32) != 0
    }
}

/// Bytes whose digits are counted in a byte: whole vectors of what a processor adds at a time, so
/// that none is counted by itself.
const COUNTED: usize = 192;

/// How many digits a text has, counted many bytes at a time.
fn digits(text: &str) -> usize {
    let in_part = |part: &[u8]| part.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum::<u8>();
    text.as_bytes().chunks(COUNTED).map(|part| usize::from(in_part(part))).sum()
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
