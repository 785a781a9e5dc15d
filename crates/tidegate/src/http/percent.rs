//! Names in paths and queries.

/// A part of a URL as it is meant: `%` and two hex digits are a byte. What is not coded so stays as
/// it is, and bytes that are no UTF-8 become `\u{fffd}`.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut rest = text.as_bytes().iter();
    let mut decoded = Vec::new();
    while let Some(&byte) = rest.next() {
        let ahead = rest.as_slice();
        let coded = (byte == b'%').then(|| ahead.get(..2)).flatten();
        let coded = coded.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let coded = coded.and_then(|hex| std::str::from_utf8(hex).ok());
        match coded.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(coded) => {
                decoded.push(coded);
                rest.nth(1);
            }
            None => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
