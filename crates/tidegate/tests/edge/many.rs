//! Runs of more cases than are held in memory: they are kept, reported and compared as small ones.

use crate::project::Project;
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// More than the thousand that are held.
const CASES: usize = 1_030;

/// A project whose cases all hold but every tenth.
fn project(upstream: &Upstream) -> Project {
    let project = upstream.project("", "");
    let mut lines = String::new();
    for at in 0..CASES {
        let check = if at % 10 == 7 { "^no$" } else { "^好$" };
        let risk = ["format", "grounding", "safety", "performance", "regression"][at % 5];
        let case = json!({
            "case_id": format!("case_{at:04}"), "input": format!("问题 {at}"), "risk": risk,
            "regex": check, "tags": [if at % 2 == 0 { "even" } else { "odd" }],
        });
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{case}");
    }
    project.write("many.jsonl", lines);
    project
}

fn good() -> (&'static str, String) {
    ("200 OK", completion("好"))
}

const EVAL: [&str; 6] = ["eval", "--cases", "many.jsonl", "--threshold", "0.5", "--json"];

fn ids(report: &Value) -> Vec<String> {
    let results = report["results"].as_array().unwrap();
    results.iter().map(|result| result["case"]["id"].to_string()).collect()
}

/// Nothing but what a run keeps for the next is beside its answers.
fn no_leftovers(project: &Project) {
    let folder = project.root.join(".tidegate/evals");
    let left = std::fs::read_dir(folder).map_or(0, Iterator::count);
    assert_eq!(left, 0, "what was put aside is gone");
}

#[test]
fn a_large_run_is_kept_and_reported_whole() {
    let upstream = Upstream::by_rule(|_| good());
    let project = project(&upstream);
    let more = ["--junit", "j.xml", "--html", "r.html", "--seed", "7"];
    let report = project.run(&[&EVAL[..], &more].concat()).exits(0).json();
    assert_eq!((&report["total"], &report["correct"]), (&json!(CASES), &json!(CASES - 103)));
    let results = report["results"].as_array().unwrap();
    assert_eq!((results.len(), report["details"].as_array().unwrap().len()), (CASES, CASES));
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result["case"]["id"], format!("case_{at:04}"), "in the order of the file");
        assert_eq!(result["score"], if at % 10 == 7 { 0.0 } else { 1.0 });
    }
    assert_eq!(report["details"][9]["input"], "问题 9");
    let tags: Vec<&Value> =
        report["slices"].as_array().unwrap().iter().map(|row| &row["slice"]).collect();
    assert_eq!(tags, ["odd", "even"]);
    assert_eq!(project.read("j.xml").matches("<testcase ").count(), CASES);
    assert_eq!(project.read("r.html").matches("class=\"case\"").count(), CASES);
    let run = report["run_id"].as_str().unwrap();
    assert_eq!(project.run(&["runs", "show", run, "--json"]).exits(0).json(), report);
    let at = report["at"].as_u64().unwrap() / 1000;
    let file: Value =
        serde_json::from_str(&project.read(&format!("reports/evaluation_{at}.json"))).unwrap();
    assert_eq!(file, report, "the file is the same");
    no_leftovers(&project);
    // Against itself: the cases of the file are asked, and not those that were.
    project.edit("many.jsonl", "\"问题 3\"", "\"另一个问题\"");
    let again = project.run(&EVAL).exits(0).json();
    assert_eq!(again["comparison"]["previous_run"], run);
    assert_eq!(again["comparison"]["new"], json!(["case_0003"]));
    assert_eq!(again["comparison"]["tests"][0]["cases"], CASES - 1);
    let compared = ["runs", "compare", run, again["run_id"].as_str().unwrap(), "--json"];
    assert_eq!(project.run(&compared).exits(0).json(), again["comparison"]);
}

#[test]
fn a_large_run_goes_to_the_server_that_keeps_it() {
    let upstream = Upstream::by_rule(|_| good());
    let project = project(&upstream);
    let server = project.serve();
    let report = project.run(&EVAL).exits(0).json();
    let run = report["run_id"].as_str().unwrap();
    assert_eq!(project.run(&["runs", "show", run, "--json"]).exits(0).json(), report);
    no_leftovers(&project);
    server.kill();
    let shown = project.run(&["runs", "show", run, "--json"]).exits(0).json();
    assert_eq!(ids(&shown).len(), CASES, "it is on disk");
}

#[test]
fn a_duplicate_far_behind_is_found_before_anything_is_asked() {
    let upstream = Upstream::by_rule(|_| good());
    let project = project(&upstream);
    project
        .append("many.jsonl", "{\"case_id\": \"case_0002\", \"input\": \"x\", \"regex\": \"x\"}\n");
    let says = ["many.jsonl:1031: case id `case_0002` was given on line 3"];
    project.run(&EVAL[..3]).fails(2, &says, &["give one of them another id"]);
    project.edit(
        "many.jsonl",
        "\"case_id\": \"case_0002\", \"input\": \"x\", \"regex\": \"x\"",
        "\"input\": 1",
    );
    project.run(&EVAL[..3]).fails(2, &["many.jsonl:1031:"], &[]);
    assert_eq!(upstream.asked().len(), 0);
}
