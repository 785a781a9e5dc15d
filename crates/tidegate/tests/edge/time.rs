//! A system whose clock is wrong, or is set while the server runs.

use crate::client::{self, CHAT, request};
use crate::project::{Project, Server, wait_for};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const CODE: &str = r#"
    #define _GNU_SOURCE
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    int clock_gettime(clockid_t id, struct timespec *at) {
        int result = syscall(SYS_clock_gettime, id, at);
        if (id != CLOCK_REALTIME || result != 0) return result;
        const char *path = getenv("CLOCK_OFFSET");
        FILE *file = path ? fopen(path, "r") : NULL;
        long offset = 0;
        if (file) {
            if (fscanf(file, "%ld", &offset) == 1) at->tv_sec += offset;
            fclose(file);
        }
        return 0;
    }
"#;

/// A clock that can be set, for the servers that are started with it.
struct SystemClock {
    folder: TempDir,
    library: PathBuf,
}

impl SystemClock {
    fn new() -> SystemClock {
        let folder = TempDir::new().unwrap();
        let (source, library) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
        std::fs::write(&source, CODE).unwrap();
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut cc = Command::new(compiler);
        cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
        assert!(cc.status().unwrap().success());
        SystemClock { folder, library }
    }

    /// Sets it, in seconds from the true time.
    fn set(&self, offset_s: i64) {
        // Never read half-written.
        let (new, at) = (self.folder.path().join("new"), self.folder.path().join("offset"));
        std::fs::write(&new, offset_s.to_string()).unwrap();
        std::fs::rename(new, at).unwrap();
    }

    fn serve(&self, project: &Project) -> Server {
        let offset = self.folder.path().join("offset");
        let env = [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("CLOCK_OFFSET", offset.to_str().unwrap()),
        ];
        Server::start(&project.root, &env)
    }
}

#[test]
fn a_clock_that_is_400_days_ahead_at_the_start_deletes_nothing() {
    let (clock, project) = (SystemClock::new(), Project::quick());
    let server = clock.serve(&project);
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let bytes = request("POST", CHAT, "x-trace-id: kept-1\r\n", body.as_bytes());
    let answer = client::open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    clock.set(400 * 86_400);
    let server = clock.serve(&project);
    wait_for("the doubt", || server.log().contains("400 days ahead").then_some(()));
    server.chat("mei", "hello");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    project.run(&["trace", "kept-1"]).exits(0);
}

#[test]
fn a_clock_of_the_year_2000_at_the_start_is_said_and_deletes_nothing() {
    let (clock, project) = (SystemClock::new(), Project::quick());
    let server = clock.serve(&project);
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let bytes = request("POST", CHAT, "x-trace-id: kept-2\r\n", body.as_bytes());
    let answer = client::open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    // 26 years, and some: before this version, and before every record.
    clock.set(-27 * 365 * 86_400);
    let server = clock.serve(&project);
    wait_for("the doubt", || server.log().contains("and this version was made on").then_some(()));
    let answer = server.chat("mei", "hello");
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    clock.set(0);
    let server = clock.serve(&project);
    server.chat("mei", "hello");
    // What was kept by the wrong clock is not older than a record may be: it has a wrong time.
    for trace in ["kept-2", answer.header("x-trace-id")] {
        project.run(&["trace", trace]).exits(0);
    }
}

#[test]
fn an_hour_back_does_not_stall_a_release() {
    let (clock, project) = (SystemClock::new(), Project::fast());
    let server = clock.serve(&project);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    clock.set(-3_600);
    wait_for("the step", || server.log().contains("clock was set").then_some(()));
    let users = crate::users::Users::of(server.address, 2, crate::users::short);
    project.wait_for_phase("promoted");
    drop(users);
    assert_eq!(server.log().matches("clock was set").count(), 1, "{}", server.log());
}

#[test]
fn an_hour_forward_does_not_make_a_release_climb_early() {
    let (clock, project) = (SystemClock::new(), Project::fast());
    project.edit("tidegate.yaml", "{weight_pct: 20, look_s: 0.3}", "{weight_pct: 20, look_s: 900}");
    let server = clock.serve(&project);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    let users = crate::users::Users::of(server.address, 2, crate::users::short);
    clock.set(3_600);
    wait_for("the step", || server.log().contains("clock was set").then_some(()));
    let looked = |project: &Project| {
        let status = project.run(&["release", "status", "--json"]).exits(0).json();
        let seen = &status["release"]["state"]["seen_candidate"];
        let requests = seen["requests"].as_u64().or(seen["counts"]["requests"].as_u64());
        (requests.unwrap_or(0), status["table"]["split"]["weight"].clone())
    };
    let weight = looked(&project).1;
    assert!(!weight.is_null());
    // Ten times the samples that the rung needs.
    wait_for("enough answers", || (answered(&server) > 1_500).then_some(()));
    assert_eq!((looked(&project).1, project.phase().as_str()), (weight, "running"));
    drop(users);
}

/// How many requests the server has answered.
fn answered(server: &Server) -> u64 {
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    let line = page.lines().find(|line| line.starts_with("gateway_requests_total{status=\"ok\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) as u64
}
