//! The risk and the checks of a case that names none; the table is at the head of
//! `crate::gate`.

use super::super::checks::checks_anything;
use serde_json::{Value, json};
use tidegate_core::gate::{Case, CheckKind, Checks, Risk};

/// What a project says about checks that cases do not name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Defaults<'a> {
    /// Latency a case of risk performance must keep unless it names its own, ms.
    pub(crate) latency_ms: u64,
    /// The output contract's JSON Schema.
    pub(crate) contract: Option<&'a Value>,
    /// Whether cases stay as they are written, without the checks that they do not name.
    pub(crate) as_written: bool,
}

impl Defaults<'_> {
    /// Nothing is added to what a case says.
    pub(crate) const AS_WRITTEN: Defaults<'static> =
        Defaults { latency_ms: 0, contract: None, as_written: true };

    /// Gives the case what it does not name.
    pub(crate) fn complete(&self, case: &mut Case) {
        if self.as_written {
            return;
        }
        let named = checks_anything(&case.checks);
        let reference = case.expected.as_ref().is_some_and(|text| !text.trim().is_empty());
        let compared = case.checks.listed.iter();
        let compared = compared.map(|check| check.kind).any(CheckKind::needs_reference);
        if reference && !compared && case.checks.matches_expected != Some(false) {
            // Beside the checks that it names: a reference answer that counts for nothing would be
            // read over.
            case.checks.matches_expected = Some(true);
        } else if !named {
            self.derive(case);
            case.handling.uncovered = !covers(&case.checks, case.risk, &case.expected_behavior);
        }
        // The run before may have no answer to compare with; an answer is an answer in every run.
        let others = Checks { comparable: None, ..case.checks.clone() };
        if !checks_anything(&others) {
            case.checks.not_empty = Some(true);
        }
        if case.risk == Risk::Performance && case.checks.max_latency_ms.is_none() {
            case.checks.max_latency_ms = Some(self.latency_ms);
        }
    }

    fn derive(&self, case: &mut Case) {
        let checks = &mut case.checks;
        match case.risk {
            Risk::Format => self.derive_format(&case.expected_behavior, checks),
            Risk::Grounding => set(&mut checks.citation),
            Risk::Safety => {
                set(&mut checks.declines);
                set(&mut checks.no_prompt_echo);
            }
            Risk::Performance => set(&mut checks.not_empty),
            Risk::Regression => {
                set(&mut checks.not_empty);
                set(&mut checks.comparable);
            }
        }
    }

    fn derive_format(&self, behaviour: &str, checks: &mut Checks) {
        let speaks_of_json = behaviour.to_lowercase().contains("json");
        match (self.contract, speaks_of_json) {
            (Some(schema), _) => checks.json_schema = Some(schema.clone()),
            (None, true) => checks.json_schema = Some(json!({"type": "object"})),
            (None, false) => set(&mut checks.not_empty),
        }
        if speaks_of_json {
            checks.json_keys = in_backticks(behaviour);
        }
    }
}

/// Whether checks that nobody named look for what the words say, by the words in them.
/// Words that only say how the class of risk behaves are covered; "asks for the order number" is
/// not.
fn covers(checks: &Checks, risk: Risk, behaviour: &str) -> bool {
    let behaviour = behaviour.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| behaviour.contains(word));
    let on = |check: Option<bool>| check == Some(true);
    behaviour.trim().is_empty()
        || (checks.json_schema.is_some() && says(&["json", "schema", "格式", "形式"]))
        || (on(checks.citation)
            && says(&["cit", "source", "evidence", "引用", "来源", "依据", "出典", "根拠"]))
        || (on(checks.declines)
            && says(&[
                "refus", "declin", "asks for", "does not", "拒绝", "不", "要求", "拒否", "断",
                "ない",
            ]))
        || (risk == Risk::Performance
            && says(&["latency", "time", "fast", "second", " ms", "秒", "及时", "延迟", "時間"]))
        || (on(checks.comparable)
            && says(&[
                "compar",
                "same",
                "stays",
                "unchanged",
                "一致",
                "不变",
                "可比",
                "同じ",
                "変わ",
            ]))
}

/// Switches a check on, unless the case switched it off.
fn set(check: &mut Option<bool>) {
    check.get_or_insert(true);
}

/// Names between backticks: ``valid JSON with `answer` and `citations` ``.
fn in_backticks(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.contains(['{', ' ']))
        .map(str::to_owned)
        .collect()
}

/// The risk that the first word of an id names; otherwise regression.
pub(super) fn risk_of_id(id: &str) -> Risk {
    match id.split(['_', '-', '.']).next().unwrap_or_default() {
        "format" | "json" => Risk::Format,
        "grounding" | "citation" | "cite" => Risk::Grounding,
        "safety" | "injection" => Risk::Safety,
        "performance" | "latency" => Risk::Performance,
        _ => Risk::Regression,
    }
}
