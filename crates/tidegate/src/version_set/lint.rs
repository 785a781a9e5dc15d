//! Lints of a prompt version: what is allowed and unwise in it, each with its place and what to do.
//!
//! A rule that is right in general and wrong for one prompt is switched off in that prompt's
//! `config.yaml`, with the reason beside it: `lint_off: {role: "a classifier without a persona"}`.
//! What is off is still found and shown, so that nobody has to look for it.

mod hidden;
mod place;

use super::error::SetError;
use super::prompt::{self, CONFIG, SYSTEM, USER_TEMPLATE};
use super::rule::Rule;
use super::template::{Template, Variable};
use crate::config::PromptConfig;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::text::{PrivateKind, find_private, is_invisible};

use place::Place;

/// A system prompt should be longer than this, characters.
const SYSTEM_CHARS_ADVISED: usize = 100;
/// A system prompt should have one of these, in English, Chinese (simplified and traditional),
/// Japanese.
const ROLE_WORDS: [&str; 6] = ["you are", "你是", "您是", "あなたは", "貴方は", "君は"];
/// Findings of one rule in one file that are listed; a damaged file could have thousands.
const SHOWN_MAX: usize = 20;

/// What was found, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The rule.
    pub(crate) rule: Rule,
    /// The file, as it is shown.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Counted from 1, in characters.
    pub(crate) column: usize,
    /// What is wrong there; holds no secret.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
    /// Why the prompt switched the rule off; absent where it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) off: Option<String>,
}

impl Finding {
    /// Whether it counts against the version.
    pub(crate) fn counts(&self) -> bool {
        self.off.is_none()
    }

    /// One line for people and for tools that read `file:line:column`.
    pub(crate) fn sentence(&self) -> String {
        let Finding { rule, file, line, column, message, hint: _, off: _ } = self;
        format!("{file}:{line}:{column}: {message} [{}]", rule.name())
    }
}

/// Everything that the rules find in the files of a version, in the order of rules; `shown` is the
/// folder that places name.
pub(crate) fn lint(files: &BTreeMap<String, Vec<u8>>, shown: &Path) -> Vec<Finding> {
    if files.contains_key(prompt::MODE) {
        return Vec::new();
    }
    let mut found = Found { shown, findings: Vec::new() };
    let read = prompt::check(files, shown);
    let config = match read {
        Ok((config, templates)) => {
            if let Some((_, user)) = templates {
                found.unused_input(&user);
            }
            config
        }
        Err(error) => {
            found.unreadable(&error);
            PromptConfig::default()
        }
    };
    if let Some(bytes) = files.get(SYSTEM) {
        found.system(&String::from_utf8_lossy(bytes));
    }
    for name in [SYSTEM, USER_TEMPLATE, CONFIG] {
        if let Some(bytes) = files.get(name) {
            found.characters(name, &String::from_utf8_lossy(bytes));
        }
    }
    let mut findings = found.findings;
    for finding in &mut findings {
        finding.off = config.lint_off.get(finding.rule.name()).cloned();
    }
    findings.sort_by(|a, b| {
        (a.rule, &a.file, a.line, a.column).cmp(&(b.rule, &b.file, b.line, b.column))
    });
    findings
}

struct Found<'a> {
    shown: &'a Path,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, rule: Rule, file: &str, at: Place, message: String) {
        let so_far =
            self.findings.iter().filter(|one| one.rule == rule && one.file.ends_with(file));
        if so_far.count() >= SHOWN_MAX {
            return;
        }
        self.findings.push(Finding {
            rule,
            file: self.shown.join(file).display().to_string(),
            line: at.line,
            column: at.column,
            message,
            hint: rule.hint().to_owned(),
            off: None,
        });
    }

    fn unreadable(&mut self, error: &SetError) {
        let mut finding = Finding {
            rule: Rule::Unreadable,
            file: self.shown.display().to_string(),
            line: 1,
            column: 1,
            message: error.to_string(),
            hint: Rule::Unreadable.hint().to_owned(),
            off: None,
        };
        if let SetError::Template(error) = error {
            finding.file.clone_from(&error.file);
            finding.message = error.problem.to_string();
            (finding.line, finding.column) = (error.line.unwrap_or(1), error.column.unwrap_or(1));
        }
        self.findings.push(finding);
    }

    fn system(&mut self, text: &str) {
        let text = text.trim_start_matches('\u{feff}');
        let chars = text.trim().chars().count();
        if (1..=SYSTEM_CHARS_ADVISED).contains(&chars) {
            let message = format!(
                "the system prompt has {chars} characters, more than {SYSTEM_CHARS_ADVISED} are \
                 needed"
            );
            self.add(Rule::SystemLength, SYSTEM, Place::START, message);
        }
        // What is hidden inside of the words is a finding of another rule.
        let lower = text.replace(is_invisible, "").to_lowercase();
        if chars > 0 && !ROLE_WORDS.iter().any(|word| lower.contains(word)) {
            let message = "the system prompt does not say who the model is".to_owned();
            self.add(Rule::Role, SYSTEM, Place::START, message);
        }
    }

    fn unused_input(&mut self, user: &Template) {
        if !user.variables().any(|variable| *variable == Variable::Input) {
            let message = "`{{ input }}` is not used: the user's text is not sent".to_owned();
            self.add(Rule::UnusedInput, USER_TEMPLATE, Place::START, message);
        }
    }

    /// What is found in any text.
    fn characters(&mut self, name: &str, text: &str) {
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => {
                let message = "the file begins with a byte order mark (U+FEFF)".to_owned();
                self.add(Rule::Bom, name, Place::START, message);
                rest
            }
            None => text,
        };
        for private in find_private(text) {
            let what = match private.kind {
                PrivateKind::Key => "a key or token",
                PrivateKind::Password => "a password",
                PrivateKind::Id
                | PrivateKind::Card
                | PrivateKind::Iban
                | PrivateKind::Email
                | PrivateKind::Phone
                | PrivateKind::Number => continue,
            };
            let length = text[private.range.clone()].chars().count();
            let message = format!("{what} of {length} characters is in the text");
            self.add(Rule::Secret, name, Place::of(text, private.range.start), message);
        }
        for (at, what) in hidden::find(text) {
            let message = format!("{what} is not shown to readers and is sent to the model");
            self.add(Rule::HiddenUnicode, name, Place::of(text, at), message);
        }
    }
}

#[cfg(test)]
mod tests;
