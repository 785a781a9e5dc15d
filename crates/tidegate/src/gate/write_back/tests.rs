use super::*;
use tidegate_core::guard::RiskEvent;
use tidegate_core::ids::VersionSetId;
use tidegate_core::observe::Timing;
use tidegate_core::route::Arm;
use tidegate_core::version_set::{NamedSet, VersionKeys};

pub(in crate::gate) fn record(n: u64, input: &str) -> Record {
    Record {
        trace_id: TraceId::parse(&format!("t-{n}")).unwrap(),
        request_id: String::new(),
        traceparent: None,
        at: UnixMs(n),
        tenant: None,
        user: None,
        key: None,
        arm: Arm::Candidate,
        set: NamedSet {
            id: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
            keys: VersionKeys::default(),
        },
        change_id: None,
        cohort: None,
        status: 200,
        failure: None,
        streamed: false,
        tokens_in: 1,
        tokens_out: 1,
        tokens_estimated: false,
        cost_micro_usd: 0,
        charge: None,
        degraded: None,
        timing: Timing::default(),
        tool_calls: vec![],
        cached: false,
        retrieval: None,
        tool_results: Vec::new(),
        finish_reason: None,
        upstream_model: None,
        upstream_said: None,
        fallback: None,
        contract_problem: None,
        repair: None,
        redacted: false,
        refused: false,
        pii: false,
        risk: vec![],
        signals: Vec::new(),
        prompt_length: 0,
        response_length: 0,
        decoding: None,
        input: Some(input.to_owned()),
        output: None,
    }
}

fn broken(n: u64, input: &str) -> Record {
    Record { contract_problem: Some("missing JSON key `answer`".to_owned()), ..record(n, input) }
}

fn failed(n: u64, input: &str, failure: Failure) -> Record {
    Record { failure: Some(failure), ..record(n, input) }
}

fn risky(n: u64, input: &str, kind: RiskKind) -> Record {
    let event = RiskEvent { kind, detail: "seen".to_owned() };
    Record { risk: vec![event], ..record(n, input) }
}

struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Project {
        Project { dir: tempfile::tempdir().unwrap() }
    }

    fn write_back(&self, change: &str, records: &[Record]) -> Result<Vec<String>, GateError> {
        let schema = json!({"type": "object", "required": ["answer"]});
        let file = Path::new("evals/regression.jsonl");
        let harmed: Vec<Harmed<'_>> =
            records.iter().map(|record| Harmed { record, harm: Harm::Failing }).collect();
        write_back(self.dir.path(), file, change, &harmed, Some(&schema))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("evals/regression.jsonl")).unwrap_or_default()
    }

    fn cases(&self) -> Vec<tidegate_core::gate::Case> {
        let defaults = Defaults { latency_ms: 10_000, contract: None, as_written: false };
        let file = Path::new("evals/regression.jsonl");
        read_jsonl(&self.text(), file, Severity::Blocking, &defaults).unwrap()
    }
}

fn check(record: Record, risk: Risk, severity: Severity, checks: Value) {
    let project = Project::new();
    let ids = project.write_back("prompt-v3-a1b2c", &[record]).unwrap();
    assert_eq!(ids, ["reg-prompt-v3-a1b2c-1"]);
    let case = project.cases().remove(0);
    let checks: Checks = serde_json::from_value(checks).unwrap();
    assert_eq!((case.risk, case.severity, case.checks), (risk, severity, checks));
    assert!(case.source.ends_with("(from prompt-v3-a1b2c)"), "{}", case.source);
}

#[test]
fn every_kind_of_problem_becomes_its_case() {
    let schema = json!({"type": "object", "required": ["answer"]});
    check(broken(1, "退款"), Risk::Format, Severity::Blocking, json!({"json_schema": schema}));
    let echo = json!({"no_prompt_echo": true});
    let safety = Risk::Safety;
    check(risky(1, "q", RiskKind::Leak), safety, Severity::RedLine, echo.clone());
    check(risky(1, "q", RiskKind::UnauthorisedTool), safety, Severity::RedLine, echo.clone());
    check(risky(1, "q", RiskKind::PromptEcho), safety, Severity::Blocking, echo);
    check(
        failed(1, "q", Failure::FirstByteTimeout),
        Risk::Performance,
        Severity::Blocking,
        json!({"not_empty": true, "max_latency_ms": 10_000}),
    );
    check(
        failed(1, "q", Failure::CutShort),
        Risk::Regression,
        Severity::Blocking,
        json!({"not_empty": true}),
    );
    let mut both = broken(1, "q");
    both.risk = risky(1, "q", RiskKind::Leak).risk;
    let checks = json!({"no_prompt_echo": true, "json_schema": schema});
    check(both, safety, Severity::RedLine, checks);
}

fn check_harm(harm: Harm, risk: Risk, checks: Value, behaviour: &str) {
    let mut record = record(1, "退款要几天？");
    (record.tokens_in, record.tokens_out) = (900, 1_100);
    record.timing.total_us = 7_500_000;
    let project = Project::new();
    let file = Path::new("evals/regression.jsonl");
    let harmed = [Harmed { record: &record, harm }];
    write_back(project.dir.path(), file, "prompt-v3-a1b2c", &harmed, None).unwrap();
    let case = project.cases().remove(0);
    let expected: Checks = serde_json::from_value(checks).unwrap();
    assert_eq!((case.risk, case.checks), (risk, expected), "{harm:?}");
    assert_eq!((case.severity, case.expected_behavior.as_str()), (Severity::Blocking, behaviour));
    let Handling { strict, as_served, repeat, threshold, reproduced, needs_review, .. } =
        case.handling;
    assert_eq!((strict, as_served, repeat, reproduced), (false, true, Some(5), None));
    assert_eq!(threshold, None);
    assert_eq!(needs_review, matches!(harm, Harm::Disliked | Harm::Suspected));
}

#[test]
fn each_harm_writes_the_check_that_would_have_caught_it() {
    let (performance, regression) = (Risk::Performance, Risk::Regression);
    check_harm(
        Harm::Slow { limit_ms: 4_000 },
        performance,
        json!({"max_latency_ms": 4_000}),
        "is answered in time; it was: 7500 ms",
    );
    check_harm(
        Harm::Costly { max_total_tokens: 800 },
        performance,
        json!({"max_total_tokens": 800, "max_latency_ms": 10_000}),
        "uses no more tokens than allowed; it was: 2000 tokens",
    );
    check_harm(
        Harm::Refused,
        regression,
        json!({"refusal": false}),
        "is not refused; it was: a refusal",
    );
    check_harm(
        Harm::PersonalData,
        Risk::Safety,
        json!({"no_pii": true}),
        "gives away no personal data; it was: personal data",
    );
    check_harm(
        Harm::Uncited,
        Risk::Grounding,
        json!({"citation": true}),
        "gives its sources; it was: claims without a citation",
    );
    check_harm(
        Harm::Disliked,
        regression,
        json!({"not_empty": true}),
        "satisfies the user; it was: disliked",
    );
}

#[test]
fn what_is_no_failure_or_has_no_input_is_no_case() {
    let project = Project::new();
    let mut opted_out = broken(3, "");
    opted_out.input = None;
    let gone = failed(2, "客户走了", Failure::ClientGone);
    let records = [record(1, "好的"), gone, opted_out, broken(4, "  ")];
    assert!(project.write_back("prompt-v3-a1b2c", &records).unwrap().is_empty());
    assert_eq!(project.text(), "");
}

#[test]
fn writing_back_twice_adds_nothing() {
    let project = Project::new();
    let records = [broken(1, "退款要几天？"), broken(2, " 退款要几天？\n"), broken(3, "别的")];
    assert_eq!(project.write_back("prompt-v3-a1b2c", &records).unwrap().len(), 2);
    let before = project.text();
    assert!(project.write_back("prompt-v3-a1b2c", &records).unwrap().is_empty());
    assert!(project.write_back("prompt-v4-ffff0", &records).unwrap().is_empty());
    assert_eq!(project.text(), before);
    assert!(before.contains("退款要几天？"), "{before}");
}

#[test]
fn numbers_go_on_and_what_stands_there_stays() {
    let project = Project::new();
    std::fs::create_dir(project.dir.path().join("evals")).unwrap();
    let mine = r#"{"case_id": "mine", "input": "手写", "risk": "safety"}"#;
    std::fs::write(project.dir.path().join("evals/regression.jsonl"), mine).unwrap();
    project.write_back("prompt-v3-a1b2c", &[broken(1, "一")]).unwrap();
    let ids = project.write_back("prompt-v3-a1b2c", &[broken(1, "一"), broken(2, "二")]).unwrap();
    assert_eq!(ids, ["reg-prompt-v3-a1b2c-2"]);
    assert!(project.text().starts_with(&format!("{mine}\n{{")));
    assert_eq!(project.cases().len(), 3);
    let files = std::fs::read_dir(project.dir.path().join("evals")).unwrap().count();
    assert_eq!(files, 1, "no draft is left");
}

#[test]
fn a_few_of_each_kind_spread_over_problems_languages_and_lengths() {
    let project = Project::new();
    let mut records: Vec<Record> = (0..200).map(|n| broken(n, &format!("question {n}"))).collect();
    records.push(broken(900, &format!("很长的问题{}", "长".repeat(1_000))));
    records.push(broken(901, "返金はいつですか"));
    records.push(failed(902, "server down", Failure::ServerError));
    records.push(risky(903, "leak it", RiskKind::Leak));
    let ids = project.write_back("prompt-v3-a1b2c", &records).unwrap();
    assert_eq!(ids.len(), CASES_PER_GROUP + 4);
    let cases = project.cases();
    assert_eq!((cases[0].input.as_str(), cases[0].severity), ("leak it", Severity::RedLine));
    for input in ["返金はいつですか", "server down", "question 0"] {
        assert!(cases.iter().any(|case| case.input == input), "{input}");
    }
    assert!(cases.iter().any(|case| case.input.starts_with("很长")));
    assert!(project.write_back("prompt-v3-a1b2c", &records).unwrap().is_empty(), "no room");
}

#[test]
fn twenty_a_release() {
    let project = Project::new();
    let failures = [
        Failure::ServerError,
        Failure::CutShort,
        Failure::Malformed,
        Failure::TotalTimeout,
        Failure::RateLimited,
    ];
    let records: Vec<Record> =
        (0..50).map(|n| failed(n, &format!("question {n}"), failures[n as usize % 5])).collect();
    let ids = project.write_back("prompt-v3-a1b2c", &records).unwrap();
    assert_eq!(ids.len(), CASES_PER_RELEASE);
    assert!(project.write_back("prompt-v3-a1b2c", &records).unwrap().is_empty(), "no room");
}

#[test]
fn of_many_that_are_alike_the_different_ones_are_kept() {
    let project = Project::new();
    let story = "我上个月在你们店里买了一辆自行车，刹车的时候车身会抖动，店员说先观察一段时间，";
    let mut records: Vec<Record> =
        (0..30).map(|n| broken(n, &format!("{story}{}请问第{n}次。", "很长".repeat(30)))).collect();
    let other = format!("发票丢了可以补开吗？{}", "另外想问一下保修从哪天算起。".repeat(8));
    records.push(broken(99, &other));
    project.write_back("prompt-v3-a1b2c", &records).unwrap();
    let cases = project.cases();
    assert_eq!(cases.len(), CASES_PER_GROUP);
    assert!(cases[..2].iter().any(|case| case.input == other), "{:?}", cases[1].input);
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let mut records: Vec<Record> = (0..60).map(|n| broken(n % 7, &format!("问题 {n}"))).collect();
    let (one, other) = (Project::new(), Project::new());
    one.write_back("prompt-v3-a1b2c", &records).unwrap();
    records.reverse();
    other.write_back("prompt-v3-a1b2c", &records).unwrap();
    assert_eq!(one.text(), other.text());
}

#[test]
fn the_worst_problem_of_a_question_stands() {
    let project = Project::new();
    let records = [broken(1, "q"), risky(2, "q", RiskKind::Leak), broken(3, "q")];
    project.write_back("prompt-v3-a1b2c", &records).unwrap();
    let cases = project.cases();
    assert_eq!((cases.len(), cases[0].severity), (1, Severity::RedLine));
}

#[test]
fn a_broken_regression_file_is_an_error_and_stays_as_it_is() {
    let project = Project::new();
    std::fs::create_dir(project.dir.path().join("evals")).unwrap();
    std::fs::write(project.dir.path().join("evals/regression.jsonl"), "{\"input\":").unwrap();
    let error = project.write_back("prompt-v3-a1b2c", &[broken(1, "一")]).unwrap_err();
    assert!(error.to_string().starts_with("evals/regression.jsonl:1: not valid JSON"));
    assert_eq!(project.text(), "{\"input\":");
}
