//! Records of a tenant or a user are deleted by order: beside a server and without one, and nothing
//! of them is left in the state.

use crate::client::{self, Answer, CHAT};
use crate::project::{Project, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What the users say: English, so that the simulated model repeats none of it by itself.
const CANARY: &str = "zebrafinch-quartz";

fn key(project: &Project, name: &str, tenant: &str) -> String {
    let made = project.run(&["key", "create", name, "--tenant", tenant]).exits(0);
    made.out.trim().to_owned()
}

fn ask(address: SocketAddr, key: &str, user: &str, text: &str, trace: &str) -> Answer {
    let body = json!({ "messages": [{ "role": "user", "content": text }], "user": user });
    let headers = format!("authorization: Bearer {key}\r\nx-trace-id: {trace}\r\n");
    let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(address, &request).unwrap().finish().unwrap()
}

/// Whether any file of the state has this text.
fn is_in_state(project: &Project, text: &str) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let files = project.files();
    files.iter().any(|(path, bytes)| path.to_string_lossy().contains(".tidegate") && holds(bytes))
}

fn is_kept(project: &Project, trace: &str) -> bool {
    project.run(&["trace", trace]).code == 0
}

fn delete(project: &Project, args: &[&str]) -> crate::project::Output {
    project.run(&[&["records", "delete"], args].concat())
}

#[test]
fn a_deleted_users_texts_and_name_are_nowhere_in_the_state() {
    let project = Project::quick();
    let server = project.serve();
    let (acme, other) = (key(&project, "a", "acme"), key(&project, "o", "other"));
    let (mei, bob) = ("mei.lin@example.com", "bob");
    for n in 0..4 {
        let trace = |who: &str| format!("{who}-{n}");
        let said = format!("{CANARY} {n}");
        assert_eq!(ask(server.address, &acme, mei, &said, &trace("mei")).status, 200);
        assert_eq!(ask(server.address, &acme, bob, "hello", &trace("bob")).status, 200);
        assert_eq!(ask(server.address, &other, mei, "hello", &trace("away")).status, 200);
    }
    for trace in ["mei-3", "bob-3", "away-3"] {
        wait_for(trace, || is_kept(&project, trace).then_some(()));
    }
    let liked = json!({ "trace_id": "mei-1", "like": true }).to_string();
    let headers = format!("authorization: Bearer {acme}\r\ncontent-type: application/json\r\n");
    let request = client::request("POST", "/v1/feedback", &headers, liked.as_bytes());
    assert_eq!(client::open(server.address, &request).unwrap().finish().unwrap().status, 200);

    // Without `--yes` nothing goes; the name is the client's, records have a pseudonym for it.
    let whose = ["--tenant", "acme", "--user", mei];
    let shown = delete(&project, &whose).exits(0);
    assert!(shown.out.contains("4 records would be deleted"), "{shown:?}");
    assert!(is_kept(&project, "mei-0"));
    let shown = delete(&project, &["--user", mei, "--json"]).exits(0).json();
    assert_eq!((&shown["records"], &shown["deleted"]), (&json!(8), &json!(false)), "{shown}");

    let done = delete(&project, &[&whose[..], &["--yes", "--by", "dpo"]].concat()).exits(0);
    assert!(done.out.starts_with("4 records are deleted"), "{done:?}");
    for n in 0..4 {
        assert!(!is_kept(&project, &format!("mei-{n}")));
        assert!(is_kept(&project, &format!("bob-{n}")) && is_kept(&project, &format!("away-{n}")));
    }
    assert!(!is_in_state(&project, CANARY), "what was said");
    assert!(!is_in_state(&project, mei), "the user's name");
    assert_eq!(delete(&project, &["--user", mei, "--json"]).json()["records"], 4);
    // The journal says who ordered it and how many went, and not whose they were.
    let events: Vec<Value> = crate::journal::read(&project.root)
        .iter()
        .map(|entry| serde_json::from_str(&entry.body).unwrap())
        .filter(|event: &Value| event["event"] == "records_deleted")
        .collect();
    let [begun, ended] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&begun["by"], &begun["records"]), (&json!("dpo"), &Value::Null), "{begun}");
    assert_eq!((&ended["records"], &ended["tenant"]), (&json!(4), &json!("acme")), "{ended}");
    let user = ended["user"].as_str().unwrap();
    assert!(user.starts_with("user-") && user.len() == 21, "{ended}");

    // The server goes on; without it the command does the same.
    assert_eq!(ask(server.address, &acme, mei, CANARY, "mei-9").status, 200);
    wait_for("mei-9", || is_kept(&project, "mei-9").then_some(()));
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let done = delete(&project, &["--tenant", "acme", "--yes", "--json"]).exits(0).json();
    assert_eq!(done["done"]["records"], 5, "{done}");
    assert!(!is_kept(&project, "bob-0") && is_kept(&project, "away-0"));
    assert!(!is_in_state(&project, CANARY));
    project.run(&["check"]).exits(0);
}

#[test]
fn a_deletion_has_to_say_whose_records_and_may_be_of_a_time() {
    let project = Project::quick();
    let server = project.serve();
    assert_eq!(server.chat("bob", "hi").status, 200);
    wait_for("the record", || {
        (delete(&project, &["--user", "bob", "--json"]).json()["records"] == 1).then_some(())
    });
    for args in [
        &["--yes"][..],
        &["--before", "2020-01-01", "--yes"],
        &["--user", "", "--yes"],
        &["--tenant", "", "--user", "bob", "--yes"],
        &["--user", "bob", "--before", "tomorrow", "--yes"],
    ] {
        assert_eq!(delete(&project, args).code, 2, "{args:?}");
    }
    let old = ["--user", "bob", "--before", "2020-01-01", "--yes", "--json"];
    assert_eq!(delete(&project, &old).exits(0).json()["done"]["records"], 0);
    // A day that is still to come is now: what comes later is not deleted ahead.
    let ahead = ["--user", "bob", "--before", "2999-01-01", "--yes", "--json"];
    assert_eq!(delete(&project, &ahead).exits(0).json()["done"]["records"], 1);
    // Over the admin plane it takes the role that makes keys.
    let operator = project.run(&["key", "create", "op", "--role", "operate"]).exits(0);
    let with = json!({ "user": "bob", "by": "mei" });
    let (address, _) = crate::project::Server::admin(&project.root);
    let ask = |key: &str, with: &Value| {
        let body = json!({ "command": "delete_records", "with": with }).to_string();
        let headers = format!("authorization: Bearer {}\r\n", key.trim());
        let request = client::request("POST", "/admin/v1/commands", &headers, body.as_bytes());
        client::open(address, &request).unwrap().finish().unwrap()
    };
    assert_eq!(ask(&operator.out, &with).status, 403);
    let lead = project.run(&["key", "create", "lead", "--role", "admin"]).exits(0);
    assert_eq!(ask(&lead.out, &with).status, 200);
    let nobody = ask(&lead.out, &json!({ "by": "mei" }));
    assert!(nobody.status == 409 && nobody.body.contains("a tenant's or a user's"), "{nobody:?}");
}

/// Packs are sealed: a deletion names those that have samples of the one who is deleted.
#[test]
fn a_deletion_names_the_packs_that_have_samples_of_the_user() {
    let project = Project::fast();
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2", "--by", "mei"]).exits(0);
    for user in 0..40 {
        assert_eq!(server.chat(&format!("u{user}"), "退款?").status, 200);
    }
    project.run(&["rollback", "--reason", "complaints", "--by", "mei"]).exits(0);
    let packs_of =
        |user: &str| delete(&project, &["--user", user, "--json"]).json()["packs"].take();
    let (user, packs) = wait_for("a pack with a user's sample", || {
        let users = (0..40).map(|n| format!("u{n}"));
        users.map(|user| (packs_of(&user), user)).find_map(|(packs, user)| {
            packs.as_object().is_some_and(|packs| !packs.is_empty()).then_some((user, packs))
        })
    });
    let path = packs.as_object().unwrap().keys().next().unwrap();
    assert!(path.starts_with("reports/"), "{packs}");
    let done = delete(&project, &["--user", &user, "--yes"]).exits(0);
    assert!(done.out.contains(path.as_str()), "{done:?}");
    assert_eq!(packs_of("somebody-else"), json!({}));
    project.run(&["verify", path]).exits(0);
}
