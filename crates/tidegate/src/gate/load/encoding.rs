//! The bytes of a file of cases as text, as the programs that people write tables with save them.

use super::{CasesError, EncodingProblem};

/// How a file's text is stored; a file that is filled keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 with one, as Excel's "CSV UTF-8" has it.
    Utf8Marked,
    /// UTF-16, little end first, as Excel's "Unicode Text" and PowerShell's `>` have it.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
}

impl Encoding {
    /// Reads a file's bytes; the text has no byte order mark.
    ///
    /// # Errors
    /// A usage error with the place of the first byte that cannot be read, the encoding that it
    /// looks like, and how to save the file.
    pub(crate) fn decode(bytes: Vec<u8>, name: &str) -> Result<(String, Encoding), CasesError> {
        let marks = [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf", b"PK\x03\x04"];
        if marks.iter().any(|mark| bytes.starts_with(mark)) || bytes.contains(&0) {
            return Encoding::decode_copy(&bytes, name);
        }
        // Most files are so, and large ones are not copied.
        match String::from_utf8(bytes) {
            Ok(text) => Ok((text, Encoding::Utf8)),
            Err(error) => Encoding::decode_copy(error.as_bytes(), name),
        }
    }

    fn decode_copy(bytes: &[u8], name: &str) -> Result<(String, Encoding), CasesError> {
        let wrong = |problem| CasesError::Encoding { place: name.to_owned(), problem };
        let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16, encoding| {
            let pairs = bytes.chunks_exact(2);
            let whole = pairs.remainder().is_empty();
            let units = pairs.map(|pair| unit([pair[0], pair[1]]));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            match text {
                Ok(text) if whole => Ok((text, encoding)),
                Ok(_) | Err(_) => Err(wrong(EncodingProblem::HalfUtf16)),
            }
        };
        match bytes {
            [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes, Encoding::Utf16Le),
            [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes, Encoding::Utf16Be),
            [0xef, 0xbb, 0xbf, rest @ ..] => {
                Ok((utf8(rest, bytes, name)?.to_owned(), Encoding::Utf8Marked))
            }
            [b'P', b'K', 3, 4, ..] => Err(wrong(EncodingProblem::Archive)),
            bytes => Ok((utf8(bytes, bytes, name)?.to_owned(), Encoding::Utf8)),
        }
    }

    /// The bytes of the text in this encoding.
    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        let wide = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            mark.iter().copied().chain(text.encode_utf16().flat_map(bytes)).collect()
        };
        match self {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf8Marked => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Encoding::Utf16Le => wide(b"\xff\xfe", u16::to_le_bytes),
            Encoding::Utf16Be => wide(b"\xfe\xff", u16::to_be_bytes),
        }
    }
}

/// The rest of a file as UTF-8; `whole` is all of it, for places.
fn utf8<'a>(rest: &'a [u8], whole: &[u8], name: &str) -> Result<&'a str, CasesError> {
    let mark = whole.len() - rest.len();
    let (at, looks_like) = match std::str::from_utf8(rest) {
        Ok(text) => match text.find('\0') {
            None => return Ok(text),
            Some(at) => (mark + at, Some("UTF-16 without a byte order mark")),
        },
        Err(error) => (mark + error.valid_up_to(), looks_like(whole)),
    };
    let line = 1 + whole[..at].iter().filter(|byte| **byte == b'\n').count();
    let byte = whole.get(at).copied().unwrap_or_default();
    let (place, problem) =
        (format!("{name}:{line}"), EncodingProblem::NotUtf8 { at, byte, looks_like });
    Err(CasesError::Encoding { place, problem })
}

/// The code page that bytes which are not UTF-8 look like, at a glance: Japanese text
/// in Shift_JIS is full of hiragana, whose first byte is 0x82; Chinese in GBK is pairs of high
/// bytes; a single high byte between ASCII is a Western letter.
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    if bytes.contains(&0) {
        return Some("UTF-16 without a byte order mark");
    }
    let (mut kana, mut chinese, mut other_pairs, mut single) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut at = 0;
    while let Some(lead) = bytes.get(at).copied() {
        let trail = bytes.get(at + 1).copied().unwrap_or_default();
        at += match (lead, trail) {
            (0..=0x7f, _) => 1,
            (0x82 | 0x83, 0x40..) => {
                kana += 1;
                2
            }
            (0xa1..=0xfe, 0xa1..=0xfe) => {
                chinese += 1;
                2
            }
            (0x81..=0xfe, 0x40..) if trail >= 0x80 => {
                other_pairs += 1;
                2
            }
            (_, _) => {
                single += 1;
                1
            }
        };
    }
    match () {
        () if kana * 4 > chinese + other_pairs && kana > single => Some("Shift_JIS"),
        () if chinese + other_pairs > single => Some("GBK"),
        () if single > 0 => Some("Windows-1252"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CliError;

    fn check(bytes: &[u8], text: &str, encoding: Encoding) {
        assert_eq!(Encoding::decode(bytes.to_vec(), "a.csv").unwrap(), (text.to_owned(), encoding));
        assert_eq!(encoding.encode(text), bytes, "and back");
    }

    #[test]
    fn what_is_read_and_written_back() {
        check("问,a".as_bytes(), "问,a", Encoding::Utf8);
        check(b"\xef\xbb\xbfa", "a", Encoding::Utf8Marked);
        check(b"\xff\xfea\0,\0\xee\x95", "a,问", Encoding::Utf16Le);
        check(b"\xfe\xff\0a", "a", Encoding::Utf16Be);
    }

    fn check_error(bytes: &[u8], message: &str) {
        let error = CliError::from(Encoding::decode(bytes.to_vec(), "evals/a.csv").unwrap_err());
        assert_eq!(error.message, message);
        assert!(error.hints[0].starts_with("save it as UTF-8"), "{:?}", error.hints);
    }

    #[test]
    fn another_encoding_is_named() {
        // "id\n测试问题"
        check_error(
            b"id\n\xb2\xe2\xca\xd4\xce\xca\xcc\xe2",
            "evals/a.csv:2: byte 3 of the file, 0xb2, is not UTF-8 text; the file looks like GBK",
        );
        // "返金はいつですか"
        check_error(
            b"\x95\xd4\x8b\xe0\x82\xcd\x82\xa2\x82\xc2\x82\xc5\x82\xb7\x82\xa9",
            "evals/a.csv:1: byte 0 of the file, 0x95, is not UTF-8 text; the file looks like \
             Shift_JIS",
        );
        check_error(
            b"caf\xe9, please",
            "evals/a.csv:1: byte 3 of the file, 0xe9, is not UTF-8 text; the file looks like \
             Windows-1252",
        );
        check_error(
            b"a\0,\0b\0",
            "evals/a.csv:1: byte 1 of the file, 0x00, is not UTF-8 text; the file looks like \
             UTF-16 without a byte order mark",
        );
        check_error(
            b"PK\x03\x04...",
            "evals/a.csv: the file is a workbook (xlsx) or another archive, not CSV",
        );
        check_error(b"\xff\xfea", "evals/a.csv: the file begins as UTF-16 and is not whole");
    }
}
