//! Page: what everything drawn or written for people shares: escaped text, the font, the steps of
//! an axis.

use crate::text::{Language, is_hidden, language_of, markup_escape};

/// The fonts of every chart.
pub const FONT: &str = "system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', \
                               'PingFang SC', 'Hiragino Sans', 'Microsoft YaHei', sans-serif";

/// Escapes text for an element or a quoted attribute. Characters that are invisible or turn the
/// reading direction are shown as what they are: evidence must not read differently than it is.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match markup_escape(c) {
            Some(escaped) => out.push_str(escaped),
            None if is_deceptive(c) => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            None => out.push(c),
        }
    }
    out
}

/// What does not show as itself, line ends and tabs apart.
pub fn is_deceptive(c: char) -> bool {
    is_hidden(c) && !matches!(c, '\n' | '\t')
}

/// A `lang` attribute with a leading space where the text is plainly not in the page's language,
/// so that a reader's system picks the right glyphs and voice.
pub fn lang(text: &str) -> &'static str {
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
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A step of 1, 2 or 5 times a power of ten that gives about five ticks.
pub fn nice_step(max: f64, whole: bool) -> f64 {
    let raw = max / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw);
    let step = step.unwrap_or(power * 10.0);
    if whole { step.max(1.0).round() } else { step }
}

/// A step of time that people count in, for at most about seven ticks.
pub fn time_step(max_s: f64) -> f64 {
    const STEPS: [f64; 16] = [
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
        14_400.0, 28_800.0, 86_400.0,
    ];
    let wanted = max_s / 7.0;
    STEPS.into_iter().find(|s| *s >= wanted).unwrap_or_else(|| nice_step(max_s, true))
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
    fn escaping() {
        fn check(text: &str, html: &str) {
            assert_eq!(esc(text), html);
        }
        check("<script>'\"&", "&lt;script&gt;&#39;&quot;&amp;");
        check("退货\n政策", "退货\n政策");
        check("a\u{202e}b\u{0}", "a⟨U+202E⟩b⟨U+0000⟩");
    }
}
