//! Checks of when an answer begins: measured on a stream, and not known where there is none.

use super::{project, question, result};
use crate::project::Project;
use crate::upstream::{CASES, Upstream, completion, project_of};
use serde_json::{Value, json};

fn case(id: &str, max_ttft_ms: u64) -> Value {
    json!({"case_id": id, "input": id, "max_ttft_ms": max_ttft_ms})
}

fn stream(text: &str) -> String {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let body = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice]});
        format!("data: {body}\n\n")
    };
    let words = text.split_inclusive(' ').map(|word| chunk(json!({"content": word}), Value::Null));
    let end = chunk(json!({}), json!("stop"));
    format!("{}{end}data: [DONE]\n\n", words.collect::<String>())
}

#[test]
fn a_case_that_checks_when_its_answer_begins_is_asked_as_a_stream() {
    let upstream = Upstream::speaking(|body| match body["stream"] == true {
        true => ("200 OK", "text/event-stream", stream("two days 退款")),
        false => ("200 OK", "application/json", completion("fine")),
    });
    let contains = json!({"case_id": "streamed", "input": "s", "max_ttft_ms": 60_000,
        "expected_contains": "two days 退款", "finish_reason": "stop"});
    let project = project(&upstream, "", &[contains]);
    let args = ["eval", "--json", "--record", "answers.jsonl"];
    let report = project.run(&args).exits(0).json();
    assert_eq!(result(&report, "streamed")["actual"], "two days 退款", "{report}");
    let asked = upstream.asked();
    let streamed: Vec<&str> =
        asked.iter().filter(|body| body["stream"] == true).map(question).collect();
    assert_eq!(streamed, ["s"], "the others are asked whole");
    // What was measured is recorded; an answer without it says nothing of when it began.
    let replay = ["eval", "--json", "--replay-answers", "answers.jsonl"];
    assert_eq!(project.run(&replay).exits(0).json()["accuracy"], 1.0);
    let recorded = std::fs::read_to_string(project.root.join("answers.jsonl")).unwrap();
    let mut lines: Vec<Value> =
        recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line["answer"].as_object_mut().unwrap().remove("ttft_ms").unwrap();
    }
    let lines: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
    project.write("answers.jsonl", lines.concat());
    check_not_known(&project.run(&replay).exits(3).json(), "streamed");
}

#[track_caller]
fn check_not_known(report: &Value, id: &str) {
    let result = result(report, id);
    let error = result["error"].as_str().unwrap_or_default();
    assert!(error.contains("the time to its first token is not known"), "{result}");
}

#[test]
fn a_model_server_that_does_not_stream_makes_the_case_inconclusive() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream, "", &[case("whole", 60_000)]);
    let report = project.run(&["eval", "--json"]).exits(3).json();
    check_not_known(&report, "whole");
    assert_eq!(result(&report, "whole")["actual"], "fine");
}

#[test]
fn a_replayed_answer_begins_when_it_was_recorded_to() {
    let of = |keys: &str| -> Project {
        let upstream = format!("kind: replay\n    path: answers.jsonl\n    {keys}");
        let project = project_of(&upstream, "", "");
        let mut lines: Vec<Value> =
            (1..=5).map(|i| json!({"prompt": format!("q{i}"), "answer": "fine"})).collect();
        lines.push(json!({"prompt": "late", "answer": "slow", "latency_ms": 200}));
        lines.push(json!({"prompt": "timeless", "answer": "fine"}));
        let lines: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
        project.write("answers.jsonl", lines.concat());
        project.write("evals/eval_cases.csv", CASES);
        let cases = format!("{}\n{}\n", case("late", 100), case("timeless", 60_000));
        project.write("evals/dataset.jsonl", cases);
        project
    };
    let report = of("ms_per_token: 1").run(&["eval", "--json"]).exits(3).json();
    let late = result(&report, "late")["checks"][0]["detail"].as_str().unwrap().to_owned();
    assert!(late.starts_with("its first token took ") && late.contains("at most 100"), "{late}");
    check_not_known(&report, "timeless");
    let timed = of("latency_ms: 1").run(&["eval", "--json"]).exits(0).json();
    assert_eq!(result(&timed, "timeless")["score"], 1.0, "{timed}");
}
