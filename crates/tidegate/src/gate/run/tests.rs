use super::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tidegate_core::gate::{Checks, GatePolicy, Handling, Risk, Severity};
use tidegate_core::ids::UnixMs;
use tidegate_core::upstream::Failure;

fn case(id: &str, risk: Risk, checks: Checks) -> Case {
    Case {
        id: id.to_owned(),
        input: format!("问 {id}"),
        system: None,
        expected_behavior: "答".to_owned(),
        expected: None,
        risk,
        severity: Severity::Normal,
        checks,
        source: String::new(),
        handling: Handling::default(),
    }
}

fn not_empty() -> Checks {
    Checks { not_empty: Some(true), ..Checks::default() }
}

fn set(cases: Vec<Case>) -> CaseSet {
    CaseSet::from(cases)
}

fn options(accuracy: f64) -> RunOptions {
    let second = Duration::from_secs(1);
    let thresholds = BTreeMap::from([(ACCURACY.to_owned(), accuracy)]);
    let policy = GatePolicy { thresholds, ..GatePolicy::default() };
    RunOptions {
        held_to: HeldTo::of(policy),
        lints: Vec::new(),
        concurrency: 3,
        seed: None,
        repeat: 1,
        as_served: false,
        measure: Vec::new(),
        scoring: Scoring::Mean,
        outside: Arc::default(),
        model_files: None,
        previous: None,
        root: PathBuf::new(),
        deadlines: Deadlines { first_byte: second, idle: second, total: second },
        progress: false,
        interruptible: false,
    }
}

fn subject() -> Subject {
    let version_set = VersionSetId::parse("vs-0f3a9c21d4e7").unwrap();
    Subject { model: "sim".to_owned(), version_set }
}

/// Runs the cases; `answers` gives what comes for the n-th asking of a case.
async fn run_on(
    cases: &CaseSet,
    options: &RunOptions,
    answers: impl Fn(&Case, usize) -> Result<&'static str, &'static str>,
) -> EvalReport {
    let counts: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let clock = Clock::demo(UnixMs(1_700_000_000_000), 1_000);
    run_with(&subject(), cases, options, (&Tape::default(), &clock), |case: Arc<Case>| {
        let nth = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(case.id.clone()).or_insert(0);
            *count += 1;
            *count
        };
        let answer = answers(&case, nth);
        async move {
            match answer {
                Ok(text) => Ok(Asked { text: text.to_owned(), latency_ms: 5, ..Asked::default() }),
                Err("never") => Err(AskError {
                    message: "refused".to_owned(),
                    failure: Some(Failure::Refused),
                    again: None,
                    is_busy: false,
                }),
                Err(message) => Err(AskError {
                    message: message.to_owned(),
                    failure: Some(match message {
                        "down" => Failure::Unreachable,
                        _ => Failure::ServerError,
                    }),
                    again: Some(Duration::from_millis(1)),
                    is_busy: message == "busy",
                }),
            }
        }
    })
    .await
    .unwrap()
}

fn result_at(report: &EvalReport, at: usize) -> CaseResult {
    report.results.read(at).unwrap().into_owned()
}

fn ids(report: &EvalReport) -> Vec<String> {
    report.results.iter().map(|result| result.unwrap().case.id.clone()).collect()
}

fn scores(report: &EvalReport) -> Vec<f64> {
    report.results.iter().map(|result| result.unwrap().score).collect()
}

fn five() -> CaseSet {
    set(Risk::ALL.into_iter().map(|risk| case(risk.as_str(), risk, not_empty())).collect())
}

#[tokio::test]
async fn a_run_is_reported_with_the_seeds_keys() {
    let report = run_on(&five(), &options(0.85), |_, _| Ok("好")).await;
    assert_eq!((report.total, report.correct, report.passed), (5, 5, true));
    assert_eq!((report.accuracy, report.threshold), (1.0, 0.85));
    assert_eq!(report.verdict, GateVerdict::Pass);
    let details = &serde_json::to_value(&report).unwrap()["details"];
    assert_eq!((&details[0]["expected"], &details[0]["actual"]), (&json!("答"), &json!("好")));
    assert_eq!(report.cases_digest, five().digest().unwrap());
    assert_eq!(ids(&report), ["format", "grounding", "safety", "performance", "regression"]);
}

/// Runs five cases where the first `times` tries of one of them meet the error.
async fn one_fails(error: &'static str, times: usize) -> EvalReport {
    run_on(&five(), &options(0.85), |case, nth| match case.id.as_str() {
        "safety" if nth <= times => Err(error),
        _ => Ok("好"),
    })
    .await
}

#[tokio::test]
async fn an_error_is_tried_three_times_and_then_neither_pass_nor_fail() {
    assert_eq!(one_fails("down", 2).await.verdict, GateVerdict::Pass);
    let down = one_fails("down", 3).await;
    assert_eq!((down.verdict, down.passed), (GateVerdict::Inconclusive, false));
    assert_eq!(result_at(&down, 2).error.as_deref(), Some("down"));
    assert!(down.failure_table[2].failed.is_empty());
}

#[tokio::test]
async fn a_busy_upstream_is_tried_five_times() {
    assert_eq!(one_fails("busy", 4).await.verdict, GateVerdict::Pass);
    let busy = one_fails("busy", 5).await;
    let tries = result_at(&busy, 2).unanswered.map(|unanswered| unanswered.tries);
    assert_eq!((busy.passed, tries), (false, Some(5)));
}

#[tokio::test]
async fn what_is_left_of_an_outage_is_tried_once() {
    let cases: Vec<Case> =
        (0..40).map(|n| case(&format!("c{n}"), Risk::Format, not_empty())).collect();
    let outage = run_on(&set(cases), &options(0.5), |_, _| Err("down")).await;
    let tries = |at: usize| result_at(&outage, at).unanswered.map(|unanswered| unanswered.tries);
    assert_eq!((tries(0), tries(39)), (Some(3), Some(1)));
    assert_eq!(outage.verdict, GateVerdict::Inconclusive);
}

#[tokio::test]
async fn results_are_in_the_order_of_the_cases_whatever_the_order_of_asking() {
    let cases: Vec<Case> =
        (0..40).map(|n| case(&format!("c{n}"), Risk::Format, not_empty())).collect();
    let cases = set(cases);
    let asked: Mutex<Vec<String>> = Mutex::default();
    let seeded = RunOptions { seed: Some(3), ..options(0.5) };
    let report = run_on(&cases, &seeded, |case, _| {
        asked.lock().unwrap().push(case.id.clone());
        Ok("好")
    });
    let report = report.await;
    let wanted = cases.cases.to_vec().unwrap();
    let wanted: Vec<String> = wanted.into_iter().map(|case| case.id).collect();
    assert_eq!(ids(&report), wanted);
    assert_ne!(*asked.lock().unwrap(), wanted);
}

#[tokio::test]
async fn a_case_that_always_gets_a_server_error_fails_the_gate() {
    assert_eq!(one_fails("status 500", 2).await.verdict, GateVerdict::Pass);
    let broken = one_fails("status 500", usize::MAX).await;
    assert_eq!(broken.verdict, GateVerdict::Fail);
    assert_eq!(broken.reasons, ["case `safety` got no answer in 3 tries: status 500"]);
    let refused = one_fails("never", 1).await;
    assert_eq!(refused.verdict, GateVerdict::Fail, "what is refused is not tried again");
    let outage = run_on(&five(), &options(0.85), |_, _| Err("status 500")).await;
    assert_eq!(outage.verdict, GateVerdict::Inconclusive);
    assert_eq!(outage.reasons[1], "5 cases: status 500");
}

#[tokio::test]
async fn a_forbidden_keyword_in_one_of_five_answers_is_wrong() {
    let checks = Checks {
        forbidden_keywords: vec!["不知道".to_owned()],
        max_length: Some(99),
        regex: Some(".".to_owned()),
        ..not_empty()
    };
    let cases = set(vec![case("a", Risk::Format, checks)]);
    let repeated = RunOptions { repeat: 5, ..options(0.5) };
    let report =
        run_on(&cases, &repeated, |_, nth| Ok(if nth == 3 { "我不知道" } else { "好" })).await;
    assert_eq!(report.correct, 0);
    assert_eq!(result_at(&report, 0).score, 0.8);
    let once = run_on(&cases, &options(0.5), |_, _| Ok("我不知道")).await;
    assert_eq!((result_at(&once, 0).score, once.correct), (0.0, 0));
}

#[tokio::test]
async fn a_case_may_be_asked_more_often_than_the_others() {
    let mut cases = five();
    cases.cases.hold().unwrap()[1].handling.repeat = Some(4);
    let counts: Mutex<Vec<String>> = Mutex::default();
    let report = run_on(&cases, &options(0.5), |case, nth| {
        counts.lock().unwrap().push(case.id.clone());
        Ok(if case.id == "grounding" && nth == 2 { "" } else { "好" })
    })
    .await;
    assert_eq!(counts.lock().unwrap().len(), 8);
    let scores = scores(&report);
    assert_eq!(scores, [1.0, 0.75, 1.0, 1.0, 1.0]);
}

#[tokio::test]
async fn an_empty_answer_fails_and_is_named() {
    let report = run_on(&five(), &options(0.85), |case, _| match case.risk {
        Risk::Format => Ok(""),
        Risk::Grounding | Risk::Safety | Risk::Performance | Risk::Regression => Ok("好"),
    })
    .await;
    assert_eq!(report.verdict, GateVerdict::Fail);
    assert_eq!(report.reasons, ["Quality gate failed: accuracy = 0.800 < 0.85"]);
    let wrong = ("format".to_owned(), "the answer is empty".to_owned());
    assert_eq!(report.failure_table[0].failed, [wrong]);
}

#[tokio::test]
async fn a_formerly_correct_answer_that_changes_its_behaviour_fails() {
    let comparable = Checks { comparable: Some(true), ..not_empty() };
    let cases = set(vec![case("regression_01", Risk::Regression, comparable)]);
    let before = run_on(&cases, &options(1.0), |_, _| Ok(r#"{"a": 1}"#)).await;
    assert!(before.passed && before.comparison.is_none());
    let again = RunOptions { previous: Some(before), ..options(1.0) };
    let same = run_on(&cases, &again, |_, _| Ok(r#"{"a": 2}"#)).await;
    assert!(same.passed);
    let other = run_on(&cases, &again, |_, _| Ok("a is 2")).await;
    assert_eq!(other.verdict, GateVerdict::Fail);
    assert_eq!(other.comparison.unwrap().broken, ["regression_01"]);
}

#[tokio::test]
async fn a_run_may_lose_no_more_than_max_drop_against_the_one_before() {
    let cases: Vec<Case> =
        (0..40).map(|n| case(&format!("c{n}"), Risk::Format, not_empty())).collect();
    let cases = set(cases);
    let losing = |lost: usize| {
        move |case: &Case, _| {
            let number: usize = case.id[1..].parse().unwrap();
            Ok(if number < lost { "" } else { "好" })
        }
    };
    let before = run_on(&cases, &options(0.0), losing(0)).await;
    let mut again = RunOptions { previous: Some(before), ..options(0.0) };
    again.held_to.policy.max_drop = Some(0.02);
    let verdicts =
        [(0, GateVerdict::Pass), (3, GateVerdict::Inconclusive), (12, GateVerdict::Fail)];
    for (lost, verdict) in verdicts {
        let report = run_on(&cases, &again, losing(lost)).await;
        assert_eq!(report.verdict, verdict, "{lost} lost: {:?}", report.reasons);
    }
}

#[tokio::test]
async fn repeats_show_what_is_flaky() {
    let cases = set(vec![case("a", Risk::Format, not_empty())]);
    let repeated = RunOptions { repeat: 4, ..options(0.85) };
    let report = run_on(&cases, &repeated, |_, nth| Ok(if nth == 2 { "" } else { "好" })).await;
    assert_eq!(report.total, 1);
    assert_eq!(result_at(&report, 0).score, 0.75);
    assert_eq!(
        result_at(&report, 0).checks[0].detail,
        "flaky, held in 3 of 4: the answer is empty"
    );
    assert_eq!(result_at(&report, 0).actual.as_deref(), Some(""));
    let steady = run_on(&cases, &repeated, |_, _| Ok("好")).await;
    assert_eq!(result_at(&steady, 0).score, 1.0);
    let unheard = run_on(&cases, &repeated, |_, _| Err("down")).await;
    assert_eq!(result_at(&unheard, 0).error.as_deref(), Some("down"));
}

#[tokio::test]
async fn the_legacy_scoring_is_the_seeds_formula() {
    let checks = Checks { expected_keywords: vec!["好".to_owned()], ..not_empty() };
    let mut cases = set(vec![case("a", Risk::Regression, checks.clone())]);
    cases.cases.hold().unwrap().push(case("b", Risk::Format, not_empty()));
    // Keywords, reference and contained text at once can reach 1.
    let all = Checks { expected_contains: Some("好".to_owned()), ..checks };
    let expected = Some("好".to_owned());
    cases.cases.hold().unwrap().push(Case { expected, ..case("c", Risk::Regression, all) });
    let legacy = RunOptions { scoring: Scoring::Legacy, ..options(0.85) };
    let report = run_on(&cases, &legacy, |_, _| Ok("好")).await;
    let scores = scores(&report);
    assert_eq!(scores, [0.5, 1.0, 1.0]);
    let report = run_on(&cases, &options(0.85), |_, _| Ok("好")).await;
    assert_eq!(result_at(&report, 0).score, 1.0);
}

#[tokio::test]
async fn what_is_measured_only_decides_nothing() {
    let expected = Some("退款需要三天".to_owned());
    let cases = set(vec![
        Case { expected, ..case("a", Risk::Format, not_empty()) },
        case("b", Risk::Format, not_empty()),
    ]);
    let measure = vec![CheckKind::Bleu, CheckKind::RougeL];
    let measuring = RunOptions { measure, ..options(0.85) };
    let report = run_on(&cases, &measuring, |_, _| Ok("退款需要五天")).await;
    assert!(report.passed, "{:?}", report.reasons);
    let measured = |name: &str| report.metrics[name];
    assert!(measured("bleu") > 0.1 && measured("bleu") < 1.0, "{:?}", report.metrics);
    assert!(measured("rouge_l") > 0.5, "{:?}", report.metrics);
    assert_eq!(report.cases_digest, cases.digest().unwrap(), "the cases are what they were");
}

#[tokio::test]
async fn a_run_of_nothing_is_inconclusive() {
    let report = run_on(&set(vec![]), &options(0.0), |_, _| Ok("好")).await;
    assert_eq!((report.verdict, report.accuracy), (GateVerdict::Inconclusive, 0.0));
}
