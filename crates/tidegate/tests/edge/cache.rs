//! Answers that are given again: to the same request of the same tenant on the same arm, and to
//! no other.

use crate::client::{self, Answer};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const KEYS: [(&str, &str); 3] = [
    ("A_KEY", "a-key-of-acme-0001"),
    ("B_KEY", "b-key-of-beta-0001"),
    ("C_KEY", "c-key-of-acme-0002"),
];

/// Says with each answer how many it was asked for before.
fn counting() -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::by_rule(move |body| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        match body["messages"][0]["content"].as_str() {
            Some("fail") => ("500 Broken", "{}".to_owned()),
            Some("empty") => ("200 OK", completion("")),
            Some("cut") => ("200 OK", completion("cut").replace("\"stop\"", "\"length\"")),
            Some("refuse") => ("200 OK", completion("I'm sorry, but I can't help with that.")),
            _ => ("200 OK", completion(&format!("answer {number}"))),
        }
    })
}

fn project(upstream: &Upstream, cache: &str) -> Project {
    let more = "limits: {retries: 0}\ncredentials:\n  - {name: a, key_env: A_KEY, tenant: acme}\n  \
                - {name: b, key_env: B_KEY, tenant: beta}\n  \
                - {name: c, key_env: C_KEY, tenant: acme}\n\
                prices:\n  m1: {input_per_million: 1000, output_per_million: 1000}\n";
    upstream.project("", &format!("{more}{cache}"))
}

fn ask(server: &Server, key: usize, headers: &str, body: &Value) -> Answer {
    let headers = format!("authorization: Bearer {}\r\n{headers}", KEYS[key].1);
    let path = "/v1/chat/completions";
    let bytes = client::request("POST", path, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn question(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn the_same_request_gets_the_same_answer_and_no_other_does() {
    let upstream = counting();
    let project = project(&upstream, "cache: {max_mb: 1}\n");
    let server = Server::start(&project.root, &KEYS);
    let check = |key: usize, headers: &str, body: &Value, is_hit: &str, text: &str| {
        let answer = ask(&server, key, headers, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-tidegate-cache"), is_hit, "{body}");
        assert_eq!(answer.text(), text, "{body}");
        assert!(!answer.header("x-tidegate-version-set").is_empty());
    };
    let body = question("hello");
    check(0, "", &body, "miss", "answer 0");
    check(0, "x-trace-id: hit-1\r\n", &body, "hit", "answer 0");
    // Another key of the same tenant, and another tenant.
    check(2, "", &body, "hit", "answer 0");
    check(1, "", &body, "miss", "answer 1");
    check(1, "", &body, "hit", "answer 1");
    check(0, "", &body, "hit", "answer 0");
    // Any member makes another request.
    let mut warm = body.clone();
    warm["temperature"] = json!(0.5);
    check(0, "", &warm, "miss", "answer 2");
    let mut other = body.clone();
    other["user"] = json!("mei");
    check(0, "", &other, "miss", "answer 3");
    // What the client wants of the cache.
    check(0, "cache-control: no-store\r\n", &body, "", "answer 4");
    check(0, "", &body, "hit", "answer 0");
    check(0, "cache-control: no-cache\r\n", &body, "miss", "answer 5");
    check(0, "", &body, "hit", "answer 5");
    // A hit is recorded, and costs nothing.
    wait_for("its record", || (project.run(&["trace", "hit-1"]).code == 0).then_some(()));
    let record = project.run(&["trace", "hit-1", "--json"]).exits(0).json()["record"].clone();
    assert_eq!((&record["cached"], &record["cost_micro_usd"]), (&json!(true), &json!(0)));
    assert_eq!((&record["tokens_in"], &record["charge"]), (&json!(0), &Value::Null));
    let key = format!("authorization: Bearer {}\r\n", KEYS[0].1);
    let page = client::get(server.address, "/metrics", &key).unwrap().body;
    for line in ["result=\"hit\"} 6", "result=\"miss\"} 5"] {
        let line = format!("tidegate_cache_total{{arm=\"stable\",{line}");
        assert!(page.contains(&line), "{line}\n{page}");
    }
}

#[test]
fn what_is_no_whole_useful_answer_is_not_kept() {
    let upstream = counting();
    let project = project(&upstream, "cache: {max_mb: 1}\nrisk: {words: [verboten]}\n");
    let server = Server::start(&project.root, &KEYS);
    let twice = |body: &Value| {
        let before = upstream.asked().len();
        for _ in 0..2 {
            let answer = ask(&server, 0, "", body);
            assert_ne!(answer.header("x-tidegate-cache"), "hit", "{body}");
        }
        assert_eq!(upstream.asked().len(), before + 2, "{body}");
    };
    for text in ["fail", "empty", "cut", "refuse", "is this verboten?"] {
        twice(&question(text));
    }
    let mut streamed = question("hello");
    streamed["stream"] = json!(true);
    twice(&streamed);
    project.run(&["degrade", "1", "--by", "mei", "--reason", "load"]).exits(0);
    twice(&question("degraded"));
    project.run(&["degrade", "off", "--by", "mei"]).exits(0);
    assert_eq!(ask(&server, 0, "", &question("degraded")).header("x-tidegate-cache"), "miss");
    assert_eq!(ask(&server, 0, "", &question("degraded")).header("x-tidegate-cache"), "hit");
}

#[test]
fn without_the_key_nothing_is_kept() {
    let upstream = counting();
    let project = project(&upstream, "");
    let server = Server::start(&project.root, &KEYS);
    for number in 0..3 {
        let answer = ask(&server, 0, "", &question("hello"));
        assert_eq!(
            (answer.header("x-tidegate-cache"), answer.text()),
            ("", format!("answer {number}"))
        );
    }
}
