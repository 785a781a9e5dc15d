//! One check of a case, however it was written, and the list of all of a case.

use super::case::Checks;
use super::kind::CheckKind;
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
    #[serde(default, skip_serializing_if = "super::case::is_false")]
    pub not: bool,
    /// What it looks for, as the kind takes it; null for a kind that takes the case's `expected`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The least measure that holds, 0 to 1, or the most edits. With one the check holds or does
    /// not; without, a share counts as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How much it counts in the case's score, from 0. One of weight 0 is measured only.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
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
        Check { kind, not: false, value, threshold: None, weight: one() }
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

impl Checks {
    /// Every check that is on, in the order in which results show them: form, content, behaviour,
    /// then those of `assert`.
    pub fn list(&self) -> Vec<Check> {
        let Checks {
            json_keys,
            json_schema,
            expected_contains,
            expected_keywords,
            must_include_any,
            forbidden_keywords,
            regex,
            max_length,
            refusal,
            max_latency_ms,
            citation,
            no_prompt_echo,
            not_empty,
            declines,
            comparable,
            matches_expected,
            literal_leak,
            max_total_tokens,
            no_pii,
            listed,
        } = self;
        use CheckKind as K;
        let list = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone().into());
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let number = |number: &Option<u64>| number.map(Value::from);
        let on = |switch: &Option<bool>| switch.filter(|on| *on).map(Value::from);
        let named = [
            (K::JsonKeys, list(json_keys)),
            (K::JsonSchema, json_schema.clone()),
            (K::MaxLength, number(max_length)),
            (K::NotEmpty, on(not_empty)),
            (K::ExpectedContains, text(expected_contains)),
            (K::ExpectedKeywords, list(expected_keywords)),
            (K::MustIncludeAny, list(must_include_any)),
            (K::ForbiddenKeywords, list(forbidden_keywords)),
            (K::Regex, text(regex)),
            (K::MatchesExpected, on(matches_expected)),
            (K::Citation, on(citation)),
            // `false` is no check that is off: the answer must not be a refusal.
            (K::Refusal, refusal.map(Value::from)),
            (K::Declines, on(declines)),
            (K::MaxLatencyMs, number(max_latency_ms)),
            (K::MaxTotalTokens, number(max_total_tokens)),
            (K::NoPii, on(no_pii)),
            (K::NoPromptEcho, on(no_prompt_echo)),
            (K::LiteralLeak, on(literal_leak)),
            (K::Comparable, on(comparable)),
        ];
        let named = named.into_iter().filter_map(|(kind, value)| Some(Check::new(kind, value?)));
        named.chain(listed.iter().cloned()).collect()
    }
}
