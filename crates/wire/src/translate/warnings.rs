//! What a translation left out and may: said to the client, never in silence.

use std::fmt;

/// Why a member cannot be translated, where there is no more to say.
pub(super) const NOTHING: &str = "the model server's API has nothing for it";
/// What happened to a member that may be left out.
pub(super) const LEFT_OUT: &str = "is left out: the model server's API has nothing for it";

/// What happens to parameters of sampling where the model takes none.
pub(super) const NO_SAMPLING: &str = "is left out: the model takes no sampling parameters";

/// Most warnings kept of one request. Requests have a bounded number of known members; this bounds
/// the header in which they are sent.
const WARNINGS_MAX: usize = 16;

/// One member that was left out or changed, harmlessly: the answer means the same without it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The member, with `[]` for any place in a list; ASCII, so that it fits a header.
    pub param: String,
    /// What happened to it and why.
    pub what: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.param, self.what)
    }
}

/// The warnings of a request, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings(Vec<Warning>);

impl Warnings {
    /// In the order in which they came up.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of a further translation of the same request.
    pub fn extend(&mut self, others: Warnings) {
        others.0.into_iter().for_each(|warning| self.push(warning));
    }

    /// Says that a parameter of sampling is left out, as the model takes none.
    pub fn no_sampling(&mut self, param: &str) {
        self.add(param, NO_SAMPLING);
    }

    pub(super) fn add(&mut self, param: &str, what: &'static str) {
        self.push(Warning { param: anywhere(param), what });
    }

    fn push(&mut self, warning: Warning) {
        if self.0.len() < WARNINGS_MAX && !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }
}

/// A path without the places in lists, in ASCII.
fn anywhere(param: &str) -> String {
    let mut inside = false;
    let kept = param.chars().filter(|c| {
        inside = (inside || *c == '[') && *c != ']';
        !inside || *c == '['
    });
    let shown = kept.map(|c| if c.is_ascii_graphic() { c } else { '?' });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_once_and_in_ascii() {
        let mut warnings = Warnings::default();
        assert!(warnings.is_empty());
        for param in ["messages[0].name", "messages[12].name", "messages[3].content[4].名", "seed"]
        {
            warnings.add(param, "is left out");
        }
        let shown: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        let expected = ["messages[].name", "messages[].content[].?", "seed"];
        assert_eq!(shown, expected.map(|param| format!("`{param}` is left out")));
    }

    #[test]
    fn there_is_a_bound() {
        let mut warnings = Warnings::default();
        (0..100).for_each(|n| warnings.add(&format!("a{n}"), "is left out"));
        assert_eq!(warnings.iter().count(), WARNINGS_MAX);
    }
}
