//! Evals against a model server that answers by rule: scores, missing answers, what is asked how.

use crate::project::{Output, Project};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

/// A small project on a model server, without a prompt.
fn project_on(upstream: &Upstream, evals: &str) -> Project {
    let project = upstream.project("", evals);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    project
}

/// What a request asks.
fn question(body: &Value) -> &str {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

fn ok(text: &str) -> (&'static str, String) {
    ("200 OK", completion(text))
}

#[test]
fn the_environment_names_dataset_model_and_threshold() {
    let upstream = Upstream::by_rule(|body| ok(question(body)));
    let project = project_on(&upstream, "");
    let lines = [
        json!({"input": "什么是学习", "expected_keywords": ["学习"]}),
        json!({"input": "two", "expected": "two", "expected_keywords": ["absent"]}),
        json!({"system": "s", "input": "three", "expected_contains": "three"}),
    ];
    let text: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
    project.write("data/eval.jsonl", text.concat());
    let env = [("EVAL_DATASET", "data/eval.jsonl"), ("TEST_MODEL", "other-model")];
    let low = [env[0], env[1], ("THRESHOLD_SCORE", "0.6")];
    let report = project.run_with(&["eval", "--json"], &low).exits(0).json();
    assert_eq!((&report["total"], &report["correct"]), (&json!(3), &json!(2)), "{report}");
    assert_eq!(report["model"], "other-model");
    assert_eq!(report["details"][1]["score"], 0.5, "likeness 1 and no keyword");
    assert!(upstream.asked().iter().all(|body| body["model"] == "other-model"));
    assert!(upstream.asked().iter().all(|body| body["temperature"] == 0));
    project.run_with(&["eval"], &env).exits(1);
    // A pipeline sets what it does not know to nothing.
    let empty = [("EVAL_DATASET", ""), ("TEST_MODEL", ""), ("THRESHOLD_SCORE", "")];
    let report = project.run_with(&["eval", "--json"], &empty).exits(0).json();
    assert_eq!((&report["total"], &report["model"]), (&json!(5), &json!("m1")));
    // A gate wants a whole eval set.
    let says = ["needs at least 5 "];
    project.run_with(&["gate"], &env).fails(2, &says, &[]);
    project.run_with(&["eval"], &[("THRESHOLD_SCORE", "85")]).fails(2, &["from 0 to 1"], &["0.85"]);
}

#[test]
fn the_legacy_formula_is_literal_in_the_report() {
    let upstream = Upstream::by_rule(|body| {
        ok(if question(body) == "机器学习" { "机器学习用数据" } else { "fine" })
    });
    let project = project_on(&upstream, "evals: {scoring: legacy}\n");
    let case = json!({
        "input": "机器学习", "expected_keywords": ["学习", "模型"],
        "expected": "机器学习用数据", "expected_contains": "数据",
    });
    project.write("evals/dataset.jsonl", case.to_string());
    let report = project.run(&["eval", "--json"]).json();
    let item = &report["details"][5];
    assert_eq!((&item["input"], &item["score"]), (&json!("机器学习"), &json!(0.75)), "{report}");
    assert_eq!(report["correct"], 5, "0.75 is less than 0.8");
}

/// The reasons of a gate on a model server that fails at `question`.
fn gate_where_one_fails(status: &'static str) -> Output {
    let upstream = Upstream::by_rule(move |body| match question(body) {
        "q3" => (status, r#"{"error": {"message": "no"}}"#.to_owned()),
        _ => ok("fine"),
    });
    project_on(&upstream, "").run(&["gate"])
}

#[test]
fn a_case_that_always_gets_a_server_error_fails_the_gate() {
    let failed = gate_where_one_fails("500 Internal Server Error");
    failed.fails(1, &["case `safety_01` got no answer in 3 tries: server_error"], &[]);
    let refused = gate_where_one_fails("400 Bad Request");
    refused.fails(1, &["case `safety_01` got no answer in 1 try: refused"], &[]);
    // What passes with time says nothing about the case.
    gate_where_one_fails("429 Too Many Requests").fails(3, &["1 of 5 cases got no answer"], &[]);
}

#[test]
fn an_outage_is_inconclusive_and_says_its_cause_once() {
    let upstream = Upstream::by_rule(|_| ("503 Service Unavailable", "{}".to_owned()));
    let output = project_on(&upstream, "").run(&["gate"]);
    let output = output.fails(3, &["5 of 5 cases got no answer"], &["run it again"]);
    assert!(output.out.contains("5 cases: server_error"), "{output:?}");
}

#[test]
fn as_served_asks_with_the_decoding_of_production() {
    let upstream = Upstream::answering("fine");
    let project = project_on(&upstream, "");
    project.run(&["eval", "--as-served"]).exits(0);
    assert!(upstream.asked().iter().all(|body| body.get("temperature").is_none()));
}

#[test]
fn a_forbidden_keyword_is_never_correct_and_a_missing_one_fails_a_prompts_test() {
    let upstream = Upstream::by_rule(|body| match question(body) {
        "forbidden" => ok("学习 数据 模型，但我不知道"),
        "missing" => ok("学习 数据 模型 特征"),
        _ => ok("fine"),
    });
    let project = project_on(&upstream, "");
    project.edit("tidegate.yaml", "{mode: pass_through}", "{mode: render}");
    project.write("prompts/v9/system.md", "You are a test assistant.\n");
    project.write("prompts/v9/user_template.md", "{{ input }}");
    project.write(
        "prompts/v9/config.yaml",
        "version: \"1.0\"\nmodel: m1\ntest_cases:\n\
         \x20 - input: forbidden\n    expected_keywords: [学习, 数据, 模型]\n    \
         forbidden_keywords: [不知道]\n    expected_contains: 学习\n    max_length: 99\n\
         \x20 - input: missing\n    expected_keywords: [学习, 数据, 模型, 特征, 标签]\n",
    );
    let report = project.run(&["eval", "--prompt", "v9", "--json"]).json();
    let regression = &report["failure_table"][4]["failed"];
    assert_eq!(regression[0][1], "contains forbidden keyword `不知道`", "{report}");
    assert_eq!(regression[1][1], "missing keyword `标签`", "{report}");
}

#[test]
fn check_reads_another_prompt_and_names_words_without_a_check() {
    let upstream = Upstream::answering("fine");
    let project = project_on(&upstream, "");
    project.edit(
        "evals/eval_cases.csv",
        "q5,b,regression,,not_empty=true",
        "q5,is polite,regression,,",
    );
    let checked = project.run(&["check"]).exits(0);
    assert!(checked.out.contains("no check covers what `expected_behavior` says: `regression_01`"));
    project.run(&["check", "--prompt", "v9"]).fails(2, &["version set"], &[]);
}

#[test]
fn a_run_fills_the_case_file_and_keeps_what_people_wrote() {
    let upstream = Upstream::by_rule(|body| ok(if question(body) == "q2" { "" } else { "fine" }));
    let project = project_on(&upstream, "");
    let mine = CASES.replace("safety,,not_empty=true", "safety,ok (Li),\"not_empty=true\"");
    project.write("evals/eval_cases.csv", format!("\u{feff}{}", mine.replace('\n', "\r\n")));
    let out = project.run(&["eval", "--csv", "evals/eval_cases.csv"]);
    assert_ne!(out.code, 2, "{out:?}");
    let filled = project.read("evals/eval_cases.csv");
    assert!(filled.starts_with("\u{feff}case_id,prompt,"), "{filled}");
    assert_eq!(filled.matches("\r\n").count(), 6, "{filled}");
    assert!(filled.contains("safety,ok (Li),\"not_empty=true [tidegate: pass]\"\r\n"), "{filled}");
    project.run(&["check"]).exits(0);
}
