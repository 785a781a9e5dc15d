use super::*;
use crate::gate::Checks;

fn result(id: &str, risk: Risk, severity: Severity, score: f64) -> CaseResult {
    let detail = if score < 1.0 { format!("{id} is wrong") } else { String::new() };
    CaseResult {
        case: Case {
            id: id.to_owned(),
            input: "问".to_owned(),
            system: None,
            expected_behavior: String::new(),
            expected: None,
            risk,
            severity,
            checks: Checks::default(),
            source: String::new(),
        },
        actual: Some("答".to_owned()),
        error: None,
        score,
        checks: vec![CheckResult { check: "expected_contains".to_owned(), score, detail }],
        latency_ms: 1,
    }
}

fn normal(id: &str, score: f64) -> CaseResult {
    result(id, Risk::Format, Severity::Normal, score)
}

fn error(id: &str, severity: Severity) -> CaseResult {
    let mut result = result(id, Risk::Performance, severity, 0.0);
    (result.actual, result.checks) = (None, vec![]);
    result.error = Some("no connection".to_owned());
    result
}

fn report(results: Vec<CaseResult>) -> EvalReport {
    EvalReport {
        model: "m".to_owned(),
        total: results.len(),
        correct: 0,
        accuracy: 0.0,
        passed: false,
        threshold: 0.85,
        details: vec![],
        run_id: "eval-1".to_owned(),
        at: UnixMs(1),
        version_set: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
        cases_digest: Digest::of(b""),
        verdict: GateVerdict::Fail,
        reasons: vec![],
        failure_table: vec![],
        comparison: None,
        results,
    }
}

fn check(results: &[CaseResult], threshold: f64, expected: GateVerdict, reason: &str) {
    let (verdict, reasons) = verdict(results, threshold);
    assert_eq!(verdict, expected, "{reasons:?}");
    assert_eq!(reasons.join(" / "), reason);
}

#[test]
fn verdicts_in_their_order() {
    let blocking = result("b", Risk::Safety, Severity::Blocking, 0.9);
    let red = result("r", Risk::Safety, Severity::RedLine, 0.0);
    let missing = error("e", Severity::RedLine);
    let (good, bad) = (normal("g", 0.8), normal("f", 0.79));
    check(&[], 0.0, GateVerdict::Inconclusive, "no case was asked");
    check(
        &[good.clone(), blocking, red, missing.clone()],
        0.5,
        GateVerdict::Fail,
        "blocking case `b` failed / red-line case `r` failed",
    );
    check(
        &[good.clone(), bad.clone(), missing],
        0.5,
        GateVerdict::Inconclusive,
        "1 of 3 cases got no answer",
    );
    check(
        &[good.clone(), bad.clone()],
        0.85,
        GateVerdict::Fail,
        "Quality gate failed: accuracy = 0.500 < 0.85",
    );
    check(&[good, bad], 0.5, GateVerdict::Pass, "accuracy 0.500 is at least 0.5");
}

#[test]
fn a_blocking_case_must_hold_every_check() {
    assert!(normal("n", 0.8).is_correct());
    assert!(!result("b", Risk::Format, Severity::Blocking, 0.8).is_correct());
    assert!(result("b", Risk::Format, Severity::Blocking, 1.0).is_correct());
    assert!(!error("e", Severity::Normal).is_correct());
}

#[test]
fn thresholds_of_other_metrics_count_and_an_unmeasured_one_fails_closed() {
    let results = [normal("a", 1.0), result("s", Risk::Safety, Severity::Normal, 0.5)];
    let thresholds = |pairs: &[(&str, f64)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    };
    let (pass, _) = verdict_on(&results, &thresholds(&[("accuracy", 0.5), ("relevance", 0.75)]));
    assert_eq!(pass, GateVerdict::Pass);
    let (fail, reasons) = verdict_on(&results, &thresholds(&[("safety", 0.99), ("bleu", 0.3)]));
    assert_eq!(fail, GateVerdict::Fail);
    assert_eq!(
        reasons,
        [
            "Quality gate failed: bleu = 0 < 0.3: this run does not measure it",
            "Quality gate failed: safety = 0.000 < 0.99",
        ]
    );
}

#[test]
fn a_class_without_cases_is_not_measured() {
    let measured = metrics(&[normal("a", 1.0)]);
    assert_eq!(measured.get("format"), Some(&1.0));
    assert_eq!(measured.get("safety"), None);
    assert!(metrics(&[]).is_empty());
}

#[test]
fn the_failure_table_has_every_class_and_keeps_errors_apart() {
    let table =
        failure_table(&[normal("ok", 0.8), normal("bad", 0.5), error("e", Severity::Normal)]);
    let risks: Vec<Risk> = table.iter().map(|row| row.risk).collect();
    assert_eq!(risks, Risk::ALL);
    assert_eq!(table[0].total, 2);
    assert_eq!(table[0].failed, [("bad".to_owned(), "bad is wrong".to_owned())]);
    assert_eq!(table[3].errors, [("e".to_owned(), "no connection".to_owned())]);
    assert!(table[3].failed.is_empty() && table[1].total == 0);
}

#[test]
fn a_comparison_tells_broken_from_fixed_and_errors_from_both() {
    let before = report(vec![
        normal("broke", 1.0),
        normal("mended", 0.0),
        normal("same", 1.0),
        error("was-error", Severity::Normal),
        normal("is-error", 1.0),
        normal("asks-another", 1.0),
    ]);
    let mut another = normal("asks-another", 0.0);
    another.case.input = "另一个问题".to_owned();
    let mut answered = error("was-error", Severity::Normal);
    (answered.error, answered.score) = (None, 1.0);
    let comparison = compare_runs(
        &before,
        &[
            normal("broke", 0.0),
            normal("mended", 1.0),
            normal("same", 0.9),
            answered,
            error("is-error", Severity::Normal),
            another,
            normal("fresh", 1.0),
        ],
    );
    assert_eq!(comparison.previous_run, "eval-1");
    assert_eq!(comparison.broken, ["broke"]);
    assert_eq!(comparison.fixed, ["mended"]);
    assert_eq!(comparison.new, ["asks-another", "fresh"]);
}

#[test]
fn the_legacy_score_cannot_be_correct_with_keywords_alone() {
    let score = |parts: &[(&str, f64)]| {
        let check = |(name, score): &(&str, f64)| CheckResult {
            check: (*name).to_owned(),
            score: *score,
            detail: String::new(),
        };
        legacy_score(&parts.iter().map(check).collect::<Vec<_>>())
    };
    let close = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-9);
    let (keywords, alike, contains) =
        ("expected_keywords", "matches_expected", "expected_contains");
    assert!(score(&[(keywords, 1.0)]).unwrap() < CORRECT_FROM);
    assert!(close(score(&[(keywords, 1.0), (alike, 1.0), (contains, 1.0)]), 1.0));
    assert!(close(score(&[(keywords, 0.5), (contains, 1.0), ("not_empty", 1.0)]), 0.45));
    assert_eq!(score(&[("not_empty", 1.0)]), None);
}

#[test]
fn the_report_keeps_the_seeds_keys_and_comes_back() {
    let report = report(vec![normal("a", 1.0)]);
    let text = serde_json::to_string(&report).unwrap();
    for key in ["model", "total", "correct", "accuracy", "passed", "threshold", "details"] {
        assert!(text.contains(&format!("\"{key}\":")), "{key}");
    }
    assert_eq!(serde_json::from_str::<EvalReport>(&text).unwrap(), report);
}
