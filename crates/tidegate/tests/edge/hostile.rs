//! Clients that mean harm: bodies that grow in memory, uploads that never end, heads that two
//! servers read differently. Nobody else may notice them.

use crate::client::{CHAT, get, open, request};
#[cfg(target_os = "linux")]
use crate::memory::memory_kib;
use crate::project::{Project, Server, wait_for};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    // Below the limit it is read, and what that takes is given back while nothing is asked.
    let below: Vec<_> = (0..8)
        .map(|_| {
            let address = server.address;
            std::thread::spawn(move || open(address, &nested(120_000)).unwrap().finish())
        })
        .collect();
    for body in below {
        let answer = body.join().unwrap().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    wait_for("the memory of large bodies", || {
        (memory_kib(&server, "VmRSS") < before + 24 * 1024).then_some(())
    });
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

/// A project whose answers take ten seconds, and whose notice and drain are these, ms.
fn slow_project(stop_notice_ms: u64, drain_ms: u64) -> Project {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "  stop_notice_ms: 0\n",
        &format!("  stop_notice_ms: {stop_notice_ms}\n  drain_ms: {drain_ms}\n"),
    );
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: simulated\n    first_token_ms: 1\n    ms_per_token: 200\n    sigma: 0\n",
    );
    project
}

/// A stream that goes on for ten seconds; its first piece has come.
fn stream(server: &Server) -> crate::client::Open {
    let body = json!({"stream": true, "user": "mei",
                      "messages": [{"role": "user", "content": crate::users::long(1)}]});
    let bytes = request("POST", CHAT, "", body.to_string().as_bytes());
    let mut stream = open(server.address, &bytes).unwrap();
    stream.chunk().unwrap();
    stream
}

#[test]
fn a_stream_that_is_cut_at_the_end_says_so() {
    let project = slow_project(300, 300);
    let server = project.serve();
    let cut = stream(&server);
    let whole = request("POST", CHAT, "", br#"{"messages":[{"role":"user","content":"hi"}]}"#);
    let address = server.address;
    let waiting = std::thread::spawn(move || open(address, &whole)?.finish());
    server.signal("-HUP");
    wait_for("the line about SIGHUP", || server.log().contains("SIGHUP").then_some(()));
    server.terminate();
    // New requests are still taken, and load balancers are asked to look away.
    wait_for("503", || (get(address, "/readyz", "").ok()?.status == 503).then_some(()));
    assert_eq!(get(address, "/health", "").unwrap().status, 200);
    let began = Instant::now();
    let answer = cut.finish().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let events = answer.events();
    assert!(events.last().unwrap().contains("\"server_stopping\""), "{events:?}");
    wait_for("the count", || server.log().contains("2 connections were cut").then_some(()));
    assert_eq!(server.ended(), Some(0));
    // One that had not begun is an error that the client can read.
    let whole = waiting.join().unwrap().unwrap();
    assert_eq!(whole.status, 503, "{whole:?}");
    assert_eq!(whole.json()["error"]["code"], "server_stopping", "{whole:?}");
    assert_eq!(whole.header("retry-after"), "1", "{whole:?}");
    for trace in [answer.header("x-trace-id"), whole.header("x-trace-id")] {
        let trace = project.run(&["trace", trace, "--json"]).exits(0).json();
        let record = &trace["record"];
        assert_eq!(record["failure"], "server_stopping", "{trace}");
        let status = if record["streamed"] == true { 200 } else { 503 };
        assert_eq!(record["status"], status, "{trace}");
    }
}

#[test]
fn a_second_order_to_stop_ends_it_at_once() {
    let project = slow_project(60_000, 60_000);
    let server = project.serve();
    let cut = stream(&server);
    server.signal("-INT");
    // A person at the terminal is waited for by no load balancer.
    wait_for("no more connections", || TcpStream::connect(server.address).err());
    wait_for("the order to stop", || server.log().contains("stopping").then_some(()));
    server.signal("-INT");
    let began = Instant::now();
    let events = cut.finish().unwrap().events();
    assert!(events.last().unwrap().contains("\"server_stopping\""), "{events:?}");
    assert_eq!(server.ended(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
#[cfg(unix)]
fn a_log_that_nobody_reads_stops_nothing() {
    let project = Project::quick();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Server::start_logging_to(&project.root, &["--log-requests"], writer);
    // A pipe holds 64 KiB, which is about 150 lines; the queue holds 4,096 more.
    let users: Vec<_> = (0..4)
        .map(|user| {
            let address = server.address;
            std::thread::spawn(move || {
                for _ in 0..1_250 {
                    let answer = crate::client::chat(address, Some("mei"), "hello").unwrap();
                    assert_eq!(answer.status, 200, "{user}: {answer:?}");
                }
            })
        })
        .collect();
    users.into_iter().for_each(|user| user.join().unwrap());
    assert_eq!(get(server.address, "/health", "").unwrap().status, 200);
    let page = get(server.address, "/metrics", "").unwrap().body;
    let line = page.lines().find(|l| l.starts_with("tidegate_log_lines_dropped_total ")).unwrap();
    let dropped: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((1..1_000).contains(&dropped), "{line}");
    // Whoever reads again sees how many, and the end waits for no reader.
    let log = std::thread::spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).any(|l| l.contains("were dropped"))
    });
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert!(log.join().unwrap(), "nothing was said");
}

#[test]
fn a_server_waits_for_a_short_command() {
    let project = Project::quick();
    project.serve().kill();
    let lock = std::fs::File::open(project.root.join(".tidegate/lock")).unwrap();
    lock.lock().unwrap();
    let freed = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        drop(lock);
    });
    let server = project.serve();
    freed.join().unwrap();
    server.chat("mei", "hello");
}

#[test]
fn pages_of_other_sites_are_not_answered() {
    let project = Project::quick();
    let server = project.serve();
    let (own, body) = (server.address, r#"{"messages":[{"role":"user","content":"hi"}]}"#);
    let check = |headers: &str, status: u16, code: &str| {
        let raw = format!(
            "POST {CHAT} HTTP/1.1\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n\
             {body}",
            body.len()
        );
        let answer = open(own, raw.as_bytes()).unwrap().finish().unwrap();
        match status {
            200 => assert_eq!(answer.status, 200, "{headers:?} {answer:?}"),
            _ => answer.check_error(status, code, &[]),
        }
    };
    check(&format!("host: {own}\r\n"), 200, "");
    check("host: localhost\r\norigin: http://localhost:3000\r\n", 200, "");
    check("host: evil.example\r\n", 421, "host_not_allowed");
    check("host: localhost\r\norigin: https://evil.example\r\n", 403, "origin_not_allowed");
    check("host: localhost\r\ncontent-type: text/plain\r\n", 415, "unsupported_media_type");
    // A caller that has the key is no browser that was tricked.
    project.append("tidegate.yaml", "credentials: [{name: app, key_env: TG_EDGE_APP}]\n");
    drop(server);
    let server = Server::start(&project.root, &[("TG_EDGE_APP", "a-key-of-the-app-0123456789")]);
    let headers = "authorization: Bearer a-key-of-the-app-0123456789\r\nhost: desk.example\r\n";
    let raw = format!(
        "POST {CHAT} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    assert_eq!(open(server.address, raw.as_bytes()).unwrap().finish().unwrap().status, 200);
}

#[test]
fn wrong_keys_are_limited_and_logged() {
    let project = Project::quick();
    project.append("tidegate.yaml", "credentials: [{name: app, key_env: TG_EDGE_APP}]\n");
    let server = Server::start(&project.root, &[("TG_EDGE_APP", "a-key-of-the-app-0123456789")]);
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = |key: &str| {
        let headers = format!("authorization: Bearer {key}\r\n");
        open(server.address, &request("POST", CHAT, &headers, body.as_bytes())).unwrap().finish()
    };
    for number in 0..10 {
        let answer = ask(&format!("{number}-guessed-key")).unwrap();
        answer.check_error(401, "invalid_api_key", &[]);
    }
    for number in 10..200 {
        let answer = ask(&format!("{number}-guessed-key")).unwrap();
        answer.check_error(429, "too_many_wrong_keys", &["try again in"]);
        let after: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
    }
    assert_eq!(ask("a-key-of-the-app-0123456789").unwrap().status, 200);
    wait_for("the line about wrong keys", || {
        server.log().contains("requests with wrong keys: ").then_some(())
    });
    let log = server.log();
    assert_eq!(log.matches("wrong keys").count(), 1, "{log}");
    assert!(!log.contains("guessed"), "{log}");
}

/// What comes back for raw bytes: the status; 0 where the connection is closed without a word.
fn status_of(address: SocketAddr, raw: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server may refuse a head before it is here to its end.
    let _ = stream.write_all(raw);
    let mut answer = [0; 12];
    match stream.read_exact(&mut answer) {
        Ok(()) => std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap(),
        Err(_closed) => 0,
    }
}

/// An nginx that answers everything with 200; `None` where there is none on this machine.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Option<Nginx> {
        let folder = tempfile::TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (root, file) = (folder.path().display(), folder.path().join("nginx.conf"));
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; \
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; \
             large_client_header_buffers 8 128k; client_header_timeout 10s;\n\
             server {{ listen {address}; location / {{ return 200 ok; }} }} }}"
        );
        std::fs::write(&file, config).unwrap();
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(&file);
        let child = nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let nginx = Nginx { child, address, _folder: folder };
        wait_for("nginx", || TcpStream::connect(address).ok());
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Heads that must be refused, each as its header lines and its body.
fn heads_to_refuse() -> Vec<(String, &'static str)> {
    const HOST: &str = "Host: localhost\r\n";
    const CHUNKS: &str = "1\r\nx\r\n0\r\n\r\n";
    // Each line below 8 KiB, since nginx has a bound for one.
    let long: String = (0..16).map(|i| format!("x-{i}: {}\r\n", "y".repeat(4000))).collect();
    let medium: String = (0..8).map(|i| format!("x-{i}: {}\r\n", "y".repeat(4000))).collect();
    let mut heads = vec![
        (format!("{HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), CHUNKS),
        (format!("{HOST}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), CHUNKS),
        (format!("{HOST}{medium}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), CHUNKS),
        (format!("{HOST}{long}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), CHUNKS),
        (format!("{HOST}Transfer-Encoding: chunked\r\n{long}Content-Length: 1\r\n"), CHUNKS),
        (format!("{HOST}Content-Length: 1\r\n{long}Transfer-Encoding: chunked\r\n"), CHUNKS),
        (format!("{HOST}Content-Length: 1\r\nContent-Length: 1\r\n"), "x"),
        (format!("{HOST}{long}Content-Length: 1\r\nContent-Length: 1\r\n"), "x"),
        (format!("{HOST}Content-Length: 1\r\n{medium}content-length: 1\r\n"), "x"),
    ];
    for length in ["1\r\nContent-Length: 2", "+1", "-1", "1, 1", "1, 2", "0x1", "1 1", "", "1e0"] {
        heads.push((format!("{HOST}Content-Length: {length}\r\n"), "x"));
    }
    heads.push((format!("{HOST}Content-Length : 1\r\n"), "x"));
    heads.push((format!("{HOST}Content-Length: 99999999999999999999\r\n"), "x"));
    let encodings = [
        "gzip, chunked",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity",
        "xchunked",
        "chunked, identity",
        "gzip\r\nTransfer-Encoding: chunked",
        "\"chunked\"",
        "chunked;q=1",
    ];
    for encoding in encodings {
        heads.push((format!("{HOST}Transfer-Encoding: {encoding}\r\n"), CHUNKS));
    }
    for host in ["", "a b", "a/b", "a\r\nHost: b", "localhost\r\nHost: localhost", "a\0b", "[::1"] {
        heads.push((format!("Host: {host}\r\n"), ""));
    }
    heads.push((String::new(), ""));
    heads.push((format!("{HOST} folded: x\r\n"), ""));
    heads.push((format!("{HOST}a\0b: x\r\n"), ""));
    heads.push((format!("{HOST}Transfer-Encoding: chunked\r\n"), "1\nx\n0\n\n"));
    heads
}

#[test]
fn what_nginx_refuses_is_refused() {
    let project = Project::quick();
    let server = project.serve();
    let nginx = Nginx::start();
    if nginx.is_none() {
        eprintln!("there is no /usr/sbin/nginx: nothing is compared with it");
    }
    // Refused before anything of it is looked at; 411 and 501 are nginx's for some lengths.
    let refused = |status: u16| [0, 400, 408, 411, 413, 414, 431, 501].contains(&status);
    for (headers, body) in heads_to_refuse() {
        let head = headers.replace(&"y".repeat(4000), "(long)");
        let raw = format!("POST {CHAT} HTTP/1.1\r\n{headers}\r\n{body}");
        let ours = status_of(server.address, raw.as_bytes());
        assert!(refused(ours), "{ours} for {head:?} {body:?}");
        if let Some(nginx) = &nginx {
            let theirs = status_of(nginx.address, raw.as_bytes());
            eprintln!("{ours} {theirs} {head:?}");
        }
    }
    let fine = [
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\r\nGET /health HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
    ];
    for raw in fine {
        assert_eq!(status_of(server.address, raw.as_bytes()), 200, "{raw:?}");
        if let Some(nginx) = &nginx {
            assert_eq!(status_of(nginx.address, raw.as_bytes()), 200, "{raw:?}");
        }
    }
    server.chat("mei", "hello");
}

/// hyper reads up to twice its bound for heads, and hides what is said twice about a length.
#[test]
fn a_length_said_twice_is_seen_behind_a_head_of_any_size() {
    let project = Project::quick();
    let server = project.serve();
    let (length, chunked) = ("Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n");
    for bytes in (60_000..70_000).step_by(500).chain((70_000..140_000).step_by(5_000)) {
        let fill: String =
            (0..90).map(|i| format!("x-{i}: {}\r\n", "y".repeat(bytes / 90))).collect();
        let ask = |first: &str, last: &str| {
            let head =
                format!("POST /health HTTP/1.1\r\nHost: localhost\r\n{first}{fill}{last}\r\n");
            status_of(server.address, (head + "2\r\n{}\r\n0\r\n\r\n").as_bytes())
        };
        for (first, last) in [(length, chunked), (chunked, length), (length, length)] {
            let status = ask(first, last);
            assert!([400, 431].contains(&status), "{status} with {bytes} bytes: {first}{last}");
        }
        // Without the second one it is looked at, unless it is too long.
        let status = ask(chunked, "");
        assert!(status == 405 || (bytes > 64_000 && status == 431), "{status}: {bytes} bytes");
    }
}

#[test]
fn a_client_that_sends_too_much_and_leaves_stops_the_upstream() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let project = Project::init();
    let kind =
        format!("    kind: openai\n    base_url: http://{}/v1\n", silent.local_addr().unwrap());
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    let server = project.serve();
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    for more in ["", "x", "GET /health HTTP/1.1\r\n", &"x".repeat(5000)] {
        let mut client = TcpStream::connect(server.address).unwrap();
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}{more}",
            body.len()
        );
        client.write_all(request.as_bytes()).unwrap();
        let (mut upstream, _) = silent.accept().unwrap();
        upstream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut asked = [0; 16];
        upstream.read_exact(&mut asked).unwrap();
        drop(client);
        let left = Instant::now();
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = upstream.read_to_end(&mut rest);
        let took = left.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} after {} bytes too many", more.len());
    }
}

#[test]
fn a_413_is_read_by_clients_that_send_their_whole_body_first() {
    let project = Project::quick();
    let server = project.serve();
    for mib in [3, 10, 64] {
        let mut client = TcpStream::connect(server.address).unwrap();
        let bytes = mib * 1024 * 1024;
        let head =
            format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let piece = vec![b'x'; 1024 * 1024];
        for _ in 0..mib {
            client.write_all(&piece).unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{mib} MiB: {answer:?}");
        assert!(answer.contains("request_too_large"), "{mib} MiB: {answer:?}");
    }
}
