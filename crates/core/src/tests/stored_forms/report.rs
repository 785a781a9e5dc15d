//! An eval report in which every member is there.

use crate::gate::{
    Agreement, Case, CaseResult, Check, CheckKind, CheckResult, Checks, EvalReport, FailureRow,
    GatePolicy, GateVerdict, Handling, HeldTo, HumanLabel, JudgeRecord, JudgedBy, ModelFiles,
    PairedTest, Repeats, Risk, Rows, RunComparison, Severity, SliceRow, Tokens, Unanswered,
};
use crate::ids::{Digest, UnixMs};
use crate::upstream::Failure;
use serde_json::Value;

fn checks() -> Checks {
    let (some, texts) = (|| Some("text".to_owned()), || vec!["text".to_owned()]);
    Checks {
        json_keys: texts(),
        json_schema: Some(Value::from("text")),
        expected_contains: some(),
        expected_keywords: texts(),
        must_include_any: texts(),
        forbidden_keywords: texts(),
        regex: some(),
        max_length: Some(1),
        refusal: Some(true),
        max_latency_ms: Some(2),
        citation: Some(true),
        no_prompt_echo: Some(true),
        not_empty: Some(true),
        declines: Some(true),
        comparable: Some(true),
        matches_expected: Some(true),
        literal_leak: Some(true),
        max_total_tokens: Some(3),
        no_pii: Some(true),
        listed: vec![Check {
            kind: CheckKind::Regex,
            not: true,
            value: Value::from("text"),
            threshold: Some(0.5),
            tokenize: Some(Tokens::Zh),
            weight: 0.5,
        }],
    }
}

fn comparison() -> RunComparison {
    let text = || "text".to_owned();
    RunComparison {
        previous_run: text(),
        broken: vec![text()],
        fixed: vec![text()],
        new: vec![text()],
        tests: vec![PairedTest {
            metric: text(),
            cases: 1,
            before: 0.5,
            now: 0.5,
            p: 0.5,
            p_holm: 0.5,
        }],
        detectable_drop: Some(0.5),
    }
}

fn judge() -> JudgeRecord {
    let text = || "text".to_owned();
    let counts = Agreement {
        cases: 1,
        both_pass: 1,
        both_fail: 1,
        judge_passes: 1,
        people_pass: 1,
        kappa: Some(0.5),
    };
    JudgeRecord {
        upstream: text(),
        model: text(),
        version: Some(text()),
        answered_as: [(text(), 1)].into(),
        same_family: true,
        agreement: [(text(), counts)].into(),
    }
}

fn slice() -> SliceRow {
    SliceRow {
        slice: "text".to_owned(),
        cases: 1,
        answered: 1,
        correct: 1,
        accuracy: 0.5,
        interval: (0.5, 0.5),
    }
}

fn failures() -> FailureRow {
    let named = || vec![("text".to_owned(), "text".to_owned())];
    FailureRow { risk: Risk::Safety, total: 1, failed: named(), errors: named() }
}

fn policy() -> GatePolicy {
    GatePolicy {
        thresholds: [("accuracy".to_owned(), 0.5)].into(),
        blocking: ["text".to_owned()].into(),
        red_lines: ["text".to_owned()].into(),
        lints: true,
        max_drop: Some(0.5),
        judge: Some(JudgedBy { model: "text".to_owned(), version: Some("text".to_owned()) }),
    }
}

pub(super) fn report() -> EvalReport {
    let (text, some) = (|| "text".to_owned(), || Some("text".to_owned()));
    let case = Case {
        id: text(),
        input: text(),
        system: some(),
        expected_behavior: text(),
        expected: some(),
        risk: Risk::Safety,
        severity: Severity::RedLine,
        checks: checks(),
        source: text(),
        handling: Handling {
            strict: true,
            as_served: true,
            repeat: Some(3),
            threshold: Some(0.5),
            tags: vec![text()],
            metadata: [(text(), text())].into(),
            messages: vec![text().into()],
            human: Some(HumanLabel::Pass),
            human_answer: some(),
            reproduced: some(),
            needs_review: true,
            uncovered: false,
        },
    };
    EvalReport { results: vec![result(case)].into(), ..run() }
}

fn result(case: Case) -> CaseResult {
    let (text, some) = (|| "text".to_owned(), || Some("text".to_owned()));
    CaseResult {
        case,
        actual: some(),
        error: some(),
        unanswered: Some(Unanswered { failure: Some(Failure::Refused), tries: 2 }),
        score: 0.5,
        checks: vec![CheckResult {
            check: text(),
            score: 0.5,
            detail: text(),
            weight: 0.5,
            measured: Some(0.5),
            unjudged: true,
        }],
        latency_ms: 1,
        tokens: Some(1),
        cost_usd: Some(0.5),
        repeats: Some(Repeats { answered: 5, passed: 4 }),
    }
}

/// A run without its results.
fn run() -> EvalReport {
    let text = || "text".to_owned();
    EvalReport {
        model: text(),
        total: 1,
        correct: 1,
        accuracy: 0.5,
        passed: true,
        threshold: 0.5,
        run_id: text(),
        at: UnixMs(1),
        version_set: super::set_id(0),
        cases_digest: Digest::of(b""),
        held_to: Some(HeldTo { policy: policy(), counts_as: Digest::of(b"") }),
        verdict: GateVerdict::Pass,
        reasons: vec![text()],
        failure_table: vec![failures()],
        metrics: [(text(), 0.5)].into(),
        slices: vec![slice()],
        judge: Some(judge()),
        avg_tokens: Some(0.5),
        cost_per_query: Some(0.5),
        model_files: Some(ModelFiles { from: text(), digest: text(), files: 1, bytes: 1 }),
        comparison: Some(comparison()),
        results: Rows::default(),
    }
}
