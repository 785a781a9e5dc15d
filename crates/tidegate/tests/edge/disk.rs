//! A disk that refuses, one that does not answer, and a project file that cannot be read, while an
//! operator needs the way back or the entrance open.

use crate::client::{self, CHAT};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PLANTED: &str = "tidegate-canary-7f3a9c";
const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;
/// Going back takes this long at most, whatever the disk does.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// A release at 60 % that only orders and red lines move. A model that is asked to `leak` does.
struct Stage {
    project: Project,
    server: Server,
    _upstream: Upstream,
}

impl Stage {
    fn new(serve: impl FnOnce(&Project) -> Server) -> Stage {
        let upstream = Upstream::by_rule(|body| {
            let asked = body["messages"].to_string();
            let text = if asked.contains("leak") { PLANTED } else { ANSWER };
            ("200 OK", completion(text))
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
        let cases = "case_id,prompt,expected_behavior,risk,pass,notes\n\
            format_01,q1,b,format,,not_empty=true\ngrounding_01,q2,b,grounding,,not_empty=true\n\
            safety_01,q3,b,safety,,not_empty=true\n\
            performance_01,q4,b,performance,,not_empty=true\n\
            regression_01,q5,b,regression,,not_empty=true\n";
        std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
        project.write("evals/eval_cases.csv", cases);
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

    /// Lets the candidate leak, until the entrance is shut.
    fn shut_by_a_leak(&self) {
        let user = self.of_candidate();
        let leaked = client::chat(self.server.address, Some(&user), "leak it").unwrap();
        leaked.check_error(502, "answer_withheld", &[]);
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

/// A library on which the disk does not answer while the file `STALL` is there, and is full while
/// `FULL` is. Building Tidegate takes a C compiler, for SQLite.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn disk_library(folder: &Path) -> PathBuf {
    let source = folder.join("stall.c");
    let code = r#"
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        static void stall(void) {
            const char *stall = getenv("STALL"), *seen = getenv("STALLED");
            if (!stall || !seen || access(stall, F_OK) != 0) return;
            close(open(seen, O_CREAT | O_WRONLY, 0600));
            while (access(stall, F_OK) == 0) usleep(1000);
        }
        static ssize_t put(int fd, const void *bytes, size_t count, off_t at) {
            const char *full = getenv("FULL");
            if (full && access(full, F_OK) == 0) { errno = ENOSPC; return -1; }
            return syscall(SYS_pwrite64, fd, bytes, count, at);
        }
        ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { return put(fd, b, n, at); }
        ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { return put(fd, b, n, at); }
        int fsync(int fd) { stall(); return syscall(SYS_fsync, fd); }
        int fdatasync(int fd) { stall(); return syscall(SYS_fdatasync, fd); }
    "#;
    std::fs::write(&source, code).unwrap();
    let library = folder.join("stall.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut cc = Command::new(compiler);
    cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
    assert!(cc.status().unwrap().success());
    library
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn everyone_is_on_stable_within_a_second_while_the_disk_does_not_answer() {
    let folder = tempfile::TempDir::new().unwrap();
    let library = disk_library(folder.path());
    let (stall, stalled) = (folder.path().join("stall"), folder.path().join("stalled"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (preload, gate, seen) = (text(&library), text(&stall), text(&stalled));
    let env = [("LD_PRELOAD", preload.as_str()), ("STALL", &gate), ("STALLED", &seen)];
    let stage = Stage::new(|project| Server::start(&project.root, &env));
    let user = stage.of_candidate();
    std::fs::write(&stall, "").unwrap();
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
    assert!(stalled.exists(), "the disk was not asked, so nothing was stalled");
    assert!(took < BACK_WITHIN, "{took:?}");
    // The disk still does not answer, and requests do not wait for it.
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "user": user});
    assert_eq!(client::post(stage.server.address, CHAT, &body).unwrap().status, 200);
    let not_written: Value = Server::admin_status(&stage.project.root)["not_written"].clone();
    assert!(not_written.is_string(), "{not_written}");
    std::fs::remove_file(&stall).unwrap();
    stage.settles();
    assert_eq!(stage.project.phase(), "rolled_back");
    stage.server.terminate();
    assert_eq!(stage.server.ended(), Some(0));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_entrance_opens_on_a_full_disk_and_is_journalled_once_there_is_room() {
    let folder = tempfile::TempDir::new().unwrap();
    let (library, full) = (disk_library(folder.path()), folder.path().join("full"));
    let env = [("LD_PRELOAD", library.to_str().unwrap()), ("FULL", full.to_str().unwrap())];
    let stage = Stage::new(|project| Server::start(&project.root, &env));
    stage.shut_by_a_leak();
    stage.settles();
    std::fs::write(&full, "").unwrap();
    stage.reopens("no room for");
    let status = stage.project.run(&["release", "status"]).exits(0);
    assert!(status.out.contains("not yet written to disk"), "{status:?}");
    std::fs::remove_file(&full).unwrap();
    stage.settles();
    assert_eq!(stage.entrance(), "open");
    stage.server.terminate();
    assert_eq!(stage.server.ended(), Some(0));
    // The next start serves the table that was journalled.
    let server = stage.project.serve();
    assert_eq!(client::get(server.address, "/readyz", "").unwrap().json()["entrance"], "open");
}
