//! Places where there are too few: a tenant that floods does not keep the others out.

use crate::client::{CHAT, open, request};
use crate::project::{Project, Server};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const KEYS: [(&str, &str); 2] =
    [("FLOOD_KEY", "flood-key-0123456789"), ("QUIET_KEY", "quiet-key-0123456789")];

fn ask(address: SocketAddr, key: &str) -> u16 {
    let body = json!({ "messages": [{ "role": "user", "content": "退款要多久?" }] });
    let headers = format!("authorization: Bearer {key}\r\n");
    let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
    open(address, &bytes).unwrap().finish().unwrap().status
}

/// Two places, answers of 40 ms and a line of two: 16 clients of one tenant ask without a pause.
/// Every request of the other is answered, though the flood fills the line again and again.
#[test]
fn a_flood_of_one_tenant_keeps_no_other_out() {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: simulated\n    first_token_ms: 40\n    ms_per_token: 0\n",
    );
    project.edit("tidegate.yaml", "max_concurrent: 64\n", "max_concurrent: 2\n  queue_ms: 5000\n");
    project.append(
        "tidegate.yaml",
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
