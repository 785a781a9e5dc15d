//! Answers without an end, of bytes, of signs of life or of nothing: each has a bound in memory and
//! in time.

use super::asking::{Asked, Client, Service};
use super::fault::Fault;
use crate::client::{self, Open};
use crate::project::wait_for;
use std::time::{Duration, Instant};

/// Longest whole answer, KiB.
const BODY_KIB: u64 = 32 * 1024;
/// Longest line of a stream, KiB.
const LINE_KIB: u64 = 1024;

fn asked(what: &str, number: u64, fault: Fault, stream: bool) -> Asked {
    Asked { trace: format!("{what}-{number}"), fault, stream, client: Client::Reads }
}

#[test]
fn an_answer_without_an_end_is_bounded_in_memory() {
    let service = Service::start("");
    let front = service.front();
    // A body that grows is copied, and what it leaves is given back later.
    for (what, count, stream, bound_kib) in
        [("lines", 16, true, 2 * LINE_KIB), ("bodies", 4, false, 4 * BODY_KIB)]
    {
        // What each connection takes by itself is there.
        let first: Vec<Asked> =
            (0..count).map(|n| asked(&format!("first-{what}"), n, Fault::None, stream)).collect();
        front.ask_all(&first, count as usize);
        let before = service.memory_kib();
        let all: Vec<Asked> = (0..count).map(|n| asked(what, n, Fault::Endless, stream)).collect();
        front.ask_all(&all, count as usize);
        let most = service.peak_kib().saturating_sub(before);
        println!("{count} {what} without an end take {most} KiB, {} each", most / count);
        // The rest of the process breathes as well.
        assert!(most <= count * bound_kib + 16 * 1024, "{what}: {most} KiB");
        for asked in &all {
            let call = || front.model.call(&asked.trace);
            wait_for("the end of the call", || call().released);
            assert_eq!(call().tries, 1, "{asked:?}");
        }
    }
    let records = service.stop();
    let large = records
        .values()
        .filter(|record| record.failure.is_some_and(|failure| failure.as_str() == "too_large"));
    assert_eq!(large.count(), 20);
}

#[test]
fn a_model_server_that_says_nothing_more_is_left_at_its_deadline() {
    let service =
        Service::start("  first_byte_ms: 800\n  idle_ms: 800\n  total_ms: 2500\n  retries: 1\n");
    let front = service.front();
    let all: Vec<Asked> = [
        (Fault::Silent(0), false),
        (Fault::Silent(0), true),
        (Fault::Silent(3), false),
        (Fault::Silent(3), true),
        // Signs of life put off no deadline.
        (Fault::Heartbeats(0), true),
        (Fault::Heartbeats(3), true),
    ]
    .into_iter()
    .zip(0..)
    .map(|((fault, stream), number)| asked("late", number, fault, stream))
    .collect();
    let began = Instant::now();
    let seen = front.ask_all(&all, all.len());
    let took = began.elapsed();
    // The whole answer that pauses is waited for the longest.
    assert!(took >= Duration::from_millis(2_400), "{took:?} is before the last deadline");
    assert!(took < Duration::from_secs(20), "{took:?}");
    for asked in &all {
        wait_for("the end of the call", || front.model.call(&asked.trace).released);
        assert_eq!(front.model.call(&asked.trace).tries, 1, "{asked:?}");
    }
    let records = service.stop();
    for (asked, seen) in all.iter().zip(&seen) {
        asked.check_record(seen, records.get(&asked.trace));
    }
}

#[test]
fn readers_that_stall_hold_up_no_other() {
    let service = Service::start("");
    let front = service.front();
    let stalls: Vec<Asked> = (0..50).map(|n| asked("stalls", n, Fault::Flood, true)).collect();
    let open = |asked: &Asked| client::open(front.address, &asked.bytes()).unwrap();
    let streams: Vec<Open> = stalls.iter().map(open).collect();
    let others: Vec<Asked> =
        (0..100).map(|n| asked("others", n, Fault::None, n.is_multiple_of(2))).collect();
    let seen = front.ask_all(&others, 8);
    assert!(stalls.iter().all(|asked| front.model.call(&asked.trace).released.is_none()));
    drop(streams);
    let left = Instant::now();
    for asked in &stalls {
        let released = wait_for("the end of the call", || front.model.call(&asked.trace).released);
        let took = released.duration_since(left);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let records = service.stop();
    for (asked, seen) in others.iter().zip(&seen) {
        asked.check_record(seen, records.get(&asked.trace));
    }
    for asked in &stalls {
        let record = &records[&asked.trace];
        assert_eq!(record.status, 499, "{record:?}");
        assert!(record.response_length >= 4_000 && record.tokens_out > 0, "{record:?}");
    }
}
