//! The evals that are kept: listed, shown, compared; and what a pipeline that was written for a
//! script asks an eval for.

use crate::project::Project;
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

/// Cases with a reference each, beside the five.
fn with_references(project: &Project, count: usize) {
    let case = |n: usize| {
        json!({"case_id": format!("ref_{n}"), "input": format!("ref {n}"), "risk": "regression",
               "expected": "退款需要三天", "matches_expected": false, "regex": "退款"})
    };
    let lines: Vec<String> = (0..count).map(|n| case(n).to_string() + "\n").collect();
    project.write("evals/dataset.jsonl", lines.concat());
}

/// A project whose model `m2` is wrong in the `ref` cases below the number.
fn project(wrong_below: u64) -> (Upstream, Project) {
    let upstream = Upstream::by_rule(move |body| {
        let asked = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let number = asked.as_str().unwrap().strip_prefix("ref ").map(|n| n.parse::<u64>());
        let wrong = body["model"] == "m2" && matches!(number, Some(Ok(n)) if n < wrong_below);
        ("200 OK", completion(if wrong { "no" } else { "退款需要五天" }))
    });
    let project = upstream.project("", "");
    project.write("evals/eval_cases.csv", CASES);
    with_references(&project, 20);
    (upstream, project)
}

#[test]
fn runs_are_listed_shown_and_compared() {
    let (_upstream, project) = project(8);
    let list = project.run(&["runs", "list"]);
    list.fails(2, &["no eval run is kept yet"], &["`tidegate eval` keeps one"]);
    let good = project.run(&["eval", "--json"]).exits(0).json();
    let bad = project.run(&["eval", "--model", "m2", "--json"]).exits(1).json();
    let id = |report: &Value| report["run_id"].as_str().unwrap().to_owned();
    let ids = |args: &[&str]| -> Vec<String> {
        let rows = project.run(&[&["runs", "list", "--json"], args].concat()).exits(0).json();
        rows.as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(ids(&["--order", "accuracy"]), [id(&good), id(&bad)]);
    assert_eq!(ids(&["--order", "metrics.accuracy asc"]), [id(&bad), id(&good)]);
    assert_eq!(ids(&["--where", "accuracy > 0.85"]), [id(&good)]);
    assert_eq!(ids(&["--where", "model = m2 and verdict != pass"]), [id(&bad)]);
    assert_eq!(ids(&["--where", "accuracy > 2"]), Vec::<String>::new());
    let table = project.run(&["runs", "list", "--limit", "1"]).exits(0);
    assert!(table.out.contains("accuracy") && table.out.contains("1 more"), "{table:?}");
    let list = |condition| project.run(&["runs", "list", "--where", condition]);
    list("acuracy > 0.8").fails(2, &["no run has `acuracy`"], &["did you mean `accuracy`?"]);
    list("accuracy").fails(2, &["`accuracy` is no comparison"], &["--where"]);

    let shown = project.run(&["runs", "show", &id(&bad), "--html", "r.html"]).exits(0);
    assert!(shown.out.starts_with("Failures by class"), "{shown:?}");
    assert!(project.read("r.html").contains("<b>ref_0</b>"));
    project.run(&["runs", "show", "eval-0"]).fails(2, &["no eval run `eval-0` is kept"], &[]);
    let compared = project.run(&["runs", "compare", &id(&good), &id(&bad)]).exits(0);
    assert!(compared.out.contains("8 broken, 0 fixed, 0 new"), "{compared:?}");
    let json = project.run(&["runs", "compare", &id(&bad), &id(&good), "--json"]).exits(0).json();
    assert_eq!(json["fixed"].as_array().unwrap().len(), 8, "{json}");
}

#[test]
fn a_loss_that_is_shown_fails_the_gate_and_one_that_chance_may_do_is_open() {
    for (wrong, code, says) in [(3, 3, "which chance may do"), (12, 1, "accuracy fell from 1.000")]
    {
        let (_upstream, project) = project(wrong);
        project.append("tidegate.yaml", "evals: {max_drop: 0.02, threshold: 0.2}\n");
        project.run(&["eval"]).exits(0);
        project.run(&["eval", "--model", "m2"]).fails(code, &[says], &[]);
    }
    let (_upstream, project) = project(0);
    project.append("tidegate.yaml", "evals: {max_drop: 2}\n");
    project.run(&["check"]).fails(2, &["evals.max_drop: given `2`, allowed 0 to 1"], &[]);
}

#[test]
fn an_eval_takes_the_flags_of_the_script_that_it_replaces() {
    let (upstream, project) = project(0);
    project.write("models/3f2a1b/w.safetensors", "weights");
    std::fs::rename(project.root.join("evals/dataset.jsonl"), project.root.join("eval.jsonl"))
        .unwrap();
    let args = ["eval", "--model_dir", "models/3f2a1b/", "--eval_data", "eval.jsonl"];
    let metrics = ["--metrics", "accuracy,bleu,rouge,latency", "--threshold", "0.85"];
    let run = project.run(&[&args[..], &metrics].concat()).exits(0);
    let line = run.out.lines().find(|line| line.starts_with("Metrics: ")).unwrap();
    for name in ["accuracy 1.000, bleu 0.", "rouge_l 0.", "latency p50 "] {
        assert!(line.contains(name), "{line}");
    }
    assert!(upstream.asked().iter().all(|body| body["model"] == "models/3f2a1b"));
    let report = project.run(&[&args[..], &metrics, &["--json"]].concat()).exits(0).json();
    assert!(report["metrics"]["bleu"].as_f64().unwrap() < 1.0, "{report}");
    // The files are noted, and other files under the same name are others.
    let noted = &report["model_files"];
    let known = (&noted["from"], &noted["files"], &noted["bytes"]);
    assert_eq!(known, (&json!("models/3f2a1b"), &json!(1), &json!(7)), "{noted}");
    project.write("models/3f2a1b/w.safetensors", "weightz");
    let other = project.run(&[&args[..], &["--json"]].concat()).exits(0).json();
    assert!(other["model_files"]["digest"].is_string(), "{other}");
    assert_ne!(other["model_files"]["digest"], noted["digest"]);
    let run_id = other["run_id"].as_str().unwrap();
    let kept = project.run(&["runs", "show", run_id, "--json"]).exits(0).json();
    assert_eq!(kept["model_files"], other["model_files"]);
    std::fs::remove_file(project.root.join("models/3f2a1b/w.safetensors")).unwrap();
    let empty = project.run(&[&args[..], &["--json"]].concat()).exits(0);
    assert!(empty.err.contains("note: models/3f2a1b has no file"), "{empty:?}");
    assert_eq!(empty.json().get("model_files"), None);
    let unknown = ["eval", "--metrics", "accuracy,bleau"];
    project.run(&unknown).fails(2, &["metric `bleau` is not one of"], &["did you mean `bleu`?"]);
    let nowhere = ["eval", "--model-dir", "models/none"];
    project.run(&nowhere).fails(2, &["`models/none` is no folder"], &[]);
}
