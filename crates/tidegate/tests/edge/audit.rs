//! Audited requests: whoever saw a byte of an answer has an admission on disk, whatever kill or
//! disk came between, and a request that cannot be admitted is not sent to the model server.

use crate::client::{self, CHAT, open, request};
use crate::dice::setting;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::preload::{Disk, Fault};
use crate::project::{Project, Server, wait_for};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::upstream::Upstream;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::time::Instant;
use tidegate_core::ids::TraceId;
use tidegate_store::{Access, RecordQuery, Records as _, SqliteStore};

/// Threads that ask at the same time.
const ASKING: u64 = 6;
/// Kills without `TIDEGATE_CRASH_KILLS`; each comes at another moment of the load.
const KILLS: u64 = 20;

/// What those who ask share.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    answered: AtomicU64,
    /// Sent to a server that listened.
    sent: AtomicU64,
    over: AtomicBool,
}

/// What one thread saw: ids of requests whose answer began with a 2xx.
fn ask(address: SocketAddr, round: u64, load: &Load) -> Vec<String> {
    let mut seen = Vec::new();
    while !load.over.load(Ordering::Relaxed) {
        let n = load.next.fetch_add(1, Ordering::Relaxed);
        let trace = format!("audited-{round}-{n}");
        let body = json!({
            "messages": [{ "role": "user", "content": "How do returns work?" }],
            "stream": n.is_multiple_of(2),
        });
        let headers = format!("x-trace-id: {trace}\r\n");
        let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
        let answer = open(address, &bytes);
        if answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
            continue;
        }
        load.sent.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = answer else { continue };
        if (200..300).contains(&answer.status()) {
            // Its first byte has come; the rest may not.
            seen.push(trace);
            load.answered.fetch_add(1, Ordering::Relaxed);
        }
        let _ = answer.finish();
    }
    seen
}

/// Asks until the server is killed after so many answers; gives what was answered, and how many
/// requests were sent.
fn killed_under_load(server: Server, round: u64, after: u64) -> (Vec<String>, u64) {
    let load = Arc::new(Load::default());
    let threads: Vec<_> = (0..ASKING)
        .map(|_| {
            let (address, load) = (server.address, Arc::clone(&load));
            std::thread::spawn(move || ask(address, round, &load))
        })
        .collect();
    wait_for("the moment", || (load.answered.load(Ordering::Relaxed) >= after).then_some(()));
    server.kill();
    load.over.store(true, Ordering::Relaxed);
    let seen = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    (seen, load.sent.load(Ordering::Relaxed))
}

/// Of these requests, those that have no record, but an admission. All have one of them.
fn only_admitted(root: &Path, seen: &[String]) -> Vec<String> {
    let store = SqliteStore::open(root, Access::Read).unwrap();
    let mut admitted = Vec::new();
    for trace in seen {
        let id = TraceId::parse(trace).unwrap();
        if store.traces(&id).unwrap().is_empty() {
            let left = store.unrecorded(&id).unwrap();
            assert_eq!(left.len(), 1, "{trace} was answered and is not audited");
            assert_eq!(left[0].admission.trace_id, id);
            admitted.push(trace.clone());
        }
    }
    admitted
}

fn audited() -> Project {
    let project = Project::quick();
    project.edit("tidegate.yaml", "ms_per_token: 0\n", "ms_per_token: 1\n");
    project.edit("tidegate.yaml", "\nrecords:\n", "\nrecords:\n  audit: strict\n");
    project
}

#[test]
fn inv11_whoever_saw_a_byte_of_an_answer_is_admitted() {
    let project = audited();
    let (mut seen, mut left) = (Vec::new(), Vec::new());
    let kills = setting("TIDEGATE_CRASH_KILLS", KILLS);
    for kill in 0..kills {
        let (of_this, _) = killed_under_load(project.serve(), kill, 1 + kill * 37 % 60);
        left.extend(only_admitted(&project.root, &of_this));
        seen.extend(of_this);
    }
    // What was there after one kill is there after all of them.
    let server = project.serve();
    assert!(metric(&server, "tidegate_admissions_without_record") >= left.len() as u64);
    let only = only_admitted(&project.root, &seen);
    assert!(!left.is_empty(), "no kill came between an answer and its record");
    assert_eq!(only, left, "of {} answered", seen.len());
    println!(
        "audit: {kills} kills, {} requests answered, {} of them only admitted, 0 without either",
        seen.len(),
        left.len()
    );
    let shown = project.run(&["trace", &left[0]]).exits(0);
    assert!(shown.out.contains("the process ended before the record was written"), "{shown:?}");
    let shown = project.run(&["trace", &left[0], "--json"]).exits(0).json();
    assert_eq!(
        (&shown["record"], &shown["unrecorded"][0]["process_ended"]),
        (&Value::Null, &json!(true)),
        "{shown}"
    );
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    project.run(&["check"]).exits(0);
}

/// A number of the metrics page.
pub(crate) fn metric(server: &Server, name: &str) -> u64 {
    number(&client::get(server.address, "/metrics", "").unwrap().body, name)
}

#[track_caller]
fn number(page: &str, name: &str) -> u64 {
    let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Requests that have no record since their process was killed.
pub(crate) const AT_LEAST: &str = "tidegate_records_lost_total{bound=\"at_least\"}";
/// As above.
pub(crate) const AT_MOST: &str = "tidegate_records_lost_total{bound=\"at_most\"}";

/// Where nobody is audited, as many answers are lost to kills as is said, within what is said.
#[test]
fn what_kills_lose_is_counted() {
    let project = Project::quick();
    project.edit("tidegate.yaml", "ms_per_token: 0\n", "ms_per_token: 1\n");
    let (mut answered, mut answered_lost, mut sent, mut kept) = (0, 0, 0, 0);
    let kills = setting("TIDEGATE_CRASH_KILLS", KILLS);
    for kill in 0..kills {
        let (seen, of_this) = killed_under_load(project.serve(), kill, 1 + kill * 37 % 60);
        sent += of_this;
        answered += seen.len();
        let store = SqliteStore::open(&project.root, Access::Read).unwrap();
        let is_lost =
            |trace: &&String| store.traces(&TraceId::parse(trace).unwrap()).unwrap().is_empty();
        answered_lost += seen.iter().filter(is_lost).count() as u64;
        let query = RecordQuery { limit: usize::MAX, ..RecordQuery::default() };
        kept = store.records(&query).unwrap().len() as u64;
    }
    let server = project.serve();
    let (at_least, at_most) = (metric(&server, AT_LEAST), metric(&server, AT_MOST));
    println!(
        "counted: {kills} kills, {sent} requests sent, {answered} answered, {answered_lost} of \
         them without a record; said: {at_least} to {at_most}"
    );
    assert!(answered_lost > 0, "no kill came between an answer and its record");
    assert!(answered_lost <= at_most, "{answered_lost} are more than {at_most}");
    assert!(at_least > 0 && at_least <= sent - kept, "{at_least} of {sent} - {kept}");
    // Each kill leaves the bound a little ahead, by what begins in 40 ms and a minimum.
    assert!(at_most - at_least <= kills * 1_000, "{at_least} to {at_most} says little");
    let said = "requests have no record: the process before this one was killed: at least ";
    assert!(server.log().contains(said), "{}", server.log());
    let checked = project.run(&["check"]).exits(0).out;
    assert!(checked.contains(&format!("{at_least} to {at_most} requests have no")), "{checked}");
    assert_eq!(metric(&server, "tidegate_admissions_without_record"), 0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    // A stop in order loses nothing.
    let server = project.serve();
    assert_eq!((metric(&server, AT_LEAST), metric(&server, AT_MOST)), (at_least, at_most));
}

/// The keys of two tenants, of which one is audited.
const KEYS: [(&str, &str); 2] =
    [("ACME_KEY", "acme-key-0123456789"), ("OTHER_KEY", "other-key-0123456789")];

const TENANTS: &str = "credentials:\n  - {name: app, key_env: ACME_KEY, tenant: acme}\n  \
                       - {name: shop, key_env: OTHER_KEY, tenant: other}\n\
                       records:\n  audit_tenants: [acme]\n";

fn chat_of(server: &Server, key: &str) -> client::Answer {
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let headers = format!("authorization: Bearer {key}\r\n");
    open(server.address, &request("POST", CHAT, &headers, body.as_bytes()))
        .unwrap()
        .finish()
        .unwrap()
}

/// While nothing can be written, the audited tenant is refused in time and nothing of it reaches
/// the model server; the other one is served. When the disk is well again, both are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[track_caller]
fn refused_while_it_lasts(
    upstream: &Upstream,
    server: &Server,
    root: &Path,
    lasts: impl FnOnce() -> Box<dyn FnOnce()>,
) {
    let [(_, acme), (_, other)] = KEYS;
    assert_eq!(chat_of(server, acme).status, 200);
    // Its record is written; one that is dropped on a full disk leaves its admission.
    no_admission_is_left(root);
    let mut served = Vec::new();
    let recovers = lasts();
    let asked = upstream.asked().len();
    let mut slowest = Duration::ZERO;
    for n in 1..=4 {
        let began = Instant::now();
        let refused = chat_of(server, acme);
        slowest = slowest.max(began.elapsed());
        refused.check_error(503, "audit_unavailable", &["could not be written to disk"]);
        assert_eq!(refused.header("retry-after"), "1", "{refused:?}");
        assert_eq!(upstream.asked().len(), asked + n - 1, "it was sent on");
        let answer = chat_of(server, other);
        assert_eq!(answer.status, 200, "the other tenant is served: {answer:?}");
        served.push(TraceId::parse(answer.header("x-trace-id")).unwrap());
    }
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let headers = format!("authorization: Bearer {other}\r\n");
    let page = client::get(server.address, "/metrics", &headers).unwrap().body;
    assert!(page.contains("tidegate_requests_not_admitted_total 4"), "{page}");
    recovers();
    let began = Instant::now();
    wait_for("the audited tenant", || (chat_of(server, acme).status == 200).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Those that were refused left nothing behind.
    no_admission_is_left(root);
    // Of the tenant that was served, each has a record, or is counted.
    wait_for("its records", || {
        let page = client::get(server.address, "/metrics", &headers).unwrap().body;
        let store = SqliteStore::open(root, Access::Read).unwrap();
        let kept = served.iter().filter(|id| !store.traces(id).unwrap().is_empty()).count() as u64;
        let dropped = number(&page, "tidegate_records_dropped_total");
        (kept + dropped == served.len() as u64).then_some(())
    });
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[track_caller]
fn no_admission_is_left(root: &Path) {
    wait_for("the last admission's end", || {
        let db = Connection::open(root.join(".tidegate/state.db")).unwrap();
        let left: i64 = db.query_row("SELECT count(*) FROM admissions", [], |r| r.get(0)).unwrap();
        (left == 0).then_some(())
    });
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[track_caller]
fn refused_on(fault: Fault) {
    let (disk, upstream) = (Disk::new(), Upstream::answering("hello"));
    let project = upstream.project("", TENANTS);
    let server = disk.serve_with(&project, &KEYS);
    refused_while_it_lasts(&upstream, &server, &project.root, move || {
        disk.has(fault);
        Box::new(move || disk.recovers_from(fault))
    });
    server.terminate();
    assert_eq!(server.ended(), Some(0));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn inv11_an_audited_request_is_refused_while_the_disk_does_not_answer() {
    refused_on(Fault::Stall);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn an_audited_request_is_refused_on_a_full_disk() {
    refused_on(Fault::Full);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn an_audited_request_is_refused_while_writing_fails() {
    refused_on(Fault::Broken);
    refused_on(Fault::Unsynced);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn an_audited_request_is_refused_while_the_database_is_locked() {
    let upstream = Upstream::answering("hello");
    let project = upstream.project("", TENANTS);
    let server = Server::start(&project.root, &KEYS);
    let db = Connection::open(project.root.join(".tidegate/state.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    refused_while_it_lasts(&upstream, &server, &project.root, move || {
        db.execute_batch("BEGIN EXCLUSIVE").unwrap();
        Box::new(move || db.execute_batch("ROLLBACK").unwrap())
    });
}
