//! What clients must not reach through the gateway, and model servers that fail in odd ways.

use crate::client::{self, CHAT, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// What its output contract takes.
pub(crate) const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

/// A new project whose model is at this address.
pub(crate) fn project_on(address: SocketAddr) -> Project {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{address}/v1\n");
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project
}

/// A chat request with one more member.
fn asked_with(server: &Server, member: &str, value: Value) -> client::Answer {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body[member] = value;
    client::post(server.address, CHAT, &body).unwrap()
}

#[test]
fn members_that_route_are_refused_at_any_depth_and_never_reach_the_model_server() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(upstream.address);
    let server = project.serve();
    let remote = json!({"do_remote_prefill": true, "remote_host": "10.0.0.9"});
    for (param, member, value) in [
        ("kv_transfer_params", "kv_transfer_params", remote.clone()),
        ("bootstrap_host", "bootstrap_host", json!("10.0.0.9")),
        ("lora_path", "lora_path", json!("/models/other")),
        ("extra_body.lora_path", "extra_body", json!({"lora_path": "other"})),
        (
            "extra_body.extra_body.kv_transfer_params",
            "extra_body",
            json!({"extra_body": {"kv_transfer_params": remote}}),
        ),
        ("x[0].y.api_base", "x", json!([{"y": {"api_base": "http://169.254.169.254"}}])),
    ] {
        let refused = asked_with(&server, member, value);
        refused.check_error(400, "unsupported_parameter", &[param]);
    }
    assert!(upstream.asked().is_empty(), "{:?}", upstream.asked());
    let schema = json!({"type": "object", "properties": {"headers": {"type": "object"}}});
    let taken = asked_with(&server, "response_format", json!({"json_schema": {"schema": schema}}));
    assert_eq!(taken.status, 200, "{taken:?}");
    let taken = asked_with(&server, "metadata", json!({"lora_path": "a note"}));
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(upstream.asked().len(), 2);
}

const PLANTED: &str = "MARKER-81c2-violet";

/// A server on a model that streams these events, with a planted text in force.
fn streaming(events: &[Value]) -> (Project, Server, Upstream) {
    let events = events.iter().map(|event| format!("data: {event}\n\n"));
    let body = events.collect::<String>() + "data: [DONE]\n\n";
    let upstream = Upstream::saying("200 OK", "text/event-stream", &body);
    planting(upstream)
}

fn planting(upstream: Upstream) -> (Project, Server, Upstream) {
    let project = project_on(upstream.address);
    let planted = format!("  planted: [{PLANTED}, ");
    project.edit("tidegate.yaml", "  planted: [", &planted);
    let server = project.serve();
    (project, server, upstream)
}

pub(crate) fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

/// A text longer than what is kept of an answer.
fn long_text() -> String {
    "the parcel is on its way. ".repeat(200_000)
}

#[track_caller]
fn check_withheld(server: &Server, body: &Value) {
    let answer = client::post(server.address, CHAT, body).unwrap();
    let shown: String = answer.body.chars().rev().take(600).collect();
    assert!(answer.body.contains("answer_withheld"), "{} {shown}", answer.status);
    assert!(!answer.body.contains("81c2") && !answer.body.contains("[DONE]"), "{shown}");
    wait_for("the incident", || server.log().contains("RED LINE").then_some(()));
}

#[test]
fn a_planted_text_is_found_behind_five_megabytes_of_a_stream() {
    let mut events: Vec<Value> = long_text()
        .as_bytes()
        .chunks(50_000)
        .map(|text| std::str::from_utf8(text).unwrap())
        .map(|text| delta(json!({"content": text})))
        .collect();
    events.push(delta(json!({"content": &PLANTED[..9]})));
    events.push(delta(json!({"content": &PLANTED[9..]})));
    let (_project, server, _upstream) = streaming(&events);
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    check_withheld(&server, &body);
}

#[test]
fn a_planted_text_is_found_behind_five_megabytes_of_a_whole_answer() {
    let text = format!("{}{PLANTED}", long_text());
    let (_project, server, _upstream) = planting(Upstream::answering(&text));
    check_withheld(&server, &json!({"messages": [{"role": "user", "content": "hi"}]}));
}

#[test]
fn a_planted_text_is_found_in_annotations_and_in_what_is_spoken() {
    let cited = json!([{"type": "url_citation", "url_citation": {"title": PLANTED}}]);
    let spoken = |text: &str| delta(json!({"audio": {"id": "a", "transcript": text}}));
    for events in [
        vec![delta(json!({"content": "well"})), delta(json!({"annotations": cited}))],
        vec![spoken(&PLANTED[..9]), spoken(&PLANTED[9..])],
        vec![delta(json!({"content": [{"type": "odd", "said": PLANTED}]}))],
        vec![json!({"choices": [], "citations": [PLANTED]})],
    ] {
        let (_project, server, _upstream) = streaming(&events);
        let body = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
        check_withheld(&server, &body);
    }
}

/// A model server of one's own: `serve` has each connection.
pub(crate) fn listening(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads one request; false where the connection ended.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(given) = line.strip_prefix("content-length: ") {
            length = given.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).is_ok()
}

#[test]
fn a_connection_that_is_closed_as_it_is_used_again_costs_nothing() {
    let (answered, closed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (yes, no) = (Arc::clone(&answered), Arc::clone(&closed));
    // Each connection answers once and is closed when the next request has come.
    let address = listening(move |stream| {
        let mut reader = BufReader::new(stream);
        if !read_request(&mut reader) {
            return;
        }
        let body = completion(ANSWER);
        let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        yes.fetch_add(1, Ordering::SeqCst);
        if read_request(&mut reader) {
            no.fetch_add(1, Ordering::SeqCst);
        }
    });
    let project = project_on(address);
    let server = project.serve();
    for _ in 0..100 {
        server.chat("mei", "hello");
    }
    assert_eq!(answered.load(Ordering::SeqCst), 100);
    assert!(closed.load(Ordering::SeqCst) > 0, "no connection was used again");
}

/// A chat request under an idempotency key.
fn keyed(address: SocketAddr, key: &str, body: &Value) -> client::Answer {
    let headers = format!("idempotency-key: {key}\r\n");
    let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(address, &bytes).unwrap().finish().unwrap()
}

#[test]
fn a_request_sent_fifty_times_under_one_key_is_carried_out_once() {
    let calls = Arc::new(AtomicU64::new(0));
    let (counted, held) = (Arc::clone(&calls), Arc::new(AtomicU64::new(1)));
    let hold = Arc::clone(&held);
    let address = listening(move |stream| {
        let mut reader = BufReader::new(stream);
        while read_request(&mut reader) {
            counted.fetch_add(1, Ordering::SeqCst);
            while hold.load(Ordering::SeqCst) == 1 {
                sleep(Duration::from_millis(5));
            }
            let body = completion(ANSWER);
            let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let project = project_on(address);
    let server = project.serve();
    let to = server.address;
    let body = json!({"messages": [{"role": "user", "content": "buy"}]});
    let (answered, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| match keyed(to, "order-7", &body) {
                answer if answer.status == 200 => answered.fetch_add(1, Ordering::SeqCst),
                answer => {
                    answer.check_error(409, "idempotency_in_progress", &[]);
                    assert_eq!(answer.header("retry-after"), "1");
                    refused.fetch_add(1, Ordering::SeqCst)
                }
            });
        }
        wait_for("the others", || (refused.load(Ordering::SeqCst) == 49).then_some(()));
        held.store(0, Ordering::SeqCst);
    });
    assert_eq!((answered.load(Ordering::SeqCst), calls.load(Ordering::SeqCst)), (1, 1));
    let again = keyed(to, "order-7", &body);
    assert_eq!((again.status, again.text().as_str()), (200, ANSWER), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = json!({"messages": [{"role": "user", "content": "sell"}]});
    keyed(to, "order-7", &other).check_error(422, "idempotency_key_reused", &[]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(keyed(to, "order-8", &other).status, 200);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}
