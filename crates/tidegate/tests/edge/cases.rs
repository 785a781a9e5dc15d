//! Cases as people have them: conversations, slices, files of other programs.

use crate::project::Project;
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

/// A project on the model server with these cases beside the five of its table.
fn project_with(upstream: &Upstream, evals: &str, cases: &[Value]) -> Project {
    let project = upstream.project("", evals);
    project.write("evals/eval_cases.csv", CASES);
    let lines: Vec<String> = cases.iter().map(|case| format!("{case}\n")).collect();
    project.write("evals/dataset.jsonl", lines.concat());
    project
}

/// The text of the last message.
fn question(body: &Value) -> &str {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap_or_default()
}

#[test]
fn a_conversation_reaches_the_model_server_turn_by_turn() {
    let upstream = Upstream::answering("fine");
    let turns = json!([
        {"role": "user", "content": "订单在哪里？"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function",
             "function": {"name": "find_order", "arguments": "{\"order\": 7}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
        {"role": "assistant", "content": "在路上。"},
        {"role": "user", "content": "send it to my office"},
    ]);
    let case = json!({"case_id": "turns_01", "messages": turns, "not_empty": true});
    let project = project_with(&upstream, "", &[case]);
    let report = project.run(&["eval", "--json"]).exits(0).json();
    assert_eq!(report["details"][5]["input"], "send it to my office", "{report}");
    let asked = upstream.asked();
    let sent = asked.iter().find(|body| question(body) == "send it to my office").unwrap();
    assert_eq!(sent["messages"], turns, "each turn as it is");
}

/// Ten cases each of two languages; the model server is wrong in so many of the Chinese ones.
fn eval_of_slices(wrong: usize, cases: usize, arguments: &[&str]) -> crate::project::Output {
    let upstream = Upstream::by_rule(move |body| {
        let number = question(body).strip_prefix("zh ").and_then(|n| n.parse::<usize>().ok());
        let text = if number.is_some_and(|n| n < wrong) { "no" } else { "fine" };
        ("200 OK", completion(text))
    });
    let case = |lang: &str, n| {
        json!({"case_id": format!("{lang}-{n}"), "input": format!("{lang} {n}"),
               "expected_contains": "fine", "metadata": {"lang": lang}})
    };
    let of = |lang: &'static str, count| (0..count).map(move |n| case(lang, n));
    let all: Vec<Value> = of("en", 40).chain(of("zh", cases)).collect();
    project_with(&upstream, "evals: {worst_slice: 0.8}\n", &all).run(arguments)
}

#[test]
fn the_worst_slice_fails_a_gate_that_all_cases_pass() {
    let output = eval_of_slices(4, 10, &["gate"]);
    let output = output.fails(1, &["worst_slice = 0.600 < 0.8: slice `lang:zh`, 6 of 10"], &[]);
    assert!(output.out.contains("lang:zh        6/10   60.0 % (31-83 %)"), "{output:?}");
    let report = eval_of_slices(4, 10, &["gate", "--json"]).exits(1).json();
    assert!(report["accuracy"].as_f64().unwrap() > 0.9, "{report}");
    let first = &report["slices"][0];
    assert_eq!((&first["slice"], &first["correct"]), (&json!("lang:zh"), &json!(6)), "{report}");
}

#[test]
fn a_slice_of_few_cases_is_inconclusive() {
    let says = ["worst_slice 0.600 is below 0.8, with fewer than 10 cases"];
    eval_of_slices(2, 5, &["gate"]).fails(3, &says, &[]);
    eval_of_slices(0, 5, &["gate"]).exits(0);
}

/// Twenty cases of one risk in YAML beside the five of the table.
fn yaml(count: usize) -> String {
    let case = |n| format!("- case_id: more_{n:02}\n  input: 問 {n}\n  not_empty: true\n");
    (0..count).map(case).collect()
}

#[test]
fn cases_may_be_yaml_and_a_part_of_them_is_asked() {
    let upstream = Upstream::answering("fine");
    let keys = "evals: {dataset: evals/more.yaml, sample_size: 12}\n";
    let project = upstream.project("", keys);
    project.write("evals/eval_cases.csv", CASES);
    project.write("evals/more.yaml", yaml(20));
    let asked = |project: &Project| -> Vec<Value> {
        let run = project.run(&["eval", "--json"]).exits(0);
        assert!(run.err.contains("note: evals.sample_size is 12: 12 cases are asked"), "{run:?}");
        run.json()["results"].as_array().unwrap().iter().map(|r| r["case"]["id"].clone()).collect()
    };
    let first = asked(&project);
    assert_eq!(first.len(), 12);
    assert_eq!(asked(&project), first, "every run asks the same");
    // A set of the same cases is fresh for what was asked.
    project.write("evals/more.yaml", yaml(21));
    let more = asked(&project);
    assert!(first.iter().filter(|id| !more.contains(id)).count() <= 1, "{first:?} {more:?}");
}
