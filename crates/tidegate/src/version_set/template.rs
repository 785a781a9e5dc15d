//! Prompt templates: substitution and nothing else, rendered by `minijinja`.
//!
//! [`grammar`] refuses whatever computes, with file and line; what it lets through is compiled once
//! and rendered with strict undefined values, no escaping and every newline kept. A test holds that
//! both read the same variables.
//! Two `{` in a row always open a substitution; literal braces are written with a space between.

mod grammar;

use super::error::{TemplateError, TemplateProblem};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Largest template file, bytes. Room for about 60,000 tokens, more than prompts in use take.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// Largest rendered text, bytes: a variable used many times multiplies the client's input.
pub(crate) const RENDERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The template's name in its engine, which holds no other.
const NAME: &str = "prompt";

/// What a template may take from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The text of the last user message.
    Input,
    /// The request's `user`; empty when it has none.
    User,
    /// What the index has for the last user message; empty where nothing was found.
    Retrieved,
    /// A member of the request's `metadata`.
    Metadata(String),
}

/// Which template it is; the system prompt may use less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `system.md`: `metadata.<key>` only, so that no user text gets the system's authority.
    System,
    /// `user_template.md`: all of them.
    User,
}

impl Role {
    fn allowed(self) -> &'static str {
        match self {
            Role::System => "`metadata.<key>`",
            Role::User => "`input`, `user`, `retrieved` and `metadata.<key>`",
        }
    }
}

/// Why a request could not be rendered: a variable of the template that the request does not set,
/// or messages of the wrong shape. The client must fix it; holds no text of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RenderError(pub(crate) String);

/// A template that was checked and compiled; rendering it cannot fail but for a missing value.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    variables: Vec<Variable>,
    fixed: String,
    engine: Environment<'static>,
}

impl Template {
    /// Checks and compiles a template; `file` names it in errors.
    ///
    /// # Errors
    /// Anything but substitution of an allowed variable, with file and line.
    pub(crate) fn parse(file: &str, role: Role, bytes: &[u8]) -> Result<Template, TemplateError> {
        let wrong = |line, problem| {
            let file = file.to_owned();
            TemplateError { file, line, column: line.map(|_| 1), problem }
        };
        if bytes.len() > TEMPLATE_BYTES_MAX {
            let (bytes, max) = (bytes.len(), TEMPLATE_BYTES_MAX);
            return Err(wrong(None, TemplateProblem::TooLarge { bytes, max }));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = grammar::line_of(bytes, error.valid_up_to());
            wrong(Some(line), TemplateProblem::NotUtf8)
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let variables = grammar::variables(file, role, text)?;
        let refused = |error: minijinja::Error| wrong(error.line(), TemplateProblem::Engine(error));
        let engine = engine(text.to_owned()).map_err(refused)?;
        let blanks = variables.iter().map(|variable| (variable, Cow::Borrowed(" ")));
        let fixed = engine
            .get_template(NAME)
            .and_then(|template| template.render(context(blanks)))
            .map_err(refused)?;
        Ok(Template { variables, fixed, engine })
    }

    /// The variables it uses, in order, with repeats.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter()
    }

    /// Whether it gives nothing but white space whatever the request.
    pub(crate) fn is_blank(&self) -> bool {
        self.variables.is_empty() && self.fixed.trim().is_empty()
    }

    /// The text with a blank for each substitution.
    pub(crate) fn fixed_text(&self) -> &str {
        &self.fixed
    }

    /// The text before the input and after it; `None` where the template does not use it. Where
    /// it is used more than once, what is after the first use is in the second text.
    ///
    /// # Errors
    /// As of [`Self::render`].
    pub(crate) fn frame<'a>(
        &'a self,
        input: &str,
        value: impl Fn(&'a Variable) -> Result<Cow<'a, str>, RenderError>,
    ) -> Result<Option<(String, String)>, RenderError> {
        if !self.variables.contains(&Variable::Input) {
            return Ok(None);
        }
        // A mark that is in none of the other texts, in the input's place.
        let mut mark = "\u{1}".to_owned();
        let whole = self.render(&value)?;
        while whole.contains(&mark) {
            mark.push('\u{1}');
        }
        let marked = self.render(|variable| match variable {
            Variable::Input => Ok(Cow::Owned(mark.clone())),
            Variable::User | Variable::Retrieved | Variable::Metadata(_) => value(variable),
        })?;
        let parts = marked.split_once(&mark);
        Ok(parts.map(|(before, after)| (before.to_owned(), after.replace(&mark, input))))
    }

    /// Puts the values in; `value` gives a variable's text or the error to stop with. The size is
    /// known before anything is copied.
    ///
    /// # Errors
    /// What `value` gives, or the size of a text above [`RENDERED_BYTES_MAX`].
    pub(crate) fn render<'a>(
        &'a self,
        value: impl Fn(&'a Variable) -> Result<Cow<'a, str>, RenderError>,
    ) -> Result<String, RenderError> {
        let mut bytes = self.fixed.len() - self.variables.len();
        let mut values = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            let text = value(variable)?;
            bytes = bytes.saturating_add(text.len());
            values.push((variable, text));
        }
        if bytes > RENDERED_BYTES_MAX {
            return Err(RenderError(format!(
                "the prompt with this request in it has {bytes} bytes, allowed are \
                 {RENDERED_BYTES_MAX}"
            )));
        }
        self.engine
            .get_template(NAME)
            .and_then(|template| template.render(context(values)))
            .map_err(|error| RenderError(format!("the prompt was not rendered: {}", error.kind())))
    }
}

/// Whether a text is a user template.
#[cfg(test)]
pub(crate) fn is_template(text: &str) -> bool {
    Template::parse("text", Role::User, text.as_bytes()).is_ok()
}

/// An engine with this template and without filters, tests, functions or globals.
fn engine(text: String) -> Result<Environment<'static>, minijinja::Error> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    engine.add_template_owned(NAME, text)?;
    Ok(engine)
}

/// The values by name, each copied once however often it is used.
fn context<'a>(values: impl IntoIterator<Item = (&'a Variable, Cow<'a, str>)>) -> Value {
    let mut names: BTreeMap<&str, Value> = BTreeMap::new();
    let mut metadata: BTreeMap<&str, Value> = BTreeMap::new();
    for (variable, text) in values {
        let place = match variable {
            Variable::Input => names.entry("input"),
            Variable::User => names.entry("user"),
            Variable::Retrieved => names.entry("retrieved"),
            Variable::Metadata(key) => metadata.entry(key),
        };
        place.or_insert_with(|| Value::from(text));
    }
    if !metadata.is_empty() {
        names.insert("metadata", metadata.into());
    }
    names.into()
}

#[cfg(test)]
mod tests;
