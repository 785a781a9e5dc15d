//! Records on disk: whose they are, and what is said when they are damaged.

use crate::client::{CHAT, open, request};
use crate::project::{Project, Server, wait_for};
use rusqlite::Connection;
use serde_json::{Value, json};

const KEYS: [(&str, &str); 2] =
    [("ACME_KEY", "acme-key-0123456789"), ("OTHER_KEY", "other-key-0123456789")];

fn post(server: &Server, key: &str, path: &str, headers: &str, body: &Value) -> (u16, Value) {
    let headers = format!("authorization: Bearer {key}\r\n{headers}");
    let bytes = request("POST", path, &headers, body.to_string().as_bytes());
    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
    (answer.status, answer.json())
}

/// Each tenant's feedback goes to the tenant's own request, and an operator sees both.
#[test]
fn two_tenants_may_use_one_trace_id() {
    let project = Project::fast();
    project.append(
        "tidegate.yaml",
        "credentials:\n  - {name: app, key_env: ACME_KEY, tenant: acme}\n  \
         - {name: shop, key_env: OTHER_KEY, tenant: other}\n",
    );
    let [(_, acme), (_, other)] = KEYS;
    let server = Server::start(&project.root, &KEYS);
    for (key, text) in [(acme, "退款要多久?"), (other, "送料は?")] {
        let body = json!({ "messages": [{ "role": "user", "content": text }] });
        let answer = post(&server, key, CHAT, "x-trace-id: same-1\r\n", &body);
        assert_eq!(answer.0, 200, "{answer:?}");
    }
    let give = |server: &Server, key, body: Value| {
        let (status, said) = post(server, key, "/v1/feedback", "", &body);
        assert_eq!(status, 200, "{said}");
        (said["accepted"].as_u64().unwrap(), said["repeated"].as_u64().unwrap())
    };
    let like = |yes: bool| json!({ "trace_id": "same-1", "like": yes });
    assert_eq!(give(&server, acme, like(true)), (1, 0));
    assert_eq!(give(&server, other, like(false)), (1, 0));
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    // What is remembered of them is gone: the store is asked.
    let server = Server::start(&project.root, &KEYS);
    assert_eq!(give(&server, acme, like(false)), (0, 1));
    assert_eq!(give(&server, other, json!({ "trace_id": "same-1", "adopted": true })), (1, 0));
    let shown = project.run(&["trace", "same-1", "--json"]).exits(0).json();
    assert_eq!(shown["record"]["tenant"], "other", "the latest first: {shown}");
    assert_eq!(shown["record"]["input"], "送料は?", "{shown}");
    assert_eq!(shown["feedback"].as_array().unwrap().len(), 2, "{shown}");
    let others = shown["others"].as_array().unwrap();
    assert_eq!((others.len(), &others[0]["record"]["tenant"]), (1, &json!("acme")), "{shown}");
    assert_eq!(others[0]["record"]["input"], "退款要多久?");
    assert_eq!(others[0]["feedback"].as_array().unwrap().len(), 1, "{shown}");
    let text = project.run(&["trace", "same-1"]).exits(0).out.clone();
    assert!(text.contains("acme") && text.contains("other"), "{text}");
}

#[test]
fn requests_are_listed_by_tenant_time_and_fate() {
    let project = Project::fast();
    project.append(
        "tidegate.yaml",
        "credentials:\n  - {name: app, key_env: ACME_KEY, tenant: acme}\n  \
         - {name: shop, key_env: OTHER_KEY, tenant: other}\n",
    );
    let [(_, acme), (_, other)] = KEYS;
    let server = Server::start(&project.root, &KEYS);
    for (key, id, user) in [(acme, "a-1", "mei"), (acme, "a-2", "bo"), (other, "o-1", "mei")] {
        let messages = json!([{ "role": "user", "content": "退款要多久?" }]);
        let body = json!({ "user": user, "messages": messages });
        let headers = format!("x-trace-id: {id}\r\n");
        assert_eq!(post(&server, key, CHAT, &headers, &body).0, 200);
    }
    let listed = |args: &[&str]| {
        let shown = project.run(&[&["traces", "--json"], args].concat()).exits(0).json();
        let ids = shown["records"].as_array().unwrap().iter().map(|r| r["trace_id"].to_string());
        (ids.collect::<Vec<_>>().join(" ").replace('"', ""), shown["more"].as_bool().unwrap())
    };
    let all = wait_for("the records", || Some(listed(&[])).filter(|(ids, _)| ids.len() == 11));
    assert_eq!(all, ("o-1 a-2 a-1".to_owned(), false));
    assert_eq!(listed(&["--tenant", "acme"]).0, "a-2 a-1");
    assert_eq!(listed(&["--user", "mei", "--since", "1h"]).0, "o-1 a-1");
    assert_eq!(listed(&["--tenant", "acme", "--limit", "1"]), ("a-2".to_owned(), true));
    for none in [&["--until", "1h"][..], &["--failed"], &["--arm", "candidate"]] {
        assert_eq!(listed(none).0, "", "{none:?}");
    }
    let text = project.run(&["traces", "--limit", "2"]).exits(0).out.clone();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].ends_with("o-1") && lines[2].ends_with("a-2"), "{text}");
    assert!(lines[3].contains("there are more than 2"), "{text}");
    project.run(&["traces", "--failed"]).exits(0);
    let wrong = ["traces", "--since", "1h", "--until", "2h"];
    project.run(&wrong).fails(2, &["--until is not after --since"], &["the hour before the last"]);
}

/// One batch that cannot be read is named; a request in another is found as before.
#[test]
fn a_damaged_batch_of_records_is_named_by_check() {
    let project = Project::fast();
    let server = project.serve();
    for trace in ["first-1", "second-1"] {
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }] }).to_string();
        let headers = format!("x-trace-id: {trace}\r\n");
        let bytes = request("POST", CHAT, &headers, body.as_bytes());
        assert_eq!(open(server.address, &bytes).unwrap().finish().unwrap().status, 200);
        // Each in a batch by itself.
        wait_for("the record is on disk", || {
            let found = project.run(&["trace", trace]);
            (found.code == 0).then_some(())
        });
    }
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    project.run(&["check"]).exits(0);
    let db = Connection::open(project.root.join(".tidegate/state.db")).unwrap();
    let damage = "UPDATE record_batches SET body = zeroblob(length(body)) WHERE id = 1";
    assert_eq!(db.execute(damage, []).unwrap(), 1);
    drop(db);
    let checked = project.run(&["check"]);
    assert_ne!(checked.code, 0);
    let said = format!("{}{}", checked.out, checked.err);
    assert!(said.contains("record batch 1 cannot be read"), "{said}");
    let lost = project.run(&["trace", "first-1"]);
    assert!(lost.code != 0 && lost.err.contains("record batch 1 "), "{lost:?}");
    project.run(&["trace", "second-1"]).exits(0);
}
