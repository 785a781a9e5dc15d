//! The way back depends on nothing but the running server: not on the project file, its variables,
//! the folder one is in, the state's folder, or a disk that can be written.

use crate::client;
use crate::journal;
use crate::project::{Project, Server, tidegate, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};
use tidegate_core::decide::Phase;
use tidegate_core::journal::{Entry, Event};

/// Rungs that no one waits for the end of: only orders move the release.
pub(crate) fn long_release() -> (Project, Server, String) {
    let project = Project::fast();
    project.edit(
        "tidegate.yaml",
        "{weight_pct: 20, look_s: 0.3}\n    - {weight_pct: 50, look_s: 0.3}",
        "{weight_pct: 60, look_s: 3600}\n    - {weight_pct: 80, look_s: 3600}",
    );
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let started = project.run(&["release", "start", "--prompt", "v2", "--json"]).exits(0).json();
    let change_id = started["change_id"].as_str().unwrap().to_owned();
    assert!(seen_arms(&server).contains(&"candidate".to_owned()));
    (project, server, change_id)
}

/// The arms of twenty users; at 60 % all of them on stable is one in 10^7.
fn seen_arms(server: &Server) -> Vec<String> {
    let arm =
        |n: usize| server.chat(&format!("user-{n}"), "hi").header("x-tidegate-arm").to_owned();
    (0..20).map(arm).collect()
}

#[track_caller]
fn all_on_stable(server: &Server) {
    let arms = seen_arms(server);
    assert!(arms.iter().all(|arm| arm == "stable"), "{arms:?}");
}

/// Decisions in the journal that took a candidate out.
pub(crate) fn rollbacks(root: &Path) -> usize {
    let went_back = |event: &Event| match event {
        Event::Decided { decision, .. } => {
            matches!(decision.state.phase, Phase::RolledBack | Phase::ShutOff)
        }
        _ => false,
    };
    journal::read(root).iter().filter(|entry| went_back(&entry.event().unwrap())).count()
}

#[test]
fn a_project_file_that_cannot_be_read_stops_no_order() {
    let (project, server, change_id) = long_release();
    project.write("tidegate.yaml", "service: [\n  typo here: {");
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains(&change_id) && status.out.contains("running"), "{status:?}");
    project.run(&["release", "pause", "--reason", "look"]).exits(0);
    let back = project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert!(back.out.contains("everyone is on vs-"), "{back:?}");
    all_on_stable(&server);
    assert_eq!(project.phase(), "rolled_back");
}

#[test]
fn a_project_file_with_an_unset_variable_or_none_at_all_stops_no_order() {
    let (project, server, _) = long_release();
    project.append("tidegate.yaml", "\naliases: [\"${NO_SUCH_VARIABLE_HERE}\"]\nbroken: ${NOPE}\n");
    project.run(&["check"]).exits(2);
    project.run(&["release", "pause"]).exits(0);
    std::fs::remove_file(project.root.join("tidegate.yaml")).unwrap();
    project.run(&["release", "status"]).exits(0);
    project.run(&["rollback", "--reason", "complaints"]).exits(0);
    all_on_stable(&server);
    // Without a server the state is enough.
    drop(server);
    assert_eq!(project.phase(), "rolled_back");
}

#[test]
fn without_a_server_the_state_is_enough() {
    let (project, server, change_id) = long_release();
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    project.write("tidegate.yaml", "service: [");
    let back = project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert!(back.out.contains("is rolled back"), "{back:?}");
    let status = project.run(&["release", "status", &change_id]).exits(0);
    assert!(status.out.contains("rolled back"), "{status:?}");
}

#[test]
fn commands_work_from_a_folder_below_and_from_anywhere() {
    let project = Project::fast();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let below = project.root.join("prompts/v2");
    tidegate(&below, &["check"], &[]).exits(0);
    tidegate(&below, &["release", "start", "--prompt", "v2"], &[]).exits(0);
    tidegate(&below, &["release", "pause"], &[]).exits(0);
    let away = tempfile::TempDir::new().unwrap();
    let said = tidegate(away.path(), &["release", "status"], &[]).exits(0);
    assert!(said.err.contains("the only one that runs"), "{said:?}");
    let address = server.address.to_string();
    let back = ["rollback", "--reason", "complaints", "--server", &address];
    tidegate(away.path(), &back, &[]).exits(0);
    assert_eq!(project.phase(), "rolled_back");
    // Two servers: none is picked.
    let other = Project::fast();
    let _other = other.serve();
    let asked = tidegate(away.path(), &["release", "status"], &[]);
    asked.fails(2, &["several servers run"], &["--server 127.0.0.1:"]);
    tidegate(away.path(), &["release", "status", "--server", &address], &[]).exits(0);
}

#[test]
fn a_locked_database_keeps_nobody_on_the_candidate() {
    let (project, server, _) = long_release();
    let db = Connection::open(project.root.join(".tidegate/state.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = Instant::now();
    let paused = project.run(&["release", "pause", "--reason", "look"]).exits(0);
    assert!(paused.out.contains("paused by an operator"), "{paused:?}");
    let back = project.run(&["rollback", "--reason", "complaints"]).exits(0);
    all_on_stable(&server);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} is as long as the lock is waited for");
    assert!(back.out.contains("everyone is on vs-"), "{back:?}");
    assert!(back.out.contains("not yet written to disk"), "{back:?}");
    let again = project.run(&["rollback"]).exits(0);
    assert!(again.out.contains("not yet written to disk"), "{again:?}");
    let status = project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("rolled back"), "{status:?}");
    assert!(status.out.contains("not yet written to disk"), "{status:?}");
    assert_eq!(rollbacks(&project.root), 0);
    db.execute_batch("ROLLBACK").unwrap();
    wait_for("the journal", || (rollbacks(&project.root) == 1).then_some(()));
    wait_for("the end of what is owed", || {
        Server::admin_status(&project.root)["not_written"].is_null().then_some(())
    });
    all_on_stable(&server);
    let log = server.log();
    let said = log.lines().filter(|line| line.contains("tried again at every look")).count();
    assert!(said <= 2, "{log}");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(project.phase(), "rolled_back");
}

#[test]
fn a_state_folder_deleted_under_a_server_is_noticed_and_no_second_server_starts() {
    let (project, server, change_id) = long_release();
    std::fs::remove_dir_all(project.root.join(".tidegate")).unwrap();
    wait_for("the log", || server.log().contains("was deleted or replaced").then_some(()));
    all_on_stable(&server);
    let status = project.run(&["release", "status"]).exits(0);
    for text in [&change_id, "rolled back", "was deleted or replaced"] {
        assert!(status.out.contains(text), "no {text} in {status:?}");
    }
    let back = project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert!(back.out.contains("everyone is on vs-"), "{back:?}");
    let second = project.run(&["serve", "--port", "0"]);
    second.fails(4, &["another tidegate"], &["deleted or replaced"]);
    all_on_stable(&server);
    server.terminate();
    assert_eq!(server.ended(), Some(4));
}

/// Stops a server while it cannot be in the middle of a write: a process that is stopped there
/// holds the database's lock for as long, and nobody else can write.
fn stop_between_writes(project: &Project, server: &Server) {
    let db = Connection::open(project.root.join(".tidegate/state.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    server.signal("-STOP");
    db.execute_batch("ROLLBACK").unwrap();
}

/// The lock on the project's folder holds while a process is stopped; here the second one has
/// another folder, and the lock file is gone, as where a disk of several machines has no locks.
#[test]
#[cfg(unix)]
fn a_server_that_was_stopped_for_a_while_writes_nothing_stale() {
    let (project, first, change_id) = long_release();
    let (admin, token) = Server::admin(&project.root);
    stop_between_writes(&project, &first);
    let refused = project.run(&["serve", "--port", "0"]);
    refused.fails(4, &["another tidegate"], &["stop it"]);
    let state = project.root.join(".tidegate");
    std::fs::remove_file(state.join("lock")).unwrap();
    let other = Project::fast();
    std::fs::remove_dir_all(other.root.join(".tidegate")).unwrap();
    std::os::unix::fs::symlink(&state, other.root.join(".tidegate")).unwrap();
    let second = other.serve();
    other.run(&["rollback", &change_id, "--reason", "complaints"]).exits(0);
    let is_pack = |entry: &Entry| matches!(entry.event(), Ok(Event::PackWritten { .. }));
    let packed = || journal::read(&project.root).last().is_some_and(is_pack).then_some(());
    wait_for("the pack", packed);
    let entries = journal::read(&project.root).len();

    first.signal("-CONT");
    let order = r#"{"command": "order", "with": {"order": {"kind": "promote", "by": "ci"}}}"#;
    let headers = format!("authorization: Bearer {token}\r\n");
    let bytes = client::request("POST", "/admin/v1/commands", &headers, order.as_bytes());
    let answer = client::open(admin, &bytes).unwrap().finish().unwrap();
    assert_ne!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("was deleted or replaced"), "{answer:?}");
    all_on_stable(&first);
    all_on_stable(&second);
    let now = journal::read(&project.root);
    assert_eq!(now.len(), entries, "{:?}", now.last());
    assert_eq!(project.phase(), "rolled_back");
}

#[test]
fn a_rung_passed_by_order_is_not_shown_as_passed() {
    let (project, _server, change_id) = long_release();
    project.run(&["release", "promote", "--full", "--by", "mei"]).exits(0);
    let shown = project.run(&["release", "status"]).exits(0).out;
    assert!(shown.contains("60 % by order ▸ 80 % by order"), "{shown}");
    assert!(!shown.contains('✓'), "{shown}");
    project.run(&["rollback", &change_id, "--reason", "complaints"]).exits(0);
    let shown = project.run(&["release", "status"]).exits(0).out;
    assert!(shown.contains("taken back after its promotion") && !shown.contains('✗'), "{shown}");
}

/// A release whose candidate has another model server than stable, a simulated one.
fn beside(dead: &Upstream) -> (Project, Server) {
    let project = Project::fast();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", dead.address);
    let simulated = "    kind: simulated\n    first_token_ms: 1\n    ms_per_token: 0\n";
    let second = format!("{kind}  alive:\n{simulated}");
    project.edit("tidegate.yaml", simulated, &second);
    project.edit(
        "tidegate.yaml",
        "{weight_pct: 20, look_s: 0.3}",
        "{weight_pct: 20, look_s: 3600}",
    );
    let server = project.serve();
    let to = ["--upstream", "alive"];
    project.run(&[&["eval"], &to[..]].concat()).exits(0);
    project.run(&[&["release", "start"], &to[..]].concat()).exits(0);
    (project, server)
}

const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

#[test]
fn a_rollback_to_a_model_that_is_dead_is_refused_until_it_is_meant() {
    let dead = Upstream::answering(ANSWER);
    let (project, server) = beside(&dead);
    dead.shut();
    let says = ["which everyone would go to, fails", "connection refused"];
    let refused = project.run(&["rollback", "--reason", "complaints"]);
    refused.fails(1, &says, &["--anyway"]);
    // By the server's address and from anywhere it is the same order.
    let (away, address) = (tempfile::TempDir::new().unwrap(), server.address.to_string());
    let order = ["rollback", "--reason", "complaints", "--server", &address];
    tidegate(away.path(), &order, &[]).fails(1, &says, &["--anyway"]);
    assert_eq!(project.phase(), "running");
    // Only a rollback asks.
    project.run(&["release", "pause"]).exits(0);
    project.run(&["release", "resume"]).exits(0);
    tidegate(away.path(), &[&order[..], &["--anyway"]].concat(), &[]).exits(0);
    assert_eq!(project.phase(), "rolled_back");
    all_on_stable_of(&server);
}

/// Stable fails, so its arm is read from the errors as well.
#[track_caller]
fn all_on_stable_of(server: &Server) {
    for n in 0..20 {
        let answer = client::chat(server.address, Some(&format!("user-{n}")), "hi").unwrap();
        assert_eq!(answer.header("x-tidegate-arm"), "stable", "{answer:?}");
    }
}

#[test]
fn every_way_in_has_the_question_once() {
    let dead = Upstream::answering(ANSWER);
    let (project, server) = beside(&dead);
    let asked = dead.asked().len();
    // A server that answers is asked once, and the order is carried out.
    project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert_eq!(dead.asked().len(), asked + 1);
    let override_it = ["--override", "--by", "mei", "--reason", "again"];
    let again = [&["release", "start", "--upstream", "alive"], &override_it[..]].concat();
    project.run(&again).exits(0);
    dead.shut();
    let order = |anyway: &str| {
        let order = r#"{"kind": "roll_back", "by": "ci"}"#;
        let body = format!(r#"{{"command": "order", "with": {{"order": {order}{anyway}}}}}"#);
        let (admin, token) = Server::admin(&project.root);
        let headers = format!("authorization: Bearer {token}\r\n");
        let bytes = client::request("POST", "/admin/v1/commands", &headers, body.as_bytes());
        client::open(admin, &bytes).unwrap().finish().unwrap()
    };
    let refused = order("");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("which everyone would go to, fails"), "{refused:?}");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    // Without a server the command asks.
    project.run(&["rollback"]).fails(1, &["which everyone would go to, fails"], &["--anyway"]);
    assert_eq!(project.phase(), "running");
    let server = project.serve();
    let meant = order(r#", "anyway": true"#);
    assert_eq!(meant.status, 200, "{meant:?}");
    assert_eq!(project.phase(), "rolled_back");
    drop(server);
}

#[test]
fn a_leak_goes_back_to_a_model_that_is_dead_and_says_so() {
    const PLANTED: &str = "tidegate-canary-7f3a9c";
    let answer = ANSWER;
    let dead = Upstream::answering(answer);
    let alive = Upstream::by_rule(move |body| {
        let leaks = body["messages"].to_string().contains("leak");
        ("200 OK", completion(if leaks { PLANTED } else { answer }))
    });
    let project = Project::init();
    let kind =
        |of: &Upstream| format!("    kind: openai\n    base_url: http://{}/v1\n", of.address);
    let both = format!("{}  alive:\n{}", kind(&dead), kind(&alive));
    project.edit("tidegate.yaml", "    kind: simulated\n", &both);
    project.climb_fast();
    project.edit(
        "tidegate.yaml",
        "{weight_pct: 20, look_s: 0.3}",
        "{weight_pct: 20, look_s: 3600}",
    );
    project.edit("tidegate.yaml", "  planted: [", &format!("  planted: [{PLANTED}, "));
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let server = project.serve();
    project.run(&["eval", "--upstream", "alive"]).exits(0);
    project.run(&["release", "start", "--upstream", "alive"]).exits(0);
    dead.shut();
    let ask = |n: usize, text| {
        let answer = client::chat(server.address, Some(&format!("user-{n}")), text).unwrap();
        answer.header("x-tidegate-arm").to_owned()
    };
    let arms: Vec<String> = (0..60).map(|n| ask(n, "hi")).collect();
    wait_for("the outage", || server.log().contains("OUTAGE of stable").then_some(()));
    let user = arms.iter().position(|arm| arm == "candidate").unwrap();
    ask(user, "leak");
    let said = "everyone is sent back to a version set whose requests fail";
    wait_for("what is said", || server.log().contains(said).then_some(()));
    let is_out = || ["rolled_back", "shut_off"].contains(&project.phase().as_str());
    wait_for("the rollback", || is_out().then_some(()));
}
