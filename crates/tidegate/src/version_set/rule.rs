//! The rules that a prompt is checked by.

use serde::Serialize;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// A file is missing, empty, no template or no valid settings.
    Unreadable,
    /// The system prompt has no more than 100 characters.
    SystemLength,
    /// The system prompt does not say who the model is.
    Role,
    /// The user template does not use the user's text.
    UnusedInput,
    /// An API key, a token or a password.
    Secret,
    /// A character that is not shown: it can hide instructions, or turn the order of letters.
    HiddenUnicode,
    /// The file begins with a byte order mark.
    Bom,
}

impl Rule {
    /// Those that a prompt may switch off.
    const OPTIONAL: [Rule; 6] = [
        Rule::SystemLength,
        Rule::Role,
        Rule::UnusedInput,
        Rule::Secret,
        Rule::HiddenUnicode,
        Rule::Bom,
    ];

    /// Its name in `lint_off` and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::Unreadable => "unreadable",
            Rule::SystemLength => "system_length",
            Rule::Role => "role",
            Rule::UnusedInput => "unused_input",
            Rule::Secret => "secret",
            Rule::HiddenUnicode => "hidden_unicode",
            Rule::Bom => "bom",
        }
    }

    /// The names that `lint_off` may have.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Rule::OPTIONAL.into_iter().map(Rule::name)
    }

    /// What to do about a finding of it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Rule::Unreadable => "a version has system.md, user_template.md and config.yaml",
            Rule::SystemLength => "write role, task, limits and the form of the answer",
            Rule::Role => "begin with \"You are …\", \"你是…\" or \"あなたは…\"",
            Rule::UnusedInput => "write `{{ input }}` where the user's text belongs",
            Rule::Secret => "take it out, and revoke it: who reads the prompt can use it",
            Rule::HiddenUnicode => "delete the character, or type the text again",
            Rule::Bom => "save the file as UTF-8 without a byte order mark",
        }
    }
}
