//! Readers that stall: what each of them makes the server hold, and how far its model server runs
//! ahead.

use crate::client::{self, CHAT, Open, request};
use crate::memory::memory_kib;
use crate::project::Server;
use crate::upstream_faults::{delta, listening, project_on, read_request};
use serde_json::json;
use std::io::{BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const READERS: u64 = 30;

/// A model server that streams so many bytes in events of so many characters, and waits then; with
/// what it has sent.
fn flooding(bytes: usize, chars: usize) -> (SocketAddr, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let event = format!("data: {}\n\n", delta(json!({"content": "x".repeat(chars)})));
    let events = bytes / event.len();
    let address = listening(move |stream| {
        let mut reader = BufReader::new(stream);
        while read_request(&mut reader) {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let mut stream = reader.get_ref();
            stream.write_all(head.as_bytes()).unwrap();
            for _ in 0..events {
                if stream.write_all(event.as_bytes()).is_err() {
                    return;
                }
                counted.fetch_add(event.len() as u64, Ordering::SeqCst);
            }
            // Until the gateway has left.
            let _ = stream.read(&mut [0]);
        }
    });
    (address, sent)
}

/// A request for a stream that nobody reads.
fn stall(server: &Server) -> Open {
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let bytes = request("POST", CHAT, "", body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap()
}

#[test]
fn a_reader_that_stalls_holds_little() {
    for chars in [4, 400, 1_000, 4_000, 16_000] {
        // More than anything of ours may take, and not so much that the system runs short.
        let (address, sent) = flooding(1_000_000, chars);
        let project = project_on(address);
        let server = project.serve();
        let stalled = || -> Vec<Open> { (0..READERS).map(|_| stall(&server)).collect() };
        // What the first streams take once is there: heaps of workers, pages of the program.
        let first = stalled();
        settled(|| sent.load(Ordering::SeqCst));
        let before = settled(|| memory_kib(&server, "VmRSS"));
        let more = stalled();
        settled(|| sent.load(Ordering::SeqCst));
        let each = settled(|| memory_kib(&server, "VmRSS")).saturating_sub(before) / READERS;
        // What the client's system has is delivered, and its text is kept for the contract and the
        // record, whether anybody reads it or not. A long event is held on each of its stations.
        let delivered: usize = more.iter().map(|open| open.unread().unwrap()).sum();
        let delivered = delivered as u64 / READERS / 1024;
        let most = delivered + 256 + 4 * chars as u64 / 1024;
        assert!(each <= most, "{chars} characters: {each} KiB a stream, {delivered} delivered");
        drop((first, more));
    }
}

#[test]
fn a_reader_that_stalls_stops_its_upstream() {
    let (address, sent) = flooding(20_000_000, 4_000);
    let project = project_on(address);
    let server = project.serve();
    let stalled = stall(&server);
    let ahead = settled(|| sent.load(Ordering::SeqCst));
    // The model server's own buffer is the system's, and is not ours to bound.
    let wmem = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap();
    let theirs: u64 = wmem.split_whitespace().last().unwrap().parse().unwrap();
    assert!(ahead < theirs + (1 << 20), "the model server is {ahead} bytes ahead");
    drop(stalled);
}

/// A number once it no longer changes.
fn settled(look: impl Fn() -> u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(20);
    let (mut last, mut same) = (look(), 0);
    while same < 10 && Instant::now() < until {
        sleep(Duration::from_millis(50));
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}
