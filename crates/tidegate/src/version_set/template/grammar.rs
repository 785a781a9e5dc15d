//! What a template may say: `{{ name }}`, `{{ name.member }}` and the comment `{# … #}`, which is
//! the part of Jinja that cannot compute. The rest is refused with its line before an engine sees
//! it: `{{ 'a' * 100000000 }}` takes 200 MB, several filters do the same, and an engine's fuel does
//! not bound memory (both measured).

use super::super::error::{TemplateError, TemplateProblem};
use super::{Role, Variable};
use crate::near;

/// Longest stretch of a faulty expression that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 40;

/// The variables of a template, in order, with repeats; `file` names it in errors.
///
/// # Errors
/// Anything but substitution of an allowed variable, with file and line.
pub(super) fn variables(
    file: &str,
    role: Role,
    text: &str,
) -> Result<Vec<Variable>, TemplateError> {
    Scanner { file, role, text }.run()
}

/// The line, counted from 1, of the byte at `at`.
pub(super) fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

struct Scanner<'a> {
    file: &'a str,
    role: Role,
    text: &'a str,
}

impl Scanner<'_> {
    fn run(&self) -> Result<Vec<Variable>, TemplateError> {
        let mut variables = Vec::new();
        let mut at = 0;
        while let Some(open) = next_tag(&self.text[at..]) {
            let start = at + open;
            at = match &self.text[start..start + 2] {
                "{#" => self.close(start, "#}")? + 2,
                "{%" => return Err(self.computes(start, "`{%` tags are not allowed")),
                _ => {
                    let end = self.close(start, "}}")?;
                    variables.push(self.variable(start, &self.text[start + 2..end])?);
                    end + 2
                }
            };
        }
        Ok(variables)
    }

    /// Where the tag that opens at `start` is closed.
    fn close(&self, start: usize, closing: &str) -> Result<usize, TemplateError> {
        match self.text[start + 2..].find(closing) {
            Some(offset) => Ok(start + 2 + offset),
            None => {
                let opening = &self.text[start..start + 2];
                Err(self.computes(start, format!("`{opening}` is not closed by `{closing}`")))
            }
        }
    }

    fn variable(&self, start: usize, expression: &str) -> Result<Variable, TemplateError> {
        // The white space that the engine allows here is ASCII only.
        let name = expression.trim_ascii();
        let mut parts = name.split('.');
        let (first, member, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let words = std::iter::once(first).chain(member).chain(more);
        if !words.into_iter().all(is_name) {
            let what = format!("`{{{{ {} }}}}` is not a plain variable", shown(name));
            return Err(self.computes(start, what));
        }
        let variable = match (first, member, more) {
            ("input", None, None) => Variable::Input,
            ("user", None, None) => Variable::User,
            ("retrieved", None, None) => Variable::Retrieved,
            ("metadata", Some(key), None) => Variable::Metadata(key.to_owned()),
            _ => return Err(self.unknown(start, name)),
        };
        match (self.role, &variable) {
            (Role::User, _) | (Role::System, Variable::Metadata(_)) => Ok(variable),
            (Role::System, Variable::Input | Variable::User | Variable::Retrieved) => {
                Err(self.wrong(start, TemplateProblem::OfUser { name: name.to_owned() }))
            }
        }
    }

    fn unknown(&self, start: usize, name: &str) -> TemplateError {
        let nearest = match self.role {
            Role::System => format!("metadata.{}", last_word(name)),
            Role::User => nearest_variable(name),
        };
        let (name, allowed) = (shown(name), self.role.allowed());
        self.wrong(start, TemplateProblem::Unknown { name, allowed, nearest })
    }

    fn computes(&self, start: usize, what: impl Into<String>) -> TemplateError {
        let (what, allowed) = (what.into(), self.role.allowed());
        self.wrong(start, TemplateProblem::Computes { what, allowed })
    }

    fn wrong(&self, start: usize, problem: TemplateProblem) -> TemplateError {
        let line = Some(line_of(self.text.as_bytes(), start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |end| end + 1);
        let column = Some(self.text[line_start..start].chars().count() + 1);
        TemplateError { file: self.file.to_owned(), line, column, problem }
    }
}

/// Where the next `{{`, `{%` or `{#` is.
fn next_tag(text: &str) -> Option<usize> {
    let opens = |(_, pair): &(usize, &[u8])| pair[0] == b'{' && b"{%#".contains(&pair[1]);
    text.as_bytes().windows(2).enumerate().find(opens).map(|(at, _)| at)
}

fn is_name(word: &str) -> bool {
    let start = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    word.bytes().next().is_some_and(start) && word.bytes().all(|b| start(b) || b.is_ascii_digit())
}

fn shown(text: &str) -> String {
    let flat: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN_CHARS_MAX { format!("{flat}…") } else { flat }
}

fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn nearest_variable(name: &str) -> String {
    let first = name.split('.').next().unwrap_or(name);
    match near::nearest(first, ["input", "user", "retrieved", "metadata"]) {
        Some(known @ ("input" | "user" | "retrieved")) => known.to_owned(),
        _ => format!("metadata.{}", last_word(name)),
    }
}
