//! Templates of other tools in our grammar, which substitutes and computes nothing.

use super::Named;

/// How the other tool marks what it substitutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `{{name}}` and, in Jinja2 and Nunjucks, tags and filters, which we have not.
    Braces,
    /// Python's f-strings: `{name}`, and `{{` for a brace.
    FString,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text as it is.
    Text(String),
    /// A variable.
    Variable(String),
}

/// A template that was taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// Its pieces in order.
    pub(super) parts: Vec<Part>,
    /// What has no place in our grammar.
    pub(super) lost: Vec<Named>,
}

/// Names that say "what the user asks".
const INPUTS: [&str; 10] = [
    "input",
    "question",
    "query",
    "user_input",
    "userinput",
    "message",
    "user_message",
    "text",
    "prompt",
    "user_query",
];

/// Whether a variable is called like the user's text.
pub(super) fn is_input(name: &str) -> bool {
    INPUTS.contains(&name.to_lowercase().as_str())
}

/// Takes a template apart; `place` names it, and its lines are counted from `line`.
pub(super) fn parts(text: &str, syntax: Syntax, place: &str, line: usize) -> Parts {
    let mut reader = Reader { text, place, line, out: Parts::default() };
    match syntax {
        Syntax::Braces => reader.braces(),
        Syntax::FString => reader.f_string(),
    }
    reader.out
}

struct Reader<'a> {
    text: &'a str,
    place: &'a str,
    line: usize,
    out: Parts,
}

impl<'a> Reader<'a> {
    fn braces(&mut self) {
        let mut at = 0;
        while let Some(open) = opening(&self.text[at..]) {
            let start = at + open;
            self.push_text(&self.text[at..start]);
            let rest = &self.text[start..];
            let (closing, width) = match &rest[..2] {
                "{%" => ("%}", 2),
                "{#" => ("#}", 2),
                _ if rest.starts_with("{{{") => ("}}}", 3),
                _ => ("}}", 2),
            };
            let Some(end) = rest[width..].find(closing) else {
                self.lose(start, &format!("`{}` is not closed", &rest[..2]));
                self.push_text(rest);
                return;
            };
            let inner = &rest[width..width + end];
            match &rest[..2] {
                "{%" => self.lose(start, &format!("the tag `{{% {} %}}`", short(inner))),
                // A comment says nothing to the model.
                "{#" => {}
                _ => self.expression(start, inner),
            }
            at = start + width + end + closing.len();
        }
        self.push_text(&self.text[at..]);
    }

    fn expression(&mut self, start: usize, inner: &str) {
        let name = inner.trim().trim_start_matches('&').trim();
        match name.chars().next() {
            Some('#' | '/' | '^' | '>' | '!') => {
                self.lose(start, &format!("the section `{{{{{}}}}}`", short(inner.trim())));
            }
            _ if is_name(name) => self.out.parts.push(Part::Variable(name.to_owned())),
            _ => self.lose(start, &format!("the expression `{{{{ {} }}}}`", short(name))),
        }
    }

    fn f_string(&mut self) {
        let mut rest = self.text;
        while let Some(at) = rest.find(['{', '}']) {
            let start = self.text.len() - rest.len() + at;
            self.push_text(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                self.push_text(brace);
                rest = after;
                continue;
            }
            match (brace, rest.find('}')) {
                ("{", Some(end)) => {
                    let name = rest[..end].trim();
                    match is_name(name) {
                        true => self.out.parts.push(Part::Variable(name.to_owned())),
                        false => self.lose(start, &format!("the expression `{{{}}}`", short(name))),
                    }
                    rest = &rest[end + 1..];
                }
                _ => {
                    self.lose(start, &format!("`{brace}` alone"));
                    self.push_text(brace);
                }
            }
        }
        self.push_text(rest);
    }

    fn push_text(&mut self, text: &str) {
        match self.out.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            Some(Part::Variable(_)) | None => self.out.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn lose(&mut self, at: usize, what: &str) {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + self.line;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = format!("{}:{line}:{column}", self.place);
        self.out
            .lost
            .push(Named { place, what: format!("{what}: templates here only substitute") });
    }
}

/// Where the next `{{`, `{%` or `{#` is.
fn opening(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].iter().filter_map(|mark| text.find(mark)).min()
}

fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

fn short(text: &str) -> String {
    let text = text.trim().replace('\n', " ");
    match text.chars().count() {
        0..=40 => text,
        _ => format!("{}…", text.chars().take(40).collect::<String>()),
    }
}

/// The pieces in our grammar; `name` says what a variable is called here. Two braces of a text that
/// would open a substitution are written with a space between; how often is the second value.
pub(super) fn ours(parts: &[Part], name: impl Fn(&str) -> String) -> (String, usize) {
    let mut out = String::new();
    let mut split = 0;
    for part in parts {
        match part {
            Part::Variable(variable) => {
                // A brace before it would be read as part of it.
                if out.ends_with('{') {
                    out.push(' ');
                    split += 1;
                }
                out.push_str(&format!("{{{{ {} }}}}", name(variable)));
            }
            Part::Text(text) => {
                for c in text.chars() {
                    if out.ends_with('{') && matches!(c, '{' | '%' | '#') {
                        out.push(' ');
                        split += 1;
                    }
                    out.push(c);
                }
            }
        }
    }
    (out, split)
}
