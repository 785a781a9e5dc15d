//! A disk that refuses, one that does not answer, and a project file that cannot be read, while an
//! operator needs the way back or the entrance open.

use crate::client::{self, CHAT};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::preload::{Disk, Fault};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use crate::way_back::rollbacks;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const PLANTED: &str = "tidegate-canary-7f3a9c";
const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;
/// Going back takes this long at most, whatever the disk does.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// A release at 60 % that only harm and orders move. A model that is asked to `leak` does, and one
/// that is asked to `break` fails.
struct Stage {
    // Ended before its project is deleted.
    server: Server,
    project: Project,
    _upstream: Upstream,
}

impl Stage {
    fn new(serve: impl FnOnce(&Project) -> Server) -> Stage {
        let upstream = Upstream::by_rule(|body| {
            let asked = body["messages"].to_string();
            match asked.contains("leak") {
                _ if asked.contains("break") => ("500 Internal Server Error", "{}".to_owned()),
                true => ("200 OK", completion(PLANTED)),
                false => ("200 OK", completion(ANSWER)),
            }
        });
        let project = Project::init();
        let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
        project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
        project.climb_fast();
        project.edit(
            "tidegate.yaml",
            "{weight_pct: 20, look_s: 0.3}\n    - {weight_pct: 50, look_s: 0.3}",
            "{weight_pct: 60, look_s: 3600}\n    - {weight_pct: 80, look_s: 3600}",
        );
        project.edit("tidegate.yaml", "  planted: [", &format!("  planted: [{PLANTED}, "));
        let server = serve(&project);
        let start = ["release", "start", "--prompt", "v2", "--json"];
        std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
        project.write("evals/eval_cases.csv", CASES);
        project.run(&["eval", "--prompt", "v2"]).exits(0);
        project.run(&start).exits(0);
        Stage { project, server, _upstream: upstream }
    }

    /// A user who is on the candidate.
    fn of_candidate(&self) -> String {
        let arm = |user: &str| self.server.chat(user, "hi").header("x-tidegate-arm").to_owned();
        let mut users = (0..200).map(|n| format!("user-{n}"));
        users.find(|user| arm(user) == "candidate").expect("a user of the candidate")
    }

    /// Lets the candidate leak once.
    fn leaks(&self) {
        let user = self.of_candidate();
        let leaked = client::chat(self.server.address, Some(&user), "leak it").unwrap();
        leaked.check_error(502, "answer_withheld", &[]);
    }

    /// Lets every request of the candidate's users fail, while stable answers.
    fn breaks(&self) {
        for n in 0..200 {
            let user = format!("user-{n}");
            let arm = self.server.chat(&user, "hi").header("x-tidegate-arm").to_owned();
            let asks = if arm == "candidate" { 4 } else { 0 };
            for _ in 0..asks {
                client::chat(self.server.address, Some(&user), "break it").unwrap();
            }
        }
    }

    /// Lets the candidate leak, until the entrance is shut.
    fn shut_by_a_leak(&self) {
        self.leaks();
        wait_for("the shut entrance", || (self.entrance() == "closed").then_some(()));
        let refused = client::chat(self.server.address, Some("mei"), "hi").unwrap();
        refused.check_error(503, "entrance_closed", &[]);
    }

    fn entrance(&self) -> String {
        let ready = client::get(self.server.address, "/readyz", "").unwrap().json();
        ready["entrance"].as_str().unwrap().to_owned()
    }

    /// Opens the entrance by command, and sees that stable serves.
    #[track_caller]
    fn reopens(&self, says: &str) {
        let reopen = ["release", "reopen", "--by", "mei", "--reason", "the text is harmless"];
        let opened = self.project.run(&reopen).exits(0);
        assert!(opened.out.contains("the entrance is open"), "{opened:?}");
        assert!(opened.out.contains(says), "{opened:?}");
        let answer = self.server.chat("mei", "hi");
        assert_eq!(answer.header("x-tidegate-arm"), "stable");
    }

    /// All that is in force gets into the journal.
    fn settles(&self) {
        wait_for("the journal", || {
            let status = Server::admin_status(&self.project.root);
            status["not_written"].is_null().then_some(())
        });
    }
}

#[test]
fn the_entrance_opens_with_a_project_file_that_cannot_be_read() {
    let stage = Stage::new(Project::serve);
    stage.shut_by_a_leak();
    stage.project.write("tidegate.yaml", "service: [\n  typo here: {");
    stage.reopens("the entrance is open");
    std::fs::remove_file(stage.project.root.join("tidegate.yaml")).unwrap();
    let again = ["release", "reopen", "--by", "mei", "--reason", "again"];
    stage.project.run(&again).fails(2, &["open already"], &[]);
    assert_eq!(stage.entrance(), "open");
}

/// The server may write no byte more to any file: every write fails.
#[cfg(target_os = "linux")]
fn refuse_writes(server: &Server, refuse: bool) {
    let limit = if refuse { "--fsize=0:unlimited" } else { "--fsize=unlimited:unlimited" };
    let pid = server.pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, limit]).status().unwrap();
    assert!(set.success());
}

#[cfg(target_os = "linux")]
#[test]
fn the_entrance_opens_on_a_disk_that_fails() {
    // A write over the limit also raises a signal, which a failing disk does not.
    let stage = Stage::new(|project| Server::start_under(&project.root, "trap '' XFSZ", &[]));
    stage.shut_by_a_leak();
    stage.settles();
    refuse_writes(&stage.server, true);
    stage.reopens("not yet written to disk");
    let status = stage.project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("not yet written to disk"), "{status:?}");
    assert_eq!(stage.entrance(), "open");
    stage.server.chat("mei", "hi");
    // What a store may have half written is not trusted again: the end says so.
    stage.server.terminate();
    assert_eq!(stage.server.ended(), Some(4));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn everyone_is_on_stable_within_a_second_while_the_disk_does_not_answer() {
    let disk = Disk::new();
    let stage = Stage::new(|project| disk.serve(project));
    let user = stage.of_candidate();
    disk.has(Fault::Stall);
    // The order goes to the server itself: a command's start is not the server's time.
    let (admin, token) = Server::admin(&stage.project.root);
    let order = json!({"command": "order", "with": {
        "order": {"kind": "roll_back", "by": "mei", "reason": "complaints"}, "release": null,
    }});
    let header = format!("authorization: Bearer {token}\r\n");
    let path = "/admin/v1/commands";
    let bytes = client::request("POST", path, &header, order.to_string().as_bytes());
    let asked = Instant::now();
    let answer = client::open(admin, &bytes).unwrap().finish().unwrap();
    let arm = stage.server.chat(&user, "hi").header("x-tidegate-arm").to_owned();
    let took = asked.elapsed();
    assert_eq!((answer.status, arm.as_str()), (200, "stable"), "{answer:?}");
    let said = answer.json()["text"].as_str().unwrap().to_owned();
    assert!(said.contains("not yet written to disk"), "{said}");
    assert!(took < BACK_WITHIN, "{took:?}");
    // The disk still does not answer, and requests do not wait for it.
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "user": user});
    assert_eq!(client::post(stage.server.address, CHAT, &body).unwrap().status, 200);
    let not_written: Value = Server::admin_status(&stage.project.root)["not_written"].clone();
    assert!(not_written.is_string(), "{not_written}");
    disk.recovers_from(Fault::Stall);
    stage.settles();
    assert_eq!(stage.project.phase(), "rolled_back");
    stage.server.terminate();
    assert_eq!(stage.server.ended(), Some(0));
}

/// The end of a server waits for the disk as long as for requests in flight, and a second.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_server_ends_in_time_beside_a_disk_that_does_not_answer_and_says_what_is_lost() {
    let disk = Disk::new();
    let stage = Stage::new(|project| {
        let ends = "  stop_notice_ms: 0\n  drain_ms: 1000\n";
        project.edit("tidegate.yaml", "  stop_notice_ms: 0\n", ends);
        disk.serve(project)
    });
    disk.has(Fault::Stall);
    let back = stage.project.run(&["rollback", "--reason", "complaints"]).exits(0);
    assert!(back.out.contains("not yet written to disk"), "{back:?}");
    (0..3).for_each(|_| drop(stage.server.chat("mei", "hi")));
    let ordered = Instant::now();
    stage.server.terminate();
    let Stage { server, project, _upstream } = stage;
    let said = ["what may be missing: the last order or rollback", "records of 3 requests"];
    for text in said {
        wait_for(text, || server.log().contains(text).then_some(()));
    }
    assert_eq!(server.ended(), Some(4));
    let took = ordered.elapsed();
    // 1 s for requests in flight, 1 s for the state, and some for a busy machine.
    assert!(took < Duration::from_secs(6), "{took:?}");
    disk.recovers_from(Fault::Stall);
    // What was handed to the system may be there: before or after, and whole.
    assert!(["running", "rolled_back"].contains(&project.phase().as_str()));
    project.run(&["check"]).exits(0);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_entrance_opens_on_a_full_disk_and_is_journalled_once_there_is_room() {
    let disk = Disk::new();
    let stage = Stage::new(|project| disk.serve(project));
    stage.shut_by_a_leak();
    stage.settles();
    disk.has(Fault::Full);
    stage.reopens("no room for");
    let status = stage.project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("not yet written to disk"), "{status:?}");
    disk.recovers_from(Fault::Full);
    stage.settles();
    assert_eq!(stage.entrance(), "open");
    stage.server.terminate();
    assert_eq!(stage.server.ended(), Some(0));
    // The next start serves the table that was journalled.
    let server = stage.project.serve();
    assert_eq!(client::get(server.address, "/readyz", "").unwrap().json()["entrance"], "open");
}

/// A candidate that does harm while nothing can be written: it is out within a second of the harm,
/// the status says that this is not on disk, and the journal has it once `recovers` is done.
#[track_caller]
fn taken_back_by_itself(stage: &Stage, harm: fn(&Stage), recovers: impl FnOnce()) {
    harm(stage);
    let done = Instant::now();
    let is_out = |n: usize| {
        let user = format!("user-{n}");
        let answer = client::chat(stage.server.address, Some(&user), "hi").unwrap();
        match answer.status {
            200 => answer.header("x-tidegate-arm") == "stable",
            _ => answer.body.contains("entrance_closed"),
        }
    };
    while !(0..20).all(is_out) && done.elapsed() < BACK_WITHIN {}
    let took = done.elapsed();
    let status = stage.project.run(&["release", "status"]).exits(0);
    assert!(took < BACK_WITHIN, "{took:?}: {}", status.out);
    assert_eq!(rollbacks(&stage.project.root), 0, "it could be written");
    let is_over = ["rolled back", "shut off"].iter().any(|text| status.out.contains(text));
    assert!(is_over && status.out.contains("not yet written to disk"), "{status:?}");
    recovers();
    stage.settles();
    assert_eq!(rollbacks(&stage.project.root), 1);
    wait_for("the incident's pack", || {
        let status = stage.project.run(&["release", "status", "--json"]).exits(0).json();
        status["release"]["pack"]["path"].as_str().map(str::to_owned)
    });
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_candidate_that_fails_is_taken_back_while_the_disk_does_not_answer() {
    let disk = Disk::new();
    let stage = Stage::new(|project| disk.serve(project));
    disk.has(Fault::Stall);
    taken_back_by_itself(&stage, Stage::breaks, || disk.recovers_from(Fault::Stall));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_candidate_that_leaks_is_taken_back_while_the_disk_does_not_answer() {
    let disk = Disk::new();
    let stage = Stage::new(|project| disk.serve(project));
    disk.has(Fault::Stall);
    taken_back_by_itself(&stage, Stage::leaks, || disk.recovers_from(Fault::Stall));
}

/// Holds the state's file as another program would.
fn locked(stage: &Stage) -> Connection {
    let db = Connection::open(stage.project.root.join(".tidegate/state.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    db
}

#[test]
fn a_candidate_that_fails_is_taken_back_while_the_database_is_locked() {
    let stage = Stage::new(Project::serve);
    let db = locked(&stage);
    taken_back_by_itself(&stage, Stage::breaks, || db.execute_batch("ROLLBACK").unwrap());
}

#[test]
fn a_candidate_that_leaks_is_taken_back_while_the_database_is_locked() {
    let stage = Stage::new(Project::serve);
    let db = locked(&stage);
    taken_back_by_itself(&stage, Stage::leaks, || db.execute_batch("ROLLBACK").unwrap());
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_candidate_that_fails_is_taken_back_on_a_disk_that_fails() {
    for fault in [Fault::Broken, Fault::Full] {
        let disk = Disk::new();
        let stage = Stage::new(|project| disk.serve(project));
        disk.has(fault);
        taken_back_by_itself(&stage, Stage::breaks, || disk.recovers_from(fault));
    }
}

/// An I/O error is said while it lasts, and is over without a restart: requests are answered, what
/// was ordered meanwhile is in the journal, and records are there or counted as lost.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn control_comes_back_by_itself_after_a_disk_has_failed() {
    for fault in [Fault::Broken, Fault::Unsynced] {
        let disk = Disk::new();
        let stage = Stage::new(|project| disk.serve(project));
        let ready = || client::get(stage.server.address, "/readyz", "").unwrap();
        assert_eq!(ready().json()["store"], "ok");
        disk.has(fault);
        let asked: Vec<String> = (0..50)
            .map(|n| stage.server.chat(&format!("user-{n}"), "hi").header("x-trace-id").to_owned())
            .collect();
        let failing = wait_for("the failing store", || {
            let ready = ready();
            assert_eq!(ready.status, 200, "{ready:?}");
            (ready.json()["store"] == "failing").then(|| ready.json())
        });
        let why = failing["store_text"].as_str().unwrap();
        assert!(why.contains("nothing is written") && why.contains("state.db"), "{why}");
        wait_for("the log", || stage.server.log().contains("tried again at every").then_some(()));
        let status = stage.project.run(&["release", "status"]).exits(0);
        assert!(status.out.contains("nothing can be written"), "{status:?}");
        let back = stage.project.run(&["rollback", "--reason", "complaints"]).exits(0);
        assert!(back.out.contains("not yet written to disk"), "{back:?}");
        disk.recovers_from(fault);
        stage.settles();
        wait_for("the store", || (ready().json()["store"] == "ok").then_some(()));
        assert_eq!(rollbacks(&stage.project.root), 1);
        let page = client::get(stage.server.address, "/metrics", "").unwrap().body;
        let dropped = page.lines().find(|l| l.starts_with("tidegate_records_dropped_total"));
        let dropped: usize = dropped.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let kept = |id: &&String| stage.project.run(&["trace", id]).code == 0;
        assert_eq!(asked.iter().filter(kept).count() + dropped, asked.len());
        stage.project.run(&["eval", "--prompt", "v2"]).exits(0);
        stage.server.terminate();
        let Stage { server, project, .. } = stage;
        assert_eq!(server.ended(), Some(0));
        assert!(project.run(&["check"]).exits(0).out.contains("answered"));
    }
}
