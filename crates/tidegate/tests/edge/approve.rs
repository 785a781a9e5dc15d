//! Approvals: a release that needs one does not start without it, and whoever starts it gives none.

use crate::project::{Output, Project};
use crate::upstream::{CASES, Upstream};
use serde_json::json;

/// A project under a policy.
fn project(upstream: &Upstream, policy: &str) -> Project {
    let project = upstream.project("", "evals: {gate: evals/gate.yaml}\n");
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    project.write("evals/gate.yaml", policy);
    project
}

/// Packs a candidate that passed its cases, and gives its id.
fn with_candidate(project: &Project) -> String {
    project.edit("tidegate.yaml", "name: m1", "name: m2");
    project.run(&["eval"]).exits(0);
    let packed = project.run(&["version", "pack", "--json"]).exits(0).json();
    packed["version_set"].as_str().unwrap().to_owned()
}

fn start(project: &Project, by: &str) -> Output {
    project.run(&["release", "start", "--no-smoke", "--by", by])
}

fn approve(project: &Project, change: &str, by: &str) -> Output {
    project.run(&["approve", change, "--by", by, "--reason", "read the answers"])
}

#[test]
fn a_release_waits_for_somebody_else_than_who_starts_it() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream, "approvals: 1\n");
    let server = project.serve();
    let set = with_candidate(&project);
    let says = [set.as_str(), "needs 1 approval and has 0"];
    let hint = format!("`tidegate approve {set} --reason");
    start(&project, "mei").fails(1, &says, &[&hint]);

    // Whoever starts it has no say, however the name is written.
    approve(&project, &set, "Mei").exits(0);
    start(&project, "mei").fails(1, &["has 0; `Mei` starts it"], &[&hint]);
    approve(&project, &set, "mei").fails(1, &["`mei` has approved"], &["another person"]);
    let approved = approve(&project, &set, "王芳").exits(0);
    assert_eq!(approved.out, format!("{set} is approved by 王芳\n"));
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("王芳") && status.out.contains("read the answers"), "{status:?}");
    start(&project, "mei").exits(0);

    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    let approvals = &status["release"]["approvals"];
    assert_eq!((&approvals[0]["by"], &approvals[1]["by"]), (&json!("Mei"), &json!("王芳")));
    assert_eq!(approvals[1]["approver"], "person", "{status}");
    assert!(approvals[1]["run_id"].as_str().unwrap().starts_with("eval-"), "{status}");
    server.terminate();
}

#[test]
fn a_machine_may_approve_unless_people_must() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream, "approvals: 1\napprovers: people\n");
    let server = project.serve();
    let set = with_candidate(&project);
    let machine = ["approve", &set, "--by", "ci", "--machine", "--reason", "nightly run", "--json"];
    let answer = project.run(&machine).exits(0).json();
    assert_eq!(answer["done"]["code"], "approved", "{answer}");
    start(&project, "mei").fails(1, &["has 0; `ci` is no person"], &[]);
    project.write("evals/gate.yaml", "approvals: 1\n");
    project.run(&["eval"]).exits(0);
    start(&project, "mei").exits(0);
    server.terminate();
}

#[test]
fn what_cannot_be_approved_says_why() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream, "approvals: 1\n");
    let server = project.serve();
    let set = with_candidate(&project);
    let unknown = ["vs-000000000000", "prompt-v9-abcde", "", "../x"];
    for change in unknown {
        let says = ["this project has no version set or release"];
        approve(&project, change, "ann").fails(2, &says, &["`tidegate version list`"]);
    }
    project.run(&["approve", &set, "--by", "ann"]).exits(2);
    let blank = ["approve", &set, "--by", "ann", "--reason", "  "];
    project.run(&blank).fails(2, &["needs a reason"], &["--reason"]);
    let long = "长".repeat(2_001);
    let long = ["approve", &set, "--by", "ann", "--reason", &long];
    project.run(&long).fails(2, &["1 to 2000 characters"], &[]);
    let nobody = ["approve", &set, "--by", " ", "--reason", "x"];
    project.run(&nobody).fails(2, &["needs a name"], &[]);
    server.terminate();
}

#[test]
fn a_rollback_voids_approvals_and_the_pack_names_them() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream, "approvals: 1\n");
    let server = project.serve();
    let set = with_candidate(&project);
    approve(&project, &set, "ann").exits(0);
    let started = project.run(&["release", "start", "--no-smoke", "--by", "mei", "--json"]);
    let release = started.exits(0).json()["change_id"].as_str().unwrap().to_owned();
    project.run(&["rollback", "--reason", "complaints"]).exits(0);

    for change in [set.as_str(), release.as_str()] {
        let says = ["was rolled back by release", release.as_str()];
        approve(&project, change, "ann").fails(1, &says, &["--again"]);
    }
    let by_name =
        ["release", "start", "--no-smoke", "--by", "mei", "--override", "--reason", "fixed"];
    project.run(&by_name).fails(1, &["needs 1 approval and has 0"], &["approve"]);
    let again = ["approve", &release, "--by", "ann", "--again", "--reason", "the data was wrong"];
    project.run(&again).exits(0);
    project.run(&by_name).exits(0);

    project.run(&["evidence", &release]).exits(0);
    let folder = std::fs::read_dir(project.root.join("reports")).unwrap();
    let packs = folder.map(|day| day.unwrap().path().join(&release));
    let pack = packs.into_iter().find(|path| path.is_dir()).unwrap();
    let summary = std::fs::read_to_string(pack.join("gates/summary.md")).unwrap();
    assert!(summary.contains("| approval | L0 | PASS | approved by ann |"), "{summary}");
    assert!(summary.contains("## Approvals") && summary.contains("read the answers"), "{summary}");
    let journal = std::fs::read_to_string(pack.join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches(r#"\"event\":\"approved\""#).count(), 2, "{journal}");
    project.run(&["verify", pack.to_str().unwrap()]).exits(0);
    server.terminate();
}
