//! Results to stdout, diagnostics to stderr. Only this file writes to either. Names and texts here
//! are our own and take one column a character.

use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Columns that every line fits, as long as no single word is longer.
const COLUMNS: usize = 80;

/// A colour with a meaning; never the only carrier of it, the word is always printed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Good.
    Green,
    /// Uncertain.
    Yellow,
    /// Bad.
    Red,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
}

/// Prints a line to stdout. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Prints a line to stderr.
pub(crate) fn stderr(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a value as pretty JSON to stdout.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => stderr(format!("error: output cannot be written as JSON: {error}")),
    }
}

/// The text in a tone, where stdout is a terminal and `NO_COLOR` is not set.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_plain || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Green => "32",
        Tone::Yellow => "33",
        Tone::Red => "31",
        Tone::Dim => "2",
        Tone::Bold => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The text in lines that fit, broken between words; all but the first are indented.
pub(crate) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let used = line.chars().count();
        if used > indent && used + 1 + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if used > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_broken_between_words() {
        let text = "seven 77".repeat(15);
        let lines = wrapped(&text, 2);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines[1].starts_with("  ") && !lines[1].starts_with("   "), "{lines:?}");
        let again: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(again.join(" "), text);
        assert_eq!(wrapped("short", 9), ["short"]);
    }
}
