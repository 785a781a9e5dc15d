//! Two version sets on the same cases.

use crate::project::Project;
use crate::upstream::{CASES, Upstream, completion};
use serde_json::Value;

/// A project whose model `m1` answers and whose model `m2` says nothing of use to the cases.
fn project() -> (Upstream, Project) {
    let upstream = Upstream::by_rule(|body| match body["model"].as_str() {
        Some("m1") => ("200 OK", completion("the answer is blue")),
        _ => ("200 OK", completion("no idea")),
    });
    let project = upstream.project("", "");
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let line =
        |n: usize| format!("{{\"input\": \"question {n}\", \"expected_contains\": \"blue\"}}\n");
    project.write("cases.jsonl", (0..12).map(line).collect::<String>());
    (upstream, project)
}

fn eval(project: &Project, model: &str) -> Value {
    let args = ["eval", "--cases", "cases.jsonl", "--model", model, "--json"];
    project.run(&args).json()
}

#[test]
fn runs_are_compared_by_run_and_by_set() {
    let (_upstream, project) = project();
    let (one, two) = (eval(&project, "m1"), eval(&project, "m2"));
    let name = |run: &Value, key: &str| run[key].as_str().unwrap().to_owned();
    let (a, b) = (name(&one, "run_id"), name(&two, "version_set"));
    let compared = project.run(&["ab", "--a", &a, "--b", &b, "--json"]).exits(0).json();
    assert_eq!(compared["A"]["count"], 12, "{compared}");
    assert_eq!(
        (&compared["A"]["avg_score"], &compared["B"]["avg_score"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(
        (&compared["significant"], &compared["mcnemar"]["only_a"]),
        (&true.into(), &12.into())
    );
    let shown = project.run(&["ab", "--a", &a, "--b", &b]).exits(0).out;
    assert!(shown.contains("A is better than B") && shown.contains("McNemar"), "{shown}");
    let turned = project.run(&["--lang", "ja", "ab", "--a", &b, "--b", &a]).exits(0).out;
    assert!(turned.contains("B は A より良い"), "{turned}");
    project.run(&["ab", "--a", &a, "--b", &a]).fails(2, &["both are run"], &["name two"]);
    project.run(&["ab", "--a", &a, "--b", "eval-0"]).fails(2, &["run `eval-0`"], &["run_id"]);
    let none = "vs-000000000000";
    project.run(&["ab", "--a", &a, "--b", none]).fails(2, &["version set `vs-0"], &["eval"]);
}
