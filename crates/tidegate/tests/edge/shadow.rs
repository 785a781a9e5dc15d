//! A candidate that answers in the shadow: what it says is compared and reaches nobody, whatever it
//! does; the caps hold.

mod judged;
mod recorded;

use crate::client;
use crate::journal;
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use tidegate_core::journal::{ControlState, Event};

const PRICES: &str = "prices:\n  m1: {input_per_million: 1, output_per_million: 1}\n  \
                      m2: {input_per_million: 1, output_per_million: 1}\n";
/// Lines that do not measure time: a busy machine is no verdict on a candidate.
const SHADOW: &str = "release:\n  tick_ms: 20\n  shadow: {lines: {latency: null}}\n";

/// A project on a model server, with another one as upstream `cand`.
fn project(stable: &Upstream, candidate: SocketAddr, more: &str) -> Project {
    let project = stable.project("", &format!("{PRICES}{SHADOW}{more}"));
    let upstream = format!("  cand:\n    kind: openai\n    base_url: http://{candidate}/v1\n");
    project.edit("tidegate.yaml", "artifacts:\n", &format!("{upstream}artifacts:\n"));
    project
}

fn start(project: &Project, more: &[&str]) -> String {
    let args = ["shadow", "start", "--upstream", "cand", "--model", "m2", "--sample", "100"];
    let all = [&args[..], more, &["--json"]].concat();
    project.run(&all).exits(0).json()["version_set"].as_str().unwrap().to_owned()
}

fn status(project: &Project) -> Value {
    project.run(&["shadow", "status", "--json"]).exits(0).json()
}

/// Asks until the shadow is over, and gives its status and how many were asked; every user gets
/// stable's answer.
fn until_over(project: &Project, server: &Server, most: u64) -> (Value, u64) {
    for n in 0..most {
        let answer = server.chat(&format!("user-{n}"), "hi");
        assert_eq!((answer.text().as_str(), answer.header("x-tidegate-arm")), ("good", "stable"));
        if n % 10 == 9 && status(project)["running"] == false {
            return (status(project), n + 1);
        }
    }
    let status = wait_for("the end of the shadow", || {
        Some(status(project)).filter(|status| status["running"] == false)
    });
    (status, most)
}

fn line<'a>(status: &'a Value, metric: &str) -> &'a Value {
    let lines = status["lines"].as_array().unwrap();
    lines.iter().find(|line| line["metric"] == metric).unwrap_or(&Value::Null)
}

fn requests_of_stable(server: &Server) -> f64 {
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    let lines = page.lines().filter(|line| line.starts_with("tidegate_arm_requests_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_worse_candidate_is_found_and_no_user_sees_it() {
    let stable = Upstream::answering("good");
    let candidate = Upstream::saying("400 Bad Request", "application/json", "{}");
    let project = project(&stable, candidate.address, "");
    let server = project.serve();
    let set = start(&project, &[]);
    project.run(&["shadow", "start", "--model", "m2"]).fails(
        1,
        &["a shadow of version set", &set],
        &["tidegate shadow stop"],
    );
    let (status, asked) = until_over(&project, &server, 400);
    assert_eq!((&status["verdict"], &status["why"]["code"]), (&json!("worse"), &json!("settled")));
    assert_eq!(line(&status, "failed")["verdict"], "over", "{status}");
    assert_eq!(status["set"], set.as_str());
    // Nothing of it is in the arm's counts, in what users' requests cost, or in the records.
    assert_eq!(requests_of_stable(&server), asked as f64);
    let books = wait_for("the books", || {
        let serve = ["--purpose", "serve", "--by", "model", "--json"];
        let args = [&["cost", "--since", "1970-01-01"], &serve[..]].concat();
        let books = project.run(&args).exits(0).json();
        (books["total"]["requests"] == asked).then_some(books)
    });
    assert!(!books.to_string().contains("m2"), "{books}");
    project.run(&["shadow", "status", "--gate"]).fails(1, &["worse than stable"], &[]);
    let shown = project.run(&["shadow", "status"]).exits(0).out;
    assert!(shown.contains("worse, by") && shown.contains("OVER"), "{shown}");
    let zh = project.run(&["--lang", "zh", "shadow", "status"]).exits(0).out;
    assert!(zh.contains("更差") && zh.contains("超限"), "{zh}");
    // It is mirrored no more.
    let before = candidate.asked().len();
    server.chat("mei", "hi");
    assert_eq!(candidate.asked().len(), before);
    let admin = Server::admin_status(&project.root);
    assert_eq!(admin["shadows"][0]["verdict"], "worse");
}

/// The books have what was mirrored, apart from what users asked, and `/metrics` shows the shadow.
fn check_booked(project: &Project, server: &Server, status: &Value) {
    let number = |value: &Value| value.as_u64().unwrap();
    let (pairs, mirrored) = (number(&status["pairs"]), number(&status["requests"]));
    let rows = wait_for("the books", || {
        let args = ["cost", "--since", "1970-01-01", "--by", "model,arm", "--json"];
        let books = project.run(&args).exits(0).json();
        let rows = books["rows"].as_array().unwrap().clone();
        let shadow = rows.iter().find(|row| row["purpose"] == "shadow")?;
        (number(&shadow["requests"]) >= pairs).then(|| rows.clone())
    });
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        let [model, arm] = ["model_version", "arm"].map(|name| row[name].clone());
        let expected = match row["purpose"] == "shadow" {
            true => (json!("m2"), Value::Null),
            false => (json!("m1"), json!("stable")),
        };
        assert_eq!((model, arm), expected, "{row}");
    }
    let row = rows.iter().find(|row| row["purpose"] == "shadow").unwrap();
    // What was given up before it was sent is in no book.
    assert!(number(&row["requests"]) <= mirrored, "{row}: {status}");
    let known = number(&row["requests"]) - number(&row["unknown_requests"]);
    assert!(known >= pairs && number(&row["unpriced_requests"]) == 0, "{row}: {status}");
    let cost: f64 = row["total_cost"].as_str().unwrap().parse().unwrap();
    let unknown = number(&row["unknown_requests"]) as f64;
    let beside = cost - known as f64 * 8e-6;
    assert!((-1e-12..=unknown * 8e-6 + 1e-12).contains(&beside), "{row}");
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    for line in [
        "tidegate_shadow_running 0".to_owned(),
        "tidegate_shadow_verdict{verdict=\"not_worse\"} 1".to_owned(),
        "tidegate_shadow_verdict{verdict=\"worse\"} 0".to_owned(),
        format!("tidegate_shadow_pairs_total {pairs}"),
        format!("tidegate_shadow_mirrored_total {mirrored}"),
    ] {
        assert!(page.lines().any(|shown| shown == line), "no `{line}` in\n{page}");
    }
    let shown = page.lines().find_map(|line| line.strip_prefix("tidegate_shadow_cost_usd_total "));
    let in_status: f64 = status["cost_usd"].as_str().unwrap().parse().unwrap();
    assert!((shown.unwrap().parse::<f64>().unwrap() - in_status).abs() < 1e-6, "{page}");
}

#[test]
fn an_equal_candidate_is_not_worse_and_its_cost_is_booked_apart() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "");
    let server = project.serve();
    start(&project, &["--max-cost", "5", "--for", "2h"]);
    let (status, _) = until_over(&project, &server, 600);
    assert_eq!(status["verdict"], "not_worse", "{status}");
    for metric in ["failed", "refused", "tokens", "cost"] {
        assert_eq!(line(&status, metric)["verdict"], "within", "{metric}: {status}");
    }
    assert_eq!(line(&status, "latency")["verdict"], "shown");
    // 8 tokens at a millionth of a dollar each; of what was given up, as much as was held for it.
    let count = |key: &str| status[key].as_u64().unwrap() as f64;
    let cost: f64 = status["cost_usd"].as_str().unwrap().parse().unwrap();
    let given_up = count("requests") - count("pairs");
    let beside = cost - count("pairs") * 8e-6;
    assert!((-1e-12..=given_up * 0.033 + 1e-12).contains(&beside), "{status}");
    check_booked(&project, &server, &status);
    project.run(&["shadow", "status", "--gate"]).exits(0);
    let sent = candidate.asked();
    // One that was given up may have had a connection and no body.
    assert!(sent.iter().all(|body| body.is_null() || body["model"] == "m2"), "{sent:?}");
    let state = ControlState::replay(&journal::read(&project.root)).unwrap();
    assert!(state.shadow().is_none() && state.shadows.len() == 1);
    // It holds over a restart, and is in the state on disk.
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(self::status(&project)["verdict"], "not_worse");
}

#[test]
fn what_a_shadow_needs_is_said() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "");
    let _server = project.serve();
    let none = project.run(&["shadow", "status"]).exits(0).out;
    assert!(none.contains("no shadow yet"), "{none}");
    project.run(&["shadow", "status", "--gate"]).fails(3, &["no shadow was run"], &[]);
    let start = |more: &[&str]| project.run(&[&["shadow", "start"], more].concat());
    start(&[]).fails(2, &["nothing to compare"], &["--prompt v2"]);
    start(&["--model", "m3"]).fails(2, &["model `m3` has no price"], &["prices:"]);
    start(&["--model", "m2", "--sample", "0"]).fails(2, &["sample: given 0.000 %"], &[]);
    start(&["--model", "m2", "--sample", "101"]).fails(2, &["sample: given 101"], &[]);
    start(&["--model", "m2", "--for", "900d"]).fails(2, &["1 s to 744 h"], &[]);
    start(&["--model", "m2", "--max-requests", "0"]).fails(2, &["max_requests: given 0"], &[]);
    start(&["--model", "m2", "--max-cost", "5eur"]).exits(2);
    project.run(&["shadow", "stop"]).fails(1, &["no shadow is running"], &["shadow start"]);
    start(&["--model", "m2"]).exits(0);
    project.run(&["release", "start", "--model", "m2", "--no-smoke"]).exits(1);
    let stop = ["shadow", "stop", "--by", "mei", "--reason", "换一个"];
    let stopped = project.run(&stop).exits(0).out;
    assert!(stopped.contains("is over: not known yet, by 0 pairs"), "{stopped}");
    let shown = project.run(&["shadow", "status"]).exits(0).out;
    assert!(shown.contains("ordered by mei: 换一个"), "{shown}");
}

/// Where the project asks for it, nothing is released before its shadow passed.
#[test]
fn a_release_waits_for_its_shadow() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "");
    project.edit("tidegate.yaml", "shadow: {lines", "shadow: {gate: true, lines");
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let server = project.serve();
    let flags = ["--upstream", "cand", "--model", "m2"];
    project.run(&[&["eval"], &flags[..]].concat()).exits(0);
    let release = || project.run(&[&["release", "start"], &flags[..]].concat());
    release().fails(1, &["had no shadow"], &["tidegate shadow start --model m2 --upstream cand"]);
    let set = start(&project, &["--max-requests", "5"]);
    until_over(&project, &server, 30);
    release().fails(1, &[&set, "ended before it was known"], &["with more requests"]);
    start(&project, &[]);
    let (status, _) = until_over(&project, &server, 600);
    assert_eq!(status["verdict"], "not_worse", "{status}");
    let change_id = project.run(&[&["release", "start"], &flags[..], &["--json"]].concat());
    let change_id = change_id.exits(0).json()["change_id"].as_str().unwrap().to_owned();
    project.run(&["shadow", "start", "--model", "m1"]).exits(1);
    project.run(&["rollback", "--reason", "seen enough"]).exits(0);
    let pack = project.run(&["evidence", &change_id, "--json"]).exits(0).json();
    let path = pack["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    project.run(&["verify", &path]).exits(0);
    let manifest = project.read(&format!("{path}/manifest.json"));
    assert!(manifest.contains("\"shadow\""), "{manifest}");
}

/// Many clients at once, and a candidate that answers: no more requests are mirrored than the cap
/// says.
#[test]
fn the_cap_on_requests_holds_under_concurrency() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "");
    let server = project.serve();
    start(&project, &["--max-requests", "23"]);
    let address = server.address;
    let ask = move |n: usize| {
        let user = format!("user-{n}");
        (0..40).for_each(|_| {
            assert_eq!(client::chat(address, Some(&user), "hi").unwrap().status, 200)
        });
    };
    let threads: Vec<_> = (0..6).map(|n| std::thread::spawn(move || ask(n))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (status, _) = until_over(&project, &server, 200);
    assert_eq!(status["why"]["code"], "caps", "{status}");
    assert_eq!((candidate.asked().len(), status["requests"].as_u64()), (23, Some(23)));
}

/// Killed again and again: the caps are of the whole shadow, and pairs are lost, never invented.
#[test]
fn the_cap_on_requests_holds_through_kills() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let project = project(&stable, candidate.address, "");
    let mut server = project.serve();
    start(&project, &["--max-requests", "40"]);
    for round in 0..5 {
        for n in 0..12 {
            server.chat(&format!("user-{round}-{n}"), "hi");
        }
        server.kill();
        server = project.serve();
        let asked = candidate.asked().len() as u64;
        let status = status(&project);
        assert!(asked <= status["requests"].as_u64().unwrap(), "{asked}: {status}");
        assert!(status["pairs"].as_u64().unwrap() <= asked, "{asked}: {status}");
    }
    let (status, _) = until_over(&project, &server, 400);
    assert!(candidate.asked().len() <= 40, "{}", candidate.asked().len());
    assert_eq!(status["why"]["code"], "caps", "{status}");
    let entries = journal::read(&project.root);
    let starts = entries.iter().map(|entry| entry.event().unwrap());
    let starts = starts.filter(|event| matches!(event, Event::ShadowStarted { .. })).count();
    assert_eq!(starts, 1);
}

/// A candidate that takes connections and does something else than to answer.
fn hostile(does: impl Fn(&mut std::net::TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let does = does.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                does(&mut stream);
            });
        }
    });
    address
}

fn check_hostile(candidate: SocketAddr) {
    let stable = Upstream::answering("good");
    let limits = "limits: {total_ms: 400, first_byte_ms: 300, stop_notice_ms: 0}\n";
    let project = project(&stable, candidate, limits);
    let server = project.serve();
    start(&project, &[]);
    let (status, _) = until_over(&project, &server, 20_000);
    assert_eq!(status["verdict"], "worse", "{status}");
    assert_eq!(line(&status, "failed")["verdict"], "over", "{status}");
    // The next one is on its way when the server stops.
    start(&project, &[]);
    (0..20).for_each(|_| drop(server.chat("mei", "hi")));
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_candidate_that_hangs_delays_nobody() {
    check_hostile(hostile(|stream| {
        let mut rest = [0; 1024];
        while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
    }));
}

#[test]
fn a_candidate_that_never_ends_its_answer_is_cut_off() {
    check_hostile(hostile(|stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(b"400\r\n").is_ok() {
            if stream.write_all(&[b' '; 1024]).is_err() || stream.write_all(b"\r\n").is_err() {
                return;
            }
        }
    }));
}

#[test]
fn a_stream_without_an_end_is_cut_off_and_the_users_is_not() {
    let stable = Upstream::speaking(|_| {
        let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"good"}}]}"#;
        ("200 OK", "text/event-stream", format!("{chunk}\n\ndata: [DONE]\n\n"))
    });
    let candidate = hostile(|stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
        while stream.write_all(chunk.as_bytes()).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let limits = "limits: {total_ms: 400, first_byte_ms: 300, stop_notice_ms: 0}\n";
    let project = project(&stable, candidate, limits);
    let server = project.serve();
    start(&project, &[]);
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = client::request("POST", client::CHAT, "", body.to_string().as_bytes());
    let status = wait_for("the end of the shadow", || {
        let answer = client::open(server.address, &request).unwrap().finish().unwrap();
        assert!(answer.body.contains("good") && answer.body.contains("[DONE]"), "{answer:?}");
        assert!(!answer.body.contains("\"x\""), "{answer:?}");
        Some(status(&project)).filter(|status| status["running"] == false)
    });
    assert_eq!(status["verdict"], "worse", "{status}");
}

#[test]
fn an_answer_that_crosses_a_red_line_ends_the_shadow() {
    let stable = Upstream::answering("good");
    let candidate = Upstream::by_rule(|_| ("200 OK", completion("key CANARY-1234")));
    let project = project(&stable, candidate.address, "risk: {planted: [CANARY-1234]}\n");
    let server = project.serve();
    start(&project, &[]);
    let (status, _) = until_over(&project, &server, 50);
    assert_eq!(status["why"], json!({"code": "red_line", "kind": "leak"}), "{status}");
    assert_eq!(status["verdict"], "worse");
    // Nobody got it: there is no incident, and the entrance is open.
    assert_eq!(server.chat("mei", "hi").status, 200);
    let incidents = project.run(&["incident", "list"]).exits(0).out;
    assert!(incidents.contains("no incidents"), "{incidents}");
}
