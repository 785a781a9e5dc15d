//! The admin plane of a tenant: what a key that is bound to one reads, and what it can order.

use crate::client::{self, Answer, CHAT};
use crate::project::{Project, Server, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn key(project: &Project, name: &str, more: &[&str]) -> String {
    let made = project.run(&[&["key", "create", name], more].concat()).exits(0);
    made.out.trim().to_owned()
}

fn ask(address: SocketAddr, key: &str, trace: &str) {
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "user": "mei" });
    let headers = format!("authorization: Bearer {key}\r\nx-trace-id: {trace}\r\n");
    let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    assert_eq!(client::open(address, &request).unwrap().finish().unwrap().status, 200);
}

fn get(project: &Project, key: &str, path: &str) -> Answer {
    let (address, _) = Server::admin(&project.root);
    let headers = format!("authorization: Bearer {key}\r\n");
    let request = client::request("GET", path, &headers, b"");
    client::open(address, &request).unwrap().finish().unwrap()
}

fn order(project: &Project, key: &str, command: &str, with: Value) -> Answer {
    let (address, _) = Server::admin(&project.root);
    let headers = format!("authorization: Bearer {key}\r\n");
    let body = json!({ "command": command, "with": with }).to_string();
    let request = client::request("POST", "/admin/v1/commands", &headers, body.as_bytes());
    client::open(address, &request).unwrap().finish().unwrap()
}

fn traces(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let records = answer.json()["records"].as_array().unwrap().clone();
    records.iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn records_are_read_over_the_admin_plane_and_a_tenants_key_reads_its_own() {
    let project = Project::quick();
    let server = project.serve();
    let (acme, other) = (key(&project, "a", &["--tenant", "acme"]), key(&project, "o", &[]));
    for n in 0..3 {
        ask(server.address, &acme, &format!("acme-{n}"));
        ask(server.address, &other, &format!("other-{n}"));
    }
    ask(server.address, &other, "shared");
    ask(server.address, &acme, "shared");
    let reader = key(&project, "board", &["--role", "read"]);
    let bound = key(&project, "desk", &["--role", "read", "--tenant", "acme"]);
    let all = wait_for("all records", || {
        let all = traces(&get(&project, &reader, "/admin/v1/traces"));
        (all.len() == 8).then_some(all)
    });
    assert_eq!(&all[..2], ["shared", "shared"], "the newest first");
    let of = |key: &str, query: &str| traces(&get(&project, key, query));
    assert_eq!(of(&reader, "/admin/v1/traces?tenant=acme&limit=2").len(), 2);
    assert_eq!(of(&reader, "/admin/v1/traces?failed=true&since=10m"), Vec::<String>::new());
    assert_eq!(of(&reader, "/admin/v1/traces?user=mei&arm=stable").len(), 8);
    let mine = ["shared", "acme-2", "acme-1", "acme-0"];
    assert_eq!(of(&bound, "/admin/v1/traces"), mine);
    assert_eq!(of(&bound, "/admin/v1/traces?tenant=acme"), mine);
    assert_eq!(get(&project, &bound, "/admin/v1/traces?tenant=other").status, 403);
    // One trace: another tenant's looks like one that nobody has.
    let one = |key: &str, id: &str| get(&project, key, &format!("/admin/v1/traces/{id}"));
    let (foreign, none) = (one(&bound, "other-1"), one(&bound, "nobody-1"));
    assert_eq!((foreign.status, none.status), (404, 404));
    assert_eq!(foreign.body.replace("other-1", "x"), none.body.replace("nobody-1", "x"));
    let shared = one(&bound, "shared").json();
    assert_eq!(shared["record"]["tenant"], "acme", "{shared}");
    assert!(shared.get("others").is_none(), "{shared}");
    assert!(one(&reader, "shared").json()["others"].is_array());
    assert_eq!(one(&reader, "..%2F..%2Fetc").status, 400);
    for wrong in ["?sql=1", "?limit=0", "?limit=9999", "?since=yesterday", "?arm=both"] {
        let answer = get(&project, &reader, &format!("/admin/v1/traces{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
    // Neither callers nor strangers read anything, and the log says who did.
    for key in [&acme, "tg-00000000-00", ""] {
        assert_eq!(get(&project, key, "/admin/v1/traces").status, 401);
    }
    wait_for("the log of a read", || {
        let log = server.log();
        let has = |text: &str| log.contains(text);
        (has("read over the admin plane, by trace: key desk")
            && has("8 records were read over the admin plane, by traces: key board"))
        .then_some(())
    });
}

#[test]
fn a_tenants_admin_key_has_no_rights_beyond_its_tenant() {
    let project = Project::quick();
    let _server = project.serve();
    let lead = key(&project, "lead", &["--role", "admin", "--tenant", "acme"]);
    let foreign = key(&project, "web", &["--tenant", "other"]);
    let make = |with: Value| order(&project, &lead, "make_key", with);
    let asked = |tenant: Value, role: &str| {
        let by = "the ceo";
        json!({ "name": "web", "tenant": tenant, "role": role, "by": by })
    };
    for tenant in [json!("other"), json!(null), json!("Acme")] {
        let refused = make(asked(tenant, "call"));
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.body.contains("bound to tenant `acme`"), "{refused:?}");
    }
    let made = make(asked(json!("acme"), "call"));
    assert_eq!(made.status, 200, "{made:?}");
    let own = made.json()["new_key"].as_str().unwrap()[..11].to_owned();
    let revoke =
        |key: &str| order(&project, &lead, "revoke_key", json!({ "key": key, "by": "mei" })).status;
    // The owner's name may be another tenant's as well, so it takes the id.
    assert_eq!([revoke(&foreign[..11]), revoke("web"), revoke("tg-00000000")], [403; 3]);
    assert_eq!(revoke(&own), 200);
    let rotate = json!({ "key": &foreign[..11], "overlap_ms": 0, "by": "mei" });
    assert_eq!(order(&project, &lead, "rotate_key", rotate).status, 403);
    let reason = json!({ "level": 1, "by": "mei", "reason": "slow" });
    for (command, with) in [
        ("degrade", reason),
        ("pack", json!({})),
        ("delete_records", json!({ "tenant": "other", "by": "mei" })),
        ("delete_records", json!({ "user": "mei", "by": "mei" })),
        ("reprice", json!({ "from": 1, "by": "mei" })),
    ] {
        let refused = order(&project, &lead, command, with);
        assert_eq!(refused.status, 403, "{command}: {refused:?}");
    }
    let gone = json!({ "tenant": "acme", "by": "mei" });
    assert_eq!(order(&project, &lead, "delete_records", gone).status, 200);
    // It sees its own keys, and nothing of releases.
    let status = get(&project, &lead, "/admin/v1/status").json();
    let tenants: Vec<&Value> =
        status["keys"].as_object().unwrap().values().map(|key| &key["tenant"]).collect();
    assert_eq!(tenants, ["acme", "acme"], "{status}");
    assert_eq!((&status["table"], &status["sets"]), (&Value::Null, &json!({})), "{status}");
    // The journal has the key beside the name that its sender gave.
    let entries = crate::journal::read(&project.root);
    assert!(entries.iter().any(|entry| entry.body.contains("the ceo (key lead)")));
}
