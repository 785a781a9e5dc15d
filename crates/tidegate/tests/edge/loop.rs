//! The whole loop, command by command, as a person would type it.

use crate::client;
use crate::project::{Project, Server, Watching, wait_for};
use crate::users::{Users, long, short};
use serde_json::Value;
use std::path::PathBuf;

/// Starts a release of a prompt version and gives its change id.
fn start(project: &Project, prompt: &str) -> String {
    let answer = project.run(&["release", "start", "--prompt", prompt, "--json"]).exits(0).json();
    answer["change_id"].as_str().unwrap().to_owned()
}

/// Writes a release's pack again, checks it offline, and gives its folder.
fn verified_pack(project: &Project, change_id: &str) -> PathBuf {
    let answer = project.run(&["evidence", change_id, "--json"]).exits(0).json();
    let path = answer["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(path.starts_with("reports/") && path.ends_with(change_id), "{answer}");
    let verified = project.run(&["verify", &path, "--json"]).exits(0).json();
    assert_eq!(verified["problems"], serde_json::json!([]));
    assert!(verified["files"].as_u64().unwrap() > 5, "{verified}");
    project.root.join(path)
}

#[test]
fn a_good_release_climbs_to_everyone_and_can_be_looked_into() {
    let project = Project::quick();
    let checked = project.run(&["check"]).exits(0);
    assert!(checked.out.contains("all five questions answered"), "{checked:?}");
    let server = project.serve();
    let before = server.chat("mei", "周末营业吗？");
    assert_eq!(before.header("x-tidegate-arm"), "stable");
    let eval = project.run(&["eval", "--prompt", "v2"]).exits(0);
    assert!(eval.out.contains("Status:    PASSED"), "{eval:?}");
    // The ladder is read when a release starts: the server need not be restarted.
    project.climb_fast();
    let users = Users::of(server.address, 4, short);
    let change_id = start(&project, "v2");
    assert!(change_id.starts_with("prompt-v2-"), "{change_id}");
    project.wait_for_phase("promoted");
    drop(users);
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    assert_eq!(status["release"]["plan"]["rungs"].as_array().unwrap().len(), 3);
    assert_eq!(status["table"]["split"], Value::Null, "{}", status["table"]);
    let shown = project.run(&["release", "status", &change_id]).exits(0);
    assert!(shown.out.contains("promoted"), "{shown:?}");
    let after = server.chat("mei", "周末营业吗？");
    let (old, new) =
        (before.header("x-tidegate-version-set"), after.header("x-tidegate-version-set"));
    assert_ne!(old, new);
    assert_eq!(status["table"]["stable"], new);
    check_trace(&project, &after);
    let pack = verified_pack(&project, &change_id);
    assert!(pack.join("manifest.json").is_file() && pack.join("report.html").is_file());
    let buckets = std::fs::read_to_string(pack.join("signals/buckets.csv")).unwrap();
    assert!(buckets.contains("\nlanguage,") && buckets.contains(",candidate,"), "{buckets}");
    check_samples(&project, &change_id);
    check_versions(&project, old, new);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
}

/// What a promoted release answered is asked from then on, and blocks nothing.
fn check_samples(project: &Project, change_id: &str) {
    let samples = project.read("evals/samples.jsonl");
    let case: Value = serde_json::from_str(samples.lines().next().unwrap()).unwrap();
    assert_eq!(case["case_id"], format!("sample-{change_id}-1"), "{case}");
    assert_eq!((&case["severity"], &case["source"]), (&"normal".into(), &change_id.into()));
    assert!(samples.lines().count() <= 5, "{samples}");
    let status = project.run(&["release", "status", change_id, "--json"]).exits(0).json();
    assert_eq!(status["release"]["sample_ids"][0], case["case_id"]);
    let eval = project.run(&["eval", "--prompt", "v2", "--json"]).exits(0).json();
    let results = eval["results"].as_array().unwrap();
    assert!(results.iter().any(|r| r["case"]["id"] == case["case_id"]), "it is not asked");
}

/// Headings, signals, decisions and phases are in the reader's language; JSON is not.
#[test]
fn what_people_see_is_in_their_language() {
    let project = Project::fast();
    let server = project.serve();
    let zh = |args: &[&str]| project.run(&[&["--lang", "zh"], args].concat()).exits(0);
    assert!(zh(&["release", "status"]).out.contains("还没有发布"));
    let eval = zh(&["eval", "--prompt", "v2"]);
    assert!(eval.out.contains("按类别的失败") && eval.out.contains("通过 PASSED"), "{eval:?}");
    start(&project, "v2");
    let answer = server.chat("mei", "hello");
    // A record is on disk a moment after its answer was sent.
    let id = answer.header("x-trace-id");
    let args = ["--lang", "ja", "trace", id];
    let trace = wait_for("the record", || Some(project.run(&args)).filter(|o| o.code == 0));
    for text in ["トレース", "ユーザー mei", "回答済み"] {
        assert!(trace.out.contains(text), "no `{text}` in {}", trace.out);
    }
    project.run(&["release", "pause", "--by", "mei", "--reason", "午休"]).exits(0);
    let status = zh(&["release", "status"]);
    for text in ["发布 prompt-v2-", "操作员已暂停", "阶梯", "信号     ● 黄 暂停"] {
        assert!(status.out.contains(text), "no `{text}` in {}", status.out);
    }
    let json = zh(&["release", "status", "--json"]).json();
    assert_eq!(json["release"]["last_decision"]["signal"], "yellow", "{json}");
    let back = zh(&["rollback", "--by", "mei"]);
    assert!(back.out.contains("已回滚；所有人都回到 vs-"), "{back:?}");
    assert!(zh(&["release", "status"]).out.contains("已回滚"));
}

/// Any answer's id leads to its input, output, time and versions.
fn check_trace(project: &Project, answer: &client::Answer) {
    let id = answer.header("x-trace-id");
    // A record is on disk a moment after its answer was sent.
    let trace = wait_for("the record", || {
        let output = project.run(&["trace", id, "--json"]);
        (output.code == 0).then(|| output.json())
    });
    let record = &trace["record"];
    assert_eq!(record["input"], "周末营业吗？", "{record}");
    assert_eq!(record["output"], answer.text().as_str(), "{record}");
    assert_eq!(record["user"], "mei");
    let set = &record["version_set"];
    assert_eq!(set["id"], answer.header("x-tidegate-version-set"));
    let names = ["code_v", "prompt_v", "model_v", "index_v"].map(|key| set[key].as_str().unwrap());
    assert_eq!(names, ["dev", "v2", "sim-1", "v1"]);
    assert!(record["timing"]["total_us"].as_u64().unwrap() > 0, "{record}");
    let shown = project.run(&["trace", id]).exits(0);
    for text in ["周末营业吗？", "prompt v2", "generation", "200 · answered"] {
        assert!(shown.out.contains(text), "no `{text}` in {}", shown.out);
    }
    // All of a whole answer comes at once.
    assert!(!shown.out.contains("first token"), "{}", shown.out);
}

fn check_versions(project: &Project, old: &str, new: &str) {
    let list = project.run(&["version", "list", "--json"]).exits(0).json();
    let ids: Vec<&str> =
        list.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&old) && ids.contains(&new), "{list}");
    let shown = project.run(&["version", "show", new]).exits(0);
    assert!(shown.out.contains("v2/system.md") || shown.out.contains("system.md"), "{shown:?}");
    let diff = project.run(&["version", "diff", old, new]).exits(0);
    assert!(diff.out.contains("prompt  v1 → v2") && diff.out.contains("system.md"), "{diff:?}");
    let same = project.run(&["version", "diff", new, new]).exits(0);
    assert_eq!(same.out.lines().last(), Some("no difference"));
}

#[test]
fn a_rollback_is_at_once_and_only_a_named_override_undoes_it() {
    let project = Project::fast();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let stable = server.chat("mei", "hello").header("x-tidegate-version-set").to_owned();
    let change_id = start(&project, "v2");
    project.run(&["release", "pause", "--reason", "look first"]).exits(0);
    assert_eq!(project.phase(), "paused");
    project.run(&["release", "resume"]).exits(0);
    project.run(&["release", "promote", "--by", "mei", "--reason", "on to half"]).exits(0);
    project.run(&["release", "promote", "--by", "mei", "--reason", "on to all"]).exits(0);
    // One of twenty users is held back on stable; ten of ten are one in 10^13.
    let arms = (0..10).map(|i| server.chat(&format!("user-{i}"), "hello"));
    assert!(arms.into_iter().any(|answer| answer.header("x-tidegate-arm") == "candidate"));
    let back = project.run(&["rollback", "--by", "mei", "--reason", "complaints"]).exits(0);
    assert!(back.out.contains("everyone is on vs-"), "{back:?}");
    for user in ["mei", "bo", "ana"] {
        let answer = server.chat(user, "hello");
        assert_eq!(answer.header("x-tidegate-arm"), "stable");
        assert_eq!(answer.header("x-tidegate-version-set"), stable);
    }
    assert_eq!(project.phase(), "rolled_back");
    verified_pack(&project, &change_id);
    check_ordered_incident(&project, &change_id);
    project.run(&["release", "start", "--prompt", "v2"]).fails(
        1,
        &["was rolled back by", &change_id],
        &["--override --by NAME --reason WHY"],
    );
    project.run(&["release", "start", "--prompt", "v2", "--override"]).exits(2);
    // Its cases are asked from then on, so it passes the gate again first.
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let again = ["release", "start", "--prompt", "v2", "--override", "--by", "ana"];
    project.run(&[&again[..], &["--reason", "the complaints were about v1"]].concat()).exits(0);
    assert_eq!(project.phase(), "running");
    // Going back the second time is watched, as a pipeline does it.
    let root = project.root.clone();
    let watching = std::thread::spawn(move || {
        crate::project::tidegate(&root, &["release", "status", "--watch"], &[])
    });
    project.run(&["rollback", "--by", "ana"]).exits(0);
    let watched = watching.join().unwrap();
    // It may have come too late to see it run; a release that was rolled back is 1 all the same.
    watched.fails(1, &["was rolled back"], &["tidegate evidence"]);
}

#[test]
fn a_conversation_that_names_no_user_sees_one_arm() {
    let project = Project::fast();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    start(&project, "v2");
    project.run(&["release", "promote", "--by", "mei", "--reason", "on to half"]).exits(0);
    project.run(&["release", "pause", "--reason", "look"]).exits(0);
    let message =
        |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
    let arm = |messages: &[Value]| {
        let body = serde_json::json!({ "messages": messages });
        let answer = client::post(server.address, "/v1/chat/completions", &body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-tidegate-arm").to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..30 {
        let mut turns = vec![message("user", &format!("{i} 号订单在哪里？"))];
        let first = arm(&turns);
        turns.extend([message("assistant", "在路上。"), message("user", "明天到吗？")]);
        assert_eq!(arm(&turns), first);
        seen.insert(first);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["candidate", "stable"]);
}

/// A way back by order leaves all that one by itself leaves: an incident, cases, a report that
/// names who did it and shows the lines as they were.
fn check_ordered_incident(project: &Project, change_id: &str) {
    let listed = project.run(&["incident", "list", "--json"]).exits(0).json();
    let incident = &listed[format!("inc-{change_id}")];
    assert_eq!((&incident["signal"], &incident["about"]), (&"red".into(), &"release".into()));
    assert_eq!(incident["change_id"], change_id);
    assert!(!incident["case_ids"].as_array().unwrap().is_empty(), "{incident}");
    let regression = project.read("evals/regression.jsonl");
    assert!(regression.contains(&format!("reg-{change_id}-1")), "{regression}");
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    let pack = status["release"]["pack"]["path"].as_str().unwrap().to_owned();
    let manifest: Value =
        serde_json::from_str(&project.read(&format!("{pack}/manifest.json"))).unwrap();
    assert_eq!(manifest["gates"]["operator"]["status"], "FAIL", "{manifest}");
    assert_eq!(manifest["verdict"]["reviewer"], "mei");
    let why = manifest["verdict"]["reason"].as_str().unwrap();
    assert!(why.contains("complaints"), "{why}");
    for line in ["quality", "latency", "cost", "risk"] {
        assert_ne!(manifest["gates"][line]["evidence"], Value::Null, "{line}: {manifest}");
    }
}

#[test]
fn a_candidate_that_breaks_the_contract_is_taken_back_by_itself() {
    let project = Project::fast();
    // Eval cases are short; long questions have answers that no longer fit.
    project.prompt_of_v2("v3", "max_tokens: 512", "max_tokens: 150");
    let server = project.serve();
    project.run(&["eval", "--prompt", "v3"]).exits(0);
    // Far over the line: it must not take thousands of answers on a machine that is busy.
    let users = Users::of(server.address, 4, |n| if n % 4 == 0 { short(n) } else { long(n) });
    let change_id = start(&project, "v3");
    project.wait_for_phase("rolled_back");
    drop(users);
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    let reason = &status["release"]["last_decision"]["reasons"][0];
    assert_eq!(reason["metric"], "contract_broken_rate", "{reason}");
    assert!(reason["text"].as_str().unwrap().contains("contract_broken_rate"), "{reason}");
    assert_eq!(status["incident"]["signal"], "red", "{}", status["incident"]);
    let pack = wait_for("the evidence pack", || {
        let status = project.run(&["release", "status", "--json"]).json();
        status["release"]["pack"]["path"].as_str().map(str::to_owned)
    });
    // It may be written again at this moment, with the cases of the rollback.
    project.run(&["verify", &pack]).exits(0);
    let junit = project.read(&format!("{pack}/gates/junit.xml"));
    assert!(junit.contains("<testsuite") && junit.contains("<testcase"), "{junit}");
    let smoke = project.read(&format!("{pack}/gates/smoke.txt"));
    assert!(smoke.contains("answered in") && smoke.contains("question: "), "{smoke}");
    check_write_back(&project, &server, &change_id);
}

/// What failed once is asked from then on, and the incident is over once that is so.
fn check_write_back(project: &Project, server: &Server, change_id: &str) {
    // The pack may be of a pause before the rollback, which had nothing to write back yet.
    let case = format!("reg-{change_id}-1");
    let regression = wait_for("the written-back cases", || {
        let text = std::fs::read_to_string(project.root.join("evals/regression.jsonl")).ok();
        text.filter(|text| text.contains(&case))
    });
    assert!(regression.contains("I bought lamp"), "{regression}");
    for line in regression.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        assert_eq!(case["severity"], "blocking", "{case}");
    }
    // Asked again on the set that failed, as it was served, they fail again.
    let rates = project.run(&["eval", "--replay", change_id, "--json"]).exits(0).json();
    let failed: u64 = rates.as_array().unwrap().iter().filter_map(|r| r["failed"].as_u64()).sum();
    assert!(failed > 0, "{rates}");
    assert!(project.read("evals/regression.jsonl").contains("\"reproduced\":\""));
    let eval = project.run(&["eval", "--prompt", "v3", "--json"]).exits(1);
    assert_eq!(eval.json()["passed"], false);
    project.run(&["gate", "--prompt", "v3"]).fails(1, &["the gate fails"], &[]);
    project.run(&["release", "start", "--prompt", "v3"]).fails(1, &["blocked"], &["--override"]);
    // v2 passed no run on the cases of now.
    let refused = project.run(&["release", "start", "--prompt", "v2"]);
    refused.fails(1, &["cannot be released"], &["tidegate eval --prompt v2"]);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let listed = project.run(&["incident", "list"]).exits(0);
    assert!(listed.out.contains(change_id), "{listed:?}");
    let close = ["incident", "close", change_id, "--conclusion", "max_tokens was too small"];
    project.run(&close).exits(0);
    let listed = project.run(&["incident", "list", "--json"]).exits(0).json();
    assert_eq!(
        listed[format!("inc-{change_id}")]["closed"][1],
        "max_tokens was too small",
        "{listed}"
    );
    assert_eq!(server.chat("mei", "hello").header("x-tidegate-arm"), "stable");
}

/// Without content no record becomes a case by itself; a person's case closes the incident.
#[test]
fn an_incident_without_records_is_closed_by_a_case_of_hand() {
    let project = Project::fast();
    project.edit("tidegate.yaml", "  content: true", "  content: false");
    project.prompt_of_v2("v3", "max_tokens: 512", "max_tokens: 150");
    let server = project.serve();
    project.run(&["eval", "--prompt", "v3"]).exits(0);
    let users = Users::of(server.address, 3, long);
    let change_id = start(&project, "v3");
    project.wait_for_phase("rolled_back");
    drop(users);
    let id = format!("reg-{change_id}-1");
    let close = ["incident", "close", &change_id, "--conclusion", "max_tokens was too small"];
    project.run(&close).fails(1, &["has no case yet"], &["regression.jsonl", &id]);
    let case = serde_json::json!({"case_id": id, "risk": "format", "input": long(1)});
    project.write("evals/regression.jsonl", format!("{case}\n"));
    project.run(&close).exits(0);
    let listed = project.run(&["incident", "list", "--json"]).exits(0).json();
    assert_eq!(listed[format!("inc-{change_id}")]["case_ids"], serde_json::json!([id]), "{listed}");
}

/// Rolled back by order before anybody was served by it: nothing failed that could become a case.
/// What the refusal says to write is enough.
#[test]
fn an_incident_without_any_request_is_closed_by_the_line_that_the_message_gives() {
    let project = Project::fast();
    let _server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let change_id = start(&project, "v2");
    project.run(&["rollback", "--by", "mei", "--reason", "the wrong prompt"]).exits(0);
    let close = ["incident", "close", &change_id, "--conclusion", "typed the wrong name"];
    let refused = project.run(&close);
    let line = refused.err.lines().find_map(|line| line.get(line.find("{\"case_id")?..));
    let line = line.unwrap_or_else(|| panic!("no line to write in {refused:?}")).to_owned();
    refused.fails(1, &["has no case yet"], &["add this line to evals/regression.jsonl"]);
    project.write("evals/regression.jsonl", format!("{line}\n").replace('…', "can I return it?"));
    project.run(&close).exits(0);
    let case: Value = serde_json::from_str(&line).unwrap();
    let eval = project.run(&["eval", "--prompt", "v2", "--json"]).exits(0).json();
    let results = eval["results"].as_array().unwrap();
    assert!(results.iter().any(|r| r["case"]["id"] == case["case_id"]), "it is not asked: {eval}");
}

#[test]
fn a_release_without_a_server_waits_for_one() {
    let project = Project::fast();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert!(!project.root.join(".tidegate/admin.json").exists());
    let started = project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    assert!(started.err.contains("no server is running"), "{started:?}");
    project.run(&["release", "pause", "--by", "mei"]).exits(0);
    assert_eq!(project.phase(), "paused");
    project.run(&["release", "resume", "--by", "mei"]).exits(0);
    let server = project.serve();
    let _users = Users::of(server.address, 4, short);
    project.wait_for_phase("promoted");
}

/// A backup or a staging copy holds the address and the token of the server it was copied from.
#[test]
fn a_copy_of_a_project_does_not_steer_its_server() {
    let project = Project::quick();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let change_id = start(&project, "v2");
    let copy = tempfile::TempDir::new().unwrap();
    let copied = std::process::Command::new("cp")
        .args([&project.root.join("."), copy.path()].map(|path| path.as_os_str().to_owned()))
        .arg("-r")
        .status();
    assert!(copied.unwrap().success());
    assert!(copy.path().join(".tidegate/admin.json").exists());
    // Whatever it does, it does to the copy.
    let order = ["rollback", "--reason", "clean up my copy", "--by", "mei"];
    let _ = crate::project::tidegate(copy.path(), &order, &[]);
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    assert_eq!(status["release"]["state"]["phase"], "running", "{status}");
    drop(server);
    // A server that starts with a release on its way says so.
    let server = project.serve();
    let running = format!("release {change_id} running, at ");
    wait_for("what is running", || server.log().contains(&running).then_some(()));
}

#[test]
fn a_state_of_another_service_is_not_taken() {
    let project = Project::quick();
    let server = project.serve();
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let text = project.read("tidegate.yaml");
    let name = text.lines().find(|line| line.starts_with("service:")).unwrap().to_owned();
    project.edit("tidegate.yaml", &name, "service: other");
    for args in [&["serve", "--port", "0"][..], &["release", "plan"], &["eval", "--prompt", "v2"]] {
        project.run(args).fails(
            2,
            &["is of service", "the project is `other`"],
            &["keeps its name"],
        );
    }
    let checked = project.run(&["check"]).exits(2);
    assert!(checked.out.contains("the project is `other`"), "{checked:?}");
    project.edit("tidegate.yaml", "service: other", &name);
    project.run(&["check"]).exits(0);
}

#[test]
fn a_failed_eval_is_one_and_a_model_that_does_not_answer_is_three() {
    let project = Project::fast();
    project.prompt_of_v2("v4", "max_tokens: 512", "max_tokens: 5");
    let junit = project.root.join("junit.xml").display().to_string();
    let failed = project.run(&["eval", "--prompt", "v4", "--junit", &junit]);
    failed.fails(1, &["the gate fails"], &[]);
    assert!(project.read("junit.xml").contains("<testsuite"));
    let refused = project.run(&["release", "start", "--prompt", "v4", "--json"]);
    // There is no stable set yet to release over.
    assert_eq!(refused.code, 2, "{refused:?}");
    project.edit("tidegate.yaml", "    first_token_ms: 1\n", "    error_rate: 1.0\n");
    project.run(&["eval", "--prompt", "v2"]).fails(3, &["is inconclusive"], &["run it again"]);
}

#[test]
fn ctrl_c_ends_the_watching_and_not_the_release() {
    let project = Project::quick();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    for command in
        [&["release", "start", "--prompt", "v2", "--watch"][..], &["release", "status", "--watch"]]
    {
        let watching = Watching::start(&project.root, command);
        wait_for("what the release does", || watching.out().contains(" running ").then_some(()));
        let left = watching.interrupt();
        assert_eq!(left.code, 0, "{left:?}");
        let says = ["no longer watching; release prompt-v2-", " goes on", "`tidegate rollback`"];
        assert!(says.iter().all(|text| left.err.contains(text)), "{left:?}");
        assert_eq!(project.phase(), "running");
    }
    project.run(&["rollback", "--by", "mei", "--reason", "seen enough"]).exits(0);
    server.chat("mei", "hello");
}
