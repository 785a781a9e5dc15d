//! The characters that mean something in HTML, SVG and XML.

/// The escape of a character in an element or a quoted attribute; `None` where it is written as
/// itself.
pub fn markup_escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}
