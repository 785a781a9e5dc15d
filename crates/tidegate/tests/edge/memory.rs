//! What the process holds in memory, by the system's account: idle, under load, and afterwards.

use crate::client::{CHAT, open, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use crate::upstream_faults::{ANSWER, project_on};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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

/// A chat request with this content.
fn asking(content: Value) -> Vec<u8> {
    let body = json!({"messages": [{"role": "user", "content": content}]});
    request("POST", CHAT, "", body.to_string().as_bytes())
}

/// A conversation of many messages.
fn conversation() -> Vec<u8> {
    let text = "How long does a refund take? ".repeat(40);
    let role = |turn| if turn % 2 == 0 { "user" } else { "assistant" };
    let messages: Vec<_> =
        (0..1501).map(|turn| json!({"role": role(turn), "content": text})).collect();
    let body = json!({"messages": messages});
    request("POST", CHAT, "", body.to_string().as_bytes())
}

#[test]
fn a_body_takes_four_times_its_size_at_most() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(upstream.address);
    let image = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(170_000));
    let kinds = [
        ("a text", asking("退款需要七天。".repeat(90_000).into())),
        ("an image", asking(json!([{"type": "image_url", "image_url": {"url": image}}]))),
        ("a conversation", conversation()),
    ];
    for (kind, bytes) in kinds {
        let server = project.serve();
        server.chat("mei", "hello");
        let before = memory_kib(&server, "VmRSS");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                });
            }
        });
        let took = memory_kib(&server, "VmHWM") - before;
        // Besides, the first of them touches pages of the program, and what was just freed is not
        // back yet.
        let most = 4 * 4 * bytes.len() as u64 / 1024 + 12 * 1024;
        assert!(took < most, "four times {kind} of {} bytes took {took} KiB", bytes.len());
        check_given_back(&server, before, 20 * 1024, &bytes);
    }
}

/// Memory is given back while nothing is asked. Now and then a thread that rests holds what it
/// freed last until it works again, so that all are asked again where that takes long.
#[track_caller]
fn check_given_back(server: &Server, before: u64, more: u64, again: &[u8]) {
    let (address, mut asked) = (server.address, Instant::now());
    wait_for("memory that is given back", || {
        if asked.elapsed() > Duration::from_secs(15) {
            // All of its threads.
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(move || open(address, again).unwrap().finish().unwrap());
                }
            });
            asked = Instant::now();
        }
        (memory_kib(server, "VmRSS") < before + more).then_some(())
    });
}

#[test]
fn an_answer_takes_four_times_its_size_at_most() {
    let text = "{\"退款\": \"七天\"}\n".repeat(300_000);
    let (small, large) = (completion(ANSWER), completion(&text));
    let upstream = Upstream::by_rule(move |body| {
        let asked = body["messages"].as_array().unwrap().last().unwrap().to_string();
        ("200 OK", if asked.contains("much") { large.clone() } else { small.clone() })
    });
    let server = project_on(upstream.address).serve();
    server.chat("mei", "hello");
    let (before, bytes) = (memory_kib(&server, "VmRSS"), asking("say much".into()));
    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!((answer.status, answer.text().len()), (200, text.len()));
    let took = memory_kib(&server, "VmHWM") - before;
    // Besides, 4 MiB of text are kept and looked at, folded and redacted: 25 MiB at each look, and
    // what the first has freed may not be back yet when the second begins.
    let most = 4 * answer.body.len() as u64 / 1024 + 40 * 1024;
    assert!(took < most, "an answer of {} bytes took {took} KiB", answer.body.len());
    check_given_back(&server, before, 20 * 1024, &bytes);
}
