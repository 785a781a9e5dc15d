//! Characters that a reader does not see and a model does: bidi controls, zero-width characters,
//! tags, runs of variation selectors ("ASCII smuggling"), control characters.
//!
//! Some invisible characters are part of honest text: joiners inside emoji and in Persian or Indic
//! words, one variation selector after an emoji or a kanji, the tags of the flags of England,
//! Scotland and Wales.

use tidegate_core::text::is_hidden;

/// The zero-width joiner and non-joiner.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// The flag that tags may follow.
const BLACK_FLAG: char = '\u{1f3f4}';
/// The end of a flag's tags.
const TAG_END: char = '\u{e007f}';

/// The hidden characters, each with the byte it begins at and what it is.
pub(super) fn find(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut before: Option<char> = None;
    let mut in_flag = false;
    for (at, c) in text.char_indices() {
        in_flag = match before {
            Some(BLACK_FLAG) => is_tag(c),
            Some(TAG_END) => false,
            _ => in_flag && is_tag(c),
        };
        if is_hidden(c) && !is_honest(c, before, in_flag) {
            found.push((at, format!("U+{:04X} ({})", u32::from(c), kind(c))));
        }
        before = Some(c);
    }
    found
}

fn is_honest(c: char, before: Option<char>, in_flag: bool) -> bool {
    let joins = |before: char| !before.is_ascii() && !is_han_or_kana(before) && !is_hidden(before);
    match c {
        '\t' | '\n' | '\r' => true,
        _ if JOINERS.contains(&c) => {
            before.is_some_and(|before| joins(before) || is_selector(before))
        }
        _ if is_selector(c) => before.is_some_and(|before| !is_hidden(before)),
        _ => in_flag,
    }
}

fn is_tag(c: char) -> bool {
    matches!(u32::from(c), 0xE0020..=0xE007F)
}

fn is_selector(c: char) -> bool {
    matches!(u32::from(c), 0xFE00..=0xFE0F | 0xE0100..=0xE01EF)
}

fn is_han_or_kana(c: char) -> bool {
    matches!(u32::from(c), 0x3000..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xFF00..=0xFFEF)
}

fn kind(c: char) -> &'static str {
    match u32::from(c) {
        0x061C | 0x200E..=0x200F | 0x202A..=0x202E | 0x2066..=0x2069 => "bidi control",
        0xE0000..=0xE007F => "tag",
        0xFE00..=0xFE0F | 0xE0100..=0xE01EF => "variation selector",
        0x200B..=0x200D | 0x2060..=0x2065 | 0xFEFF | 0x00AD => "zero-width",
        0x0000..=0x001F | 0x007F..=0x009F => "control character",
        _ => "invisible",
    }
}
