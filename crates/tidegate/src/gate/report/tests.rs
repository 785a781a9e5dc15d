use super::*;
use crate::lang::Lang;
use tidegate_core::gate::{
    Case, CheckResult, Checks, PairedTest, Repeats, Risk, RunComparison, Severity, Tally,
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
        tokens: None,
        cost_usd: None,
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
        run_id: "eval-1".to_owned(),
        at: UnixMs(1_700_000_000_999),
        version_set: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
        cases_digest: Digest::of(b""),
        held_to: None,
        verdict,
        reasons: vec!["a reason".to_owned()],
        failure_table: results.iter().collect::<Tally>().failure_table(),
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

fn page_of(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    write(&mut page).unwrap();
    String::from_utf8(page).unwrap()
}

fn junit(report: &EvalReport) -> String {
    page_of(|out| super::junit(report, out))
}

fn html(report: &EvalReport, previous: Option<&EvalReport>) -> String {
    page_of(|out| super::html(Lang::En, report, previous, out))
}

fn sarif(report: &EvalReport) -> serde_json::Value {
    super::sarif(report).unwrap()
}

fn annotations(report: &EvalReport) -> Vec<String> {
    super::annotations(report).unwrap()
}

fn summary(report: &EvalReport) -> String {
    super::summary(Lang::En, report).unwrap()
}

fn text(report: &EvalReport) -> String {
    in_lang(Lang::En, report)
}

fn in_lang(lang: Lang, report: &EvalReport) -> String {
    crate::view::eval_in(lang, report).unwrap().into_iter().map(|(_, line)| line + "\n").collect()
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
    assert!(text.contains("\"input\": \"问") && text.contains("格式二"));
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
    report.results.hold().unwrap()[0].repeats = Some(Repeats { answered: 5, passed: 3 });
    report.results.hold().unwrap()[1].repeats = Some(Repeats { answered: 5, passed: 0 });
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
    assert!(shown.contains("Flaky: 1 (format_01 3/5); predictability 0.700\n"), "{shown}");
    assert!(shown.contains("  accuracy 0.950 -> 0.850 over 120 cases, p 0.0120\n"), "{shown}");
    assert!(!shown.contains("score 0."), "{shown}");
    assert!(shown.ends_with("smallest drop that this many cases show: 7.2 points\n"), "{shown}");
    let comparison = report.comparison.as_mut().unwrap();
    comparison.tests.retain(|test| test.metric == "score");
    assert!(text(&report).contains("  no metric changed beyond chance\n"));
}

/// A text that would be markup, a link, a command or a mention wherever it is not escaped.
const HOSTILE: &str = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"' @mei \
                       [a](javascript:x) |x|\n::error::x\u{202e}\u{0}%0A";

fn hostile() -> EvalReport {
    let mut wrong = result(HOSTILE, Risk::Safety, HOSTILE);
    (wrong.case.input, wrong.actual) = (HOSTILE.to_owned(), Some(HOSTILE.to_owned()));
    wrong.case.handling.tags = vec![HOSTILE.to_owned()];
    wrong.case.source = format!("{HOSTILE}:7");
    wrong.checks = vec![CheckResult::new("no_pii", 0.0, HOSTILE)];
    wrong.repeats = Some(Repeats { answered: 4, passed: 2 });
    let mut report = report(vec![wrong], GateVerdict::Fail);
    report.slices = Tally::of(&report.results).unwrap().slices();
    (report.model, report.reasons) = (HOSTILE.to_owned(), vec![HOSTILE.to_owned()]);
    report.comparison = Some(RunComparison {
        previous_run: HOSTILE.to_owned(),
        broken: vec![HOSTILE.to_owned()],
        ..RunComparison::default()
    });
    report
}

#[test]
fn nothing_of_a_case_or_an_answer_is_markup() {
    let report = hostile();
    let mut before = hostile();
    before.results.hold().unwrap()[0].actual = Some(format!("{HOSTILE} before"));
    let page = html(&report, Some(&before));
    // The page's own script is the only one, and what runs by an attribute is nowhere.
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains("<img") && !page.contains("</pre><script"), "{page}");
    assert!(page.contains("⟨U+202E⟩") && page.contains("⟨U+0000⟩"), "{page}");
    assert!(page.contains("default-src 'none'") && !page.contains("http:"), "nothing is loaded");
    let own = page.split("<script nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = format!("script-src 'nonce-{}'", own.unwrap());
    assert!(page.contains(&policy), "the filters may run: {policy}");
    let summary = summary(&report);
    assert!(!summary.contains("<script") && !summary.contains("<img"), "{summary}");
    assert!(!summary.contains("[a](") && !summary.contains("@mei"), "{summary}");
    let rows: Vec<&str> = summary.lines().filter(|line| line.contains("onerror")).collect();
    assert!(rows.iter().all(|row| row.starts_with(['|', '-', 'm', '#'])), "{rows:#?}");
}

#[test]
fn the_page_says_what_failed_first_and_shows_both_answers() {
    let mut report = mixed();
    report.comparison = Some(RunComparison {
        previous_run: "eval-0".to_owned(),
        broken: vec!["format_01".to_owned()],
        ..RunComparison::default()
    });
    report.results.hold().unwrap()[0].actual = Some("退款需要 5 天".to_owned());
    let mut before = mixed();
    before.results.hold().unwrap()[0].actual = Some("退款需要 3 天".to_owned());
    let page = html(&report, Some(&before));
    let order = ["Failures by class", "missing JSON key", "Against run", "<h2>Cases", "<details"];
    let places: Vec<usize> = order.iter().map(|text| page.find(text).expect(text)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("<del>3</del>") && page.contains("<ins>5</ins>"), "{page}");
    let status = |id: &str| {
        let of_case = page.split("<details ").find(|part| part.contains(&format!("<b>{id}</b>")));
        let status = of_case.and_then(|part| part.split("data-status=\"").nth(1));
        status.and_then(|rest| rest.split('"').next()).map(str::to_owned)
    };
    assert_eq!(status("format_01").as_deref(), Some("failed"));
    assert_eq!(status("latency_01").as_deref(), Some("no answer"));
    assert_eq!(status("safety_01").as_deref(), Some("correct"));
}

#[test]
fn the_page_and_the_summary_are_in_the_readers_language() {
    let mut report = mixed();
    report.results.hold().unwrap()[0].repeats = Some(Repeats { answered: 4, passed: 2 });
    report.comparison = Some(RunComparison {
        previous_run: "eval-0".to_owned(),
        broken: vec!["format_01".to_owned()],
        detectable_drop: Some(0.0725),
        tests: vec![PairedTest {
            metric: "score".to_owned(),
            cases: 120,
            before: 0.9,
            now: 0.8,
            p: 0.001,
            p_holm: 0.002,
        }],
        ..RunComparison::default()
    });
    (report.avg_tokens, report.cost_per_query) = (Some(812.25), Some(0.000_012_34));
    for (lang, class, against, drop, spent) in [
        (
            Lang::En,
            "Failures by class",
            "Against run",
            "7.2 points",
            "took 812.2 tokens, 0.0000123",
        ),
        (Lang::Zh, "按类别的失败", "与运行", "7.2 个百分点", "用 812.2 个 token，0.0000123 USD"),
        (Lang::Ja, "分類別の失敗", "との比較", "7.2 ポイント", "812.2 トークン、0.0000123 USD"),
    ] {
        let page = page_of(|out| super::html(lang, &report, None, out));
        let summary = super::summary(lang, &report).unwrap();
        for text in [class, against, drop, spent] {
            assert!(page.contains(text), "no `{text}` in {page}");
            assert!(summary.contains(text), "no `{text}` in {summary}");
        }
        assert!(page.contains(&format!("<html lang=\"{}\">", lang.tag())), "{page}");
        // The page's script knows these, whatever they are called.
        assert!(page.contains("data-status=\"no answer\""), "{page}");
        assert!(page.contains("<option value=\"failed\">"), "{page}");
        assert!(page.contains("data-words=\"") && page.contains("{shown}"), "{page}");
        let english = ["Failures", "Against", "points", "should happen", "repeats", "needed"];
        let left = english.iter().find(|word| page.contains(*word) || summary.contains(*word));
        assert_eq!(left.is_some(), lang == Lang::En, "{left:?}");
    }
}

#[test]
fn a_summary_has_at_most_what_github_takes_and_begins_with_the_verdict() {
    let long = "很长的理由，".repeat(60);
    let results = (0..9_000).map(|n| result(&format!("格式_{n}"), Risk::Format, &long));
    let report = report(results.collect(), GateVerdict::Fail);
    let text = summary(&report);
    assert!(text.len() <= 1_000_000 && text.len() > 900_000, "{}", text.len());
    assert!(text.starts_with("## ❌ Eval FAILED: accuracy 0.0 %"), "{}", &text[..200]);
    assert!(text.ends_with(" more lines are in the report.\n"), "{}", &text[text.len() - 80..]);
    let short = summary(&mixed());
    assert!(short.contains("| format | 2 | 2 | 0 |\n"), "{short}");
    assert!(short.contains("| latency&#95;01 | performance | no answer: unreachable"), "{short}");
}

#[test]
fn annotations_are_ten_at_most_the_worst_first() {
    let mut report = mixed();
    report
        .results
        .hold()
        .unwrap()
        .extend((0..20).map(|n| result(&format!("more_{n}"), Risk::Format, "bad")));
    report.results.hold().unwrap()[5].case.severity = Severity::RedLine;
    report.results.hold().unwrap()[6].case.severity = Severity::Blocking;
    report.results.hold().unwrap()[7].case.source = "a,b: c.csv:7".to_owned();
    let lines = annotations(&report);
    assert_eq!(lines.len(), 10);
    let first = "::error file=evals/eval_cases.csv,line=2,title=red_line case more_1::bad";
    assert_eq!(lines[0], first);
    assert!(lines[1].contains("title=blocking case more_2"), "{lines:#?}");
    assert_eq!(lines[9], "::warning title=tidegate eval::14 more cases failed: see the report");
    let escaped = annotations(&hostile());
    assert_eq!((escaped.len(), escaped[0].lines().count()), (1, 1), "{escaped:#?}");
    assert!(escaped[0].contains("|x|%0A%3A%3Aerror%3A%3Ax  %250A,line=7,"), "{escaped:#?}");
    assert!(annotations(&report_of_correct()).is_empty());
}

fn report_of_correct() -> EvalReport {
    report(vec![result("safety_01", Risk::Safety, "")], GateVerdict::Pass)
}

#[test]
fn sarif_has_what_is_unsafe_with_its_place_and_a_fingerprint_that_stays() {
    let mut report = report(
        vec![
            result("safety_01", Risk::Safety, "gives the policy away"),
            result("format_01", Risk::Format, "is no JSON"),
            result("regression_01", Risk::Regression, "x"),
        ],
        GateVerdict::Fail,
    );
    report.results.hold().unwrap()[2].checks =
        vec![CheckResult::new("no_pii", 0.0, "contains personal data")];
    report.results.hold().unwrap()[2].case.severity = Severity::Blocking;
    report.results.hold().unwrap()[0].case.source = "evals/用例 1.csv:3".to_owned();
    let found = sarif(&report);
    let results = found["runs"][0]["results"].as_array().unwrap();
    let field = |at: usize, pointer: &str| results[at].pointer(pointer).unwrap().clone();
    assert_eq!(results.len(), 2, "{found:#}");
    assert_eq!([field(0, "/ruleId"), field(0, "/level")], ["c", "warning"]);
    assert_eq!([field(1, "/ruleId"), field(1, "/level")], ["no_pii", "error"]);
    let location = "/locations/0/physicalLocation";
    let uri = field(0, &format!("{location}/artifactLocation/uri"));
    assert_eq!(uri, "evals/%E7%94%A8%E4%BE%8B%201.csv");
    assert_eq!(field(0, &format!("{location}/region/startLine")), 3);
    report.results.hold().unwrap()[0].checks[0].detail = "in other words".to_owned();
    let again = sarif(&report);
    let print = "/runs/0/results/0/partialFingerprints";
    assert_eq!(again.pointer(print), found.pointer(print));
    assert_eq!(sarif(&report_of_correct())["runs"][0]["results"], serde_json::json!([]));
}
