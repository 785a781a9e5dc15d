//! What the process holds in memory, by the system's account: idle, under load, and afterwards.

use crate::client::{CHAT, open, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion, response, say};
use crate::upstream_faults::{ANSWER, project_on};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

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
        check_given_back(&server, before, 20 * 1024);
    }
}

/// Memory is given back while nothing is asked.
#[track_caller]
fn check_given_back(server: &Server, before: u64, more: u64) {
    wait_for("memory that is given back", || {
        (memory_kib(server, "VmRSS") < before + more).then_some(())
    });
}

/// A model server that reads all requests at once, and answers them once `gate` is no longer
/// locked for writing.
fn model_server_behind(gate: &Arc<RwLock<()>>, read: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (gate, read) = (Arc::clone(gate), Arc::clone(read));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (gate, read) = (Arc::clone(&gate), Arc::clone(&read));
            std::thread::spawn(move || {
                say(stream, &Mutex::default(), |_| {
                    read.fetch_add(1, Ordering::SeqCst);
                    drop(gate.read());
                    response("200 OK", "application/json", &completion(ANSWER))
                })
            });
        }
    });
    address
}

/// Values take many times their text. They are held until they are sent, not until the answer.
#[test]
fn requests_that_wait_for_their_answers_take_four_times_their_size_at_most() {
    const AT_ONCE: usize = 60;
    let (gate, read) = (Arc::new(RwLock::new(())), Arc::new(AtomicUsize::new(0)));
    let project = project_on(model_server_behind(&gate, &read));
    let server = project.serve();
    server.chat("mei", "hello");
    let tiny = vec![json!({"": 0}); 16_000];
    let body = json!({"messages": [{"role": "user", "content": "hello"}], "tiny": tiny});
    let bytes = request("POST", CHAT, "", body.to_string().as_bytes());
    let before = memory_kib(&server, "VmRSS");
    std::thread::scope(|scope| {
        let shut = gate.write().unwrap();
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let answer = open(server.address, &bytes).unwrap().finish().unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
            });
        }
        wait_for("all requests at the model server", || {
            (read.load(Ordering::SeqCst) > AT_ONCE).then_some(())
        });
        // Besides, what the last of them has freed may not be back yet. Their values take 380 MB.
        let most = 4 * (AT_ONCE * bytes.len()) as u64 / 1024 + 16 * 1024;
        wait_for("only their texts in memory", || {
            (memory_kib(&server, "VmRSS") < before + most).then_some(())
        });
        drop(shut);
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
    let project = project_on(upstream.address);
    let server = project.serve();
    server.chat("mei", "hello");
    let (before, bytes) = (memory_kib(&server, "VmRSS"), asking("say much".into()));
    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!((answer.status, answer.text().len()), (200, text.len()));
    let took = memory_kib(&server, "VmHWM") - before;
    // Besides, 4 MiB of text are kept and looked at, folded and redacted: 25 MiB at each look, and
    // what the first has freed may not be back yet when the second begins.
    let most = 4 * answer.body.len() as u64 / 1024 + 40 * 1024;
    assert!(took < most, "an answer of {} bytes took {took} KiB", answer.body.len());
    check_given_back(&server, before, 20 * 1024);
}
