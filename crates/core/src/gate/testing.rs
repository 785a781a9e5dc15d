//! Cases, results and reports that the tests of this module begin with.

use super::{Case, CaseResult, CheckResult, EvalReport, GateVerdict, Risk};
use crate::ids::{Digest, UnixMs, VersionSetId};

/// A case of risk format without checks.
pub(super) fn case(id: &str) -> Case {
    Case { risk: Risk::Format, ..Case::new(id, "问") }
}

/// An answer to that case, and the one check that it has this score by.
pub(super) fn result(case: Case, score: f64) -> CaseResult {
    let detail = if score < 1.0 { format!("{} is wrong", case.id) } else { String::new() };
    CaseResult {
        case,
        actual: Some("答".to_owned()),
        error: None,
        unanswered: None,
        score,
        checks: vec![CheckResult::new("expected_contains", score, detail)],
        latency_ms: 1,
        tokens: None,
        cost_usd: None,
        repeats: None,
    }
}

/// A failed run of these results, with nothing counted.
pub(super) fn report(run: &str, results: Vec<CaseResult>) -> EvalReport {
    EvalReport {
        model: "m".to_owned(),
        total: results.len(),
        correct: 0,
        accuracy: 0.0,
        passed: false,
        threshold: 0.85,
        run_id: run.to_owned(),
        at: UnixMs(1),
        version_set: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
        cases_digest: Digest::of(b""),
        held_to: None,
        verdict: GateVerdict::Fail,
        reasons: Vec::new(),
        failure_table: Vec::new(),
        metrics: Default::default(),
        slices: Vec::new(),
        judge: None,
        avg_tokens: None,
        cost_per_query: None,
        model_files: None,
        comparison: None,
        results: results.into(),
    }
}
