//! Keys: who may call and who may steer, and that a revoked key opens nothing any more.

use crate::client::{self, Answer, CHAT};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::preload::{Disk, Fault};
use crate::project::{Project, Server, tidegate, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const REVOKED_WITHIN: Duration = Duration::from_secs(1);

fn key(project: &Project, args: &[&str]) -> String {
    let made = project.run(&[&["key", "create"], args].concat()).exits(0);
    let key = made.out.trim().to_owned();
    assert!(key.starts_with("tg-") && key.len() == 84, "the key alone goes to stdout: {made:?}");
    assert!(made.err.contains("only its hash is stored"), "{made:?}");
    key
}

fn id(key: &str) -> &str {
    &key[..11]
}

fn ask_with(address: SocketAddr, header: &str) -> Answer {
    let body = json!({ "messages": [{ "role": "user", "content": "退款?" }], "user": "u-1" });
    let headers = format!("content-type: application/json\r\n{header}");
    let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(address, &request).unwrap().finish().unwrap()
}

fn ask(address: SocketAddr, key: &str) -> Answer {
    ask_with(address, &format!("authorization: Bearer {key}\r\n"))
}

fn admin(project: &Project, method: &str, key: &str, command: Option<&Value>) -> Answer {
    let (address, _) = Server::admin(&project.root);
    let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
    let body = command.map(Value::to_string).unwrap_or_default();
    let path = if command.is_some() { "/admin/v1/commands" } else { "/admin/v1/status" };
    let request = client::request(method, path, &headers, body.as_bytes());
    client::open(address, &request).unwrap().finish().unwrap()
}

#[test]
fn a_key_is_shown_once_opens_until_it_is_revoked_and_survives_a_restart() {
    let project = Project::quick();
    let server = project.serve();
    assert_eq!(server.chat("u-1", "hi").status, 200, "without a key everyone here may call");
    let first = key(&project, &["web", "--tenant", "acme"]);
    ask_with(server.address, "").check_error(401, "invalid_api_key", &["Authorization"]);
    let answered = ask(server.address, &first);
    assert_eq!(answered.status, 200, "{answered:?}");
    for header in ["x-api-key", "api-key"] {
        let answered = ask_with(server.address, &format!("{header}: {first}\r\n"));
        assert_eq!(answered.status, 200, "{header}: {answered:?}");
    }
    let trace = answered.header("x-trace-id").to_owned();
    wait_for("its record", || (project.run(&["trace", &trace]).code == 0).then_some(()));
    let record = project.run(&["trace", &trace, "--json"]).exits(0).json();
    assert_eq!(record["record"]["tenant"], "acme", "{record}");
    // A mistyped key and an unknown key have different errors.
    let mistyped = format!("{}0", &first[..83]);
    let other = if mistyped == first { format!("{}1", &first[..83]) } else { mistyped };
    ask(server.address, &other).check_error(401, "invalid_api_key", &["checksum"]);
    ask(server.address, &first[..60]).check_error(401, "invalid_api_key", &["checksum"]);
    ask(server.address, "tg-' OR pg_sleep(8)--").check_error(401, "invalid_api_key", &["no key"]);

    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let server = project.serve();
    assert_eq!(ask(server.address, &first).status, 200);
    let revoked = project.run(&["key", "revoke", "web"]).exits(0);
    assert!(revoked.out.contains(id(&first)) && revoked.out.contains("opens no more"));
    ask(server.address, &first).check_error(401, "invalid_api_key", &["revoked"]);
    ask_with(server.address, "").check_error(401, "invalid_api_key", &[]);
    server.kill();
    let server = project.serve();
    ask(server.address, &first).check_error(401, "invalid_api_key", &["revoked"]);
    // The key is nowhere: not in the state, not in a log.
    let secret = &first[12..];
    for (path, bytes) in project.files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "the key is in {}", path.display());
    }
    assert!(!server.log().contains(secret));
}

#[test]
fn a_rotated_key_and_its_successor_both_open_for_a_while() {
    let project = Project::quick();
    let server = project.serve();
    let old = key(&project, &["web", "--expires", "90d", "--tenant", "acme"]);
    let rotated = project.run(&["key", "rotate", "web", "--overlap", "1h"]).exits(0);
    let new = rotated.out.trim();
    assert!(rotated.err.contains(id(&old)) && rotated.err.contains(id(new)), "{rotated:?}");
    assert_eq!((ask(server.address, &old).status, ask(server.address, new).status), (200, 200));
    let list = project.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!(list[id(new)]["tenant"], "acme", "{list}");
    let lasts = |key: &str| {
        let moment = |name: &str| list[id(key)][name].as_u64().unwrap();
        (moment("expires_at") - moment("made_at")).div_ceil(60_000)
    };
    assert_eq!((lasts(&old), lasts(new)), (90 * 1_440, 90 * 1_440), "minutes");
    assert!(list[id(new)].get("hash").is_none(), "{list}");
    // Two keys of one name: which is meant has to be said.
    project.run(&["key", "revoke", "web"]).fails(2, &["2 keys of `web`"], &[id(&old), id(new)]);
    project.run(&["key", "revoke", id(&old)]).exits(0);
    ask(server.address, &old).check_error(401, "invalid_api_key", &["revoked"]);
    assert_eq!(ask(server.address, new).status, 200);
    project.run(&["key", "revoke", id(&old)]).fails(2, &["revoked already"], &["key list"]);
    let now = project.run(&["key", "rotate", "web", "--overlap", "0s"]).exits(0);
    ask(server.address, new).check_error(401, "invalid_api_key", &["revoked"]);
    assert_eq!(ask(server.address, now.out.trim()).status, 200);
    let table = project.run(&["key", "list"]).exits(0);
    assert_eq!(table.out.lines().count(), 4, "{table:?}");
    assert!(table.out.lines().nth(1).unwrap().contains("until 20"), "{table:?}");
}

#[test]
fn a_key_of_a_short_life_opens_no_more_after_it() {
    let project = Project::quick();
    let server = project.serve();
    let brief = key(&project, &["brief", "--expires", "1s"]);
    let expired = wait_for("its end", || {
        let answer = ask(server.address, &brief);
        (answer.status != 200).then_some(answer)
    });
    expired.check_error(401, "invalid_api_key", &["expired"]);
}

#[test]
fn each_role_does_what_it_is_for_on_its_own_plane() {
    let project = Project::fast();
    let server = project.serve();
    let caller = key(&project, &["app"]);
    let reader = key(&project, &["board", "--role", "read"]);
    let operator = key(&project, &["oncall", "--role", "operate"]);
    let admin_key = key(&project, &["lead", "--role", "admin"]);
    for other in [&reader, &operator, &admin_key] {
        ask(server.address, other).check_error(401, "invalid_api_key", &["role"]);
    }
    let status = |key: &str| admin(&project, "GET", key, None).status;
    assert_eq!(
        [&caller, &reader, &operator, &admin_key].map(|key| status(key)),
        [401, 200, 200, 200]
    );
    let pack = json!({ "command": "pack", "with": {} });
    let order = |key: &str| admin(&project, "POST", key, Some(&pack)).status;
    assert_eq!([&caller, &reader, &operator].map(|key| order(key)), [401, 403, 200]);
    let revoke = json!({ "command": "revoke_key", "with": { "key": "app", "by": "mei" } });
    let beyond = admin(&project, "POST", &operator, Some(&revoke));
    assert_eq!(beyond.status, 403, "{beyond:?}");
    assert!(beyond.body.contains("needs role `admin`"), "{beyond:?}");
    assert_eq!(ask(server.address, &caller).status, 200);
    assert_eq!(admin(&project, "POST", &admin_key, Some(&revoke)).status, 200);
    ask(server.address, &caller).check_error(401, "invalid_api_key", &["revoked"]);
    // From anywhere, with a key in place of the token.
    let away = tempfile::TempDir::new().unwrap();
    let (address, _) = Server::admin(&project.root);
    let address = address.to_string();
    let args = ["release", "status", "--server", &address];
    let empty = tempfile::TempDir::new().unwrap();
    let elsewhere = ("XDG_RUNTIME_DIR", empty.path().to_str().unwrap());
    let seen = tidegate(away.path(), &args, &[elsewhere, ("TIDEGATE_ADMIN_TOKEN", &reader)]);
    assert!(seen.out.contains("no release"), "{seen:?}");
}

#[test]
fn a_key_asks_for_the_models_it_is_made_for_and_is_shown_no_other() {
    let project = Project::quick();
    project.append("tidegate.yaml", "aliases: [fast, gpt-4o]\n");
    let server = project.serve();
    let bound = key(&project, &["web", "--models", "fast,gpt-4o"]);
    let free = key(&project, &["ops"]);
    let own = key(&project, &["own", "--models", "my-service"]);
    let ask_for = |key: &str, path: &str, model: Option<&str>| {
        let mut body = json!({
            "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 9, "input": "hi"
        });
        if path != "/v1/responses" {
            body.as_object_mut().unwrap().remove("input");
        } else {
            body = json!({ "input": "hi" });
        }
        if let Some(model) = model {
            body["model"] = json!(model);
        }
        let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
        let request = client::request("POST", path, &headers, body.to_string().as_bytes());
        client::open(server.address, &request).unwrap().finish().unwrap()
    };
    for path in [CHAT, "/v1/messages", "/v1/responses", "/v1/messages/count_tokens"] {
        for (key, model, status) in [
            (&bound, "fast", 200),
            (&bound, "gpt-4o", 200),
            (&bound, "my-service", 404),
            (&bound, "Fast", 404),
            (&own, "my-service", 200),
            (&own, "fast", 404),
            (&free, "my-service", 200),
            (&free, "fast", 200),
        ] {
            let answer = ask_for(key, path, Some(model));
            assert_eq!(answer.status, status, "{path} {model}: {answer:?}");
        }
    }
    ask_for(&bound, CHAT, Some("my-service")).check_error(
        404,
        "model_not_found",
        &["the key may ask for `fast`, `gpt-4o`"],
    );
    let unknown = ask_for(&bound, CHAT, Some("none"));
    assert!(!unknown.body.contains("my-service"), "a name that it may not ask for: {unknown:?}");
    ask_for(&bound, CHAT, None).check_error(400, "model_required", &["`fast`, `gpt-4o`"]);
    assert_eq!(ask_for(&own, CHAT, None).status, 200);
    let refused = ask_for(&bound, "/v1/messages", Some("my-service")).json();
    assert_eq!(refused["error"]["type"], "not_found_error", "{refused}");
    let list =
        client::get(server.address, "/v1/models", &format!("authorization: Bearer {bound}\r\n"));
    let list = list.unwrap().json();
    let ids: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["fast", "gpt-4o"]);
    // A successor may ask for the same; a name that the service does not have is no model.
    let next = project.run(&["key", "rotate", "web"]).exits(0).out.trim().to_owned();
    assert_eq!(ask_for(&next, CHAT, Some("my-service")).status, 404);
    assert_eq!(ask_for(&next, CHAT, Some("fast")).status, 200);
    let wrong = project.run(&["key", "create", "x", "--models", "fsat"]);
    wrong.fails(2, &["`fsat`"], &["my-service, fast, gpt-4o"]);
    let table = project.run(&["key", "list"]).exits(0).out;
    assert!(table.contains("only `fast`, `gpt-4o`"), "{table}");
    // Names are not taken unseen where the file that has them cannot be read.
    drop(server);
    project.append("tidegate.yaml", "nonsense: 1\n");
    project.run(&["key", "create", "y", "--models", "fast"]).fails(2, &["nonsense"], &[]);
    project.run(&["key", "create", "y"]).exits(0);
}

#[test]
fn a_key_over_the_admin_plane_has_the_bounds_of_the_command_line() {
    let project = Project::quick();
    let _server = project.serve();
    let lead = key(&project, &["lead", "--role", "admin"]);
    let make = |member: &str, value: Value| {
        let mut with = json!({ "name": "web", "tenant": null, "role": "call", "by": "mei" });
        with[member] = value;
        let command = json!({ "command": "make_key", "with": with });
        admin(&project, "POST", &lead, Some(&command))
    };
    for (member, value, says) in [
        ("text", json!("tg-00000000-0"), "checksum"),
        ("text", json!("sk-no-key"), "no key"),
        ("text", json!(lead), "there already"),
        ("models", json!(["other"]), "`other`"),
        ("name", json!("tg-12345678"), "name"),
        ("lasts_ms", json!(0), "given 0 ms, allowed are 1 to"),
        ("lasts_ms", json!(u64::MAX), "100 years"),
    ] {
        let answer = make(member, value);
        assert_eq!(answer.status, 409, "{member}: {answer:?}");
        assert!(answer.body.contains(says), "{member}: {answer:?}");
    }
    // What is no bound is not read as one, and says which member it is.
    let count = "whole numbers from 1 to";
    for (member, value, says) in [
        ("requests_per_min", json!(0), count),
        ("requests_per_min", json!(-1), "given -1, allowed are whole numbers from 1 to 1000000"),
        ("requests_per_min", json!(1.5), "given 1.5,"),
        ("requests_per_min", json!("60"), count),
        ("tokens_per_min", json!(u64::MAX), count),
        ("tokens_per_min", json!(1e30), count),
        ("concurrent", json!(0), count),
        ("concurrent", json!(1_u64 << 32), "from 1 to 1000000,"),
        ("concurrent", json!([1]), count),
        ("budget_day", json!("9000000.01"), "at most 9000000 US dollars"),
        ("budget_day", json!("18000000"), "at most 9000000 US dollars"),
        ("budget_day", json!("99999999999999999999999999"), "at most 9000000 US dollars"),
        ("budget_day", json!("-1"), "a budget is not negative"),
        ("budget_month", json!("5eur"), "given \\\"5eur\\\", a budget is in US dollars"),
        ("budget_month", json!("NaN"), "decimal number"),
        ("budget_month", json!(""), "decimal number"),
        ("budget_month", json!(5), "a budget is text"),
        // Members that are none: each may be meant as a bound.
        ("budget_week", json!("5"), "unknown field `budget_week`"),
        ("budget_month_usd", json!(5), "unknown field"),
        ("expires_at", json!(1), "unknown field"),
        ("role", json!("root"), "unknown variant `root`"),
    ] {
        let answer = make(member, value);
        assert_eq!(answer.status, 400, "{member}: {answer:?}");
        assert!(answer.body.contains(says), "{member}: {answer:?}");
        let is_named = member == "role" || answer.body.contains(member);
        assert!(is_named, "{member}: {answer:?}");
    }
    assert!(!project.run(&["key", "list"]).exits(0).out.contains("web"), "nothing was made");
    assert_eq!(make("budget_day", json!("0.5 USD")).status, 200);
}

#[test]
fn a_bound_that_is_none_is_refused_wherever_it_is_given() {
    let project = Project::init();
    for (flag, wrong, says) in [
        ("--requests-per-min", "0", "1 to 1000000000000"),
        ("--requests-per-min", "-1", "1 to 1000000000000"),
        ("--tokens-per-min", "1e3", "1 to 1000000000000"),
        ("--tokens-per-min", "99999999999999999999", "1 to 1000000000000"),
        ("--concurrent", "1000001", "1 to 1000000"),
        ("--budget-day", "-5", "not negative"),
        ("--budget-day", "5eur", "US dollars"),
        ("--budget-day", "9000001", "at most 9000000 US dollars"),
        ("--budget-month", "inf", "decimal number"),
    ] {
        project.run(&["key", "create", "web", flag, wrong]).fails(2, &[flag, wrong, says], &[]);
    }
    let week = project.run(&["key", "create", "web", "--budget-week", "5"]);
    assert!(week.code == 2 && week.err.contains("'--budget-day'"), "{week:?}");
    project.append("tidegate.yaml", "\nbounds: {PLACE}\n");
    let mut before = "{PLACE}".to_owned();
    for (wrong, says) in [
        ("{requests_per_min: 0}", "bounds.requests_per_min: given `0`, allowed 1 to"),
        ("{requests_per_min: -1}", "requests_per_min"),
        ("{tokens_per_min: 1.5}", "tokens_per_min"),
        ("{tokens_per_min: 1000000000001}", "allowed 1 to 1000000000000"),
        ("{concurrent: 1000001}", "allowed 1 to 1000000"),
        ("{concurrent: 4294967297}", "concurrent"),
        ("{budget_day_usd: -5}", "budget_day_usd: given `-5`, allowed 0 to 9000000 (US dollars)"),
        ("{budget_day_usd: .nan}", "given `.nan`"),
        ("{budget_day_usd: .inf}", "given `.inf`"),
        ("{budget_month_usd: 1e300}", "allowed 0 to 9000000"),
        ("{budget_month_usd: 5eur}", "budget_month_usd"),
        ("{budget_week_usd: 5}", "budget_week_usd"),
    ] {
        project.edit("tidegate.yaml", &before, wrong);
        before = wrong.to_owned();
        project.run(&["check"]).fails(2, &["tidegate.yaml:", says], &[]);
    }
    project.edit("tidegate.yaml", &before, "{budget_day_usd: 0, budget_month_usd: -0.0}");
    project.run(&["check"]).exits(0);
}

#[test]
fn a_wrong_command_about_keys_says_what_is_wrong() {
    let project = Project::quick();
    let unadopted = project.run(&["key", "list"]);
    assert_eq!(unadopted.code, 2, "{unadopted:?}");
    let server = project.serve();
    project.run(&["key", "create", "a\nb"]).fails(2, &["name `a\\nb`", "1 to 64"], &[]);
    project.run(&["key", "create", "web", "--tenant", ""]).fails(2, &["tenant ``"], &[]);
    project.run(&["key", "revoke", "web"]).fails(2, &["`web`"], &["key create"]);
    for args in [
        ["key", "create", "web", "--expires", "90"],
        ["key", "create", "web", "--expires", "1.5h"],
        ["key", "create", "web", "--concurrent", "0"],
        ["key", "create", "web", "--role", "root"],
    ] {
        assert_eq!(project.run(&args).code, 2, "{args:?}");
    }
    let made = key(&project, &["web"]);
    // A whole key where its name belongs is not repeated.
    let whole = project.run(&["key", "revoke", &made]);
    assert!(!whole.err.contains(&made[12..]), "{whole:?}");
    whole.fails(2, &[id(&made)], &[id(&made)]);
    // The secret was lost: no key opens, every caller is refused, and the error says why.
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    std::fs::remove_file(project.root.join(".tidegate/keys.secret")).unwrap();
    let server = project.serve();
    ask(server.address, &made).check_error(401, "invalid_api_key", &["not known"]);
    ask_with(server.address, "").check_error(401, "invalid_api_key", &[]);
    project.run(&["key", "create", "next"]).fails(4, &["keys.secret"], &["backup", "revoke"]);
    project.run(&["key", "revoke", "web"]).exits(0);
    let next = key(&project, &["next"]);
    assert_eq!(ask(server.address, &next).status, 200);
}

#[test]
fn a_service_that_requires_keys_refuses_every_caller_before_the_first_key() {
    let project = Project::quick();
    project.append("tidegate.yaml", "\nrequire_keys: true\n");
    // Reachable from other machines, which without keys is refused.
    project.edit("tidegate.yaml", "listen: 127.0.0.1:8787", "listen: 0.0.0.0:8787");
    project.run(&["check"]).exits(0);
    let server = project.serve();
    ask_with(server.address, "").check_error(401, "invalid_api_key", &[]);
    let made = key(&project, &["web"]);
    assert_eq!(ask(server.address, &made).status, 200);
}

/// The disk does not answer: a revoked key is closed all the same, and stays closed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_key_is_revoked_within_a_second_whatever_the_disk_does() {
    let project = Project::quick();
    let disk = Disk::new();
    let server = disk.serve(&project);
    let stolen = key(&project, &["web"]);
    assert_eq!(ask(server.address, &stolen).status, 200);
    disk.has(Fault::Stall);
    let ordered = Instant::now();
    let revoked = project.run(&["key", "revoke", "web"]).exits(0);
    assert!(revoked.out.contains("not yet written"), "{revoked:?}");
    ask(server.address, &stolen).check_error(401, "invalid_api_key", &["revoked"]);
    assert!(ordered.elapsed() < REVOKED_WITHIN * 5, "{:?}", ordered.elapsed());
    disk.recovers_from(Fault::Stall);
    wait_for("the journal", || {
        let list = project.run(&["key", "list", "--json"]).exits(0).json();
        list[id(&stolen)]["revoked_at"].is_u64().then_some(())
    });
    server.kill();
    let server = project.serve();
    ask(server.address, &stolen).check_error(401, "invalid_api_key", &["revoked"]);
}

/// The bounds of a key hold one by one, each says when it may pass, and other keys notice nothing.
#[test]
fn the_bounds_of_a_key_hold_and_say_when_it_may_pass() {
    let project = Project::quick();
    let server = project.serve();
    let bound = key(&project, &["web", "--requests-per-min", "3"]);
    let free = key(&project, &["batch"]);
    let first = ask(server.address, &bound);
    assert_eq!((first.status, first.header("x-ratelimit-limit-requests")), (200, "3"), "{first:?}");
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "2", "{first:?}");
    assert_eq!(
        (ask(server.address, &bound).status, ask(server.address, &bound).status),
        (200, 200)
    );
    let over = ask(server.address, &bound);
    over.check_error(429, "rate_limit_exceeded", &["`web`", "3 requests a minute", "try again"]);
    assert_eq!(over.header("x-ratelimit-limit-requests"), "3", "{over:?}");
    assert_eq!(over.header("x-ratelimit-remaining-requests"), "0", "{over:?}");
    let wait: u64 = over.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{over:?}");
    let answered = ask(server.address, &free);
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("x-ratelimit-limit-requests"), "", "it has no bounds");
    // What was used stays used when another key is made, and a successor gives no more.
    key(&project, &["other"]);
    assert_eq!(ask(server.address, &bound).status, 429);
    let successor = project.run(&["key", "rotate", "web"]).exits(0);
    assert_eq!(ask(server.address, successor.out.trim()).status, 429);

    let tokens = key(&project, &["tokens", "--tokens-per-min", "2000"]);
    let ask_for = |most: u64| {
        let body = json!({
            "messages": [{ "role": "user", "content": "退款?" }], "max_tokens": most
        });
        let headers = format!("authorization: Bearer {tokens}\r\n");
        let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
        client::open(server.address, &request).unwrap().finish().unwrap()
    };
    let answered = ask_for(1500);
    assert_eq!(answered.status, 200, "{answered:?}");
    // What was reserved and not used is given back.
    assert_eq!(ask_for(1500).status, 200);
    let never = ask_for(5000);
    never.check_error(429, "rate_limit_exceeded", &["2000 tokens a minute", "alone needs about"]);
    assert_eq!(never.header("x-should-retry"), "false", "{never:?}");
    assert_eq!(never.header("x-ratelimit-limit-tokens"), "2000", "{never:?}");
}

/// So many at a time, exact under load, and a place is given back however a request ends.
#[test]
fn a_key_has_so_many_requests_at_a_time() {
    let project = Project::init();
    let slow = "    kind: simulated\n    first_token_ms: 1500\n    ms_per_token: 0\n";
    project.edit("tidegate.yaml", "    kind: simulated\n", slow);
    let server = project.serve();
    let bound = key(&project, &["web", "--concurrent", "3"]);
    let address = server.address;
    let burst = || {
        let asking: Vec<_> = (0..12)
            .map(|_| {
                let bound = bound.clone();
                std::thread::spawn(move || ask(address, &bound))
            })
            .collect();
        let answers: Vec<Answer> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        let over = answers.iter().find(|answer| answer.status == 429);
        over.unwrap().check_error(429, "rate_limit_exceeded", &["3 requests at a time"]);
        answers.iter().filter(|answer| answer.status == 200).count()
    };
    assert_eq!(burst(), 3);
    assert_eq!(burst(), 3, "all places are given back");
    // Clients that leave give theirs back as well.
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let headers = format!("authorization: Bearer {bound}\r\n");
    let request = client::request("POST", CHAT, &headers, body.as_bytes());
    for _ in 0..3 {
        use std::io::Write as _;
        let mut leaver = std::net::TcpStream::connect(address).unwrap();
        leaver.write_all(&request).unwrap();
        wait_for("its place", || (ask(address, &bound).status == 200).then_some(()));
    }
    wait_for("all places", || (burst() == 3).then_some(()));
}
