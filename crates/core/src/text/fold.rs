//! Text as a reader sees it: without what is invisible, in one form per letter.
//!
//! Not the whole of NFKC, which needs tables: the forms that are used to slip text past a filter.

/// Whether a character shows nothing: zero-width, bidi control, variation selector, tag.
pub fn is_invisible(c: char) -> bool {
    matches!(c as u32,
        0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF
        | 0xFFA0 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether a character does not show as itself: invisible, a control character or no character at
/// all. White space counts: a caller that keeps line ends asks for those first.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c) || matches!(c as u32 & 0xFFFF, 0xFFFE | 0xFFFF)
}

/// The text without invisible characters, with full-width, circled and mathematical letters and
/// digits as ASCII, ASCII letters lower-case, and every run of white space as one space.
pub fn folded(text: &str) -> String {
    folded_head(text, usize::MAX)
}

/// The first so many characters of the [`folded`] text; what comes after them is not looked at.
pub fn folded_head(text: &str, chars_max: usize) -> String {
    if let Some(head) = text.get(..text.len().min(chars_max))
        && is_single_spaced(head)
    {
        return head.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len().min(chars_max));
    let mut chars = 0;
    for c in text.chars() {
        if chars == chars_max {
            break;
        }
        if is_invisible(c) {
            continue;
        }
        let c = plain(c);
        if !c.is_whitespace() {
            out.push(c.to_ascii_lowercase());
            chars += 1;
        } else if !out.ends_with(' ') {
            out.push(' ');
            chars += 1;
        }
    }
    out
}

/// Whether a text is in ASCII, which has nothing invisible and nothing to look up, and has no white
/// space but single spaces. Most texts are.
fn is_single_spaced(text: &str) -> bool {
    // No early end: so all bytes are looked at many at a time.
    let has_others = |has, byte: &u8| has | matches!(byte, b'\t'..=b'\r');
    text.is_ascii() && !text.as_bytes().iter().fold(false, has_others) && !text.contains("  ")
}

/// The ways a text can be read: folded; where it has tag characters, which a screen does not show
/// but a program can copy, with those read as the ASCII they encode; and where it has escapes of
/// JSON, without them.
pub fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![folded(text)];
    if text.chars().any(|c| untagged(c) != c) {
        let open: String = text.chars().map(untagged).collect();
        readings.push(folded(&open));
    }
    readings.extend(unescaped(text).map(|open| folded(&open)));
    readings
}

/// The text with what JSON escapes as `\uXXXX`, `\/` or `\"` in plain form; `None` without any.
/// Arguments of tools and answers that are JSON come like this.
pub fn unescaped(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (c, length) = match escape.chars().next() {
            Some('u') => match unit(escape).and_then(|first| joined(first, escape)) {
                Some((c, length)) => (c, length),
                None => ('u', 1),
            },
            Some(c @ ('"' | '\\' | '/' | '\'')) => (c, 1),
            Some('n' | 'r' | 't') => (' ', 1),
            Some(c) => (c, c.len_utf8()),
            None => return Some(out),
        };
        out.push(c);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Some(out)
}

/// The UTF-16 unit of `uXXXX`.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// The character that begins with this unit, and the length of its escapes.
fn joined(first: u16, escape: &str) -> Option<(char, usize)> {
    let second = escape.get(5..).and_then(|rest| unit(rest.strip_prefix('\\')?));
    let mut chars = char::decode_utf16([Some(first), second].into_iter().flatten());
    match chars.next() {
        Some(Ok(c)) => Some((c, if c.len_utf16() == 2 { 11 } else { 5 })),
        Some(Err(_)) | None => None,
    }
}

fn untagged(c: char) -> char {
    match c as u32 {
        tag @ 0xE0020..=0xE007E => shifted(tag - 0xE0000, c),
        _ => c,
    }
}

/// The ASCII form of a letter, digit or mark that has one.
pub(super) fn plain(c: char) -> char {
    let code = c as u32;
    match code {
        0xFF01..=0xFF5E => shifted(code - 0xFF01 + 0x21, c),
        0x24B6..=0x24CF => shifted(code - 0x24B6 + 0x41, c),
        0x24D0..=0x24E9 => shifted(code - 0x24D0 + 0x61, c),
        // Thirteen alphabets of 26 capitals and 26 small letters, then five rows of digits.
        0x1D400..=0x1D6A3 => {
            let place = (code - 0x1D400) % 52;
            shifted(if place < 26 { 0x41 + place } else { 0x61 + place - 26 }, c)
        }
        0x1D7CE..=0x1D7FF => shifted((code - 0x1D7CE) % 10 + 0x30, c),
        0x2010..=0x2015 | 0x2212 => '-',
        0x2018 | 0x2019 | 0x02BC => '\'',
        0x201C | 0x201D => '"',
        _ => c,
    }
}

fn shifted(code: u32, otherwise: char) -> char {
    char::from_u32(code).unwrap_or(otherwise)
}

/// How many bytes of ASCII a text begins with, looked at many at a time.
pub(crate) fn ascii_at_start(text: &[u8]) -> usize {
    const AT_ONCE: usize = 32;
    let whole = text.chunks_exact(AT_ONCE).take_while(|part| part.is_ascii()).count() * AT_ONCE;
    let rest = &text[whole..];
    whole + rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Character by character, whatever it is.
    fn slowly(text: &str, chars_max: usize) -> String {
        let mut out: Vec<char> = Vec::new();
        for c in text.chars().filter(|c| !is_invisible(*c)) {
            let c = plain(c).to_ascii_lowercase();
            match c.is_whitespace() {
                _ if out.len() == chars_max => break,
                true if out.last() == Some(&' ') => {}
                true => out.push(' '),
                false => out.push(c),
            }
        }
        out.into_iter().collect()
    }

    proptest! {
        #[test]
        fn a_text_in_ascii_is_folded_as_any_text_is(
            text in "([A-Z]{0,9}( [a-z.']{1,9}){0,4})|\
             [ \\t\\n\\x0bA-z.'\\x00-\\x1f\\x7f]{0,30}[ Ａé\u{3000}\u{200b}”你b\n]{0,12}",
            chars_max in 0_usize..50,
        ) {
            prop_assert_eq!(folded_head(&text, chars_max), slowly(&text, chars_max));
            prop_assert_eq!(folded(&text), slowly(&text, usize::MAX));
        }

        #[test]
        fn ascii_ends_where_the_first_other_byte_is(text in "[a-z]{0,99}[é你]{0,2}[ -~]{0,40}") {
            let other = text.bytes().position(|byte| !byte.is_ascii());
            prop_assert_eq!(ascii_at_start(text.as_bytes()), other.unwrap_or(text.len()));
        }
    }
}
