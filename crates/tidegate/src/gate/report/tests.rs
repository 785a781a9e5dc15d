use super::*;
use crate::lang::Lang;
use tidegate_core::gate::{
    Case, CheckResult, Checks, PairedTest, Repeats, ReportDetail, Risk, RunComparison, Severity,
    failure_table,
};
use tidegate_core::ids::{Digest, UnixMs, VersionSetId};

fn result(id: &str, risk: Risk, wrong: &str) -> CaseResult {
    let score = if wrong.is_empty() { 1.0 } else { 0.0 };
    CaseResult {
        case: Case {
            id: id.to_owned(),
            input: "问, \"引号\"".to_owned(),
            system: None,
            expected_behavior: "a < b".to_owned(),
            expected: None,
            risk,
            severity: Severity::Normal,
            checks: Checks::default(),
            source: "evals/eval_cases.csv:2".to_owned(),
            handling: tidegate_core::gate::Handling::default(),
        },
        actual: Some("答".to_owned()),
        error: None,
        unanswered: None,
        score,
        checks: vec![CheckResult::new("c", score, wrong)],
        repeats: None,
        latency_ms: 1_234,
    }
}

fn report(results: Vec<CaseResult>, verdict: GateVerdict) -> EvalReport {
    let correct = results.iter().filter(|result| result.is_correct()).count();
    EvalReport {
        model: "sim<1>".to_owned(),
        total: results.len(),
        correct,
        accuracy: correct as f64 / results.len() as f64,
        passed: verdict == GateVerdict::Pass,
        threshold: 0.85,
        details: vec![ReportDetail {
            input: "问".to_owned(),
            expected: String::new(),
            actual: "答".to_owned(),
            score: 1.0,
        }],
        run_id: "eval-1".to_owned(),
        at: UnixMs(1_700_000_000_999),
        version_set: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
        cases_digest: Digest::of(b""),
        verdict,
        reasons: vec!["a reason".to_owned()],
        failure_table: failure_table(&results),
        slices: Vec::new(),
        judge: None,
        comparison: None,
        results,
    }
}

pub(crate) fn mixed() -> EvalReport {
    let mut unheard = result("latency_01", Risk::Performance, "");
    (unheard.actual, unheard.error) = (None, Some("unreachable: no connection".to_owned()));
    report(
        vec![
            result("format_01", Risk::Format, "missing JSON key `citations`"),
            result("格式二", Risk::Format, "缺少\u{1b}[31m"),
            result("safety_01", Risk::Safety, ""),
            unheard,
        ],
        GateVerdict::Inconclusive,
    )
}

fn text(report: &EvalReport) -> String {
    in_lang(Lang::En, report)
}

fn in_lang(lang: Lang, report: &EvalReport) -> String {
    crate::view::eval_in(lang, report).into_iter().map(|(_, line)| line + "\n").collect()
}

#[test]
fn the_failure_table_comes_first_and_lines_up() {
    let mut report = mixed();
    report.comparison = Some(RunComparison {
        previous_run: "eval-0".to_owned(),
        broken: vec!["format_01".to_owned()],
        fixed: vec![],
        new: vec!["格式二".to_owned()],
        ..RunComparison::default()
    });
    let expected = "\
Failures by class
  class          cases   failed  no answer
  format             2        2          0
    format_01   missing JSON key `citations`
    格式二      缺少 [31m
  grounding          0        0          0
  safety             1        0          0
  performance        1        0          1
    latency_01  no answer: unreachable: no connection
  regression         0        0          0

Against run eval-0: 1 broken, 0 fixed, 1 new
  broken  format_01

Accuracy:  25.0 % (1 of 4 correct)
Threshold: 85.0 %
Status:    INCONCLUSIVE
  a reason
  too few cases to show any drop by comparison
";
    assert_eq!(text(&report), expected);
}

#[test]
fn it_is_in_the_readers_language_and_still_lines_up() {
    let mut report = mixed();
    report.comparison = Some(RunComparison {
        previous_run: "eval-0".to_owned(),
        broken: vec!["format_01".to_owned()],
        fixed: vec![],
        new: vec![],
        ..RunComparison::default()
    });
    let expected = "\
按类别的失败
  类别            用例     失败   没有回答
  format             2        2          0
    format_01   missing JSON key `citations`
    格式二      缺少 [31m
  grounding          0        0          0
  safety             1        0          0
  performance        1        0          1
    latency_01  没有回答: unreachable: no connection
  regression         0        0          0

与运行 eval-0 相比：变坏 1 个，修好 0 个，新增 0 个
  变坏    format_01

正确率： 25.0 % （4 个里 1 个正确）
门槛：   85.0 %
状态：   无法判断 INCONCLUSIVE
  a reason
  用例太少，比较看不出任何下降
";
    assert_eq!(in_lang(Lang::Zh, &report), expected);
    assert!(in_lang(Lang::Ja, &report).contains("状態：     判定不能 INCONCLUSIVE"));
}

#[test]
fn a_long_class_is_cut_on_the_terminal_only() {
    let results = (0..30).map(|i| result(&format!("f{i}"), Risk::Format, "wrong")).collect();
    let report = report(results, GateVerdict::Fail);
    let text = text(&report);
    assert!(text.contains("    +24 more in the report\n") && !text.contains("f6 "), "{text}");
    assert!(junit(&report).contains("name=\"f29\""));
}

#[test]
fn the_report_file_has_the_seeds_name_and_keeps_chinese() {
    let dir = tempfile::tempdir().unwrap();
    let report = mixed();
    let path = save(&report, dir.path()).unwrap();
    assert_eq!(path, dir.path().join("reports/evaluation_1700000000.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"input\": \"问\"") && text.contains("格式二"));
    assert_eq!(serde_json::from_str::<EvalReport>(&text).unwrap(), report);
    let second = save(&report, dir.path()).unwrap();
    assert!(second.ends_with("evaluation_1700000000_2.json"));
    assert_eq!(std::fs::read_dir(dir.path().join("reports")).unwrap().count(), 2);
}

#[test]
fn junit_tells_a_failure_from_an_error() {
    let xml = junit(&mixed());
    assert!(xml.contains("tests=\"4\" failures=\"2\" errors=\"1\" time=\"4.936\""), "{xml}");
    assert!(xml.contains("name=\"sim&lt;1&gt; vs-0f3a9c21d4e7\""), "{xml}");
    let failure = "<testcase classname=\"format\" name=\"format_01\" time=\"1.234\">\n      \
        <failure type=\"normal\" message=\"missing JSON key `citations`\">\
        evals/eval_cases.csv:2: a &lt; b</failure>";
    assert!(xml.contains(failure), "{xml}");
    assert!(xml.contains("<error type=\"normal\" message=\"unreachable: no connection\">"));
    assert!(xml.contains("<testcase classname=\"safety\" name=\"safety_01\" time=\"1.234\"/>"));
    assert!(!xml.contains('\u{1b}'));
}

#[test]
fn flaky_cases_and_changes_beyond_chance_are_named() {
    let mut report = mixed();
    report.results[0].repeats = Some(Repeats { answered: 5, passed: 3 });
    report.results[1].repeats = Some(Repeats { answered: 5, passed: 0 });
    let test = |metric: &str, before, now, p_holm| PairedTest {
        metric: metric.to_owned(),
        cases: 120,
        before,
        now,
        p: p_holm / 2.0,
        p_holm,
    };
    report.comparison = Some(RunComparison {
        previous_run: "eval-0".to_owned(),
        tests: vec![test("accuracy", 0.95, 0.85, 0.012), test("score", 0.9, 0.89, 0.4)],
        detectable_drop: Some(0.0725),
        ..RunComparison::default()
    });
    let shown = text(&report);
    assert!(shown.contains("Flaky: 1 (format_01 3/5)\n"), "{shown}");
    assert!(shown.contains("  accuracy 0.950 -> 0.850 over 120 cases, p 0.0120\n"), "{shown}");
    assert!(!shown.contains("score 0."), "{shown}");
    assert!(shown.ends_with("smallest drop that this many cases show: 7.2 points\n"), "{shown}");
    let comparison = report.comparison.as_mut().unwrap();
    comparison.tests.retain(|test| test.metric == "score");
    assert!(text(&report).contains("  no metric changed beyond chance\n"));
}
