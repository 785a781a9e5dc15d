//! Phone numbers as people write them in English, Chinese and Japanese.

use super::pattern::{Match, Pattern, Sign, word};
use super::{PrivateKind, labels};

/// Fewest and most digits of an international phone number (ITU-T E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits from which on `+` and digits right after a letter or digit are a phone number and not a
/// sum.
const DIGITS_CLOSE: usize = 10;
/// Fewest digits of a number that only its label makes a phone's.
const DIGITS_LABELLED: usize = 7;
/// Prefixes of toll-free lines, which belong to companies, not to a person.
const FREE: [&str; 10] = ["800", "833", "844", "855", "866", "877", "888", "400", "0120", "0800"];

const E164: &str = concat!(
    r"\+[1-9][0-9]{0,2}\)?(?:[ .-]?\(?[0-9]{1,5}\)?){1,5}(?-u:\b{end-half})",
    r"|(?-u:\b{start-half})00(?:1|44|49|33|61|65|81|82|852|853|86|886)(?:[ -]\(?[0-9]{1,5}\)?)",
    r"(?:[ .-]?\(?[0-9]{1,5}\)?){1,4}(?-u:\b{end-half})",
);
const CHINA: &str = word!(
    r"(?:86[ -]?)?1[3-9][0-9][ .-]?[0-9]{4}[ .-]?[0-9]{4}",
    r"|0[1-9][0-9]{1,2}[ -][1-9][0-9]{6,7}|0[1-9][0-9]{1,2}[ -][1-9][0-9]{3} [0-9]{4}",
    r"|09[0-9]{2}[ -][0-9]{3}[ -]?[0-9]{3}",
);
/// Digits in Chinese, as they are written to slip past a filter.
const CHINA_SPELT: &str = r"[一幺][三四五六七八九][〇零一二三四五六七八九幺]{9}";
const JAPAN: &str = word!(
    r"0[5-9]0[ -]?[0-9]{4}[ -]?[0-9]{4}|0[1-9]0-[0-9]{4}-[0-9]{4}",
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
        pattern(E164, is_international).needs(|signs| signs.has(Sign::Plus) && signs.digits >= 8),
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

fn is_international(place: &Match<'_>) -> bool {
    let count = place.digits().len();
    let close = place.before.ends_with(|c: char| c.is_ascii_alphanumeric() || "])".contains(c));
    DIGITS.contains(&count) && (!close || count >= DIGITS_CLOSE) && !is_in_a_row(place)
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
