use super::*;
use crate::gate::{Tally, detectable_drop, testing};

fn metrics(results: &[CaseResult]) -> BTreeMap<String, f64> {
    results.iter().collect::<Tally>().metrics()
}

fn verdict_on(
    results: &[CaseResult],
    thresholds: &BTreeMap<String, f64>,
) -> (GateVerdict, Vec<String>) {
    results.iter().collect::<Tally>().verdict_on(thresholds)
}

fn verdict(results: &[CaseResult], threshold: f64) -> (GateVerdict, Vec<String>) {
    verdict_on(results, &BTreeMap::from([(ACCURACY.to_owned(), threshold)]))
}

fn compare_runs(before: &EvalReport, now: &[CaseResult]) -> RunComparison {
    crate::gate::compare_runs(before, &report(now.to_vec())).unwrap()
}

fn result(id: &str, risk: Risk, severity: Severity, score: f64) -> CaseResult {
    testing::result(Case { risk, severity, ..testing::case(id) }, score)
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
    testing::report("eval-1", results)
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
        "1 of 3 cases got no answer / 1 case: no connection",
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
    let results = [normal("ok", 0.8), normal("bad", 0.5), error("e", Severity::Normal)];
    let table = results.iter().collect::<Tally>().failure_table();
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
        normal("fixed", 0.0),
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
            normal("fixed", 1.0),
            normal("same", 0.9),
            answered,
            error("is-error", Severity::Normal),
            another,
            normal("fresh", 1.0),
        ],
    );
    assert_eq!(comparison.previous_run, "eval-1");
    assert_eq!(comparison.broken, ["broke"]);
    assert_eq!(comparison.fixed, ["fixed"]);
    assert_eq!(comparison.new, ["asks-another", "fresh"]);
}

fn unanswered(id: &str, failure: Option<Failure>, tries: u32) -> CaseResult {
    let unanswered = Some(Unanswered { failure, tries });
    CaseResult { unanswered, ..error(id, Severity::Normal) }
}

fn check_unanswered(answered: usize, failure: Option<Failure>, tries: u32, expected: GateVerdict) {
    let mut results: Vec<CaseResult> =
        (0..answered).map(|n| normal(&format!("n{n}"), 1.0)).collect();
    results.extend((0..3).map(|n| error(&format!("down{n}"), Severity::Normal)));
    results.push(unanswered("x", failure, tries));
    let (verdict, reasons) = verdict(&results, 0.0);
    assert_eq!(verdict, expected, "{answered} {failure:?} {tries}: {reasons:?}");
}

#[test]
fn a_case_whose_request_always_fails_fails_the_gate_unless_it_is_an_outage() {
    use GateVerdict::{Fail, Inconclusive};
    check_unanswered(9, Some(Failure::ServerError), 3, Fail);
    check_unanswered(9, Some(Failure::FirstByteTimeout), 3, Fail);
    check_unanswered(9, Some(Failure::Refused), 1, Fail);
    check_unanswered(9, None, 1, Fail);
    check_unanswered(9, Some(Failure::ServerError), 2, Inconclusive);
    check_unanswered(9, Some(Failure::RateLimited), 3, Inconclusive);
    check_unanswered(9, Some(Failure::Unreachable), 3, Inconclusive);
    check_unanswered(9, Some(Failure::Credential), 1, Inconclusive);
    // Fewer than half of the other cases are answered: the upstream is down.
    check_unanswered(2, Some(Failure::ServerError), 3, Inconclusive);
    check_unanswered(0, Some(Failure::ServerError), 3, Inconclusive);
    check_unanswered(0, Some(Failure::Refused), 1, Fail);
    let results = [normal("a", 1.0), unanswered("x", Some(Failure::ServerError), 3)];
    let (_, reasons) = verdict(&results, 0.0);
    assert_eq!(reasons, ["case `x` got no answer in 3 tries: no connection"]);
}

#[test]
fn many_cases_that_always_fail_are_no_outage_while_others_are_answered() {
    let mut results: Vec<CaseResult> =
        (0..20).map(|n| unanswered(&format!("x{n}"), Some(Failure::Refused), 1)).collect();
    results.push(normal("a", 1.0));
    let (verdict, reasons) = verdict(&results, 0.0);
    assert_eq!((verdict, reasons.len()), (GateVerdict::Fail, 20));
    let down: Vec<CaseResult> =
        (0..20).map(|n| unanswered(&format!("x{n}"), Some(Failure::Unreachable), 1)).collect();
    let (_, reasons) = super::tests::verdict(&down, 0.0);
    assert_eq!(reasons, ["20 of 20 cases got no answer", "20 cases: no connection"]);
}

#[test]
fn a_forbidden_keyword_is_never_correct_and_a_strict_case_holds_every_check() {
    let with = |check: &str, score: f64, strict: bool| {
        let mut result = normal("a", 0.9);
        result.case.handling.strict = strict;
        result.checks[0] = CheckResult::new(check, score, "wrong");
        result
    };
    assert!(with("expected_keywords", 0.9, false).is_correct());
    assert!(!with("expected_keywords", 0.9, true).is_correct());
    assert!(with("expected_keywords", 1.0, true).is_correct());
    // Four of five repeats without the word: still one answer with it.
    assert!(!with("forbidden_keywords", 0.8, false).is_correct());
    assert!(!with("red_line", 0.8, false).is_correct());
    assert!(with("matches_expected", 0.85, true).is_correct());
    let low = CaseResult { score: 0.5, ..with("expected_keywords", 1.0, false) };
    assert_eq!(low.wrong(), "scores 0.50; 0.8 is needed");
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

#[test]
fn what_checks_measure_is_a_metric() {
    let with = |name: &str, share: f64| {
        let mut result = normal("a", 1.0);
        result.checks[0] = CheckResult { measured: Some(share), ..CheckResult::new(name, 1.0, "") };
        result
    };
    let results = [with("bleu", 0.5), with("bleu#2", 0.25), with("levenshtein", 3.0)];
    let found = metrics(&results);
    assert_eq!(found.get("bleu"), Some(&0.375));
    assert_eq!(found.get("levenshtein"), None, "edits are no share");
    let thresholds = BTreeMap::from([("rouge_l".to_owned(), 0.5)]);
    let (verdict, reasons) = verdict_on(&results, &thresholds);
    assert_eq!(verdict, GateVerdict::Fail);
    assert!(reasons[0].starts_with("Quality gate failed: rouge_l = 0 < 0.5"), "{reasons:?}");
}

/// Twenty cases, of which the first `wrong` fail now.
fn two_runs(wrong: usize) -> (EvalReport, Vec<CaseResult>) {
    let result = |at: usize, score: f64| {
        let mut result = normal(&format!("c{at}"), score);
        result.checks = vec![CheckResult {
            measured: Some(score / 2.0),
            ..CheckResult::new("bleu", score, "wrong")
        }];
        result
    };
    let now = (0..20).map(|at| result(at, if at < wrong { 0.0 } else { 1.0 })).collect();
    (report((0..20).map(|at| result(at, 1.0)).collect()), now)
}

#[test]
fn a_drop_beyond_chance_is_named_with_its_numbers() {
    let (old, now) = two_runs(8);
    let comparison = compare_runs(&old, &now);
    let names: Vec<&str> = comparison.tests.iter().map(|test| test.metric.as_str()).collect();
    assert_eq!(names, ["accuracy", Risk::Format.as_str(), "score", "bleu"]);
    let accuracy = &comparison.tests[0];
    assert_eq!((accuracy.cases, accuracy.before, accuracy.now), (20, 1.0, 0.6));
    assert!((accuracy.p - 2.0 * 0.5_f64.powi(8)).abs() < 1e-12);
    assert!((accuracy.p_holm - 4.0 * accuracy.p).abs() < 1e-12, "four metrics are looked at");
    assert!(accuracy.is_change());
    assert_eq!((comparison.tests[3].before, comparison.tests[3].now), (0.5, 0.3));
    assert_eq!(comparison.detectable_drop, detectable_drop(20, 0));
    let (old, now) = two_runs(5);
    let few = compare_runs(&old, &now);
    assert!(few.tests.iter().all(|test| !test.is_change()), "five cases may fail by chance");
}

#[test]
fn a_case_without_an_answer_is_no_pair_and_identical_runs_differ_in_nothing() {
    let (old, mut now) = two_runs(8);
    now[0].error = Some("down".to_owned());
    assert_eq!(compare_runs(&old, &now).tests[0].cases, 19);
    let same = compare_runs(&old, &old.results.to_vec().unwrap());
    assert!(same.tests.iter().all(|test| test.p == 1.0 && !test.is_change()));
}

/// An answer whose judge did not answer, beside what its other check scores, settled.
fn unjudged(severity: Severity, other: f64, weight: f64) -> CaseResult {
    let mut result = result("judged", Risk::Format, severity, other);
    let late = CheckResult::new("rubric", 0.0, "`rubric` could not be judged: late");
    result.checks.push(CheckResult { unjudged: true, weight, ..late });
    result.settled((other + weight) / (1.0 + weight))
}

#[test]
fn what_is_not_judged_is_no_verdict_unless_it_is_wrong_all_the_same() {
    let check = |severity, other, weight, is_open: bool| {
        let settled = unjudged(severity, other, weight);
        assert_eq!(settled.error.is_some(), is_open, "{severity:?}, {other}, {weight}");
    };
    check(Severity::Normal, 1.0, 1.0, true);
    check(Severity::Normal, 0.7, 1.0, true);
    check(Severity::Normal, 0.5, 1.0, false);
    check(Severity::Blocking, 1.0, 1.0, true);
    check(Severity::Blocking, 0.7, 1.0, false);
    check(Severity::Normal, 1.0, 0.0, false);
    let open = unjudged(Severity::Blocking, 1.0, 1.0);
    let (verdict_of_open, reasons) = verdict(&[normal("a", 1.0), open.clone()], 0.5);
    assert_eq!(verdict_of_open, GateVerdict::Inconclusive);
    assert_eq!(reasons[0], "1 of 2 cases got no verdict");
    let both = [open, error("b", Severity::Normal), normal("a", 1.0)];
    let (_, reasons) = verdict(&both, 0.5);
    assert_eq!(reasons[..2], ["1 of 3 cases got no answer", "1 of 3 cases got no verdict"]);
    let wrong = unjudged(Severity::Blocking, 0.0, 1.0);
    assert_eq!(verdict(std::slice::from_ref(&wrong), 0.5).0, GateVerdict::Fail);
    assert_eq!(wrong.wrong(), "judged is wrong", "what was not judged is no reason");
}
