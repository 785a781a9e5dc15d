//! Recorded requests that a candidate is asked again: what can be, the caps, the verdict, the gate.

use super::{line, project, start, status};
use crate::client::{self, CHAT};
use crate::project::{Project, Server, Watching, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::net::TcpListener;

const FLAGS: [&str; 7] = ["shadow", "--from-records", "1h", "--upstream", "cand", "--model", "m2"];

fn run(project: &Project, more: &[&str]) -> crate::project::Output {
    project.run(&[&FLAGS[..], more].concat())
}

/// Asks with this body.
fn ask(server: &Server, body: &Value) {
    let request = client::request("POST", CHAT, "", body.to_string().as_bytes());
    let answer = client::open(server.address, &request).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn one(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

/// Waits until so many requests are recorded: the books are written with the records.
fn recorded(project: &Project, requests: u64) {
    wait_for("the records", || {
        let args = ["cost", "--purpose", "serve", "--since", "1970-01-01", "--json"];
        let books = project.run(&args).exits(0).json();
        (books["total"]["requests"] == requests).then_some(())
    });
}

/// A served project with so many recorded requests.
fn with_records(stable: &Upstream, candidate: &Upstream, count: u64) -> (Project, Server) {
    let project = project(stable, candidate.address, "");
    let server = project.serve();
    (0..count).for_each(|n| ask(&server, &one(&format!("frage {n}"))));
    recorded(&project, count);
    (project, server)
}

#[test]
fn an_equal_candidate_is_not_worse_by_what_was_recorded() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let (project, server) = with_records(&stable, &candidate, 170);
    let mut warm = one("wie?");
    warm["temperature"] = json!(0.25);
    warm["user"] = json!("mei");
    ask(&server, &warm);
    recorded(&project, 171);
    let output = run(&project, &["--gate", "--json"]).exits(0).json();
    let (shadow, pairs) = (&output["shadow"], output["shadow"]["pairs"].as_u64().unwrap());
    assert_eq!(shadow["verdict"], "not_worse", "{output}");
    assert_eq!(output["left_out"], json!({}));
    assert!((100..=171).contains(&pairs), "{output}");
    for metric in ["failed", "refused", "tokens", "cost"] {
        assert_eq!(line(shadow, metric)["verdict"], "within", "{metric}: {output}");
    }
    // Another hour had another load: how long it took is shown and decides nothing.
    assert_eq!(line(shadow, "latency")["verdict"], "shown", "{output}");
    // The newest came first, with its decoding, and without the name of its user.
    let asked = candidate.asked();
    assert!(asked.iter().all(|body| body.is_null() || body["model"] == "m2"), "{asked:?}");
    let warm = asked.iter().find(|body| body["temperature"] == 0.25).unwrap();
    assert_eq!((&warm["messages"][0]["content"], &warm["user"]), (&json!("wie?"), &Value::Null));
    // It is kept as any shadow, and the gate of a release takes it.
    assert_eq!(status(&project)["pairs"], pairs);
    let shown = project.run(&["shadow", "status", "--gate"]).exits(0).out;
    assert!(shown.contains("of requests recorded from"), "{shown}");
    let zh = project.run(&["--lang", "zh", "shadow", "status"]).exits(0).out;
    assert!(zh.contains("记录的请求"), "{zh}");
    // Nothing was added to what users asked, and its cost is apart.
    let args = ["cost", "--since", "1970-01-01", "--by", "model", "--json"];
    let books = project.run(&args).exits(0).json();
    let rows = books["rows"].as_array().unwrap();
    let row = |purpose: &str| rows.iter().find(|row| row["purpose"] == purpose).unwrap();
    assert_eq!(
        (&row("serve")["requests"], &row("shadow")["model_version"]),
        (&json!(171), &json!("m2"))
    );
    assert!(row("shadow")["requests"].as_u64().unwrap() >= pairs, "{books}");
}

#[test]
fn a_worse_candidate_is_found_without_a_server_as_well() {
    let stable = Upstream::answering("good");
    let candidate = Upstream::saying("400 Bad Request", "application/json", "{}");
    let (project, server) = with_records(&stable, &candidate, 120);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let worse = run(&project, &["--gate"]).fails(1, &["worse than stable"], &[]);
    assert!(worse.out.contains("OVER") && worse.out.contains("worse, by"), "{worse:?}");
    assert!(candidate.asked().len() < 100, "{}", candidate.asked().len());
    assert_eq!(status(&project)["why"]["code"], "settled");
    // Without `--gate` the answer is on the page alone.
    run(&project, &[]).exits(0);
}

#[test]
fn what_cannot_be_asked_again_is_counted_and_said() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let more = "credentials:\n  - {name: a, key_env: A_KEY, tenant: silent}\n  \
                - {name: b, key_env: B_KEY}\nrecords: {opt_out_tenants: [silent]}\n";
    let project = project(&stable, candidate.address, more);
    let keys = [("A_KEY", "key-of-the-silent-tenant"), ("B_KEY", "key-of-everyone-else")];
    let server = Server::start(&project.root, &keys);
    let user = json!({"role": "user", "content": "问"});
    let answer = json!({"role": "assistant", "content": "答"});
    let bodies = [
        json!({"messages": [user, answer, user]}),
        json!({"messages": [{"role": "system", "content": "s"}, user]}),
        json!({"messages": [user], "tools": [{"type": "function", "function": {"name": "f"}}]}),
        one("schreib an mei@example.com"),
        one("was heißt [email]?"),
        one("问"),
    ];
    let ask = |body: &Value, key: &str| {
        let headers = format!("content-type: application/json\r\nauthorization: Bearer {key}\r\n");
        let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
        assert_eq!(client::open(server.address, &request).unwrap().finish().unwrap().status, 200);
    };
    bodies.iter().for_each(|body| ask(body, keys[1].1));
    ask(&one("still"), keys[0].1);
    wait_for("the records", || {
        let args = ["cost", "--purpose", "serve", "--since", "1970-01-01", "--json"];
        let books = project.run_with(&args, &keys).exits(0).json();
        (books["total"]["requests"] == 7).then_some(())
    });
    let args = |more: &[&'static str]| [&FLAGS[..], more].concat();
    let some = project.run_with(&args(&["--json"]), &keys).exits(0).json();
    assert_eq!(some["left_out"], json!({"more": 3, "no_text": 1, "replaced": 2}), "{some}");
    assert_eq!(
        (&some["shadow"]["pairs"], &some["shadow"]["why"]["code"]),
        (&json!(1), &json!("all_asked"))
    );
    let asked: Vec<Value> = candidate.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let gated = project.run_with(&args(&["--gate"]), &keys);
    gated.fails(3, &["not known yet"], &[]);
    let text = project.run_with(&args(&[]), &keys).exits(0);
    assert!(text.err.contains("2 in which personal data was replaced"), "{text:?}");
    // Of another set there is nothing, and of the last second neither.
    project.run_with(&["shadow", "--from-records", "1h"], &keys).fails(
        2,
        &["nothing to compare"],
        &[],
    );
    project.run_with(&["shadow"], &keys).fails(2, &["say what to do"], &["--from-records 24h"]);
    project.run_with(&["shadow", "--from-records", "soon"], &keys).exits(2);
}

#[test]
fn records_without_texts_say_what_to_do() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "records: {content: false}\n");
    let server = project.serve();
    run(&project, &[]).fails(3, &["no request of stable is recorded"], &["shadow start"]);
    (0..3).for_each(|n| ask(&server, &one(&format!("frage {n}"))));
    recorded(&project, 3);
    let hints = ["records.content: true", "tidegate shadow start"];
    run(&project, &[]).fails(3, &["no recorded request can be asked again", "3 without"], &hints);
    assert_eq!(candidate.asked(), Vec::<Value>::new());
    let none = project.run(&["shadow", "status"]).exits(0).out;
    assert!(none.contains("no shadow yet"), "{none}");
}

#[test]
fn the_caps_hold_for_recorded_requests_as_well() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let (project, _server) = with_records(&stable, &candidate, 20);
    let seven = run(&project, &["--max-requests", "7", "--json"]).exits(0).json();
    assert_eq!((&seven["shadow"]["why"]["code"], candidate.asked().len()), (&json!("caps"), 7));
    assert_eq!(seven["shadow"]["verdict"], "not_yet", "{seven}");
    run(&project, &["--max-cost", "0"]).fails(3, &["the cap on money"], &["--max-cost"]);
    assert_eq!(candidate.asked().len(), 7);
    run(&project, &["--sample", "0"]).fails(2, &["sample: given 0.000 %"], &[]);
    run(&project, &["--max-requests", "0"]).fails(2, &["max_requests: given 0"], &[]);
    // One at a time: a shadow that mirrors has the caps of the project to itself.
    start(&project, &[]);
    run(&project, &[]).fails(1, &["a shadow of version set"], &["tidegate shadow stop"]);
}

/// A candidate that never answers: its time is over, it fails, and Ctrl-C keeps what there is.
#[test]
fn a_candidate_that_hangs_is_worse_and_ctrl_c_keeps_the_pairs() {
    let stable = Upstream::answering("good");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let project = project(&stable, silent.local_addr().unwrap(), "");
    let server = project.serve();
    (0..60).for_each(|n| ask(&server, &one(&format!("frage {n}"))));
    recorded(&project, 60);
    let asking = Watching::start(&project.root, &FLAGS);
    drop(silent.accept().unwrap());
    asking.interrupt().fails(3, &["interrupted after"], &[]);
    let ended = status(&project);
    assert_eq!(ended["why"]["reason"], "interrupted", "{ended}");
    // What was under way counts as used, and may be on the invoice.
    assert!((1..=60).contains(&ended["requests"].as_u64().unwrap()), "{ended}");
    let args = ["cost", "--purpose", "shadow", "--since", "1970-01-01", "--json"];
    let books = project.run(&args).exits(0).json();
    assert!(books["total"]["unknown_requests"].as_u64().unwrap() >= 1, "{books}");
    project.edit(
        "tidegate.yaml",
        "release:\n",
        "limits: {total_ms: 150, first_byte_ms: 100}\nrelease:\n",
    );
    let worse = run(&project, &["--gate", "--json"]).exits(1).json();
    assert_eq!(line(&worse["shadow"], "failed")["verdict"], "over", "{worse}");
}

/// A red line in an answer that goes to no user is proof all the same, also of a recorded request.
#[test]
fn a_recorded_request_may_show_a_red_line() {
    let stable = Upstream::answering("good");
    let candidate = Upstream::by_rule(|_| ("200 OK", completion("key CANARY-1234")));
    let project = project(&stable, candidate.address, "risk: {planted: [CANARY-1234]}\n");
    let server = project.serve();
    (0..5).for_each(|n| ask(&server, &one(&format!("frage {n}"))));
    recorded(&project, 5);
    let worse = run(&project, &["--gate", "--json"]).exits(1).json();
    assert_eq!(worse["shadow"]["why"], json!({"code": "red_line", "kind": "leak"}), "{worse}");
}
