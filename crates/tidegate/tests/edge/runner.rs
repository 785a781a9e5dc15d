//! How the cases of an eval are asked: cut off and gone on, slowed down by a busy model server,
//! with answers from files.

use crate::project::{Project, Watching, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

fn project_on(upstream: &Upstream, evals: &str) -> Project {
    let project = upstream.project("", evals);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    project
}

fn question(body: &Value) -> &str {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

fn fine() -> (&'static str, String) {
    ("200 OK", completion("fine"))
}

/// Which questions the model server was asked, in order.
fn questions(upstream: &Upstream) -> Vec<String> {
    upstream.asked().iter().map(|body| question(body).to_owned()).collect()
}

/// A model server that does not answer `q3` the first time until the test lets it.
fn stuck_at_q3() -> (Upstream, Receiver<()>, Sender<()>) {
    let (reached, is_reached) = channel();
    let (go, goes) = channel::<()>();
    let mut is_first = true;
    let upstream = Upstream::by_rule_mut(move |body| {
        if question(body) == "q3" && std::mem::take(&mut is_first) {
            reached.send(()).unwrap();
            // The other end is dropped at the latest.
            let _ = goes.recv();
        }
        fine()
    });
    (upstream, is_reached, go)
}

/// Cuts a run off in its third question and goes on.
fn check_goes_on(cut_off: impl FnOnce(Watching)) {
    let (upstream, is_reached, go) = stuck_at_q3();
    let project = project_on(&upstream, "");
    let run = Watching::start(&project.root, &["eval", "--concurrency", "1"]);
    is_reached.recv_timeout(Duration::from_secs(60)).unwrap();
    cut_off(run);
    drop(go);
    wait_for("the end of the call", || (upstream.asked().len() == 3).then_some(()));
    let rest = project.run(&["eval", "--concurrency", "1", "--resume", "--json"]).exits(0);
    assert!(rest.err.contains("note: 2 answers are there already"), "{rest:?}");
    assert_eq!(rest.json()["correct"], 5);
    assert_eq!(questions(&upstream), ["q1", "q2", "q3", "q3", "q4", "q5"]);
    // What is reported is not kept for a resume.
    project.run(&["eval", "--resume"]).exits(0);
    assert_eq!(upstream.asked().len(), 11);
}

#[test]
fn an_interrupted_run_goes_on_from_its_answers() {
    check_goes_on(|run| {
        let says = ["the run was interrupted after 2 of 5 answers"];
        run.interrupt().fails(3, &says, &["--resume"]);
    });
}

#[test]
fn a_killed_run_goes_on_from_its_answers() {
    check_goes_on(drop);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_run_with_what_was_kept() {
    let upstream = Upstream::by_rule(|_| fine());
    let project = project_on(&upstream, "");
    let run = project.run(&["eval", "--concurrency", "1", "--record", "/dev/full"]);
    let says = ["0 of 5 answers were there, and the next cannot be kept: /dev/full: No space left"];
    run.fails(4, &says, &["--resume"]);
    project.run(&["eval", "--concurrency", "1", "--resume"]).exits(0);
    assert_eq!(questions(&upstream), ["q1", "q2", "q3", "q4", "q5"]);
}

#[test]
fn a_busy_model_server_is_left_alone_for_as_long_as_it_asks() {
    let mut refused = None;
    let (sender, waited) = channel();
    let upstream = Upstream::by_rule_mut(move |_| match refused {
        None => {
            refused = Some(Instant::now());
            ("429 Too Many Requests\r\nretry-after: 2", "{}".to_owned())
        }
        Some(at) => {
            sender.send(at.elapsed()).unwrap();
            fine()
        }
    });
    let project = project_on(&upstream, "");
    project.run(&["eval", "--concurrency", "1"]).exits(0);
    let first = waited.recv().unwrap();
    assert!(first >= Duration::from_secs(2), "{first:?}");
    assert_eq!(upstream.asked().len(), 6);
}

#[test]
fn recorded_answers_are_scored_without_a_model_server_and_open_no_release() {
    let upstream = Upstream::by_rule(|body| ("200 OK", completion(question(body))));
    let project = project_on(&upstream, "");
    project.run(&["eval", "--record", "answers.jsonl", "--seed", "7"]).exits(0);
    let mut sorted = questions(&upstream);
    assert_ne!(sorted, ["q1", "q2", "q3", "q4", "q5"], "the seed shuffles them");
    sorted.sort();
    assert_eq!(sorted, ["q1", "q2", "q3", "q4", "q5"]);
    let offline = project_on(&upstream, "");
    offline.write("answers.jsonl", project.read("answers.jsonl"));
    upstream.shut();
    let replay = ["eval", "--replay-answers", "answers.jsonl", "--json"];
    let report = offline.run(&replay).exits(0);
    assert!(report.err.contains("this run is no eval of a release"), "{report:?}");
    let actual = |report: &Value| -> Vec<Value> {
        report["details"].as_array().unwrap().iter().map(|item| item["actual"].clone()).collect()
    };
    assert_eq!(actual(&report.json()), ["q1", "q2", "q3", "q4", "q5"]);
    assert_eq!(offline.run(&["runs", "list", "--json"]).exits(0).json(), json!([]));
    // Other checks on the same answers; another question has none.
    offline.edit("evals/eval_cases.csv", "q1,b,format,,not_empty=true", "q1,b,format,,regex=^q1$");
    offline.run(&replay).exits(0);
    offline.edit("evals/eval_cases.csv", "q2,b", "another,b");
    let missing = offline.run(&replay).exits(3).json();
    assert!(
        missing["results"][1]["error"].as_str().unwrap().contains("no answer to this question")
    );
    // Another set has other answers.
    let other = ["eval", "--model", "m2", "--replay-answers", "answers.jsonl"];
    offline.run(&other).fails(2, &["none of vs-"], &["the set that gave it"]);
}

#[test]
fn answers_are_used_again_where_no_time_is_measured() {
    let upstream = Upstream::by_rule(|_| fine());
    let project = project_on(&upstream, "");
    project.run(&["eval", "--reuse"]).exits(0);
    project.run(&["eval", "--reuse"]).exits(0);
    let again = questions(&upstream).split_off(5);
    assert_eq!(again, ["q4"], "a case of risk performance measures time");
    project.run(&["eval", "--reuse", "--repeat", "2"]).exits(0);
    assert_eq!(upstream.asked().len(), 16, "repeats are asked");
    project.run(&["eval"]).exits(0);
    assert_eq!(upstream.asked().len(), 21);
    let cached = project.run(&["eval", "--reuse", "--json"]).exits(0).json();
    assert_eq!(cached["total"], json!(5));
}

#[test]
fn a_run_is_reported_for_people_and_pipelines() {
    let upstream = Upstream::by_rule(|body| match question(body) {
        "q3" => ("200 OK", completion("")),
        _ => fine(),
    });
    let project = project_on(&upstream, "");
    project.run(&["eval", "--threshold", "0.1"]).exits(1);
    project.edit(
        "evals/eval_cases.csv",
        "q2,b,grounding,,not_empty=true",
        "q2,b,grounding,,regex=^no$",
    );
    let page = project.root.join("page.md");
    project.write("page.md", "before\n");
    let files =
        ["--html", "r.html", "--sarif", "r.sarif", "--summary", "page.md", "--junit", "j.xml"];
    let args = [&["eval", "--json"][..], &files[..]].concat();
    let env = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "page.md")];
    let run = project.run_with(&args, &env).exits(1);
    assert_eq!(run.json()["correct"], 3);
    let annotation = "::error file=evals/eval_cases.csv,line=3,title=normal case grounding_01::";
    assert!(run.err.contains(annotation), "{run:?}");
    assert!(std::fs::read_to_string(page).unwrap().starts_with("before\n## ❌ Eval FAILED"));
    assert!(project.read("r.html").contains("<b>grounding_01</b>"));
    assert!(project.read("j.xml").contains("name=\"grounding_01\""));
    let sarif: Value = serde_json::from_str(&project.read("r.sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(!project.run(&["eval"]).err.contains("::error"));
}
