//! Values that are texts whatever they look like.
//!
//! The YAML parser takes `12e4567` as a number, `~` as nothing, and replaces `${NAME}` in unquoted
//! values only. Here a quoted value gets its variables as well, and a `version` that reads as
//! nothing becomes the text that is there: both are rewritten, quoted, at their place.

use super::error::{ConfigError, Result};
use super::places::{Node, Place};
use super::yaml::Source;
use serde_saphyr::Spanned;
use std::borrow::Cow;
use std::ops::Range;

/// The text of a file with such values rewritten, and the lines they are on.
pub(super) struct Texts<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) lines: Vec<u64>,
}

/// Rewrites quoted values with variables, and versions that read as nothing.
///
/// # Errors
/// A usage error with its place: a variable that is not set, or a form of one that is not known.
pub(super) fn written_anew<'a>(source: &Source<'a>, tree: &Node) -> Result<Texts<'a>> {
    let mut found = Vec::new();
    for (key, value) in tree.entries() {
        // A pattern of the output contract may contain `${`.
        if key.value != "contract" {
            find(source, &key.value, value, &mut found)?;
        }
    }
    let mut texts = Texts { text: Cow::Borrowed(source.text), lines: Vec::new() };
    found.sort_by_key(|rewrite| std::cmp::Reverse(rewrite.span.start));
    for Rewrite { span, value, line } in found {
        texts.lines.push(line);
        texts.text.to_mut().replace_range(span, &quoted(&value));
    }
    Ok(texts)
}

/// How the parser's tree spells numbers that are none.
const NOT_FINITE: [&str; 3] = [".inf", "-.inf", ".nan"];

/// A value to rewrite.
struct Rewrite {
    span: Range<usize>,
    value: String,
    line: u64,
}

fn find(
    source: &Source<'_>,
    path: &str,
    node: &Spanned<Node>,
    found: &mut Vec<Rewrite>,
) -> Result<()> {
    match &node.value {
        Node::Map(entries) => entries.iter().try_for_each(|(key, value)| {
            find(source, &format!("{path}.{}", key.value), value, found)
        }),
        Node::Seq(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| find(source, &format!("{path}[{i}]"), item, found)),
        Node::Scalar(text) if source.env.is_some() && text.contains("${") => {
            let place = Place::of(node.referenced);
            let Some((span, raw)) = written(source, node) else {
                return Err(block_text(source, place, path));
            };
            if raw.starts_with(['"', '\'']) {
                let value = replaced(source, text, place, path)?;
                found.push(Rewrite { span, value, line: place.map_or(0, |place| place.line) });
                return Ok(());
            }
            // A plain value has its variables already; what they hold is taken as it is.
            match text.contains('\n') || text.trim() == raw.trim() {
                true => Err(block_text(source, place, path)),
                false => Ok(()),
            }
        }
        Node::Scalar(text) if NOT_FINITE.contains(&text.as_str()) && !is_version(path) => {
            match written(source, node) {
                // `1e999` may be a text; where it is read as a number the parser refuses it.
                Some((_, raw)) if raw.to_lowercase().ends_with(&text[text.len() - 3..]) => {
                    let message = format!("{path}: given `{raw}`, allowed a finite number");
                    Err(source.at(Place::of(node.referenced), &message))
                }
                Some(_) | None => Ok(()),
            }
        }
        Node::Null if is_version(path) => {
            let own = |raw: &str| !raw.is_empty() && !raw.contains("${");
            if let Some((span, raw)) = written(source, node).filter(|(_, raw)| own(raw)) {
                let line = Place::of(node.referenced).map_or(0, |place| place.line);
                found.push(Rewrite { span, value: raw.to_owned(), line });
            }
            Ok(())
        }
        Node::Scalar(_) | Node::Null => Ok(()),
    }
}

fn is_version(path: &str) -> bool {
    path == "version" || path.ends_with(".version")
}

fn block_text(source: &Source<'_>, place: Option<Place>, path: &str) -> ConfigError {
    source
        .at(place, &format!("{path}: a variable in a text of several lines is not replaced"))
        .hint("write the value on the line of its key: `${NAME:-default}`")
}

/// Where a value is, and its text; `None` where the parser does not say so.
fn written<'a>(source: &Source<'a>, node: &Spanned<Node>) -> Option<(Range<usize>, &'a str)> {
    let span = node.referenced.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let raw = source.text.get(start..end)?;
    let trimmed = raw.trim_end();
    Some((start..start + trimmed.len(), trimmed))
}

/// The text with `${NAME}` and `${NAME:-default}` replaced; what a variable holds is not looked
/// through again.
fn replaced(source: &Source<'_>, text: &str, place: Option<Place>, path: &str) -> Result<String> {
    let none = std::collections::HashMap::new();
    let env = source.env.as_ref().unwrap_or(&none);
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let (name, default, after) = match inner.split_once('}') {
            Some((inner, after)) => match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default), after),
                None => (inner, None, after),
            },
            None => ("", None, ""),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) || name.starts_with(char::is_numeric) {
            let message = format!("{path}: allowed are `${{NAME}}` and `${{NAME:-default}}`");
            return Err(source.at(place, &message));
        }
        match (env.get(name).filter(|value| !value.is_empty() || default.is_none()), default) {
            (Some(value), _) => out.push_str(value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                let message = format!("{path}: environment variable `{name}` is not set");
                let hint = format!("set it, or give a default: `${{{name}:-value}}`");
                return Err(source.at(place, &message).hint(hint));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value between double quotes, on one line.
fn quoted(value: &str) -> String {
    // Every JSON string is a YAML one.
    serde_json::Value::from(value).to_string()
}
