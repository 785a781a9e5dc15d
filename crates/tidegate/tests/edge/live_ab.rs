//! An A/B test on live traffic: split by user, looked at as it comes, never promoted, and over
//! by order, when its time is over, or when a red line is crossed.

use crate::client;
use crate::journal;
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::decide::Phase;
use tidegate_core::journal::{ControlState, Event};

const NO: &str = "I'm sorry, but I can't help with that.";

/// A project whose model `m1` refuses every other question and whose model `m2` says `answer` to
/// users; the cases pass on it.
fn project(answer: &'static str, more: &str) -> (Upstream, Project) {
    let mut asked = 0;
    let upstream = Upstream::by_rule_mut(move |body| {
        asked += 1;
        match body["model"].as_str() {
            Some("m1") if asked % 2 == 0 => ("200 OK", completion(NO)),
            Some("m1") => ("200 OK", completion("good")),
            _ if body.to_string().contains("hi") => ("200 OK", completion(answer)),
            _ => ("200 OK", completion("good")),
        }
    });
    let project = upstream.project("", &format!("release: {{tick_ms: 20}}\n{more}"));
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    project.run(&["eval", "--model", "m2"]).exits(0);
    (upstream, project)
}

fn start(project: &Project, more: &[&str]) -> Value {
    let args = ["ab", "start", "--model", "m2", "--name", "问候 v2", "--metric", "refusal_rate"];
    project.run(&[&args[..], more, &["--json"]].concat()).exits(0).json()
}

fn status(project: &Project) -> Value {
    project.run(&["ab", "status", "--json"]).exits(0).json()
}

/// The arm of each of so many users.
fn arms(server: &Server, users: usize) -> BTreeMap<usize, String> {
    let arm = |n| server.chat(&format!("user-{n}"), "hi").header("x-tidegate-arm").to_owned();
    (0..users).map(|n| (n, arm(n))).collect()
}

fn candidates(arms: &BTreeMap<usize, String>) -> usize {
    arms.values().filter(|arm| *arm == "candidate").count()
}

#[test]
fn users_stay_on_their_arm_the_better_one_is_found_and_is_not_promoted() {
    let (_upstream, project) = project("a long and useful answer", "");
    let server = project.serve();
    let more = ["--arms", "control,warm", "--split", "40", "--for", "2h", "--by", "mei"];
    let started = start(&project, &more);
    let change_id = started["change_id"].as_str().unwrap().to_owned();
    assert!(change_id.starts_with("ab-v2-"), "{started}");
    let text = started["text"].as_str().unwrap();
    assert!(text.contains("warm is ") && text.contains("control is stable for 60 %"), "{text}");
    let first = arms(&server, 200);
    // 40 % of 200 is 80; the standard deviation is 7.
    assert!((45..=115).contains(&candidates(&first)), "{}", candidates(&first));
    assert_eq!(arms(&server, 200), first);
    let found = wait_for("a difference", || {
        arms(&server, 200);
        Some(status(&project)).filter(|status| status["significant"] == true)
    });
    let line = &found["metrics"][0];
    assert_eq!((&line["metric"], &line["verdict"]), (&json!("refusal_rate"), &json!("better")));
    assert!(line["high"].as_f64().unwrap() < 0.0, "{found}");
    assert!(found["p_value"].as_f64().unwrap() <= 0.05, "{found}");
    let (a, b) = (&found["A"], &found["B"]);
    assert_eq!((&a["arm"], &b["arm"]), (&json!("control"), &json!("warm")), "{found}");
    assert_eq!(b["avg_score"], 1.0, "{found}");
    assert!((a["avg_score"].as_f64().unwrap() - 0.5).abs() < 0.2, "{found}");
    assert!(a["score_std"].as_f64().unwrap() > 0.3 && b["score_std"] == 0.0, "{found}");
    assert!(a["count"].as_u64() > Some(30) && b["avg_latency"].as_f64() > Some(0.0), "{found}");
    assert_eq!((&found["running"], &found["split_pct"]), (&json!(true), &json!(40.0)));
    // It goes on at its split, whatever is proven, and says so where releases are shown.
    assert_eq!(arms(&server, 200), first);
    for order in [["release", "promote"], ["release", "pause"], ["release", "resume"]] {
        project.run(&order).fails(2, &["an A/B test has one rung"], &["tidegate ab stop"]);
    }
    let shown = project.run(&["release", "status"]).exits(0).out;
    for text in ["问候 v2", "warm is better than control", "[40 %]", "goes on for 2 h at most"] {
        assert!(shown.contains(text), "no `{text}` in {shown}");
    }
    project.run(&["ab", "status", "--gate"]).exits(0);
    let zh = project.run(&["--lang", "zh", "ab", "status", "问候 v2"]).exits(0).out;
    assert!(zh.contains("warm 比 control 好"), "{zh}");
    let stop = ["ab", "stop", "--by", "mei", "--reason", "看够了"];
    let stopped = project.run(&stop).exits(0).out;
    assert!(stopped.contains(&format!("A/B test {change_id} is over")), "{stopped}");
    assert_eq!(candidates(&arms(&server, 40)), 0);
    let ended = status(&project);
    assert_eq!((&ended["running"], &ended["phase"]["phase"]), (&json!(false), &json!("ended")));
    assert_eq!(ended["significant"], true, "{ended}");
    assert!(ended["why"].as_str().unwrap().contains("看够了"), "{ended}");
    after_its_end(&project, &change_id);
}

/// What an A/B test leaves: a pack, no incident, and a set that may be released.
fn after_its_end(project: &Project, change_id: &str) {
    project.run(&["ab", "stop"]).fails(2, &["no A/B test is running"], &["ab status"]);
    let incidents = project.run(&["incident", "list"]).exits(0).out;
    assert!(incidents.contains("no incidents"), "{incidents}");
    let pack = project.run(&["evidence", change_id, "--json"]).exits(0).json();
    let path = pack["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    project.run(&["verify", &path]).exits(0);
    let state = ControlState::replay(&journal::read(&project.root)).unwrap();
    assert!(state.active.is_none() && state.blocked.is_empty(), "{state:?}");
    assert_eq!(state.releases.len(), 1);
    project.run(&["release", "start", "--model", "m2"]).exits(0);
    project.run(&["ab", "stop"]).fails(2, &["no A/B test is running"], &["tidegate rollback"]);
}

#[test]
fn it_goes_on_after_a_kill_with_everyone_where_they_were() {
    let (_upstream, project) = project("fine", "");
    let server = project.serve();
    start(&project, &["--metric", "tokens_per_request,latency_p95"]);
    let first = arms(&server, 60);
    wait_for("a difference", || {
        arms(&server, 100);
        Some(status(&project)).filter(|status| status["significant"] == true)
    });
    let before = status(&project);
    server.kill();
    let down = status(&project);
    assert_eq!((&down["running"], &down["significant"]), (&json!(true), &json!(true)), "{down}");
    assert_eq!(down["metrics"][0]["found_at"], before["metrics"][0]["found_at"]);
    assert_eq!(down["metrics"].as_array().unwrap().len(), 3);
    let server = project.serve();
    assert_eq!(arms(&server, 60), first);
    project.run(&["ab", "stop"]).exits(0);
    assert_eq!(candidates(&arms(&server, 30)), 0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(status(&project)["phase"]["phase"], "ended");
}

/// The end takes the other set out, so it waits for no disk, and a rollback after it is one.
#[test]
fn its_end_does_not_wait_for_the_disk() {
    let (_upstream, project) = project("fine", "");
    let server = project.serve();
    start(&project, &[]);
    assert!(candidates(&arms(&server, 30)) > 0);
    let db = Connection::open(project.root.join(".tidegate/state.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stopped = project.run(&["ab", "stop"]).exits(0).out;
    assert!(stopped.contains("is over") && stopped.contains("not yet written"), "{stopped}");
    assert_eq!(candidates(&arms(&server, 30)), 0);
    let again = project.run(&["ab", "stop"]).exits(0).out;
    assert!(again.contains("not yet written"), "{again}");
    assert_eq!(status(&project)["phase"]["phase"], "ended");
    let back = project.run(&["rollback", "--reason", "complaints"]).exits(0).out;
    assert!(back.contains("not yet written"), "{back}");
    db.execute_batch("ROLLBACK").unwrap();
    wait_for("the end of what is owed", || {
        Server::admin_status(&project.root)["not_written"].is_null().then_some(())
    });
    let state = ControlState::replay(&journal::read(&project.root)).unwrap();
    assert_eq!((state.active, state.blocked.len()), (None, 1));
    assert_eq!(candidates(&arms(&server, 30)), 0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(status(&project)["phase"]["phase"], "rolled_back");
}

#[test]
fn it_ends_by_itself_when_its_time_is_over() {
    let (_upstream, project) = project("fine", "");
    let server = project.serve();
    start(&project, &["--for", "1s"]);
    project.wait_for_phase("ended");
    assert_eq!(candidates(&arms(&server, 30)), 0);
    let ended = status(&project);
    assert!(ended["why"].as_str().unwrap().contains("has lasted its time"), "{ended}");
    assert_eq!(ended["metrics"][0]["verdict"], "open", "{ended}");
    project.run(&["ab", "status", "--gate"]).fails(3, &["no difference is proven"], &[]);
    // By itself: no order is in the journal.
    let entries = journal::read(&project.root);
    let ends = entries.iter().filter(|entry| match entry.event().unwrap() {
        Event::Decided { decision, order, .. } => {
            decision.state.phase == Phase::Ended && order.is_none()
        }
        _ => false,
    });
    assert_eq!(ends.count(), 1);
    start(&project, &[]);
    assert_eq!(status(&project)["running"], true);
}

#[test]
fn a_red_line_takes_the_other_set_out_as_in_a_release() {
    let (_upstream, project) = project("key CANARY-1234", "risk: {planted: [CANARY-1234]}\n");
    let server = project.serve();
    let change_id = start(&project, &[])["change_id"].as_str().unwrap().to_owned();
    let ask = |n| client::chat(server.address, Some(&format!("user-{n}")), "hi").unwrap().status;
    let statuses: Vec<u16> = (0..60).map(ask).collect();
    // Withheld from whoever would have got it, and the entrance is shut then.
    assert!([502, 503].iter().all(|status| statuses.contains(status)), "{statuses:?}");
    project.wait_for_phase("shut_off");
    let ended = status(&project);
    assert_eq!((&ended["running"], &ended["phase"]["phase"]), (&json!(false), &json!("shut_off")));
    assert!(ended["why"].as_str().unwrap().contains("red-line event"), "{ended}");
    let incidents = project.run(&["incident", "list"]).exits(0).out;
    assert!(incidents.contains(&change_id), "{incidents}");
    project.run(&["release", "reopen", "--reason", "found"]).exits(0);
    assert_eq!(candidates(&arms(&server, 30)), 0);
    // The set is blocked, for an A/B test as well.
    let args = ["ab", "start", "--model", "m2", "--name", "again", "--metric", "refusal_rate"];
    project.run(&args).fails(1, &["is blocked"], &[]);
}

#[test]
fn what_an_ab_test_needs_is_said() {
    let (_upstream, project) = project("fine", "");
    let none = project.run(&["ab", "status"]).exits(0).out;
    assert!(none.contains("no A/B test yet"), "{none}");
    assert_eq!(project.run(&["ab", "status", "--json"]).exits(0).json(), Value::Null);
    project.run(&["ab", "status", "--gate"]).fails(3, &["no A/B test was run"], &[]);
    let _server = project.serve();
    project.run(&["ab", "stop"]).fails(2, &["no A/B test is running"], &["ab status"]);
    let start = |flags: &[&str]| project.run(&[&["ab", "start", "--no-smoke"], flags].concat());
    let check = |flags: &[&str], says: &str| {
        let sound = [("--name", "n"), ("--metric", "refusal_rate"), ("--model", "m2")];
        let is_given = |flag: &str| flags.contains(&flag);
        let rest = sound.iter().filter(|(flag, _)| !is_given(flag));
        let rest: Vec<&str> = rest.flat_map(|(flag, value)| [*flag, *value]).collect();
        let output = start(&[flags, &rest].concat());
        assert!(output.code == 2 && output.err.contains(says), "{flags:?}: {output:?}");
    };
    check(&["--split", "0"], "split: given 0 %; it must be above 0 % and below 100 %");
    check(&["--split", "100"], "split: given 100 %");
    check(&["--split", "-5"], "split: given -5 %");
    check(&["--split", "nan"], "'nan' for '--split <PERCENT>': a number");
    check(&["--split", "half"], "'half' for '--split <PERCENT>': a number");
    check(&["--metric", "refusal"], "did you mean `refusal_rate`? allowed are error_rate");
    check(&["--metric", "refusal_rate,refusal_rate"], "metric `refusal_rate`: given twice");
    check(&["--metric", ""], "allowed are error_rate");
    check(&["--name", ""], "name ``: allowed are 1 to 60 characters");
    check(&["--name", "a\u{1b}[31mb"], "name `a\\u{1b}[31mb`");
    check(&["--arms", "one"], "two names with a comma between");
    check(&["--arms", "a,a"], "both arms are called `a`");
    check(&["--arms", "a,b c"], "arm `b c`");
    check(&["--alpha", "0.5"], "alpha: given 0.5");
    check(&["--for", "0s"], "time: given 0 s; allowed are 1 s to 744 h");
    check(&["--for", "32d"], "allowed are 1 s to 744 h");
    check(&["--for", "soon"], "`soon`: a number and");
    check(&["--version-set", "vs-1", "--model", "m2"], "cannot be used with");
    check(&["--model", "m1"], "what stable serves already");
    let named = ["--name", "n", "--metric", "refusal_rate"];
    start(&[&named[..], &["--version-set", "vs-nope"]].concat()).exits(2);
    start(&[&named[..], &["--version-set", "vs-000000000000"]].concat()).fails(
        2,
        &["vs-000000000000"],
        &[],
    );
    start(&["--model", "m2", "--name", "n"]).exits(2);
    project.run(&["ab", "--a", "eval-1", "stop"]).exits(2);
    project.run(&["ab"]).exits(2);
    project.run(&["ab", "status", "nobody"]).fails(2, &["no A/B test `nobody`"], &["ab status"]);
    // A set that was never evaluated is no more for users than in a release.
    start(&[&named[..], &["--model", "m3"]].concat()).fails(1, &["no eval run"], &["--model m3"]);
    one_at_a_time(&project);
}

fn one_at_a_time(project: &Project) {
    let ab = ["ab", "start", "--no-smoke", "--model", "m2", "--name", "n", "--metric", "pii_rate"];
    project.run(&ab).exits(0);
    project.run(&ab).fails(1, &["A/B test `n` (ab-n-", "still running"], &["tidegate ab stop"]);
    let release = ["release", "start", "--no-smoke", "--model", "m2"];
    project.run(&release).fails(1, &["A/B test `n`"], &["tidegate ab stop"]);
    project.run(&["shadow", "start", "--model", "m2"]).fails(
        1,
        &["is still running"],
        &["ab stop"],
    );
    // A rollback takes the set out for harm, and blocks it.
    project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert_eq!(status(project)["phase"]["phase"], "rolled_back");
    project.run(&ab).fails(1, &["is blocked"], &[]);
    let again = ["--override", "--by", "mei", "--reason", "fixed outside"];
    project.run(&[&release[..], &again].concat()).exits(0);
    project.run(&ab).fails(1, &["release `model-"], &["tidegate release status"]);
    project.run(&["release", "promote", "--full"]).exits(0);
    project
        .append("tidegate.yaml", "prices:\n  m1: {input_per_million: 1, output_per_million: 1}\n");
    project.run(&["shadow", "start", "--model", "m1"]).exits(0);
    project.run(&["eval", "--model", "m1"]).exits(0);
    let ab = ["ab", "start", "--no-smoke", "--model", "m1", "--name", "n", "--metric", "pii_rate"];
    project.run(&ab).fails(1, &["a shadow of version set"], &["tidegate shadow stop"]);
}
