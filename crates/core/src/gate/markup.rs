//! Whether a text is XML or HTML. XML is checked as the standard says of well-formed documents,
//! without a DTD's own entities; HTML as writers of answers mean it: elements of HTML, each closed
//! that must be, and no prose around them. Both take time that grows with the text.

use std::collections::BTreeSet;

/// Most `<` that are tried as the beginning of an element.
const STARTS_MAX: usize = 200;

/// Elements of HTML that have no content.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];
/// Elements of HTML whose end may be left out.
const MAY_STAY_OPEN: [&str; 18] = [
    "body", "caption", "colgroup", "dd", "dt", "head", "html", "li", "optgroup", "option", "p",
    "rp", "rt", "tbody", "td", "tfoot", "th", "thead",
];
/// Elements of HTML whose content is no markup.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];
/// The other elements of HTML.
const OTHERS: [&str; 80] = [
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "audio",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "button",
    "canvas",
    "center",
    "cite",
    "code",
    "data",
    "datalist",
    "del",
    "details",
    "dfn",
    "dialog",
    "div",
    "dl",
    "em",
    "fieldset",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "i",
    "iframe",
    "ins",
    "kbd",
    "label",
    "legend",
    "main",
    "map",
    "mark",
    "math",
    "menu",
    "meter",
    "nav",
    "noscript",
    "object",
    "ol",
    "output",
    "picture",
    "pre",
    "progress",
    "q",
    "ruby",
    "s",
    "samp",
    "search",
    "section",
    "select",
    "slot",
    "small",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "template",
    "time",
    "tr",
    "u",
    "ul",
    "var",
];
const MORE: [&str; 3] = ["video", "tt", "strike"];

/// A piece of markup, as far as both kinds have it.
enum Piece<'a> {
    Text(&'a str),
    Open {
        name: &'a str,
        attributes: &'a str,
        is_closed: bool,
    },
    Close(&'a str),
    /// A comment, CDATA, an instruction or a doctype.
    Other(&'a str),
}

/// Takes the next piece off the text.
///
/// # Errors
/// What is not closed.
fn next<'a>(rest: &mut &'a str) -> Result<Option<Piece<'a>>, String> {
    let text = *rest;
    if text.is_empty() {
        return Ok(None);
    }
    let mut cut = |length: usize| {
        *rest = &text[length..];
        &text[..length]
    };
    if !text.starts_with('<') {
        return Ok(Some(Piece::Text(cut(text.find('<').unwrap_or(text.len())))));
    }
    for (begin, end, what) in [
        ("<!--", "-->", "a comment"),
        ("<![CDATA[", "]]>", "CDATA"),
        ("<?", "?>", "an instruction"),
    ] {
        if let Some(inside) = text.strip_prefix(begin) {
            let length = inside.find(end).map(|at| begin.len() + at + end.len());
            let length = length.ok_or(format!("{what} is not closed"))?;
            return Ok(Some(Piece::Other(cut(length))));
        }
    }
    if text.starts_with("<!") {
        return Ok(Some(Piece::Other(cut(doctype(text).ok_or("a doctype is not closed")?))));
    }
    let length = tag(text).ok_or_else(|| format!("`{}` is not closed", beginning(text)))?;
    let tag = cut(length);
    if let Some(name) = tag.strip_prefix("</") {
        return Ok(Some(Piece::Close(name.trim_end_matches('>').trim_end())));
    }
    let inside = &tag[1..tag.len() - 1];
    let (inside, is_closed) = match inside.strip_suffix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let end = inside.find(char::is_whitespace).unwrap_or(inside.len());
    let (name, attributes) = inside.split_at(end);
    Ok(Some(Piece::Open { name, attributes, is_closed }))
}

/// How long a doctype is, with the declarations in its brackets.
fn doctype(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '>') if depth == 0 => return Some(at + 1),
            (None, _) => {}
        }
    }
    None
}

/// How long a tag is; a `>` in quotes does not end it.
fn tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices().skip(1) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => return Some(at + 1),
            (None, '<') => return None,
            (None, _) => {}
        }
    }
    None
}

/// What is wrong with the whole text as one XML document; `None` where nothing is.
pub(super) fn xml_problem(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    match xml(text) {
        Ok(length) if length == text.len() => None,
        Ok(length) => Some(format!("`{}` follows the root element", beginning(&text[length..]))),
        Err(problem) => Some(problem),
    }
}

/// Whether there is a well-formed element with a closing tag somewhere in the text.
pub(super) fn has_xml(text: &str) -> bool {
    let starts = text.match_indices('<').take(STARTS_MAX);
    starts.into_iter().any(|(at, _)| {
        let is_element = text[at + 1..].starts_with(is_name_start);
        is_element && xml(&text[at..]).is_ok()
    })
}

/// How long the document at the beginning of the text is, with what may follow its root.
fn xml(text: &str) -> Result<usize, String> {
    let (mut rest, mut open, mut has_root, mut has_doctype) = (text, Vec::new(), false, false);
    let mut end = 0;
    while let Some(piece) = match next(&mut rest) {
        // What follows the root may be something else than XML.
        Err(_) if has_root && open.is_empty() => return Ok(end),
        piece => piece?,
    } {
        let is_over = has_root && open.is_empty();
        match piece {
            Piece::Text(text) if open.is_empty() => match (text.trim().is_empty(), is_over) {
                (true, _) => {}
                (false, true) => return Ok(end),
                (false, false) => return Err(format!("`{}` is before it", beginning(text))),
            },
            Piece::Text(text) => check_text(text, has_doctype)?,
            Piece::Other(text) => {
                let is_markup = text.starts_with("<!--") || text.starts_with("<?");
                if is_over && !is_markup {
                    return Ok(end);
                }
                has_doctype |= text.starts_with("<!DOCTYPE");
                check_other(text, open.is_empty(), end == 0)?;
            }
            Piece::Open { .. } | Piece::Close(_) if is_over => return Ok(end),
            Piece::Open { name, attributes, is_closed } => {
                check_name(name)?;
                check_attributes(attributes, has_doctype)?;
                has_root = true;
                if !is_closed {
                    open.push(name);
                }
            }
            Piece::Close(name) => match open.pop() {
                Some(opened) if opened == name => {}
                Some(opened) => return Err(format!("`<{opened}>` is closed by `</{name}>`")),
                None => return Err(format!("`</{name}>` closes nothing")),
            },
        }
        end = text.len() - rest.len();
    }
    match (open.pop(), has_root) {
        (Some(name), _) => Err(format!("`<{name}>` is not closed")),
        (None, false) => Err("no element is in it".to_owned()),
        (None, true) => Ok(end),
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == ':'
}

fn check_name(name: &str) -> Result<(), String> {
    let may_follow = |c: char| is_name_start(c) || c.is_numeric() || "-.\u{b7}".contains(c);
    match name.starts_with(is_name_start) && name.chars().all(may_follow) {
        true => Ok(()),
        false => Err(format!("`{}` is no name of an element", beginning(name))),
    }
}

fn check_text(text: &str, has_doctype: bool) -> Result<(), String> {
    if text.contains("]]>") {
        return Err("`]]>` is in a text".to_owned());
    }
    if let Some(c) = text.chars().find(|c| !is_xml_char(*c)) {
        return Err(format!("U+{:04X} is no character of XML", u32::from(c)));
    }
    for (at, _) in text.match_indices('&') {
        let name = text[at + 1..].split(';').next().unwrap_or_default();
        let is_closed = text[at + 1 + name.len()..].starts_with(';');
        let is_known = match name.strip_prefix('#') {
            Some(number) => is_reference(number),
            // A doctype may declare more.
            None => ["lt", "gt", "amp", "quot", "apos"].contains(&name) || has_doctype,
        };
        if !(is_closed && is_known) {
            return Err(format!("`&{}` is no reference; a `&` is `&amp;`", beginning(name)));
        }
    }
    Ok(())
}

fn is_xml_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

fn is_reference(number: &str) -> bool {
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    code.ok().and_then(char::from_u32).is_some_and(is_xml_char)
}

fn check_other(text: &str, is_outside: bool, is_first: bool) -> Result<(), String> {
    if let Some(comment) = text.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
        return match comment.contains("--") || comment.ends_with('-') {
            true => Err("`--` is in a comment".to_owned()),
            false => Ok(()),
        };
    }
    let is_fine = match () {
        () if text.starts_with("<?xml ") => is_first,
        () if text.starts_with("<?") => true,
        () if text.starts_with("<![") => !is_outside,
        () => is_outside && text.starts_with("<!DOCTYPE"),
    };
    if is_fine { Ok(()) } else { Err(format!("`{}` has no place there", beginning(text))) }
}

fn check_attributes(text: &str, has_doctype: bool) -> Result<(), String> {
    let (mut rest, mut names) = (text, BTreeSet::new());
    loop {
        let begun = rest.trim_start();
        if begun.is_empty() {
            return Ok(());
        }
        let wrong = || format!("`{}` is no attribute; one is `name=\"value\"`", beginning(begun));
        if begun.len() == rest.len() {
            return Err(wrong());
        }
        let (name, value) = begun.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim_end(), value.trim_start());
        check_name(name).map_err(|_| wrong())?;
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(wrong)?;
        let (value, after) = value[1..].split_once(quote).ok_or_else(wrong)?;
        if value.contains('<') {
            return Err("`<` is in the value of an attribute".to_owned());
        }
        check_text(value, has_doctype)?;
        if !names.insert(name) {
            return Err(format!("the attribute `{name}` is given twice"));
        }
        rest = after;
    }
}

/// What is wrong with the whole text as HTML; `None` where nothing is.
pub(super) fn html_problem(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if !(text.starts_with('<') && text.ends_with('>')) {
        return Some("text is around the HTML".to_owned());
    }
    match html(text) {
        Ok(0) => Some("no element of HTML is in it".to_owned()),
        Ok(_) => None,
        Err(problem) => Some(problem),
    }
}

/// Whether there is an element of HTML somewhere in the text, closed where it must be.
pub(super) fn has_html(text: &str) -> bool {
    // ASCII letters keep their lengths, and names of elements have no others.
    let text = text.to_ascii_lowercase();
    text.match_indices('<').take(STARTS_MAX).any(|(at, _)| {
        let mut rest = &text[at..];
        let Ok(Some(Piece::Open { name, .. })) = next(&mut rest) else { return false };
        let is_closed = || rest.contains(&format!("</{name}>"));
        VOID.contains(&name) || (is_html_name(name) && is_closed())
    })
}

fn is_html_name(name: &str) -> bool {
    // A custom element has a hyphen in its name.
    let is_custom = name.contains('-') && name.starts_with(|c: char| c.is_ascii_lowercase());
    let lists: [&[&str]; 5] = [&VOID, &MAY_STAY_OPEN, &RAW, &OTHERS, &MORE];
    is_custom || lists.iter().any(|list| list.contains(&name))
}

/// How many elements the text has.
fn html(text: &str) -> Result<usize, String> {
    let (mut rest, mut open, mut count): (&str, Vec<String>, usize) = (text, Vec::new(), 0);
    // Elements of drawings and formulas have names of other languages.
    let is_foreign = |open: &[String]| open.iter().any(|name| name == "svg" || name == "math");
    while let Some(piece) = next(&mut rest)? {
        match piece {
            Piece::Text(text) if open.is_empty() && !text.trim().is_empty() => {
                return Err(format!("`{}` is outside of an element", beginning(text.trim())));
            }
            Piece::Text(_) | Piece::Other(_) => {}
            Piece::Open { name, is_closed, .. } => {
                let name = name.to_lowercase();
                if !is_html_name(&name) && !is_foreign(&open) {
                    return Err(format!("`<{}>` is no element of HTML", beginning(&name)));
                }
                count += 1;
                if RAW.contains(&name.as_str()) {
                    let closing = format!("</{name}");
                    // Lower case of some letters has another length; an end tag is ASCII.
                    let end = rest.to_ascii_lowercase().find(&closing);
                    rest = &rest[end.ok_or_else(|| format!("`<{name}>` is not closed"))?..];
                }
                if !is_closed && !VOID.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Piece::Close(name) => close(&mut open, &name.to_lowercase())?,
        }
    }
    match open.iter().rev().find(|name| !MAY_STAY_OPEN.contains(&name.as_str())) {
        Some(name) => Err(format!("`<{name}>` is not closed")),
        None => Ok(count),
    }
}

/// Closes an element, and those in it whose end may be left out.
fn close(open: &mut Vec<String>, name: &str) -> Result<(), String> {
    while let Some(opened) = open.pop() {
        if opened == name {
            return Ok(());
        }
        if !MAY_STAY_OPEN.contains(&opened.as_str()) {
            return Err(format!("`<{opened}>` is closed by `</{}>`", beginning(name)));
        }
    }
    // A browser reads over the end of a paragraph that is not open.
    if name == "p" { Ok(()) } else { Err(format!("`</{}>` closes nothing", beginning(name))) }
}

/// The beginning of a text, without control characters.
fn beginning(text: &str) -> String {
    text.chars().take(30).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "markup/tests.rs"]
mod tests;
