//! What the process holds in memory, by the system's account: idle, under load, and afterwards.

use crate::project::{Project, Server};

/// A field of `/proc/PID/status` in KiB: `VmRSS`, `VmHWM` for its peak, `RssAnon` for what is not
/// the program's own file.
pub(crate) fn memory_kib(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// With huge pages each thread's heap takes 2 MiB where it needs some KiB.
#[test]
fn a_server_without_work_holds_little() {
    let project = Project::quick();
    let server = project.serve();
    for turn in 0..20 {
        server.chat(&format!("u{turn}"), "hello");
    }
    let held = memory_kib(&server, "RssAnon");
    assert!(held < 18 * 1024, "{held} KiB");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("THP_enabled:\t0"), "{status}");
}
