//! Several endpoints of one upstream: what one of them does wrong, clients do not notice.

use crate::client::{self, get, post};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion, project_at};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMITED: &str =
    r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;

/// A project whose upstream has these endpoints, with more keys of it, each a line.
fn project(endpoints: &[SocketAddr], more: &str) -> Project {
    let project = project_at(endpoints[0], "", "");
    let others: String = endpoints[1..]
        .iter()
        .map(|address| format!("      - base_url: http://{address}/v1\n"))
        .collect();
    let own = format!("    base_url: http://{}/v1\n", endpoints[0]);
    project.edit("tidegate.yaml", &own, &format!("{own}    endpoints:\n{others}{more}"));
    project
}

fn ask(server: &Server) -> client::Answer {
    client::chat(server.address, Some("mei"), "hi").unwrap()
}

/// The value of a family's series of one endpoint.
fn metric(server: &Server, name: &str, endpoint: SocketAddr) -> f64 {
    let page = get(server.address, "/metrics", "").unwrap().body;
    let labels =
        format!("{name}{{arm=\"stable\",upstream=\"up\",endpoint=\"http://{endpoint}/v1\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&labels));
    line.unwrap_or_else(|| panic!("{labels} in {page}")).parse().unwrap()
}

fn endpoints(project: &Project) -> Vec<serde_json::Value> {
    let status = Server::admin_status(&project.root);
    status["endpoints"].as_array().unwrap().clone()
}

#[test]
fn an_endpoint_that_dies_is_left_out_and_comes_back() {
    let (one, two) = (Upstream::answering("one"), Upstream::answering("two"));
    let project = project(&[one.address, two.address], "");
    let server = project.serve();
    let dead = two.shut();
    for _ in 0..60 {
        assert_eq!(ask(&server).status, 200);
    }
    wait_for("the dead one to be left out", || {
        assert_eq!(ask(&server).status, 200);
        (metric(&server, "tidegate_endpoint_up", dead) == 0.0).then_some(())
    });
    assert!(metric(&server, "tidegate_endpoint_failed_total", dead) >= 5.0);
    assert_eq!(metric(&server, "tidegate_endpoint_up", one.address), 1.0);
    let log = server.log();
    assert!(log.contains(&format!("endpoint http://{dead}/v1 of upstream `up` gets no calls for")));
    let shown = endpoints(&project);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_ne!(shown[1]["state"], "closed", "{shown:?}");
    let out = project.run(&["release", "status"]).exits(0).out;
    assert!(out.contains(&format!("http://{dead}/v1")), "{out}");
    let back = Upstream::again(dead, "two");
    wait_for("its return", || {
        assert_eq!(ask(&server).status, 200);
        (metric(&server, "tidegate_endpoint_up", back.address) == 1.0).then_some(())
    });
    assert!(server.log().contains("gets calls again: its trial calls were answered"));
}

/// 5xx, and 429 with a wait that no client would have.
#[test]
fn what_one_endpoint_refuses_another_answers_at_once() {
    for (status, body) in
        [("503 Service Unavailable", "{}"), ("429 Too Many Requests\r\nretry-after: 30", LIMITED)]
    {
        let bad = Upstream::saying(status, "application/json", body);
        let good = Upstream::answering("good");
        let project = project(&[bad.address, good.address], "");
        let server = project.serve();
        let asked = Instant::now();
        for _ in 0..100 {
            assert_eq!(ask(&server).status, 200, "{status}");
        }
        assert!(asked.elapsed() < Duration::from_secs(25), "{status}: nobody waited");
        let calls = bad.asked().len();
        assert!((5..=15).contains(&calls), "{status}: {calls} calls of the one that fails");
    }
}

#[test]
fn an_endpoint_that_takes_no_connection_is_waited_for_and_another_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody takes these; once the queue is full, the system drops what knocks.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000);
    }
    let good = Upstream::answering("good");
    let project = project(&[address, good.address], "");
    let server = project.serve();
    for _ in 0..4 {
        let asked = Instant::now();
        assert_eq!(ask(&server).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(5), "one wait, then the other");
    }
    assert!(metric(&server, "tidegate_endpoint_failed_total", address) >= 1.0);
}

#[test]
fn where_all_endpoints_are_dead_it_is_said_at_once_and_is_an_outage() {
    let dead = [Upstream::nobody(), Upstream::nobody(), Upstream::nobody()];
    let project = project(&dead, "");
    let server = project.serve();
    let mut times = Vec::new();
    for _ in 0..40 {
        let asked = Instant::now();
        ask(&server).check_error(502, "upstream_unreachable", &[]);
        times.push(asked.elapsed());
    }
    times.sort();
    assert!(times[38] < Duration::from_millis(300), "{times:?}");
    assert!(server.log().contains("OUTAGE of stable"), "{}", server.log());
    let ready = get(server.address, "/readyz", "").unwrap();
    assert!(ready.body.contains("upstream"), "{ready:?}");
    let back = Upstream::again(dead[1], "back");
    wait_for("an answer", || (ask(&server).status == 200).then_some(()));
    drop(back);
}

/// An account without credit has none at another endpoint either, for all we know.
#[test]
fn an_account_without_credit_is_asked_once() {
    let body = r#"{"error":{"message":"no credit","code":"insufficient_quota"}}"#;
    let status = "429 Too Many Requests";
    let broke = || Upstream::saying(status, "application/json", body);
    let (one, two) = (broke(), broke());
    let project = project(&[one.address, two.address], "");
    let server = project.serve();
    for _ in 0..20 {
        assert_eq!(ask(&server).status, 503);
    }
    assert_eq!(one.asked().len() + two.asked().len(), 20);
}

/// Whatever clients send, no endpoint is left out for it.
#[test]
fn requests_that_are_refused_leave_no_endpoint_out() {
    let refusing = || {
        let body = r#"{"error":{"message":"no such tool","type":"invalid_request_error"}}"#;
        Upstream::saying("400 Bad Request", "application/json", body)
    };
    let (one, two) = (refusing(), refusing());
    let project = project(&[one.address, two.address], "");
    let server = project.serve();
    for _ in 0..50 {
        assert_eq!(ask(&server).status, 400);
    }
    let short = json!({"user_id": "mei", "prompt": "hi", "budget_ms": 1});
    for _ in 0..20 {
        post(server.address, "/chat", &short).unwrap();
    }
    let shown = endpoints(&project);
    assert!(shown.iter().all(|it| it["state"] == "closed" && it["failed"] == 0), "{shown:?}");
}

/// A model server with a health page.
fn with_health(is_up: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut first, mut length) = (String::new(), 0);
            if reader.read_line(&mut first).is_err() {
                continue;
            }
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                    break;
                }
                if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = given.trim().parse().unwrap();
                }
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let (status, body) = match first.starts_with("GET /health ") {
                true if is_up.load(Ordering::SeqCst) => ("200 OK", "{}".to_owned()),
                true => ("503 Loading", "{}".to_owned()),
                false => ("200 OK", completion("hello")),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = reader.into_inner().write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn an_endpoint_whose_health_checks_fail_gets_no_calls() {
    let is_up = Arc::new(AtomicBool::new(false));
    let (one, two) = (with_health(Arc::new(AtomicBool::new(true))), with_health(is_up.clone()));
    let health = "    health: {path: /health, interval_ms: 100}\n";
    let project = project(&[one, two], health);
    let server = project.serve();
    wait_for("its check", || {
        (ask(&server).status == 200 && metric(&server, "tidegate_endpoint_up", two) == 0.0)
            .then_some(())
    });
    let before = metric(&server, "tidegate_endpoint_answered_total", two);
    for _ in 0..30 {
        assert_eq!(ask(&server).status, 200);
    }
    assert_eq!(metric(&server, "tidegate_endpoint_answered_total", two), before);
    is_up.store(true, Ordering::SeqCst);
    wait_for("its return", || {
        ask(&server);
        (metric(&server, "tidegate_endpoint_answered_total", two) > before).then_some(())
    });
    let log = server.log();
    assert!(log.contains("its health checks fail") && log.contains("its health check passed"));
}

#[test]
fn endpoints_that_make_no_sense_are_named() {
    let one = Upstream::nobody();
    let twice = project(&[one, one], "");
    twice.run(&["check"]).fails(2, &["endpoints[0].base_url", "is given twice"], &[]);
    let path = project(&[one, Upstream::nobody()], "    health: {path: health}\n");
    path.run(&["check"]).fails(2, &["health.path: given `health`"], &[]);
    let alone = project_at(one, "", "");
    alone.edit("tidegate.yaml", "    kind: openai\n", "    kind: openai\n    health: {path: /h}\n");
    alone.run(&["check"]).fails(2, &["there is one endpoint"], &["`endpoints`"]);
}
