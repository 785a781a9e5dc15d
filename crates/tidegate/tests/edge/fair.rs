//! Places where there are too few: a tenant that floods does not keep the others out, and whoever
//! has a higher priority goes first.

use crate::client::{Answer, CHAT, open, request};
use crate::project::{Project, Server};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const KEYS: [(&str, &str); 2] =
    [("FLOOD_KEY", "flood-key-0123456789"), ("QUIET_KEY", "quiet-key-0123456789")];

fn ask_with(address: SocketAddr, key: &str, more: &str) -> Answer {
    let body = json!({ "messages": [{ "role": "user", "content": "退款要多久?" }] });
    let headers = format!("authorization: Bearer {key}\r\n{more}");
    let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
    open(address, &bytes).unwrap().finish().unwrap()
}

fn ask(address: SocketAddr, key: &str) -> u16 {
    ask_with(address, key, "").status
}

/// A project with two places and a line of two, whose answers take 40 ms.
fn narrow(more: &str) -> Project {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: simulated\n    first_token_ms: 40\n    ms_per_token: 0\n",
    );
    project.edit("tidegate.yaml", "max_concurrent: 64\n", "max_concurrent: 2\n  queue_ms: 5000\n");
    project.append("tidegate.yaml", more);
    project
}

/// Two places, answers of 40 ms and a line of two: 16 clients of one tenant ask without a pause.
/// Every request of the other is answered, though the flood fills the line again and again.
#[test]
fn a_flood_of_one_tenant_keeps_no_other_out() {
    let project = narrow(
        "credentials:\n  \
         - {name: flood, key_env: FLOOD_KEY, tenant: flood}\n  \
         - {name: quiet, key_env: QUIET_KEY, tenant: quiet}\n",
    );
    let server = Server::start(&project.root, &KEYS);
    let (address, over) = (server.address, AtomicBool::new(false));
    let [(_, flood), (_, quiet)] = KEYS;
    let (served, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let count = if ask(address, flood) == 200 { &served } else { &refused };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The line is full from here on.
        while refused.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
        let statuses: Vec<u16> = (0..20).map(|_| ask(address, quiet)).collect();
        over.store(true, Ordering::Relaxed);
        assert_eq!(statuses, [200; 20]);
    });
    assert!(served.into_inner() > 20, "the flood has what the other leaves");
}

/// The number behind a series of `/metrics`.
fn series(address: SocketAddr, key: &str, name: &str) -> u64 {
    let headers = format!("authorization: Bearer {key}\r\n");
    let page = open(address, &request("GET", "/metrics", &headers, b"")).unwrap().finish().unwrap();
    let line = page.body.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("-");
    line.trim().parse().unwrap_or_else(|_| panic!("{name} in {}", page.body))
}

/// 16 clients of a tenant of low priority and 8 of one of high priority that asks for a low one,
/// all without a pause. Two other callers of high priority are always answered.
#[test]
fn who_has_a_higher_priority_goes_first_and_a_request_only_lowers_its_own() {
    let project = narrow("tenants:\n  batch: {priority: low}\n  desk: {priority: high}\n");
    let server = project.serve();
    let key = |args: &[&str]| {
        let made = project.run(&[&["key", "create"], args].concat()).exits(0);
        made.out.trim().to_owned()
    };
    let batch = key(&["batch", "--tenant", "batch", "--priority", "high"]);
    let desk = key(&["desk", "--tenant", "desk"]);
    let phone = key(&["phone", "--priority", "high"]);
    let table = project.run(&["key", "list"]).exits(0).out;
    assert!(table.contains("priority high"), "{table}");
    let (address, over) = (server.address, AtomicBool::new(false));
    let refused = AtomicU64::new(0);
    let flood = |key: &str, more: &str| {
        while !over.load(Ordering::Relaxed) {
            let answer = ask_with(address, key, more);
            if answer.status != 200 {
                answer.check_error(503, "overloaded", &["too many requests"]);
                assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // Neither a key nor a header raises what the tenant has.
            scope.spawn(|| flood(&batch, "x-tidegate-priority: high\r\n"));
            scope.spawn(|| flood(&batch, ""));
            scope.spawn(|| flood(&desk, "x-tidegate-priority: low\r\n"));
        }
        while refused.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
        let both = [&desk, &phone]
            .map(|key| scope.spawn(move || (0..20).map(|_| ask(address, key)).collect::<Vec<_>>()));
        let statuses = both.map(|asking| asking.join().unwrap());
        over.store(true, Ordering::Relaxed);
        assert_eq!(statuses, [[200; 20], [200; 20]]);
    });
    let shed = |priority: &str| {
        series(address, &phone, &format!("tidegate_shed_requests_total{{priority=\"{priority}\"}}"))
    };
    assert_eq!((shed("high"), shed("normal")), (0, 0));
    assert_eq!(shed("low"), refused.into_inner());
    let wrong = ask_with(address, &phone, "x-tidegate-priority: urgent\r\n");
    wrong.check_error(400, "bad_headers", &["`urgent`", "`high`, `normal` and `low`"]);
}
