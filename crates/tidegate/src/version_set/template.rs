//! Prompt templates: substitution and nothing else.
//!
//! The grammar is the part of Jinja that cannot compute: `{{ name }}`, `{{ name.member }}` and the
//! comment `{# … #}`. Full Jinja was measured and rejected: `{{ 'a' * 100000000 }}` takes 200 MB,
//! several filters do the same, and an engine's fuel does not bound memory. What is checked here
//! is also what is rendered, piece by piece, so that no second parser can read a template
//! otherwise.
//! Two `{` in a row always open a substitution; literal braces are written with a space between.

use crate::error::{CliError, Result};

/// Largest template file, bytes. Room for about 60,000 tokens, more than prompts in use take.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// Largest rendered text, bytes: a variable used many times multiplies the client's input.
pub(crate) const RENDERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest stretch of a faulty expression that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 40;

/// What a template may take from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The text of the last user message.
    Input,
    /// The request's `user`; empty when it has none.
    User,
    /// A member of the request's `metadata`.
    Metadata(String),
}

/// Which template it is; the system prompt may use less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `system.md`: `metadata.<key>` only, so that no user text gets the system's authority.
    System,
    /// `user_template.md`: all three.
    User,
}

impl Role {
    fn allowed(self) -> &'static str {
        match self {
            Role::System => "`metadata.<key>`",
            Role::User => "`input`, `user` and `metadata.<key>`",
        }
    }
}

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Variable),
}

/// A template that was checked; rendering it cannot fail but for a missing value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Checks and splits a template; `file` names it in errors.
    ///
    /// # Errors
    /// Anything but substitution of an allowed variable, with file and line.
    pub(crate) fn parse(file: &str, role: Role, bytes: &[u8]) -> Result<Template> {
        if bytes.len() > TEMPLATE_BYTES_MAX {
            return Err(CliError::usage(format!(
                "{file}: the template is {} bytes, allowed are {TEMPLATE_BYTES_MAX}",
                bytes.len()
            ))
            .hint("keep long reference texts in the index (`artifacts.index.path`)"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_of(bytes, error.valid_up_to());
            CliError::usage(format!("{file}:{line}: the template is not UTF-8"))
                .hint("save the file as UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Scanner { file, role, text, pieces: Vec::new() }.run()
    }

    /// The variables it uses, in order, with repeats.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(variable) => Some(variable),
        })
    }

    /// Whether it gives nothing but white space whatever the request.
    pub(crate) fn is_blank(&self) -> bool {
        self.variables().next().is_none() && self.fixed_text().trim().is_empty()
    }

    /// The text without its substitutions.
    pub(crate) fn fixed_text(&self) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Value(_) => " ",
            })
            .collect()
    }

    /// Puts the values in; `value` gives a variable's text or the error to stop with. The size is
    /// known before anything is copied.
    ///
    /// # Errors
    /// What `value` gives, or `too_large` with the size the text would have, in bytes.
    pub(crate) fn render<'a, E>(
        &'a self,
        value: impl Fn(&'a Variable) -> Result<std::borrow::Cow<'a, str>, E>,
        too_large: impl FnOnce(usize) -> E,
    ) -> Result<String, E> {
        let mut parts = Vec::with_capacity(self.pieces.len());
        let mut bytes = 0_usize;
        for piece in &self.pieces {
            let part = match piece {
                Piece::Text(text) => std::borrow::Cow::Borrowed(text.as_str()),
                Piece::Value(variable) => value(variable)?,
            };
            bytes = bytes.saturating_add(part.len());
            parts.push(part);
        }
        if bytes > RENDERED_BYTES_MAX {
            return Err(too_large(bytes));
        }
        let mut out = String::with_capacity(bytes);
        parts.iter().for_each(|part| out.push_str(part));
        Ok(out)
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

struct Scanner<'a> {
    file: &'a str,
    role: Role,
    text: &'a str,
    pieces: Vec<Piece>,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<Template> {
        let mut at = 0;
        loop {
            let rest = &self.text[at..];
            let Some(open) = next_tag(rest) else {
                self.push_text(rest);
                return Ok(Template { pieces: self.pieces });
            };
            self.push_text(&rest[..open]);
            let start = at + open;
            at = match &self.text[start..start + 2] {
                "{#" => self.close(start, "#}")? + 2,
                "{%" => return Err(self.refused(start, "`{%` tags are not allowed")),
                _ => {
                    let end = self.close(start, "}}")?;
                    let variable = self.variable(start, &self.text[start + 2..end])?;
                    self.pieces.push(Piece::Value(variable));
                    end + 2
                }
            };
        }
    }

    fn push_text(&mut self, text: &str) {
        match (self.pieces.last_mut(), text.is_empty()) {
            (_, true) => {}
            (Some(Piece::Text(before)), false) => before.push_str(text),
            (_, false) => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// Where the tag that opens at `start` is closed.
    fn close(&self, start: usize, closing: &str) -> Result<usize> {
        match self.text[start + 2..].find(closing) {
            Some(offset) => Ok(start + 2 + offset),
            None => {
                let opening = &self.text[start..start + 2];
                Err(self.refused(start, &format!("`{opening}` is not closed by `{closing}`")))
            }
        }
    }

    fn variable(&self, start: usize, expression: &str) -> Result<Variable> {
        let name = expression.trim();
        let mut parts = name.split('.');
        let (first, member, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let words = std::iter::once(first).chain(member).chain(more);
        if !words.into_iter().all(is_name) {
            let what = format!("`{{{{ {} }}}}` is not a plain variable", shown(name));
            return Err(self.refused(start, &what));
        }
        let variable = match (first, member, more) {
            ("input", None, None) => Variable::Input,
            ("user", None, None) => Variable::User,
            ("metadata", Some(key), None) => Variable::Metadata(key.to_owned()),
            _ => return Err(self.unknown(start, name)),
        };
        match (self.role, &variable) {
            (Role::User, _) | (Role::System, Variable::Metadata(_)) => Ok(variable),
            (Role::System, Variable::Input | Variable::User) => Err(self
                .error(start, &format!("the system prompt must not use `{name}`"))
                .hint("move it to user_template.md: text from users gets no system authority")),
        }
    }

    fn unknown(&self, start: usize, name: &str) -> CliError {
        let error = self.error(
            start,
            &format!("unknown variable `{}`; allowed are {}", shown(name), self.role.allowed()),
        );
        let nearest = match self.role {
            Role::System => format!("metadata.{}", last_word(name)),
            Role::User => nearest_variable(name),
        };
        error.hint(format!("did you mean `{{{{ {nearest} }}}}`?"))
    }

    fn refused(&self, start: usize, what: &str) -> CliError {
        self.error(start, &format!("{what}; templates only substitute {}", self.role.allowed()))
            .hint(
                "loops, filters, calls and literals are not run; compute the value before the \
                   request and send it as `metadata`",
            )
            .hint("for two literal braces write `{ {`")
    }

    fn error(&self, start: usize, what: &str) -> CliError {
        let line = line_of(self.text.as_bytes(), start);
        CliError::usage(format!("{}:{line}: {what}", self.file))
    }
}

/// Where the next `{{`, `{%` or `{#` stands.
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
    let distance = |known: &str| strsim::damerau_levenshtein(first, known);
    match ["input", "user", "metadata"].into_iter().min_by_key(|known| distance(known)) {
        Some(known @ ("input" | "user")) if distance(known) <= 2 => known.to_owned(),
        _ => format!("metadata.{}", last_word(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn parse(role: Role, text: &str) -> Result<Template> {
        Template::parse("prompts/v1/x.md", role, text.as_bytes())
    }

    fn render(text: &str) -> Result<String, String> {
        let template = parse(Role::User, text).map_err(|error| error.message)?;
        template.render(
            |variable| {
                Ok(Cow::Borrowed(match variable {
                    Variable::Input => "你好 {{ user }}",
                    Variable::User => "u1",
                    Variable::Metadata(key) if key == "plan" => "pro",
                    Variable::Metadata(key) => return Err(format!("no {key}")),
                }))
            },
            |bytes| format!("{bytes} bytes"),
        )
    }

    fn check(template: &str, expected: &str) {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template:?}");
    }

    fn refuse(role: Role, template: &str, message: &str) {
        let error = parse(role, template).unwrap_err();
        assert!(error.message.contains(message), "{template:?}: {}", error.message);
        assert!(!error.hints.is_empty(), "{template:?}");
    }

    #[test]
    fn variables_are_substituted_and_values_are_never_read_as_templates() {
        check("", "");
        check("plain\n", "plain\n");
        check("Q: {{ input }}\n", "Q: 你好 {{ user }}\n");
        check("{{input}}{{  user\t}}", "你好 {{ user }}u1");
        check("{{ metadata.plan }}", "pro");
        check("a{# a note {{ input }} #}b", "ab");
        check("{\"a\": {\"b\": 1}} 100% { {", "{\"a\": {\"b\": 1}} 100% { {");
        check("\u{feff}bom", "bom");
        assert_eq!(render("{{ metadata.x }}"), Err("no x".to_owned()));
    }

    #[test]
    fn everything_that_computes_is_refused_with_its_line() {
        for text in [
            "{{ 'a' * 100000000 }}",
            "{{ input | upper }}",
            "{{ input() }}",
            "{{ input + user }}",
            "{{ \"x\" }}",
            "{{ 1 }}",
            "{{ input[0] }}",
            "{{ input.__class__.x.y() }}",
            "{{- input -}}",
            "{{ }}",
            "{{ metadata. }}",
            "{{ a{{ input }}",
            "{{ 输入 }}",
            "{% for x in range(9) %}x{% endfor %}",
            "{% raw %}",
            "{{ input",
            "{# open",
        ] {
            refuse(Role::User, &format!("first\nsecond {text}"), "prompts/v1/x.md:2: ");
        }
    }

    #[test]
    fn an_unknown_variable_names_the_allowed_ones_and_the_nearest() {
        refuse(
            Role::User,
            "\n\n{{ inptu }}",
            "x.md:3: unknown variable `inptu`; allowed are `input`",
        );
        let hint = |role, text: &str| parse(role, text).unwrap_err().hints[0].clone();
        assert!(hint(Role::User, "{{ inptu }}").contains("`{{ input }}`"));
        assert!(hint(Role::User, "{{ plan }}").contains("`{{ metadata.plan }}`"));
        assert!(hint(Role::User, "{{ metdata.plan }}").contains("`{{ metadata.plan }}`"));
        assert!(hint(Role::User, "{{ metadata.a.b }}").contains("`{{ metadata.b }}`"));
        assert!(hint(Role::System, "{{ plan }}").contains("`{{ metadata.plan }}`"));
        refuse(Role::User, "{{ input.x }}", "unknown variable `input.x`");
        refuse(Role::User, "{{ metadata }}", "unknown variable `metadata`");
    }

    #[test]
    fn the_system_prompt_takes_no_user_text() {
        assert!(parse(Role::System, "for {{ metadata.plan }}").is_ok());
        refuse(Role::System, "a\n{{ input }}", "x.md:2: the system prompt must not use `input`");
        refuse(Role::System, "{{ user }}", "must not use `user`");
    }

    #[test]
    fn size_and_encoding_are_bounded() {
        let error = |bytes: &[u8]| Template::parse("x.md", Role::User, bytes).unwrap_err().message;
        assert!(error(&vec![b'a'; TEMPLATE_BYTES_MAX + 1]).contains("allowed are 262144"));
        assert!(error(b"ok\n\xff").starts_with("x.md:2: the template is not UTF-8"));
    }

    #[test]
    fn a_multiplied_input_is_refused_before_it_is_copied() {
        let template = parse(Role::User, &"{{input}}".repeat(20_000)).unwrap();
        let input = "x".repeat(100_000);
        let got = template.render(|_| Ok(Cow::Borrowed(input.as_str())), |bytes| bytes);
        assert_eq!(got, Err(2_000_000_000));
    }

    #[test]
    fn whatever_the_text_nothing_panics_and_no_tag_is_left() {
        let words =
            ["{", "}", "{{", "}}", "{#", "#}", "%", "-", "input", "metadata.a", " ", "\n", "文"];
        let mut state = 7_u64;
        let mut next = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % n
        };
        let mut good = 0;
        for _ in 0..50_000 {
            let text: String = (0..next(9)).map(|_| words[next(words.len())]).collect();
            if let Ok(template) = parse(Role::User, &text) {
                good += 1;
                let Template { pieces } = &template;
                for piece in pieces {
                    let Piece::Text(text) = piece else { continue };
                    assert!(!["{{", "{%", "{#"].iter().any(|tag| text.contains(tag)), "{text:?}");
                }
            }
        }
        assert!(good > 5_000, "only {good} of the texts are templates");
    }

    #[test]
    fn the_fixed_text_leaves_the_values_out() {
        let template = parse(Role::User, "你是 {{ metadata.name }}。").unwrap();
        assert_eq!(template.fixed_text(), "你是  。");
        assert_eq!(template.variables().count(), 1);
    }
}
