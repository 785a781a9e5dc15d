//! Streamed answers before a moderation endpoint: it flags them, is slow, says nothing, is gone.

use crate::client::{self, Answer, CHAT};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, project_at};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use tidegate_core::random::Random;

/// A moderation server that flags texts with `bad`, after so long.
fn moderation(after_ms: u64) -> Upstream {
    Upstream::by_rule(move |body| {
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        let result = |text: &Value| {
            let is_bad = text.as_str().unwrap().contains("bad");
            json!({"flagged": is_bad, "categories": {"hate": is_bad}})
        };
        let results: Vec<Value> = body["input"].as_array().unwrap().iter().map(result).collect();
        ("200 OK", json!({"id": "m", "results": results}).to_string())
    })
}

fn event(text: &str) -> String {
    let choice = json!({"index": 0, "delta": {"content": text}});
    format!("data: {}\n\n", json!({"id": "c", "choices": [choice]}))
}

fn end() -> String {
    let end = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    format!("data: {end}\n\ndata: [DONE]\n\n")
}

/// A model server that says what it is asked, in pieces that end after so many characters as the
/// request's `seed` draws.
fn echo() -> Upstream {
    Upstream::speaking(|asked| {
        let text = asked["messages"][0]["content"].as_str().unwrap();
        let mut random = Random::new(asked["seed"].as_u64().unwrap(), "pieces");
        let mut letters = text.chars().peekable();
        let mut body = String::new();
        while letters.peek().is_some() {
            let length = 1 + random.index(90);
            body.push_str(&event(&letters.by_ref().take(length).collect::<String>()));
        }
        ("200 OK", "text/event-stream", body + &end())
    })
}

fn risk(guard: SocketAddr, block: &str, more: &str) -> String {
    let url = format!("http://{guard}/v1/moderations");
    format!("risk: {{block: {block}, moderation: {{url: \"{url}\", on: [answers]{more}}}}}\n")
}

fn stream(server: &Server, trace: &str, seed: u64, text: &str) -> Answer {
    let message = json!({"role": "user", "content": text});
    let body = json!({"stream": true, "seed": seed, "messages": [message]}).to_string();
    let headers = format!("x-trace-id: {trace}\r\n");
    let bytes = client::request("POST", CHAT, &headers, body.as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

/// The text that a client was sent.
fn text_of(answer: &Answer) -> String {
    let text = |data: String| {
        let event: Value = serde_json::from_str(&data).ok()?;
        event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
    };
    answer.events().into_iter().filter_map(text).collect()
}

fn signals(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    let record = project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone();
    record.get("signals").cloned().unwrap_or(json!([]))
}

fn is_whole(answer: &Answer) -> bool {
    answer.events().last().is_some_and(|data| data == "[DONE]")
}

fn flagged() -> Value {
    json!([{"kind": "moderation", "place": "answer", "detail": "hate"}])
}

#[test]
fn however_a_stream_is_split_what_is_flagged_does_not_go_out() {
    let (model, guard) = (echo(), moderation(0));
    let project = model.project("", &risk(guard.address, "[moderation]", ""));
    let server = project.serve();
    for seed in 0..24 {
        let mut random = Random::new(seed, "texts");
        let before = "好的 fine ".repeat(random.index(200));
        let text = format!("{before}bad{}", "退货 ok ".repeat(random.index(100)));
        let answer = stream(&server, &format!("b-{seed}"), seed, &text);
        let sent = text_of(&answer);
        assert!(text.starts_with(&sent) && !sent.contains("bad"), "{seed}: {sent}");
        assert!(!is_whole(&answer) && answer.body.contains("answer_withheld"), "{answer:?}");
        assert_eq!(signals(&project, &format!("b-{seed}")), flagged(), "{seed}");
        let good = before.replace("bad", "");
        let answer = stream(&server, &format!("g-{seed}"), seed, &format!("{good}end"));
        assert_eq!((text_of(&answer), is_whole(&answer)), (format!("{good}end"), true), "{seed}");
    }
    assert_eq!(signals(&project, "g-1"), json!([]));
}

#[test]
fn what_is_flagged_and_not_blocked_goes_out_and_is_in_the_record() {
    let (model, guard) = (echo(), moderation(0));
    let project = model.project("", &risk(guard.address, "[]", ""));
    let server = project.serve();
    let text = format!("{}bad{}", "fine ".repeat(300), " ok".repeat(300));
    let answer = stream(&server, "c-1", 7, &text);
    assert_eq!((text_of(&answer), is_whole(&answer)), (text.clone(), true));
    assert_eq!(signals(&project, "c-1"), flagged());
    assert_eq!(guard.asked().len(), 1, "once, of the whole answer");
    assert_eq!(guard.asked()[0]["input"], json!([text]));
}

#[test]
fn a_slow_moderation_endpoint_delays_a_stream_and_changes_nothing_in_it() {
    let (model, guard) = (echo(), moderation(150));
    let project = model.project("", &risk(guard.address, "[moderation]", ", deadline_ms: 30000"));
    let server = project.serve();
    let text = "退货 fine ".repeat(300);
    let answer = stream(&server, "s-1", 3, &text);
    assert_eq!((text_of(&answer), is_whole(&answer)), (text, true));
    assert_eq!(signals(&project, "s-1"), json!([]));
}

/// One that is gone, and one that takes requests and says nothing.
#[test]
fn a_moderation_endpoint_that_does_not_answer_fails_open_or_closed_as_the_project_says() {
    let model = echo();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = "退货 fine ".repeat(300);
    let gone = "the moderation endpoint: unreachable";
    let none = "no answer of the moderation endpoint within 200 ms";
    let silent = silent.local_addr().unwrap();
    for (name, guard, detail) in [("gone", Upstream::nobody(), gone), ("silent", silent, none)] {
        let risk = |block: &str| risk(guard, block, ", deadline_ms: 200");
        let open = model.project("", &risk("[moderation]"));
        let server = open.serve();
        let answer = stream(&server, name, 5, &text);
        assert_eq!((text_of(&answer), is_whole(&answer)), (text.clone(), true), "{name}");
        let unreachable =
            json!({"kind": "moderation_unreachable", "place": "answer", "detail": detail});
        assert_eq!(signals(&open, name), json!([unreachable]), "{name}");

        let closed = model.project("", &risk("[moderation_unreachable]"));
        let server = closed.serve();
        let answer = stream(&server, name, 5, &text);
        assert_eq!((text_of(&answer).as_str(), is_whole(&answer)), ("", false), "{name}");
        assert!(answer.body.contains("answer_withheld"), "{answer:?}");
        assert_eq!(signals(&closed, name)[0]["kind"], "moderation_unreachable");
    }
}

/// The beginning of an answer is with its client while the model still writes.
#[test]
fn a_moderated_stream_begins_before_its_answer_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, may) = mpsc::channel::<()>();
    let model = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let is_here = |read: &[u8]| {
            let text = String::from_utf8_lossy(read).to_ascii_lowercase();
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.parse::<usize>().unwrap()).then_some(())
        };
        while is_here(&read).is_none() {
            let mut some = [0; 4096];
            let count = client.read(&mut some).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&some[..count]);
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        client.write_all(format!("{head}{}", event("begun ").repeat(20)).as_bytes()).unwrap();
        may.recv().unwrap();
        client.write_all(format!("{}{}", event("and ended"), end()).as_bytes()).unwrap();
    });
    let guard = moderation(0);
    let project = project_at(address, "", &risk(guard.address, "[moderation]", ""));
    let server = project.serve();
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "long"}]});
    let bytes = client::request("POST", CHAT, "", body.to_string().as_bytes());
    let mut open = client::open(server.address, &bytes).unwrap();
    let mut seen = open.chunk().unwrap();
    while !seen.contains("begun") {
        seen.push_str(&open.chunk().unwrap());
    }
    go_on.send(()).unwrap();
    let rest = open.finish().unwrap();
    assert!(rest.body.contains("and ended") && is_whole(&rest), "{rest:?}");
    model.join().unwrap();
}
