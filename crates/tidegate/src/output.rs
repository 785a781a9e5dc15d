//! Results to stdout, diagnostics to stderr. Only this file writes to either.

mod queue;

pub(crate) use queue::{dropped as log_lines_dropped, flush as flush_log, start as queue_log};

use crate::clock::{Clock, rfc3339};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

/// A colour with a meaning; never the only carrier of it, the word is always printed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Good.
    Green,
    /// Uncertain.
    Yellow,
    /// Bad.
    Red,
    /// A security event.
    Black,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
}

/// Prints a line to stdout. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Whether stderr is a log of JSON lines.
static JSON_LOG: AtomicBool = AtomicBool::new(false);
/// What the process serves.
static SERVICE: OnceLock<String> = OnceLock::new();

/// Makes all of stderr a log of JSON lines from here on.
pub(crate) fn set_json_log() {
    JSON_LOG.store(true, Ordering::Relaxed);
}

/// Whether stderr is a log of JSON lines.
pub(crate) fn is_json_log() -> bool {
    JSON_LOG.load(Ordering::Relaxed)
}

/// Names what the process serves, for log lines that are about all of it.
pub(crate) fn set_service(service: String) {
    // A process serves the same from its start to its end.
    let _ = SERVICE.set(service);
}

/// What the process serves; empty until that is known.
pub(crate) fn service() -> &'static str {
    SERVICE.get().map_or("", String::as_str)
}

/// Prints a line to stderr; in a log of JSON lines it is a `note`.
pub(crate) fn stderr(text: impl AsRef<str>) {
    log_line(note(text.as_ref()));
}

/// A bar on stderr for work of so much; the template is indicatif's. Nothing is drawn where stderr
/// is no terminal.
pub(crate) fn progress(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A sentence as a line of the log.
pub(crate) fn note(text: &str) -> String {
    match is_json_log() {
        false => text.to_owned(),
        true => serde_json::json!({
            "timestamp": rfc3339(Clock::Real.now()),
            "level": "info",
            "event_type": "note",
            "service": service(),
            "message": text,
            "details": {},
        })
        .to_string(),
    }
}

/// Prints a sentence for people to stderr, in lines that fit the terminal.
pub(crate) fn sentence(text: impl AsRef<str>) {
    wrapped(text.as_ref(), 2).iter().for_each(stderr);
}

/// Prints a finished line of the log to stderr.
pub(crate) fn log_line(line: String) {
    if let Err(line) = queue::push(line) {
        write_log(&(line + "\n"));
    }
}

/// Writes lines of the log to stderr, and waits where nobody reads them.
pub(crate) fn write_log(lines: &str) {
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
}

/// Prints a value as pretty JSON to stdout, non-ASCII kept.
pub(crate) fn json(value: &impl Serialize) {
    // Piece by piece: the report of a large run is more than memory should hold.
    let mut out = BufWriter::new(std::io::stdout().lock());
    match serde_json::to_writer_pretty(&mut out, value) {
        // Whoever reads it may be gone.
        Ok(()) => drop(writeln!(out)),
        Err(error) if error.is_io() => {}
        Err(error) => stderr(format!("error: output cannot be written as JSON: {error}")),
    }
}

/// Whether stdout takes colour: a terminal, and `NO_COLOR` is not set.
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// The text in a tone, where stdout takes colour.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    if !colour() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Green => "32",
        Tone::Yellow => "33",
        Tone::Red => "31",
        Tone::Black => "97;40",
        Tone::Dim => "2",
        Tone::Bold => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The text with blanks up to a width in terminal columns; Chinese characters take two.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text with blanks before it up to a width in terminal columns.
pub(crate) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// Rows as lines, their columns as wide as needed and two blanks apart. From column `numbers_from`
/// on, cells end below each other.
pub(crate) fn aligned(rows: &[impl AsRef<[String]>], numbers_from: usize) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column < numbers_from {
            true => padded(cell, *width),
            false => right(cell, *width),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(|row| line(row.as_ref())).collect()
}

/// The terminal's width; without one, as wide as anything is.
pub(crate) fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// The terminal's height in rows; without one, as high as anything is.
pub(crate) fn terminal_height() -> usize {
    terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| usize::from(height.0))
}

/// The text in lines that fit the terminal, broken between words, or between the characters of a
/// language without blanks; all but the first are indented.
pub(crate) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    wrapped_at(text, indent, terminal_width())
}

fn wrapped_at(text: &str, indent: usize, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in words(text) {
        let long = visible(word.trim_end());
        // The last column stays free: some terminals break there by themselves.
        if used > indent && used + long >= width {
            lines.push(line.trim_end().to_owned());
            (line, used) = (" ".repeat(indent), indent);
        }
        line.push_str(word);
        used += visible(word);
    }
    lines.push(line);
    lines
}

/// What a line does not begin with.
const CLOSING: &str =
    "，。；：、！？）」』】》〉％…—～ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.;:!?)%";
/// What a line does not end with.
const OPENING: &str = "（「『【《〈(";

/// The pieces between which a line may be broken: after blanks, and beside wide characters, unless
/// what follows closes something or what precedes opens it.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut begin = 0;
    let mut before: Option<(char, usize)> = None;
    for ((at, _), (c, width)) in text.char_indices().zip(columns(text)) {
        if let Some((last, last_width)) = before {
            let beside_wide = last_width == 2 || width == 2;
            let kept = CLOSING.contains(c) || OPENING.contains(last) || c == ' ' || width == 0;
            if (last == ' ' && c != ' ') || (beside_wide && !kept) {
                words.push(&text[begin..at]);
                (begin, before) = (at, None);
            }
        }
        // An escape sequence is never broken: after a blank it belongs to what follows.
        if width > 0 {
            before = Some((c, width));
        }
    }
    words.push(&text[begin..]);
    words
}

/// Longest text of a stranger in a line for people, characters.
const ONE_LINE_MAX: usize = 160;

/// The text on one line, without control characters, which could steer a terminal, and cut.
pub(crate) fn one_line(text: &str) -> String {
    let flat = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = flat.take(ONE_LINE_MAX).collect();
    if text.chars().nth(ONE_LINE_MAX).is_some() {
        cut.push('…');
    }
    cut
}

/// Each character with the columns it takes: none in an escape sequence.
pub(crate) fn columns(text: &str) -> impl Iterator<Item = (char, usize)> {
    let mut escape = false;
    text.chars().map(move |c| {
        let hidden = escape || c == '\u{1b}';
        escape = hidden && c != 'm';
        let width = if hidden { None } else { UnicodeWidthChar::width(c) };
        (c, width.unwrap_or(0))
    })
}

/// Columns that a text takes.
fn visible(text: &str) -> usize {
    columns(text).map(|(_, width)| width).sum()
}

/// Writes text to stdout as it is.
pub(crate) fn raw(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_broken_between_words() {
        let lines =
            wrapped_at("signal   \u{1b}[32m● green\u{1b}[0m hold: 退款 is not proven yet", 9, 24);
        assert_eq!(
            lines,
            [
                "signal   \u{1b}[32m● green\u{1b}[0m hold:",
                "         退款 is not",
                "         proven yet"
            ]
        );
        assert_eq!(wrapped_at("short", 9, usize::MAX), ["short"]);
    }

    #[test]
    fn a_sentence_without_blanks_is_broken_between_characters() {
        let check = |text: &str, width, expected: &[&str]| {
            let lines = wrapped_at(text, 2, width);
            assert_eq!(lines, expected, "{text}");
            assert!(lines.iter().all(|line| visible(line) < width), "{lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        };
        check("每条线都通过了观察", 12, &["每条线都通", "  过了观察"]);
        // No line begins with what closes a clause, and none ends with what opens one.
        check("每条线都通，观察", 12, &["每条线都", "  通，观察"]);
        check("每条线都（观察）", 12, &["每条线都", "  （观察）"]);
        // A number stays whole.
        check("候选版 1,760 个样本", 14, &["候选版 1,760", "  个样本"]);
        check("エラー率が上限を超えた", 12, &["エラー率が", "  上限を超", "  えた"]);
    }
}
