//! Connections that say nothing, or too much, or never finish: each has its deadline and its cap,
//! and whoever asks properly is answered meanwhile.

use super::asking::{Asked, Client, Front, Service};
use super::fault::Fault;
use crate::client::{self, CHAT, request};
use crate::dice::setting;
use crate::project::{Project, Server, wait_for};
use serde_json::json;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Connections that the data plane takes at a time.
const CAP: u64 = 8_192;

/// Descriptors that one process may have here.
fn descriptors_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(u64::MAX)
}

/// As many connections as are asked for and this machine has room for, beside other tests.
fn as_many(asked: u64) -> u64 {
    let room = descriptors_max() / 2;
    if room < asked {
        eprintln!("{room} connections and not {asked}: raise `ulimit -n` for all of them");
    }
    asked.min(room)
}

fn connect(front: &Front) -> TcpStream {
    let stream = TcpStream::connect(front.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Asks properly; it must be answered.
fn ask(front: &Front, what: &str, number: u64) {
    let trace = format!("{what}-{number}");
    front.ask(&Asked { trace, fault: Fault::None, stream: false, client: Client::Reads });
}

/// A request on a connection that is kept.
fn keep(stream: &mut TcpStream, number: u64) {
    let body = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
    let length = body.len();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nx-trace-id: kept-{number}\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 64 * 1024];
    let count = stream.read(&mut answer).unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{count} bytes");
}

/// `TIDEGATE_FAULT_CONNECTIONS` makes it larger.
#[test]
fn an_idle_connection_takes_little_memory_and_its_descriptor_is_given_back() {
    let count = as_many(setting("TIDEGATE_FAULT_CONNECTIONS", 500));
    let service = Service::start("");
    let front = service.front();
    // What the first ones take is there, whoever comes.
    let mut first: Vec<TcpStream> = (0..64).map(|_| connect(&front)).collect();
    for (number, stream) in (0..).zip(&mut first) {
        keep(stream, number);
    }
    drop(first);
    let descriptors = service.descriptors();
    let before = service.memory_kib();
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 64..64 + count {
        let mut stream = connect(&front);
        keep(&mut stream, number);
        idle.push(stream);
    }
    let each = service.memory_kib().saturating_sub(before) / count;
    println!("{count} idle connections, {each} KiB each");
    assert!(each <= 40, "{each} KiB a connection");
    ask(&front, "idle", 0);
    drop(idle);
    wait_for("the descriptors' end", || {
        front.model.hang_up();
        (service.descriptors() <= descriptors + 8).then_some(())
    });
}

#[test]
fn a_connection_over_the_cap_is_answered_503_and_the_next_one_after_that_is_taken() {
    let service = Service::start("");
    let front = service.front();
    if descriptors_max() < CAP + 4_000 {
        eprintln!("not tested: {CAP} connections need a higher `ulimit -n` than this one");
        return;
    }
    let mut held: Vec<TcpStream> = (0..CAP).map(|_| connect(&front)).collect();
    let bytes = request("GET", "/health", "", b"");
    wait_for("the cap", || {
        let full = client::open(front.address, &bytes).ok()?.finish().ok()?;
        match full.status {
            // Those before it wait to be taken, or their time is over.
            200 => {
                held.push(connect(&front));
                None
            }
            _ => {
                assert_eq!(
                    (full.status, &full.json()["error"]["code"]),
                    (503, &json!("overloaded"))
                );
                assert_eq!(full.header("retry-after"), "1", "{full:?}");
                Some(())
            }
        }
    });
    // One goes, and there is room for one.
    held.pop();
    wait_for("room", || {
        let answer = client::open(front.address, &bytes).ok()?.finish().ok()?;
        (answer.status == 200).then_some(())
    });
    drop(held);
    ask(&front, "cap", 0);
}

#[test]
fn idle_connections_leave_descriptors_for_everything_else() {
    let project = Project::quick();
    let idle = |server: &Server, count: u32| -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(server.address).unwrap()).collect()
    };
    // What a shell allows at first is raised.
    let server = Server::start_under(&project.root, "ulimit -Sn 256", &[]);
    let held = idle(&server, 400);
    server.chat("mei", "hello");
    drop((held, server));
    // What the system allows at most is shared out.
    let server = Server::start_under(&project.root, "ulimit -n 256", &[]);
    let said = "descriptors for 64 and not for 8192";
    wait_for("the line about it", || server.log().contains(said).then_some(()));
    let mut held = idle(&server, 300);
    wait_for("the cap", || {
        held.extend(idle(&server, 1));
        let answer = client::chat(server.address, Some("mei"), "hello");
        answer.is_ok_and(|answer| answer.status == 503).then_some(())
    });
    project.run(&["release", "status"]).exits(0);
    assert!(!server.log().contains("Too many open files"), "{}", server.log());
    drop(held);
    wait_for("room", || {
        let answer = client::chat(server.address, Some("mei"), "hello");
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    });
}

/// Reads to the end; how long that took, and what came.
fn until_closed(stream: &mut TcpStream, since: Instant) -> (Duration, String) {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it is still open"),
        // A reset is an end as well.
        Ok(_) | Err(_) => {}
    }
    (since.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

/// `TIDEGATE_FAULT_SLOW` makes it larger.
#[test]
fn clients_that_say_nothing_or_never_finish_are_let_go_of_and_nobody_notices() {
    let count = as_many(setting("TIDEGATE_FAULT_SLOW", 300)) / 3;
    let service = Service::start("");
    let front = service.front();
    let began = Instant::now();
    let body = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\n{{");
    let mut slow: Vec<(u64, TcpStream)> = Vec::new();
    for number in 0..3 * count {
        let mut stream = connect(&front);
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nx-slow: ").unwrap(),
            _ => stream.write_all(body.as_bytes()).unwrap(),
        }
        slow.push((number % 3, stream));
    }
    let mut asked = 0;
    // A byte of the head now and then does not put its end off.
    while began.elapsed() < Duration::from_secs(8) {
        for (_, stream) in slow.iter_mut().filter(|(kind, _)| *kind == 1) {
            // On a machine that is slow itself its time may be over.
            let _ = stream.write_all(b"x");
        }
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            ask(&front, "meanwhile", asked);
            asked += 1;
            sleep(Duration::from_millis(10));
        }
    }
    for (kind, stream) in &mut slow {
        let (took, answer) = until_closed(stream, began);
        // Nothing of a request is here that could be answered, or its body is not.
        let is_expected = match kind {
            2 => answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"),
            _ => answer.is_empty(),
        };
        assert!(is_expected, "{kind} after {took:?}: {answer:?}");
    }
    let took = began.elapsed();
    println!("{} slow clients let go of after {took:?}; {asked} others answered", slow.len());
    // Their deadline is 10 s.
    assert!(took < Duration::from_secs(50), "{took:?}");
    assert_eq!(service.stop().len() as u64, asked);
}

#[test]
fn heads_that_are_too_long_or_too_many_are_answered_431_and_go_nowhere() {
    let service = Service::start("");
    let front = service.front();
    let body = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
    let check = |path: &str, headers: &str, statuses: &[u16]| {
        let bytes = request("POST", path, headers, body.as_bytes());
        let answer = client::open(front.address, &bytes).unwrap();
        assert!(statuses.contains(&answer.status()), "{} for {path:.40}", answer.status());
    };
    let many = |count: u32| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    check(CHAT, &many(90), &[200]);
    check(CHAT, &many(101), &[431]);
    check(CHAT, &many(3_000), &[431]);
    check(CHAT, &format!("x-long: {}\r\n", "y".repeat(200_000)), &[431]);
    check(CHAT, &format!("authorization: Bearer {}\r\n", "y".repeat(200_000)), &[431]);
    check(&format!("{CHAT}?{}", "y".repeat(200_000)), "", &[414, 431]);
    assert_eq!(front.model.tries(), 1, "only the first is a request");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let service = Service::start("  max_body_bytes: 100000\n");
    let front = service.front();
    let mut stream = connect(&front);
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: t\r\ncontent-length: 100001\r\n\r\n");
    stream.write_all(head.replace(": t", ": localhost").as_bytes()).unwrap();
    let (_, answer) = until_closed(&mut stream, Instant::now());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("request_too_large") && answer.contains("100000 bytes"), "{answer}");
    assert_eq!(front.model.tries(), 0);
}

#[test]
fn bodies_that_are_no_request_are_refused_in_openai_s_form_and_go_nowhere() {
    let service = Service::start("");
    let front = service.front();
    let message = r#""messages":[{"role":"user","content":"hi"}]"#;
    let check = |body: &[u8], code: &str| {
        let bytes = request("POST", CHAT, "", body);
        let answer = client::open(front.address, &bytes).unwrap().finish().unwrap();
        answer.check_error(400, code, &[]);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{answer:?}");
    };
    let deep =
        |count: usize| format!(r#"{{{message},"x":{}{}}}"#, "[".repeat(count), "]".repeat(count));
    let json = |text: &str| check(text.as_bytes(), "invalid_json");
    json("");
    json("null");
    json("[]");
    json(&format!("{{{message}"));
    json(&format!("{{{message}}} x"));
    json(&format!("{{{message},}}"));
    json(&format!("{{{message},'x':1}}"));
    json(&format!("{{{message},\"x\":NaN}}"));
    json(&format!("{{{message},\"x\":Infinity}}"));
    json(&format!("{{{message},\"x\":01}}"));
    json(&format!("{{{message},\"x\":\"\\ud800\"}}"));
    json(&format!("{{{message},\"x\":\"a\u{0}b\"}}"));
    json(&deep(200));
    json(&deep(16_000));
    check(deep(100_000).as_bytes(), "request_too_complex");
    check(&[b"{\"x\":\"\xff\"," as &[u8], message.as_bytes(), b"}"].concat(), "invalid_json");
    check(&[b"\xff\xfe" as &[u8], b"{}"].concat(), "invalid_json");
    check(format!("{{{message},{message}}}").as_bytes(), "duplicate_parameter");
    check(format!("{{{message},\"x\":{{\"a\":1,\"a\":2}}}}").as_bytes(), "duplicate_parameter");
    check(br#"{"model":"my-service"}"#, "missing_required_parameter");
    check(br#"{"messages":{"role":"user"}}"#, "invalid_type");
    check(br#"{"messages":[]}"#, "invalid_value");
    assert_eq!(front.model.tries(), 0);
    ask(&front, "after", 0);
}
