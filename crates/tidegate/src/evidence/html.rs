//! Text in HTML, SVG and Markdown: escaped, redacted long before, and named by its language.

pub(crate) use tidegate_core::evidence::page::{esc, is_deceptive};
use tidegate_core::text::{Language, language_of};

/// A `lang` attribute with a leading space where the text is plainly not in the page's language,
/// so that a reader's system picks the right glyphs and voice.
pub(super) fn lang(text: &str) -> &'static str {
    if text.chars().any(|c| ('\u{AC00}'..='\u{D7AF}').contains(&c)) {
        return " lang=\"ko\"";
    }
    match language_of(text) {
        Language::Ja => " lang=\"ja\"",
        Language::Zh => " lang=\"zh\"",
        Language::En => "",
    }
}

/// Text that keeps a Markdown table's shape.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A number with the digits that matter: 3 significant ones below 1000, none after the point above.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v == 0.0 || v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        fn check(text: &str, attribute: &str) {
            assert_eq!(lang(text), attribute, "{text}");
        }
        check("返品できますか", " lang=\"ja\"");
        check("可以退货吗", " lang=\"zh\"");
        check("환불", " lang=\"ko\"");
        check("refund", "");
    }

    #[test]
    fn numbers() {
        assert_eq!(
            [0.0, 0.0312, 0.5, 12.34, 1800.4].map(number).join(" "),
            "0 0.0312 0.5 12.3 1800"
        );
    }
}
