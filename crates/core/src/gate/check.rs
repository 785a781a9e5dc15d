//! One check of a case, however it was written.

use super::kind::{CheckKind, Tokens};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One check: a kind, what it looks for, and how it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is checked.
    #[serde(rename = "check")]
    pub kind: CheckKind,
    /// Whether it must not hold.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not: bool,
    /// What it looks for, as the kind takes it; null for a kind that takes the case's `expected`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The least measure that holds, 0 to 1, or the most edits. With one the check holds or does
    /// not; without, a share counts as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How texts are split, for a kind that does that; left out, by the reference's script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenize: Option<Tokens>,
    /// How much it counts in the case's score, from 0. One of weight 0 is measured only.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

impl Check {
    /// A check of weight 1.
    pub fn new(kind: CheckKind, value: Value) -> Check {
        Check { kind, not: false, value, threshold: None, tokenize: None, weight: one() }
    }

    /// Its name in results: `regex`, `not_regex`.
    pub fn name(&self) -> String {
        let not = if self.not { "not_" } else { "" };
        format!("{not}{}", self.kind.name())
    }

    /// The measure that it needs; see [`Check::threshold`].
    pub fn needed(&self) -> Option<f64> {
        self.threshold.or_else(|| self.kind.default_threshold())
    }
}
