//! `tidegate data validate` over files as people have them.

use crate::project::Project;
use serde_json::{Value, json};

const SCHEMA: &str = r#"{"type": "object", "required": ["prompt", "answer"],
    "properties": {"answer": {"type": "string", "minLength": 1}}}"#;

/// A project with data of so many lines, all of them good.
fn with_data(lines: usize) -> Project {
    let project = Project::init();
    let line = |n| json!({"prompt": format!("what is {n}?"), "answer": format!("it is {n}")});
    let text: Vec<String> = (0..lines).map(|n| format!("{}\n", line(n))).collect();
    project.write("data/training.jsonl", text.concat());
    project.write("data/schema.json", SCHEMA);
    project
}

const VALIDATE: [&str; 6] =
    ["data", "validate", "--input", "data/training.jsonl", "--schema", "data/schema.json"];

#[test]
fn good_data_passes_and_its_manifest_names_its_digest() {
    let project = with_data(120);
    let more = ["--min-samples", "100", "--manifest", "data/manifest.json", "--json"];
    let report = project.run(&[&VALIDATE[..], &more].concat()).exits(0).json();
    assert_eq!((&report["passed"], &report["samples"]), (&json!(true), &json!(120)), "{report}");
    assert_eq!(report["problems"], json!([]));
    let manifest: Value = serde_json::from_str(&project.read("data/manifest.json")).unwrap();
    assert_eq!(manifest, report);
    assert_eq!(report["sha256"].as_str().map(str::len), Some(64));
    let few = project.run(&[&VALIDATE[..], &["--min-samples", "121"]].concat());
    few.fails(1, &["too few samples"], &[]);
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    let project = with_data(3);
    let case = project.read("evals/eval_cases.csv");
    let input = case.lines().nth(1).and_then(|row| row.split(',').nth(1)).unwrap();
    let bad = [
        json!({"prompt": "no answer"}),
        json!({"prompt": "what is 1?", "answer": "it is 1"}),
        json!({"prompt": format!("Please: {input}"), "answer": "x"}),
        json!({"prompt": "write to", "answer": "ann@example.com"}),
    ];
    project.append("data/training.jsonl", &bad.map(|line| format!("{line}\n")).concat());
    project.append("data/training.jsonl", "{\"prompt\": \"half");
    let report = project.run(&[&VALIDATE[..], &["--json"]].concat()).exits(1).json();
    let problems = report["problems"].as_array().unwrap();
    let of = |kind: &str| problems.iter().find(|one| one["kind"] == kind).unwrap();
    for (kind, line, fails, says) in [
        ("schema", 4, true, "answer"),
        ("duplicate", 5, false, "repeats line 2"),
        ("leaked", 6, true, "input of the case"),
        ("personal", 7, false, "[email]"),
        ("unreadable", 8, true, "not valid JSON at column"),
    ] {
        let found = of(kind);
        assert_eq!((&found["count"], &found["fails"]), (&json!(1), &json!(fails)), "{found}");
        assert_eq!(found["first"][0]["line"], line, "{found}");
        assert!(found["first"][0]["why"].as_str().unwrap().contains(says), "{found}");
    }
    assert!(!report.to_string().contains("ann@example.com"), "no personal data in a report");
    let said = project.run(&VALIDATE).exits(1);
    assert!(said.out.contains("line 5: repeats line 2"), "{said:?}");
}

#[test]
fn what_cannot_be_checked_is_said_and_nothing_is_written() {
    let project = with_data(3);
    let manifest = ["--manifest", "data/manifest.json"];
    let run = |args: &[&str]| project.run(&[args, &manifest[..]].concat());
    let input = |file: &'static str| ["data", "validate", "--input", file];
    run(&input("data/absent.jsonl")).fails(2, &["data/absent.jsonl cannot be read"], &[]);
    run(&input("data")).fails(2, &["it is a folder"], &[]);
    project.write("data/schema.json", r#"{"$ref": "http://127.0.0.1:1/schema.json"}"#);
    run(&VALIDATE).fails(2, &["is not a JSON Schema"], &[]);
    project.write("data/schema.json", "{");
    run(&VALIDATE).fails(2, &["the schema data/schema.json is not JSON"], &[]);
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    project.write("data/pointer.jsonl", lfs);
    run(&input("data/pointer.jsonl")).fails(2, &["pointer of Git LFS"], &["git lfs pull"]);
    assert!(!project.root.join("data/manifest.json").exists());
}
