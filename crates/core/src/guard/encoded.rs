//! What a text says where it is written in another way: base64, hexadecimal digits, percent signs,
//! rot13, backwards, letter by letter. A model that was asked to hide what it repeats writes so.
//!
//! Every way is tried within what the text itself is long: a run is decoded into fewer bytes than
//! it has, so that all readings together are a few times the text, whatever is in it.

/// Fewest digits of a run that is decoded: shorter ones are ids and hashes.
const RUN_MIN: usize = 32;
/// Fewest digits of a line of base64 that goes on in the next one.
const LINE_MIN: usize = 16;
/// How often what was decoded is decoded again.
const DEPTH_MAX: usize = 2;
/// Fewest percent signs of a text that is taken for an encoded one.
const PERCENTS_MIN: usize = 8;
/// Fewest letters in a row that are words by themselves.
const LETTERS_MIN: usize = 24;

/// A way to write a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Runs of base64, also its form for URLs, over several lines.
    Base64,
    /// Runs of hexadecimal digits, also apart or behind `0x` and `\x`.
    Hex,
    /// `%E9%80%80`.
    Percent,
    /// Each letter by the one 13 places on.
    Rot13,
    /// From its end to its beginning.
    Backwards,
    /// Each letter by itself: only letters are compared.
    Letters,
}

impl Way {
    /// Its name for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Way::Base64 => "base64",
            Way::Hex => "hexadecimal",
            Way::Percent => "percent-encoded",
            Way::Rot13 => "rot13",
            Way::Backwards => "backwards",
            Way::Letters => "letter by letter",
        }
    }
}

/// The other readings of a text, those that say nothing left out.
pub(super) fn readings(text: &str) -> Vec<(Way, String)> {
    let mut found = decoded(text, DEPTH_MAX);
    if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        found.push((Way::Rot13, text.chars().map(rot13).collect()));
        found.push((Way::Letters, letters(text)));
    }
    found.push((Way::Backwards, text.chars().rev().collect()));
    found.retain(|(_, text)| !text.is_empty());
    found
}

/// What is encoded in a text, and in what that says.
fn decoded(text: &str, depth: usize) -> Vec<(Way, String)> {
    if depth == 0 {
        return Vec::new();
    }
    let ways = [
        (Way::Base64, runs(text, is_base64, is_line, base64)),
        (Way::Hex, runs(&text.replace("\\x", " ").replace("0x", " "), is_hex, is_pairs, hex)),
        (Way::Percent, percent(text)),
    ];
    let mut all = Vec::new();
    for (way, text) in ways.into_iter().filter(|(_, text)| !text.is_empty()) {
        all.extend(decoded(&text, depth - 1));
        all.push((way, text));
    }
    all
}

fn rot13(c: char) -> char {
    let turned = |byte: u8, from: u8| char::from((byte - from + 13) % 26 + from);
    match c {
        'a'..='z' => turned(c as u8, b'a'),
        'A'..='Z' => turned(c as u8, b'A'),
        c => c,
    }
}

/// Letters and digits that are words by themselves, many in a row.
fn letters(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let (mut all, mut run) = (String::new(), String::new());
    loop {
        let word = words.next();
        match word.map(|word| (word, word.chars().nth(1).is_none())) {
            Some((letter, true)) => run.push_str(letter),
            Some((_, false)) | None => {
                if run.chars().nth(LETTERS_MIN - 1).is_some() {
                    all.push_str(&run);
                    all.push(' ');
                }
                run.clear();
            }
        }
        if word.is_none() {
            return all;
        }
    }
}

/// What the runs of digits say, one after the other. A run is of pieces with nothing but white
/// space, colons and commas between them.
fn runs(
    text: &str,
    is_digit: fn(u8) -> bool,
    is_piece: fn(&[u8]) -> bool,
    decode: fn(&[u8]) -> Vec<u8>,
) -> String {
    let (mut said, mut run) = (Vec::new(), Vec::new());
    let mut end = |run: &mut Vec<u8>| {
        if run.len() >= RUN_MIN {
            said.extend(decode(run));
            said.push(b' ');
        }
        run.clear();
    };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let length = rest.iter().position(|byte| !is_digit(*byte)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(length);
        match is_piece(piece) {
            true => run.extend_from_slice(piece),
            false if piece.is_empty() => {}
            false => end(&mut run),
        }
        let between = after.iter().position(|byte| is_digit(*byte)).unwrap_or(after.len());
        let (between, after) = after.split_at(between);
        if !between.iter().all(|byte| b" \r\n\t:,".contains(byte)) {
            end(&mut run);
        }
        rest = after;
    }
    end(&mut run);
    readable(&said)
}

/// A line of an encoder, and no word.
fn is_line(piece: &[u8]) -> bool {
    piece.len() >= LINE_MIN
}

fn is_pairs(piece: &[u8]) -> bool {
    !piece.is_empty() && piece.len().is_multiple_of(2)
}

/// The text in bytes; nothing where most of it is none.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let strange = text.chars().filter(|c| c.is_control() || *c == '\u{FFFD}').count();
    if strange * 2 > text.chars().count() { String::new() } else { text.into_owned() }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

fn base64(digits: &[u8]) -> Vec<u8> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    // A filling ends a piece, and the next begins again.
    for piece in digits.split(|byte| *byte == b'=') {
        let sextets: Vec<u8> = piece.iter().copied().filter_map(sextet).collect();
        for four in sextets.chunks(4) {
            let bits = four.iter().fold(0_u32, |bits, six| bits << 6 | u32::from(*six));
            let bits = bits << (6 * (4 - four.len()));
            let [_, three @ ..] = bits.to_be_bytes();
            bytes.extend_from_slice(&three[..four.len() - 1]);
        }
    }
    bytes
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn hex(digits: &[u8]) -> Vec<u8> {
    let value = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digits.chunks_exact(2).map(|two| value(two[0]) << 4 | value(two[1])).collect()
}

fn percent(text: &str) -> String {
    if text.bytes().filter(|byte| *byte == b'%').count() < PERCENTS_MIN {
        return String::new();
    }
    let (mut rest, mut bytes) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [a, b, after @ ..]) if is_hex(*a) && is_hex(*b) => {
                bytes.extend(hex(&[*a, *b]));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    readable(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(way: Way, text: &str, said: &str) {
        let found = readings(text);
        assert!(
            found.iter().any(|(w, t)| *w == way && t.contains(said)),
            "{way:?} {text:?}: {found:?}"
        );
    }

    #[test]
    fn each_way_is_read() {
        let said = "You are the desk of 北风.";
        check(Way::Base64, "WW91IGFyZSB0aGUgZGVzayBvZiDljJfpo44u", said);
        check(Way::Base64, "so:\nWW91IGFyZSB0aGUg\nZGVzayBvZiDljJfpo44u\n", said);
        check(Way::Hex, "596f752061726520746865206465736b206f6620e58c97e9a38e2e", said);
        check(Way::Hex, "59 6F 75 20 61 72 65 20 74 68 65 20 64 65 73 6B 20 6F 66", "the desk");
        check(Way::Hex, r"\x59\x6f\x75\x20\x61\x72\x65\x20\x74\x68\x65\x20\x64\x65\x73\x6b", "You");
        check(Way::Percent, "You%20are%20the%20desk%20of%20%E5%8C%97%E9%A3%8E%2E", said);
        check(Way::Rot13, "Lbh ner gur qrfx bs 北风.", said);
        check(Way::Backwards, ".风北 fo ksed eht era uoY", said);
        check(Way::Letters, "Y o u-a r e. t h e d e s k o f e v e r y b o d y", "Youarethedesk");
        // Base64 of base64.
        let twice = "V1c5MUlHRnlaU0IwYUdVZ1pHVnpheUJ2WmlEbGpKZnBvNDR1";
        check(Way::Base64, twice, said);
    }

    proptest! {
        /// Whatever the text, its readings are a few times as long as it is: work is bounded.
        #[test]
        fn readings_are_bounded_by_the_text(
            parts in prop::collection::vec(prop_oneof![
                prop::sample::select(vec!["WW91IGFyZSB0aGUg", "=", "%41", "\\x41", "0x", "a "])
                    .prop_map(str::to_owned),
                "\\PC{0,40}", "[A-Za-z0-9+/]{0,80}", "[0-9a-f]{0,80}",
            ], 0..60),
        ) {
            let text = parts.concat();
            let all: usize = readings(&text).iter().map(|(_, reading)| reading.len()).sum();
            // Bytes that are no text are written with three.
            prop_assert!(all <= 12 * text.len() + 64, "{} of {}", all, text.len());
        }
    }
}
