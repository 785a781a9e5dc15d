//! Where personal data and secrets may stand, and what makes a find a finding.
//!
//! A number is left alone where its surroundings say that it is part of a longer one (`-`, `.`) or
//! that it is an order's. These rules read a mark's brackets as the letters that stood there, so
//! that a text redacted once is judged as before.

use super::{Kind, checks};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// How far before a My Number its label may stand, in bytes.
const LABEL_BYTES: usize = 40;
/// Fewest and most digits of an international phone number (ITU-T E.164).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits from which on `+` and digits right after a letter or digit are a phone number and not a
/// sum.
const PHONE_DIGITS_CLOSE: usize = 10;

/// Length of the longest mark, `[secret]`, in bytes.
const MARK_BYTES_MAX: usize = 8;
/// Words right before a number that make it an order's and not a phone's.
const ORDERS: [&str; 11] = [
    "order",
    "order no",
    "order no.",
    "order id",
    "order number",
    "tracking number",
    "单号",
    "订单",
    "編號",
    "编号",
    "注文番号",
];

/// A find and what stands around it.
struct Place<'a> {
    before: &'a str,
    found: &'a str,
    after: &'a str,
}

impl<'a> Place<'a> {
    fn new(text: &'a str, range: &Range<usize>) -> Self {
        Place {
            before: &text[..range.start],
            found: &text[range.clone()],
            after: &text[range.end..],
        }
    }

    fn digits(&self) -> Vec<u8> {
        self.found.bytes().filter(u8::is_ascii_digit).collect()
    }
}

/// One pattern. Where it has a group, the group is the finding and the rest is its context.
struct Pattern {
    kind: Kind,
    regex: Regex,
    holds: fn(&Place<'_>) -> bool,
}

#[expect(clippy::expect_used, reason = "the patterns are constants; a test compiles them all")]
fn compile(regex: &str) -> Regex {
    Regex::new(regex).expect("a constant pattern compiles")
}

/// Begins and ends where no ASCII letter, digit or underscore stands beside it. ASCII, because
/// Chinese text puts a number next to letters; and the fast engine knows only this kind.
macro_rules! word {
    ($($inside:literal),+ $(,)?) => {
        concat!(r"(?-u:\b{start-half})(?:", $($inside),+, r")(?-u:\b{end-half})")
    };
}

const TOKENS: &str = word!(
    r"gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}",
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}",
    r"|hf_[A-Za-z0-9]{20,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
);
const PRIVATE_KEY: &str = concat!(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:(?:\s|\\n)*[A-Za-z0-9+/=]{20,})*",
    r"(?:(?:\s|\\n)*(?:[A-Za-z0-9+/=]+(?:\s|\\n)*)?-----END [A-Z ]{0,20}PRIVATE KEY-----)?",
);
const BEARER: &str = r"(?-u:\b)(?:[Bb]earer|BEARER) {1,4}([A-Za-z0-9._~+/=-]{16,})";
const PASSWORD_SET: &str = concat!(
    r#"(?:(?i-u:password|passwd|pwd|secret|api_?key|access_?token|auth_?token)"#,
    r#"|密码|密碼|口令|パスワード)["']?[ \t]{0,4}=[ \t]{0,4}"#,
    r#"(?:"([^"\n]{4,256})"|'([^'\n]{4,256})'|["']?([!-~&&[^"'`,;&<>()]]{4,}))"#,
);
const PASSWORD_SAID: &str = concat!(
    r#"(?:(?i-u:password|passwd|pwd|secret|api[_ ]?key|access_?token|auth_?token)"#,
    r#"|密码|密碼|口令|パスワード)["']?[ \t]{0,4}(?::|是|为|は| is )[ \t]{0,4}["']?"#,
    r#"([!-~&&[^"'`,;&<>()]]{6,})"#,
);
const EMAIL: &str = concat!(
    r"(?-u:\b{start-half})[A-Za-z0-9_\u{C0}-\u{24F}][A-Za-z0-9._%+'\u{C0}-\u{24F}-]*@",
    r"(?:[A-Za-z0-9\u{C0}-\u{24F}-]+\.)+[A-Za-z]{2,24}(?-u:\b{end-half})",
);
const RESIDENT_ID: &str = word!(r"[1-9][0-9]{5}[ -]?(?:1[89]|2[01])[0-9]{6}[ -]?[0-9]{3}[0-9Xx]");
const MY_NUMBER: &str = word!(r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}");
const PHONE_E164: &str = r"\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){1,5}(?-u:\b{end-half})";
const PHONE_CHINA: &str = word!(
    r"(?:86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}",
    r"|0[1-9][0-9]{1,2}-[1-9][0-9]{6,7}",
);
const PHONE_JAPAN: &str = word!(
    r"0[5-9]0[ -]?[0-9]{4}[ -]?[0-9]{4}|0[1-9]0-[0-9]{4}-[0-9]{4}",
    r"|0[1-9]-[0-9]{4}-[0-9]{4}|0[0-9]{2}-[0-9]{3}-[0-9]{4}|0[0-9]{3}-[0-9]{2}-[0-9]{4}",
);
const PHONE_AMERICA: &str = concat!(
    r"(?:\([2-9][0-9]{2}\) ?|(?-u:\b{start-half})[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}",
    r"(?-u:\b{end-half})",
);

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let pattern =
        |kind, regex, holds: fn(&Place<'_>) -> bool| Pattern { kind, regex: compile(regex), holds };
    vec![
        pattern(Kind::Secret, TOKENS, |_| true),
        pattern(Kind::Secret, r"(?-u:\b{start-half})sk-[A-Za-z0-9_-]{16,}", has_digit),
        pattern(Kind::Secret, PRIVATE_KEY, |_| true),
        pattern(Kind::Secret, BEARER, has_digit),
        pattern(Kind::Secret, PASSWORD_SET, is_no_mark),
        pattern(Kind::Secret, PASSWORD_SAID, |place| is_no_mark(place) && has_digit(place)),
        pattern(Kind::Email, EMAIL, |_| true),
        pattern(Kind::Id, RESIDENT_ID, |place| {
            let id: Vec<u8> = place.found.bytes().filter(u8::is_ascii_alphanumeric).collect();
            checks::is_resident_id(&id)
        }),
        pattern(Kind::Id, MY_NUMBER, |place| {
            has_my_number_label(place.before) && checks::is_my_number(&place.digits())
        }),
        pattern(Kind::Phone, PHONE_E164, is_international),
        pattern(Kind::Phone, PHONE_CHINA, stands_alone),
        pattern(Kind::Phone, PHONE_JAPAN, stands_alone),
        pattern(Kind::Phone, PHONE_AMERICA, |place| {
            let free = ["800", "833", "844", "855", "866", "877", "888", "400"];
            let area = place.found.trim_start_matches('(');
            !free.iter().any(|code| area.starts_with(code)) && stands_alone(place)
        }),
    ]
});

/// Runs of digits in groups, where a card number may stand.
static DIGIT_RUNS: LazyLock<Regex> = LazyLock::new(|| compile(word!(r"[0-9]+(?:[ -][0-9]+)*")));

/// Account numbers in the paper form, in capitals and fours, or the electronic one.
static IBAN_RUNS: LazyLock<Regex> = LazyLock::new(|| {
    compile(word!(
        r"[A-Z]{2}[0-9]{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?",
        r"|[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,30}",
    ))
});

/// Every finding, in no order; they may overlap.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, Kind)> {
    let mut findings = Vec::new();
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let has_at = text.contains('@');
    for pattern in PATTERNS.iter() {
        let possible = match pattern.kind {
            Kind::Secret => true,
            Kind::Email => has_at,
            Kind::Id | Kind::Card | Kind::Iban | Kind::Phone => has_digits,
        };
        if possible {
            find_pattern(text, pattern, &mut findings);
        }
    }
    if has_digits {
        find_cards(text, &mut findings);
        find_ibans(text, &mut findings);
    }
    findings
}

fn find_pattern(text: &str, pattern: &Pattern, findings: &mut Vec<(Range<usize>, Kind)>) {
    let mut take = |range: Range<usize>| {
        if (pattern.holds)(&Place::new(text, &range)) {
            findings.push((range, pattern.kind));
        }
    };
    if pattern.regex.captures_len() == 1 {
        pattern.regex.find_iter(text).for_each(|found| take(found.range()));
    } else {
        let groups = pattern.regex.captures_iter(text).filter_map(|captures| {
            // Of several groups, alternatives of each other, one takes part.
            captures.iter().skip(1).flatten().next()
        });
        groups.for_each(|found| take(found.range()));
    }
}

/// Looks at each run of digit groups for windows that are printed as cards are.
fn find_cards(text: &str, findings: &mut Vec<(Range<usize>, Kind)>) {
    for run in DIGIT_RUNS.find_iter(text).filter(|run| run.len() >= 13) {
        let mut at = run.start();
        let groups: Vec<Range<usize>> = run
            .as_str()
            .split([' ', '-'])
            .map(|group| {
                let range = at..at + group.len();
                at = range.end + 1;
                range
            })
            .collect();
        let mut first = 0;
        while first < groups.len() {
            match card_from(text, &groups[first..]) {
                Some(taken) => {
                    let range = groups[first].start..groups[first + taken - 1].end;
                    findings.push((range, Kind::Card));
                    first += taken;
                }
                None => first += 1,
            }
        }
    }
}

/// How many of the first groups are a card; the longest that is.
fn card_from(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    const PRINTED: [&[usize]; 9] = [
        &[4, 4, 4, 4, 3],
        &[4, 4, 4, 4, 2],
        &[4, 4, 4, 4, 1],
        &[4, 4, 4, 4],
        &[4, 6, 5],
        &[4, 6, 4],
        &[4, 4, 4, 1],
        &[6, 13],
        &[6, 10],
    ];
    let is_card = |taken: &[Range<usize>]| {
        let digits: Vec<u8> = taken.iter().flat_map(|r| text[r.clone()].bytes()).collect();
        checks::is_card(&digits)
    };
    let printed = PRINTED.iter().find_map(|lengths| {
        let taken = groups.get(..lengths.len())?;
        let fits = taken.iter().zip(*lengths).all(|(range, length)| range.len() == *length);
        (fits && is_card(taken)).then_some(lengths.len())
    });
    printed.or_else(|| (groups[0].len() <= 19 && is_card(&groups[..1])).then_some(1))
}

/// A run may have swallowed words behind the account number: they are given back one by one.
fn find_ibans(text: &str, findings: &mut Vec<(Range<usize>, Kind)>) {
    for run in IBAN_RUNS.find_iter(text) {
        let mut candidate = run.as_str();
        loop {
            let packed: Vec<u8> = candidate.bytes().filter(|byte| *byte != b' ').collect();
            if checks::is_iban(&packed) {
                findings.push((run.start()..run.start() + candidate.len(), Kind::Iban));
                break;
            }
            match candidate.rfind(' ') {
                Some(end) => candidate = &candidate[..end],
                None => break,
            }
        }
    }
}

fn has_digit(place: &Place<'_>) -> bool {
    place.found.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether a password's place does not already hold a mark, or the name of a variable.
fn is_no_mark(place: &Place<'_>) -> bool {
    let found = place.found.trim_end_matches(['.', '!', '?']);
    let is_mark = found.starts_with('[') && found.ends_with(']') && found.len() <= MARK_BYTES_MAX;
    let is_variable = found.starts_with("${") || found.starts_with("{{");
    !is_mark && !is_variable
}

fn is_international(place: &Place<'_>) -> bool {
    let count = place.digits().len();
    let close = place.before.ends_with(|c: char| c.is_ascii_alphanumeric() || "])".contains(c));
    PHONE_DIGITS.contains(&count) && (!close || count >= PHONE_DIGITS_CLOSE)
}

fn has_my_number_label(before: &str) -> bool {
    let mut from = before.len().saturating_sub(LABEL_BYTES);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let near = before[from..].to_lowercase();
    let near = near.rsplit(['\n', '。']).next().unwrap_or_default();
    ["マイナンバー", "個人番号", "my number", "mynumber"].iter().any(|label| near.contains(label))
}

/// Whether digits are not a piece of a longer number and not an order's.
fn stands_alone(place: &Place<'_>) -> bool {
    let mut before = place.before.chars().rev();
    let joined_before = before.next().is_some_and(|c| "-.#".contains(c))
        && before.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == ']')
        && !ends_with_word(&place.before[..place.before.len() - 1], &["tel", "phone", "mobile"]);
    let mut after = place.after.chars();
    let joined_after = after.next().is_some_and(|c| "-.".contains(c))
        && after.next().is_some_and(|c| c.is_ascii_digit() || c == '[');
    let label = place.before.trim_end_matches([' ', ':', '#', '=', '"', '\'', '是', '为', 'は']);
    !joined_before && !joined_after && !ends_with_word(label, &ORDERS)
}

fn ends_with_word(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        text.len()
            .checked_sub(word.len())
            .and_then(|from| text.get(from..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(word))
    })
}

/// Compiles every pattern, for the test that no constant is wrong.
#[cfg(test)]
pub(super) fn compile_all() -> usize {
    LazyLock::force(&DIGIT_RUNS);
    LazyLock::force(&IBAN_RUNS);
    PATTERNS.len()
}
