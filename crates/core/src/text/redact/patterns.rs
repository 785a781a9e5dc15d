//! The list of patterns: which texts are personal data or secrets, and when a match counts.
//!
//! A number is left alone where the text around it shows that it is part of a longer number
//! (`-`, `.`) or an order number. These rules read the brackets of a mark as the letters it
//! replaced, so a text that was redacted once is judged the same again.

use super::pattern::{Match, Pattern, Sign, Signs, compile, word};
use super::{PrivateKind, checks, labels, phones};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// Length of the longest mark, `[secret]`, in bytes.
const MARK_BYTES_MAX: usize = 8;
/// Words before `at` that lead to a place and not to an address.
const PLACES: [&str; 12] = [
    "us",
    "me",
    "look",
    "visit",
    "shop",
    "available",
    "hosted",
    "is",
    "are",
    "here",
    "found",
    "live",
];

const TOKENS: &str = word!(
    r"gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}",
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}",
    r"|xapp-[0-9]-[A-Za-z0-9-]{16,}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{36}|dop_v1_[a-f0-9]{64}",
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{16,}|ya29\.[A-Za-z0-9_-]{20,}",
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    r"|AGE-SECRET-KEY-1[A-Z0-9]{50,}|pypi-[A-Za-z0-9_-]{50,}|tg-[0-9a-f]{8}-[0-9a-f]{72}",
    r"|LTAI[A-Za-z0-9]{16,24}|AKID[A-Za-z0-9]{32}",
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
);
const PRIVATE_KEY: &str = concat!(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----(?:(?:\s|\\n)*[A-Za-z0-9+/=]{20,})*",
    r"(?:(?:\s|\\n)*(?:[A-Za-z0-9+/=]+(?:\s|\\n)*)?",
    r"-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----)?",
);
const BEARER: &str = r"(?-u:\b)(?:[Bb]earer|BEARER) {1,4}([A-Za-z0-9._~+/=-]{16,})";
const BASIC: &str = concat!(
    r#"(?i-u:authorization)["']?[ \t]{0,4}[:=][ \t]{0,4}["']?(?i-u:basic) {1,4}"#,
    r"([A-Za-z0-9+/=]{8,})",
);
/// A user's password in an address: `postgres://app:hunter2@db`.
const URL_PASSWORD: &str = r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@]{1,64}:([^\s/@\[\]]{3,128})@";
const PASSWORD_SET: &str = concat!(
    r#"(?:(?i-u:password|passwd|pwd|secret|(?:api|secret|private|access)[_-]?key"#,
    r#"|(?:access|auth|refresh)_?token)|密码|密碼|口令|パスワード)["']?[ \t]{0,4}=[ \t]{0,4}"#,
    r#"(?:"([^"\n]{4,256})"|'([^'\n]{4,256})'|["']?([!-~&&[^"'`,;&<>()]]{4,}))"#,
);
const PASSWORD_SAID: &str = concat!(
    r#"(?:(?i-u:password|passwd|pwd|secret|(?:api|secret|private|access)[_ -]?key"#,
    r#"|(?:access|auth|refresh)_?token)|密码|密碼|口令|パスワード)"#,
    r#"["']?[ \t]{0,4}(?::|是|为|為|は| is )[ \t]{0,4}["']?([!-~&&[^"'`,;<>()]]{6,})"#,
);
/// What is called a key or a token, which is also what models count: digits alone are none.
const KEY_SAID: &str = concat!(
    r#"(?:密钥|密鑰|秘钥|令牌|(?i-u:api) ?キー|アクセスキー|シークレットキー|秘密鍵|トークン)["']?"#,
    r#"[ \t]{0,4}(?:[:=]|是|为|為|は)?[ \t]{0,4}["']?([A-Za-z0-9._~+/=-]{12,})"#,
);
const EMAIL: &str = concat!(
    r"(?-u:\b{start-half})[A-Za-z0-9_\u{C0}-\u{24F}][A-Za-z0-9._%+'\u{C0}-\u{24F}-]*",
    r"(?:@|\x20@\x20)(?:(?:[A-Za-z0-9\u{C0}-\u{24F}-]+\.)+|[A-Za-z0-9-]+。)",
    r"[A-Za-z]{2,24}(?-u:\b{end-half})",
);
/// An address whose signs are spelt: `ann (at) example dot com`, `taroアットexample.co.jp`.
const EMAIL_SPELT: &str = concat!(
    r"(?-u:\b{start-half})[A-Za-z0-9_][A-Za-z0-9._%+-]*",
    r"(?: ?[\[({<（【] ?(?:(?i-u:at)|@|アットマーク|アット|艾特) ?[\])}>）】] ?| ?(?:アットマーク|アット|艾特) ?)",
    r"[A-Za-z0-9-]+(?:(?:\.| ?[\[({<（【] ?(?:(?i-u:dot)|\.|点|點|ドット) ?[\])}>）】] ?",
    r"| (?i-u:dot) | ?(?:ドット|点|點) ?)[A-Za-z0-9-]+)+(?-u:\b{end-half})",
);
const EMAIL_WORDS: &str = word!(
    r"[A-Za-z0-9_](?:[A-Za-z0-9._%+-]| (?i-u:dot) )* (?i-u:at) [A-Za-z0-9-]+",
    r"(?: (?i-u:dot) [A-Za-z0-9-]+){0,3} (?i-u:dot) ",
    r"(?i-u:com|org|net|edu|gov|io|co|cn|jp|uk|de|fr|info|dev|app|ai|me|tw|hk|kr)",
);
const RESIDENT_ID: &str = word!(r"[1-9][0-9]{5}[ -]?(?:1[89]|2[01])[0-9]{6}[ -]?[0-9]{3}[0-9Xx]");
const HONG_KONG_ID: &str = r"(?-u:\b{start-half})[A-Z]{1,2}[0-9]{6} ?\([0-9A]\)";
const TAIWAN_ID: &str = word!(r"[A-Z][1289][0-9]{8}");
const MY_NUMBER: &str = word!(r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}");
const SSN: &str = word!(r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}");
const PASSPORT: &str = word!(r"[A-Z]{1,2}[0-9]{7,8}|[0-9]{9}");

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    use PrivateKind::{Email, Id, Key, Password};
    let mut patterns = vec![
        Pattern::new(Key, TOKENS, |_| true).needs(|signs| signs.has(Sign::Token)),
        Pattern::new(Key, r"(?-u:\b{start-half})sk-[A-Za-z0-9_-]{16,}", has_digit)
            .needs(|signs| signs.has(Sign::SecretKey)),
        Pattern::new(Key, PRIVATE_KEY, |_| true).needs(|signs| signs.has(Sign::PrivateKey)),
        Pattern::new(Password, BEARER, has_digit).needs(|signs| signs.has(Sign::Bearer)),
        Pattern::new(Password, BASIC, |_| true).needs(|signs| signs.has(Sign::Authorization)),
        Pattern::new(Password, URL_PASSWORD, is_no_mark)
            .needs(|signs| signs.has(Sign::Address) && signs.has(Sign::At)),
        Pattern::new(Password, PASSWORD_SET, is_no_mark).needs(|signs| signs.has(Sign::Password)),
        Pattern::new(Password, PASSWORD_SAID, |place| is_no_mark(place) && has_digit(place))
            .needs(|signs| signs.has(Sign::Password)),
        Pattern::new(Password, KEY_SAID, |place| has_digit(place) && has_letter(place))
            .needs(|signs| signs.has(Sign::KeyWord)),
        Pattern::new(Email, EMAIL, is_no_login).needs(|signs| signs.has(Sign::At)),
        Pattern::new(Email, EMAIL_SPELT, |_| true).needs(|signs| signs.has(Sign::Spelt)),
        Pattern::new(Email, EMAIL_WORDS, is_no_place).needs(|signs| signs.has(Sign::Dot)),
        Pattern::new(Id, RESIDENT_ID, |place| checks::is_resident_id(&letters(place)))
            .needs(|signs| signs.digits >= 17),
        Pattern::new(Id, HONG_KONG_ID, |place| checks::is_hong_kong_id(&letters(place)))
            .needs(|signs| signs.has(Sign::Bracket) && signs.digits >= 6),
        Pattern::new(Id, TAIWAN_ID, |place| checks::is_taiwan_id(&letters(place)))
            .needs(|signs| signs.digits >= 9),
        Pattern::new(Id, MY_NUMBER, |place| {
            labels::is_my_number(place.before) && checks::is_my_number(&place.digits())
        })
        .needs(|signs| signs.digits >= 12),
        Pattern::new(Id, SSN, |place| {
            let is_printed = place.found.split('-').count() == 3 && !place.found.contains(' ');
            let is_piece = place.before.ends_with(['-', '.']) || place.after.starts_with('-');
            let is_said = is_printed && !is_piece && !labels::is_of_business(place.before);
            (is_said || labels::is_ssn(place.before)) && checks::is_ssn(&place.digits())
        })
        .needs(|signs| signs.digits >= 9),
        Pattern::new(PrivateKind::Number, PASSPORT, |place| labels::is_passport(place.before))
            .needs(|signs| signs.digits >= 7),
    ];
    patterns.extend(phones::patterns());
    patterns
});

/// Runs of digits in groups, that may hold a card number.
static DIGIT_RUNS: LazyLock<Regex> = LazyLock::new(|| compile(word!(r"[0-9]+(?:[ ._/-][0-9]+)*")));

/// Account numbers in the paper form, in capitals and fours, or the electronic one.
static IBAN_RUNS: LazyLock<Regex> = LazyLock::new(|| {
    compile(word!(
        r"[A-Z]{2}[0-9]{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?",
        r"|[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,30}",
    ))
});

/// Every finding, in no order; they may overlap.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, PrivateKind)> {
    let signs = Signs::of(text);
    find_with(text, &signs, |pattern| (pattern.needs)(&signs))
}

fn find_with(
    text: &str,
    signs: &Signs,
    is_tried: impl Fn(&Pattern) -> bool,
) -> Vec<(Range<usize>, PrivateKind)> {
    let mut findings = Vec::new();
    for pattern in PATTERNS.iter().filter(|pattern| is_tried(pattern)) {
        find_pattern(text, pattern, &mut findings);
    }
    if signs.digits >= 8 && signs.has(Sign::Plus) {
        findings.extend(phones::international(text).map(|range| (range, PrivateKind::Phone)));
    }
    if signs.digits >= 13 {
        find_cards(text, &mut findings);
    }
    if signs.digits >= 2 {
        find_ibans(text, &mut findings);
    }
    findings
}

fn find_pattern(text: &str, pattern: &Pattern, findings: &mut Vec<(Range<usize>, PrivateKind)>) {
    let mut take = |range: Range<usize>| {
        if (pattern.holds)(&Match::new(text, &range)) {
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
fn find_cards(text: &str, findings: &mut Vec<(Range<usize>, PrivateKind)>) {
    for run in DIGIT_RUNS.find_iter(text).filter(|run| run.len() >= 13) {
        let mut at = run.start();
        let groups: Vec<Range<usize>> = run
            .as_str()
            .split([' ', '.', '_', '/', '-'])
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
                    if is_card_there(text, &range) {
                        findings.push((range, PrivateKind::Card));
                    }
                    first += taken;
                }
                None => first += 1,
            }
        }
    }
}

/// One number in ten passes the check of cards: what is said to be an order's is none.
fn is_card_there(text: &str, range: &Range<usize>) -> bool {
    let before = &text[..range.start];
    labels::is_card(before) || !(before.ends_with('#') || labels::is_of_business(before))
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
fn find_ibans(text: &str, findings: &mut Vec<(Range<usize>, PrivateKind)>) {
    for run in IBAN_RUNS.find_iter(text) {
        let mut candidate = run.as_str();
        loop {
            let packed: Vec<u8> = candidate.bytes().filter(|byte| *byte != b' ').collect();
            if checks::is_iban(&packed) {
                findings.push((run.start()..run.start() + candidate.len(), PrivateKind::Iban));
                break;
            }
            match candidate.rfind(' ') {
                Some(end) => candidate = &candidate[..end],
                None => break,
            }
        }
    }
}

fn has_digit(place: &Match<'_>) -> bool {
    place.found.bytes().any(|byte| byte.is_ascii_digit())
}

fn has_letter(place: &Match<'_>) -> bool {
    place.found.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether a password's place does not already hold a mark, or the name of a variable.
fn is_no_mark(place: &Match<'_>) -> bool {
    let found = place.found.trim_end_matches(['.', '!', '?']);
    let is_mark = found.starts_with('[') && found.ends_with(']') && found.len() <= MARK_BYTES_MAX;
    let is_variable = found.starts_with("${") || found.starts_with("{{");
    !is_mark && !is_variable
}

/// Whether it is not the password and the host of an address, which has a pattern for itself.
fn is_no_login(place: &Match<'_>) -> bool {
    let word = place.before.rsplit(char::is_whitespace).next().unwrap_or_default();
    !word.split_once("://").is_some_and(|(_, login)| login.contains(':') && !login.contains('/'))
}

fn is_no_place(place: &Match<'_>) -> bool {
    let first = place.found.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    !PLACES.contains(&first.as_str())
}

fn letters(place: &Match<'_>) -> Vec<u8> {
    place.found.bytes().filter(u8::is_ascii_alphanumeric).collect()
}

/// Every finding, with every pattern tried whatever signs the text has.
#[cfg(test)]
pub(super) fn find_by_all(text: &str) -> Vec<(Range<usize>, PrivateKind)> {
    find_with(text, &Signs::of(text), |_| true)
}

/// Compiles every pattern, for the test that no constant is wrong.
#[cfg(test)]
pub(super) fn compile_all() -> usize {
    LazyLock::force(&DIGIT_RUNS);
    LazyLock::force(&IBAN_RUNS);
    PATTERNS.len()
}
