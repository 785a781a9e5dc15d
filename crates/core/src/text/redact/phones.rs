//! Phone numbers as people write them in English, Chinese and Japanese.

use super::pattern::{Match, Pattern, Sign, compile, word};
use super::{PrivateKind, labels};
use regex::Regex;
use std::ops::{Range, RangeInclusive};
use std::sync::LazyLock;

/// Fewest and most digits of an international phone number (ITU-T E.164).
const DIGITS: RangeInclusive<usize> = 8..=15;
/// Digits from which on `+` and digits right after a letter or digit are a phone number and not a
/// sum.
const DIGITS_CLOSE: usize = 10;
/// Fewest digits of a number that only its label makes a phone's.
const DIGITS_LABELLED: usize = 7;
/// Prefixes of toll-free lines, which belong to companies, not to a person.
const FREE: [&str; 10] = ["800", "833", "844", "855", "866", "877", "888", "400", "0120", "0800"];

/// A country's code and groups of digits; which of the groups are the number's, digits decide.
const INTERNATIONAL: &str = concat!(
    r"(?:\+[1-9][0-9]{0,2}|(?-u:\b{start-half})00(?:1|44|49|33|61|65|81|82|852|853|86|886)[ -])",
    r"\)?(?:[ .-]?(?:\([0-9]{1,5}\)|[0-9]{1,5})){1,7}(?-u:\b{end-half})",
);
const CHINA: &str = word!(
    r"(?:86[ -]?)?1[3-9][0-9](?:[ .-]| {2})?[0-9]{4}(?:[ .-]| {2})?[0-9]{4}",
    r"|86[ -](?:10|2[0-9]|[3-9][0-9]{2})[ -][1-9][0-9]{6,7}",
    r"|0[1-9][0-9]{1,2}[ -][1-9][0-9]{6,7}|0[1-9][0-9]{1,2}[ -][1-9][0-9]{3} [0-9]{4}",
    r"|09[0-9]{2}[ -][0-9]{3}[ -]?[0-9]{3}",
);
/// Digits in Chinese, as they are written to slip past a filter.
const CHINA_SPELT: &str = r"[一幺][三四五六七八九][〇零一二三四五六七八九幺]{9}";
const JAPAN: &str = word!(
    r"0[5-9]0[ .-]?[0-9]{4}[ .-]?[0-9]{4}|0[1-9]0-[0-9]{4}-[0-9]{4}",
    r"|0[1-9][ -][0-9]{4}[ -][0-9]{4}|0[0-9]{2}[ -][0-9]{3}[ -][0-9]{4}",
    r"|0[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}|0[1-9][0-9]{0,3}\([0-9]{1,4}\)[0-9]{4}",
);
const BRITAIN: &str = word!(
    r"07[0-9]{3} ?[0-9]{3} ?[0-9]{3}|0[1-3][0-9] [0-9]{4} [0-9]{4}",
    r"|0[1-3][0-9]{2} [0-9]{3} [0-9]{4}|0[1-3][0-9]{3} [0-9]{5,6}",
);
/// The area in brackets: Chinese and Japanese.
const BRACKETED: &str = r"\(0[1-9][0-9]{0,3}\) ?[0-9]{1,4}[ -]?[0-9]{4}(?-u:\b{end-half})";
const AMERICA: &str = concat!(
    r"(?:\([2-9][0-9]{2}\) ?|(?-u:\b{start-half})(?:1[ .-])?[2-9][0-9]{2}[ .-])",
    r"[2-9][0-9]{2}[ .-][0-9]{4}(?-u:\b{end-half})",
);
const LABELLED: &str = word!(r"[0-9](?:[ .()-]{0,2}[0-9]){6,14}");

/// The patterns of phone numbers.
pub(super) fn patterns() -> Vec<Pattern> {
    let pattern = |regex, holds| {
        Pattern::new(PrivateKind::Phone, regex, holds).needs(|signs| signs.digits >= 7)
    };
    vec![
        pattern(CHINA, stands_alone),
        pattern(CHINA_SPELT, |_| true).needs(|signs| signs.has(Sign::Numeral)),
        pattern(JAPAN, stands_alone),
        pattern(BRITAIN, stands_alone),
        pattern(BRACKETED, stands_alone)
            .needs(|signs| signs.has(Sign::Bracket) && signs.digits >= 7),
        pattern(AMERICA, stands_alone),
        pattern(LABELLED, is_labelled),
    ]
}

static INTERNATIONAL_RUNS: LazyLock<Regex> = LazyLock::new(|| compile(INTERNATIONAL));

/// Numbers with their country's code. What follows a number may look like more of it – a date, a
/// price –: the longest beginning that a number can be is taken.
pub(super) fn international(text: &str) -> impl Iterator<Item = Range<usize>> {
    INTERNATIONAL_RUNS.find_iter(text).filter_map(|run| {
        let mut range = run.range();
        while !is_international(&Match::new(text, &range)) {
            let shorter = text[range.clone()].rfind([' ', '.', '-'])?;
            range.end = range.start + shorter;
        }
        Some(range)
    })
}

fn is_international(place: &Match<'_>) -> bool {
    let digits = place.digits();
    let number = digits.strip_prefix(b"00").unwrap_or(&digits);
    let close = place.before.ends_with(|c: char| c.is_ascii_alphanumeric() || "])".contains(c));
    // A group of four of an account's number may be `0044`; a plus begins something new.
    let is_piece = place.found.starts_with('0')
        && place
            .before
            .strip_suffix(' ')
            .is_some_and(|b| b.ends_with(|c: char| c.is_ascii_digit()));
    DIGITS.contains(&number.len())
        && !is_piece
        && (!close || number.len() >= DIGITS_CLOSE)
        && fits_plan(number)
}

/// Whether a number has as many digits as its country's numbers may have, a zero for calls from
/// within among them; a country that is not listed has any.
fn fits_plan(number: &[u8]) -> bool {
    const PLANS: [(&[u8], RangeInclusive<usize>); 7] = [
        (b"1", 11..=11),
        (b"86", 11..=14),
        (b"81", 11..=13),
        (b"852", 11..=11),
        (b"853", 11..=11),
        (b"886", 11..=13),
        (b"44", 11..=13),
    ];
    let plan = PLANS.iter().find(|(country, _)| number.starts_with(country));
    plan.is_none_or(|(_, lengths)| lengths.contains(&number.len()))
}

fn is_free(place: &Match<'_>) -> bool {
    let found = place.found;
    let number = found.strip_prefix("1-").or(found.strip_prefix("1 ")).unwrap_or(found);
    let number = number.trim_start_matches('(');
    FREE.iter().any(|code| number.starts_with(code))
}

fn is_labelled(place: &Match<'_>) -> bool {
    let digits = place.digits().len();
    let parts: Vec<&str> = place.found.split('-').collect();
    let is_date = matches!(parts[..], [year, month, day]
        if year.len() == 4 && month.len() <= 2 && day.len() <= 2);
    digits >= DIGITS_LABELLED
        && DIGITS.end() >= &digits
        && !is_date
        && !is_free(place)
        && labels::is_phone(place.before)
}

/// Whether digits are not a piece of a longer number, not an order's and not a company's free line.
fn stands_alone(place: &Match<'_>) -> bool {
    let mut before = place.before.chars().rev();
    let joined_before = before.next().is_some_and(|c| "-.#".contains(c))
        && before.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == ']')
        && !labels::is_phone(&place.before[..place.before.len() - 1]);
    let mut after = place.after.chars();
    let joined_after = after.next().is_some_and(|c| "-.".contains(c))
        && after.next().is_some_and(|c| c.is_ascii_digit() || c == '[');
    !joined_before
        && !joined_after
        && !is_in_a_row(place)
        && !is_free(place)
        && !labels::is_of_business(place.before)
}

/// Whether groups of digits go on before or after it: a table's, or a longer number's.
fn is_in_a_row(place: &Match<'_>) -> bool {
    let is_number = |c: char| c.is_ascii_digit();
    let before = place.before.strip_suffix(' ').unwrap_or_default();
    let after = place.after.strip_prefix(' ').unwrap_or_default();
    let goes_on = before.ends_with(is_number) || after.starts_with(is_number);
    place.found.contains(' ') && goes_on
}
