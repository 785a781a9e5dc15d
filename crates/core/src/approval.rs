//! Approvals: who said yes to a version set, why and when, and which of them count for a release.
//!
//! A set is named by its content, so an approval is of exactly these prompts, this model, these
//! settings. Whoever starts a release is not among those who approved it.
//! A rollback voids the approvals of the set.
//!
//! A name is what its owner says, unless the order came with a key: then the key is part of the
//! name, and two orders with one key are of one approver.

use crate::ids::UnixMs;
use serde::{Deserialize, Serialize};

/// What kind of approver it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// A person.
    Person,
    /// A program, such as a pipeline.
    Machine,
}

/// One approval of a version set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who, as the command line names its user; with the key that the order came with.
    pub by: String,
    /// What kind of approver it is.
    pub approver: Approver,
    /// Why, in the approver's words.
    pub reason: String,
    /// When.
    pub at: UnixMs,
    /// The latest eval run of the set at that time; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

impl Approval {
    /// Why it does not count for a release that `author` starts; `None` where it does.
    pub fn does_not_count(&self, author: &str, people_only: bool) -> Option<&'static str> {
        if is_same(&self.by, author) {
            return Some("starts it");
        }
        match self.approver {
            Approver::Machine if people_only => Some("is no person"),
            Approver::Machine | Approver::Person => None,
        }
    }
}

/// Whether two orders are of one approver: the same name, however it is written, or the same key.
pub fn is_same(one: &str, other: &str) -> bool {
    let ((one, its_key), (other, others_key)) = (parts(one), parts(other));
    let same_name = !one.is_empty() && one.to_lowercase() == other.to_lowercase();
    same_name || (its_key.is_some() && its_key == others_key)
}

/// A name, and the key that it came with: `ann (key tg-0123abcd)`.
fn parts(by: &str) -> (&str, Option<&str>) {
    let key = by.rfind(" (key ").and_then(|at| Some((at, by[at + 6..].strip_suffix(')')?)));
    match key {
        Some((at, key)) => (by[..at].trim(), Some(key)),
        None => (by.trim(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(one: &str, other: &str, same: bool) {
        assert_eq!(is_same(one, other), same, "{one} and {other}");
        assert_eq!(is_same(other, one), same, "{other} and {one}");
    }

    #[test]
    fn one_approver_has_one_name_or_one_key() {
        check("ann", "Ann ", true);
        check("ann", "bo", false);
        check("王芳", "王芳", true);
        check("ann (key tg-1)", "ann", true);
        check("ann (key tg-1)", "bo (key tg-2)", false);
        check("ann (key tg-1)", "bo (key tg-1)", true);
        check("ann (key tg-1)", "ann (key tg-2)", true);
        check("", "", false);
        check("a (key ", "b (key ", false);
    }

    proptest! {
        #[test]
        fn nobody_approves_an_own_release(
            name in "[a-z]{1,8}", key in "( \\(key [a-z]{1,4}\\))?",
        ) {
            let (reason, at, approver) = ("seen".to_owned(), UnixMs(1), Approver::Person);
            let by = format!("{name}{key}");
            let approval = Approval { by, approver, reason, at, run_id: None };
            for author in [format!("{name}{key}"), name.to_uppercase(), format!("{name} (key x)")] {
                prop_assert_eq!(approval.does_not_count(&author, false), Some("starts it"));
            }
        }
    }
}
