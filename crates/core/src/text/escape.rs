//! The characters that mean something in HTML, SVG and XML.

/// What stands for a character in an element or a quoted attribute; `None` where it stands for
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
