//! Clients that mean harm: bodies that grow in memory, uploads that never end, heads that two
//! servers read differently. Nobody else may notice them.

use crate::client::{CHAT, open, request};
use crate::project::{Project, Server};
use std::time::{Duration, Instant};

/// A field of `/proc/PID/status` in KiB: `VmRSS`, or `VmHWM` for its peak.
fn memory_kib(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A chat request whose body has about this many bytes of nested objects.
fn nested(bytes: usize) -> Vec<u8> {
    let many = vec![r#"{"a":{"":0}}"#; bytes / 13].join(",");
    let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"x_items":[{many}]}}"#);
    request("POST", CHAT, "", body.as_bytes())
}

#[test]
#[cfg(target_os = "linux")]
fn a_body_of_many_small_values_takes_no_memory() {
    let project = Project::quick();
    let server = project.serve();
    server.chat("mei", "hello");
    let before = memory_kib(&server, "VmRSS");
    let bodies: Vec<_> = (0..8)
        .map(|_| {
            let address = server.address;
            std::thread::spawn(move || open(address, &nested(2_000_000)).unwrap().finish())
        })
        .collect();
    for body in bodies {
        let answer = body.join().unwrap().unwrap();
        answer.check_error(400, "request_too_complex", &["32768 JSON values"]);
    }
    let peak = memory_kib(&server, "VmHWM") - before;
    assert!(peak < 8 * 4 * 2_000, "eight bodies of 2 MB took {peak} KiB");
    // Below the limit it is read.
    let answer = open(server.address, &nested(120_000)).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn slow_uploads_shut_nobody_out() {
    let project = Project::quick();
    let server = project.serve();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 2000000\r\n\r\n{{",
        server.address
    );
    let began = Instant::now();
    let slow: Vec<_> = (0..140)
        .map(|_| {
            let (address, head) = (server.address, head.clone());
            std::thread::spawn(move || open(address, head.as_bytes())?.finish())
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let text = "long ".repeat(200_000);
    server.chat("mei", &text);
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for the slow ones");
    for upload in slow {
        upload.join().unwrap().unwrap().check_error(408, "request_timeout", &["1024 bytes/s"]);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
}
