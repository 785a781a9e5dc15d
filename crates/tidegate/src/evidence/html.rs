//! Text in HTML, SVG and Markdown: escaped, redacted long before, and named by its language.

pub(crate) use tidegate_core::evidence::page::{cell, esc, is_deceptive, lang};

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
    fn numbers() {
        assert_eq!(
            [0.0, 0.0312, 0.5, 12.34, 1800.4].map(number).join(" "),
            "0 0.0312 0.5 12.3 1800"
        );
    }
}
