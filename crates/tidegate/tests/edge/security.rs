//! What an attacker tries: credentials that are commands, ids of other tenants, secrets that come
//! back, names that were rebound, files made to take long. The table in `docs/security.md` names
//! what each test shows.

use crate::client::{self, Answer, CHAT};
use crate::dice::{Dice, setting};
use crate::project::{Project, Server, wait_for};
use crate::services::Workspace;
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Half of what an injected `pg_sleep(8)` would take.
const NO_SLEEP: Duration = Duration::from_secs(4);

fn send(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let bytes = client::request(method, path, headers, body.as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn asking(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

#[test]
fn a_credential_that_is_a_command_is_an_unknown_key() {
    let project = Project::quick();
    project.append("tidegate.yaml", "credentials: [{name: app, key_env: TG_EDGE_APP}]\n");
    let body = asking("hi").to_string();
    let tries = [
        "' OR '1'='1",
        "'; SELECT pg_sleep(8)--",
        "sk-1' AND 1=(SELECT 1 FROM pg_sleep(8))--",
        "x' UNION SELECT hash FROM keys--",
        "tg-1'/**/OR/**/randomblob(900000000)--",
        "${jndi:ldap://127.0.0.1/x}",
        "{{7*7}}",
        "$(sleep 8)",
        "%27%20OR%20sleep(8)%23",
        "../../etc/passwd",
    ];
    for (header, name) in [("authorization: Bearer ", "bearer"), ("x-api-key: ", "x-api-key")] {
        // Each server refuses ten wrong keys a minute one by one.
        let server =
            Server::start(&project.root, &[("TG_EDGE_APP", "a-key-of-the-app-0123456789")]);
        for given in tries {
            let asked = Instant::now();
            let answer = send(&server, "POST", CHAT, &format!("{header}{given}\r\n"), &body);
            answer.check_error(401, "invalid_api_key", &[]);
            assert!(!answer.body.contains(given), "{answer:?}");
            assert!(asked.elapsed() < NO_SLEEP, "{name} {given}: {:?}", asked.elapsed());
        }
        assert!(!server.log().contains("pg_sleep"), "{}", server.log());
    }
}

#[test]
fn keys_that_begin_alike_are_different_keys() {
    let project = Project::quick();
    project.append(
        "tidegate.yaml",
        "credentials:\n  - {name: a, key_env: A_KEY, tenant: acme}\n  \
         - {name: b, key_env: B_KEY, tenant: other}\n",
    );
    let (a, b) = ("sk-the-same-beginning-of-both-1", "sk-the-same-beginning-of-both-2");
    let server = Server::start(&project.root, &[("A_KEY", a), ("B_KEY", b)]);
    let body = asking("hi").to_string();
    for _ in 0..3 {
        for (key, tenant) in [(a, "acme"), (b, "other")] {
            let headers = format!("authorization: Bearer {key}\r\n");
            let answer = send(&server, "POST", CHAT, &headers, &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            let trace = answer.header("x-trace-id");
            wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
            let shown = project.run(&["trace", trace, "--json"]).exits(0).json();
            assert_eq!(shown["record"]["tenant"], tenant, "{shown}");
        }
    }
    for near in [&a[..20], &a[..30], "sk-the-same-beginning-of-both-12"] {
        let headers = format!("authorization: Bearer {near}\r\n");
        send(&server, "POST", CHAT, &headers, &body).check_error(401, "invalid_api_key", &[]);
    }
}

/// A tenant: its key, its service, and another's.
struct Tenant {
    key: String,
    service: &'static str,
    foreign: &'static str,
}

/// Feedback on a trace, a model, a response that goes on from one before: operations of `by_id`.
const FEEDBACK: u64 = 0;
const MODEL: u64 = 1;
const RESPONSE_BEFORE: u64 = 6;
const OPERATIONS: u64 = 13;

/// Asks for something by an id, and gives the answer without what differs by request.
fn by_id(server: &Server, tenant: &Tenant, operation: u64, id: &str) -> (u16, String) {
    let bearer = format!("authorization: Bearer {}\r\n", tenant.key);
    let mut body = asking("hi");
    let answer = match operation {
        FEEDBACK => {
            let like = json!({ "trace_id": id, "like": true });
            send(server, "POST", "/v1/feedback", &bearer, &like.to_string())
        }
        MODEL => send(server, "GET", &format!("/v1/models/{id}"), &bearer, ""),
        2 => {
            body["model"] = json!(id);
            send(server, "POST", CHAT, &bearer, &body.to_string())
        }
        3 => {
            let asked = json!({ "model": id, "max_tokens": 9, "messages": body["messages"] });
            send(server, "POST", "/v1/messages", &bearer, &asked.to_string())
        }
        4 => {
            let asked = json!({ "model": id, "max_tokens": 9, "messages": body["messages"] });
            send(server, "POST", "/v1/messages/count_tokens", &bearer, &asked.to_string())
        }
        5 => {
            let asked = json!({ "model": id, "input": "hi", "store": false });
            send(server, "POST", "/v1/responses", &bearer, &asked.to_string())
        }
        RESPONSE_BEFORE => {
            let asked = json!({ "input": "hi", "store": false, "previous_response_id": id });
            send(server, "POST", "/v1/responses", &bearer, &asked.to_string())
        }
        7 => {
            let asked = json!({ "model": id, "prompt": "hi" });
            send(server, "POST", "/v1/completions", &bearer, &asked.to_string())
        }
        8 => {
            let asked = json!({ "model": id, "input": "hi" });
            send(server, "POST", "/v1/embeddings", &bearer, &asked.to_string())
        }
        9 => send(server, "GET", &format!("/v1beta/models/{id}"), &bearer, ""),
        _ => {
            let verb = ["generateContent", "streamGenerateContent?alt=sse", "countTokens"];
            let path = format!("/v1beta/models/{id}:{}", verb[operation as usize - 10]);
            let asked = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
            send(server, "POST", &path, &bearer, &asked.to_string())
        }
    };
    let own = [answer.header("x-trace-id"), answer.header("x-request-id"), id];
    let said = own.iter().fold(answer.body.clone(), |said, own| said.replace(own, "…"));
    (answer.status, said)
}

/// Four tenants of two services: their keys are in the environment of the server.
fn four_tenants(workspace: &Workspace) -> (Vec<Tenant>, Server) {
    let (mut env, mut tenants) = (Vec::new(), Vec::new());
    for (project, service, foreign) in
        [(&workspace.desk, "desk", "shop"), (&workspace.shop, "shop", "desk")]
    {
        let mut credentials = String::from("credentials:\n");
        for number in 0..2 {
            let name = format!("{}_{number}", service.to_uppercase());
            let tenant = format!("{service}-{number}");
            credentials += &format!("  - {{name: {tenant}, key_env: {name}, tenant: {tenant}}}\n");
            let key = format!("key-of-{tenant}-0123456789");
            env.push((name, key.clone()));
            tenants.push(Tenant { key, service, foreign });
        }
        project.append("tidegate.yaml", &credentials);
    }
    let env: Vec<(&str, &str)> = env.iter().map(|(n, k)| (n.as_str(), k.as_str())).collect();
    let server = workspace.serve(&env);
    (tenants, server)
}

/// The trace of a request of each tenant, all under one `Idempotency-Key` that each has for itself.
fn traces(server: &Server, tenants: &[Tenant]) -> Vec<String> {
    let trace = |tenant: &Tenant| {
        let headers = format!("authorization: Bearer {}\r\nidempotency-key: same\r\n", tenant.key);
        let body = asking(&format!("secret of {}", tenant.key)).to_string();
        let answer = send(server, "POST", CHAT, &headers, &body);
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, ""), "{answer:?}");
        answer.header("x-trace-id").to_owned()
    };
    tenants.iter().map(trace).collect()
}

#[test]
fn an_id_of_another_tenant_is_as_good_as_none() {
    let seed = setting("TIDEGATE_FAULT_SEED", 7);
    let mut dice = Dice::new(seed);
    let workspace = Workspace::new();
    let (tenants, server) = four_tenants(&workspace);
    let traces = traces(&server, &tenants);
    let mut unknown: BTreeMap<(usize, u64), (u16, String)> = BTreeMap::new();
    let mut asked = 0;
    while asked < setting("TIDEGATE_FOREIGN_IDS", 300) {
        let [at, owner] = [(); 2].map(|()| dice.below(tenants.len() as u64) as usize);
        let (operation, tenant) = (dice.below(OPERATIONS), &tenants[at]);
        let id = match operation {
            FEEDBACK | RESPONSE_BEFORE if owner == at => continue,
            FEEDBACK | RESPONSE_BEFORE => traces[owner].as_str(),
            _ => tenant.foreign,
        };
        asked += 1;
        let foreign = by_id(&server, tenant, operation, id);
        let is_refused = [400, 404].contains(&foreign.0);
        assert!(is_refused, "seed {seed}: operation {operation} on {id}: {foreign:?}");
        // One that nobody has, of the same length.
        let none = unknown
            .entry((at, operation))
            .or_insert_with(|| by_id(&server, tenant, operation, &"z".repeat(id.len())));
        assert_eq!(&foreign, none, "seed {seed}: operation {operation} on {id} of {owner} by {at}");
    }
    // What each owns is there all the same.
    for (tenant, trace) in tenants.iter().zip(&traces) {
        assert_eq!(by_id(&server, tenant, FEEDBACK, trace).0, 200);
        for operation in [MODEL, 2, 9, 10] {
            let own = by_id(&server, tenant, operation, tenant.service);
            assert_eq!(own.0, 200, "operation {operation}: {own:?}");
        }
    }
}

/// A key as a provider gives them out: what a person may paste anywhere.
const CANARY: &str = "sk-proj-c4n4ryC4N4RYc4n4ry0123456789abcdefABCDEF";

/// A request with the secret in every member that has text, and one for each header.
fn spoilt() -> (String, Value) {
    let headers = ["authorization: Bearer ", "x-api-key: ", "traceparent: ", "user-agent: "]
        .map(|header| format!("{header}{CANARY}\r\n"));
    let arguments = json!({ "k": CANARY }).to_string();
    let call = json!({"id": CANARY, "type": "function",
                      "function": {"name": CANARY, "arguments": arguments}});
    let body = json!({
        "user": CANARY, "metadata": {"note": CANARY}, "stop": [CANARY], CANARY: CANARY,
        "response_format": {"type": "json_schema", "json_schema": {"name": CANARY, "schema": {}}},
        "tools": [{"type": "function", "function": {"name": "f", "description": CANARY}}],
        "messages": [
            {"role": "system", "content": format!("the key is {CANARY}")},
            {"role": "user", "name": CANARY, "content": format!("my key: {CANARY}")},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": CANARY, "content": CANARY},
            {"role": "user", "content": [{"type": "text", "text": CANARY}]},
        ],
    });
    (headers.concat(), body)
}

#[test]
fn a_secret_in_any_field_is_kept_nowhere() {
    // The model says it again, and the second time it fails with it.
    let upstream = Upstream::by_rule(|body| match body["seed"] == 1 {
        true => ("500 Oops", json!({"error": {"message": CANARY, "code": CANARY}}).to_string()),
        false => ("200 OK", completion(&format!("{CANARY} is not valid; MARKER-81c2"))),
    });
    let project = upstream.project("", "risk: {planted: [MARKER-81c2]}\nlimits: {retries: 0}\n");
    let server = project.serve();
    let (headers, mut body) = spoilt();
    let mut said = Vec::new();
    for (number, (path, seed)) in
        [(CHAT, 0), (CHAT, 1), ("/v1/messages", 0), ("/v1/responses", 0), ("/v1/feedback", 0)]
            .into_iter()
            .enumerate()
    {
        body["seed"] = json!(seed);
        let headers = format!("{headers}x-trace-id: c-{number}\r\n");
        said.push(send(&server, "POST", path, &headers, &body.to_string()));
    }
    for path in [format!("/{CANARY}"), format!("/v1/models/{CANARY}")] {
        said.push(send(&server, "GET", &path, &headers, ""));
    }
    // What it said is what the client asked; of what it keeps nothing has it.
    assert_eq!(said[0].status, 502, "withheld: {:?}", said[0]);
    assert!(!said[0].body.contains(CANARY) && !said[1].body.contains(CANARY), "{said:?}");
    wait_for("an incident with its pack", || {
        let listed = project.run(&["incident", "list", "--json"]).exits(0).json();
        listed.as_object()?.values().next()?["pack"]["path"].as_str().map(|_| ())
    });
    let mut shown = vec![client::get(server.address, "/metrics", "").unwrap().body];
    for trace in ["c-0", "c-1"] {
        wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
        shown.push(project.run(&["trace", trace]).exits(0).out);
        shown.push(project.run(&["trace", trace, "--json"]).exits(0).out);
    }
    for args in [&["traces"][..], &["incident", "list"], &["cost", "--by", "tenant,model", "--csv"]]
    {
        shown.push(project.run(args).exits(0).out);
    }
    shown.push(server.log());
    for text in &shown {
        assert!(!text.contains(CANARY), "{text}");
    }
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let state = std::fs::read_dir(project.root.join(".tidegate")).unwrap();
    let state = state.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let files = state.map(|path| (path.clone(), std::fs::read(path).unwrap()));
    for (path, bytes) in files.chain(project.files()) {
        let found = String::from_utf8_lossy(&bytes).contains(CANARY);
        assert!(!found, "the secret is in {}", path.display());
    }
}

#[test]
fn a_rebound_name_reaches_no_command_of_the_admin_plane() {
    let project = Project::quick();
    let _server = project.serve();
    let (address, token) = Server::admin(&project.root);
    let ask = |host: &str, more: &str| {
        let raw = format!(
            "GET /admin/v1/status HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n{more}\r\n"
        );
        client::open(address, raw.as_bytes()).unwrap().finish().unwrap().status
    };
    assert_eq!(ask("localhost", ""), 200);
    assert_eq!(ask(&address.to_string(), "origin: http://localhost:3000\r\n"), 200);
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io"] {
        assert_eq!(ask(host, ""), 421, "{host}");
    }
    for origin in ["https://evil.example", "null"] {
        assert_eq!(ask("localhost", &format!("origin: {origin}\r\n")), 403, "{origin}");
    }
}

#[test]
fn a_project_file_made_to_take_long_is_refused_at_once() {
    let bomb: String = (1..12)
        .map(|i| format!("b{i}: &b{i} [{}]\n", vec![format!("*b{}", i - 1); 10].join(", ")))
        .collect();
    let keys: String = (0..60_000).map(|n| format!("k{}: 1\n", n % 30_000)).collect();
    for (what, text) in [
        ("aliases", format!("b0: &b0 [x]\n{bomb}")),
        ("depth", "{a: ".repeat(250_000)),
        ("lists", "[".repeat(1_000_000)),
        ("size", "a: b\n".repeat(1_000_000)),
        ("keys", keys),
        ("merge", format!("a: &a {{x: 1}}\nb:\n{}", "  <<: *a\n".repeat(50_000))),
    ] {
        let project = Project::init();
        project.write("tidegate.yaml", text);
        let began = Instant::now();
        project.run(&["check"]).fails(2, &["tidegate.yaml"], &[]);
        // Milliseconds, and a process that starts on a busy machine.
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
    }
}

/// A server that is asked everything starts no program: nothing that a request says can become one.
#[test]
#[cfg(target_os = "linux")]
fn no_request_starts_a_program() {
    use std::process::{Command, Stdio};
    let project = Project::quick();
    let server = project.serve();
    let calls = project.root.join("calls");
    let pid = server.pid().to_string();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=execve,execveat,accept4", "-o"]).arg(&calls).args(["-p", &pid]);
    let Ok(mut traced) = strace.stderr(Stdio::null()).stdin(Stdio::null()).spawn() else {
        println!("skipped: there is no strace");
        return;
    };
    let body = asking("$(touch x); `touch x`; ${IFS}touch x").to_string();
    let sees = |call: &str| {
        let seen = std::fs::read_to_string(&calls).unwrap_or_default();
        seen.contains(call)
    };
    let is_traced = wait_for("a system call that strace sees, or its end", || {
        assert_eq!(send(&server, "POST", CHAT, "", &body).status, 200);
        match traced.try_wait().unwrap() {
            Some(_) => Some(false),
            None => sees("accept4(").then_some(true),
        }
    });
    if !is_traced {
        println!("skipped: strace may not look at another process here");
        return;
    }
    for path in ["/v1/messages", "/v1/responses", "/v1/embeddings", "/chat", "/v1/feedback"] {
        send(&server, "POST", path, "x-trace-id: ;touch\r\n", &body);
    }
    for path in ["/metrics", "/readyz", "/openapi.json", "/v1/models/$(id)"] {
        send(&server, "GET", path, "", "");
    }
    project.run(&["key", "create", "web"]).exits(0);
    project.run(&["degrade", "1", "--reason", "$(touch x)"]).exits(0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    traced.wait().unwrap();
    assert!(sees("accept4(") && !sees("execve"), "{}", std::fs::read_to_string(&calls).unwrap());
}

/// What a tree of values refuses and clients read all the same: it must not carry a text past the
/// guard that replaces it.
#[test]
fn personal_data_is_replaced_whatever_else_an_answer_has() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    for odd in [r#""\ud83d""#, "1e999", deep.as_str()] {
        let said = r#""content": "mail ann@example.com \ud83d""#;
        let whole = format!(r#"{{"x": {odd}, "choices": [{{"message": {{{said}}}}}]}}"#);
        let chunk = format!(r#"{{"x": {odd}, "choices": [{{"index": 0, "delta": {{{said}}}}}]}}"#);
        let stream = format!("data: {chunk}\n\ndata: [DONE]\n\n");
        let upstream = Upstream::speaking(move |body| match body["stream"] == true {
            true => ("200 OK", "text/event-stream", stream.clone()),
            false => ("200 OK", "application/json", whole.clone()),
        });
        let project = upstream.project("", "risk: {redact: [personal]}\n");
        let server = project.serve();
        for stream in [false, true] {
            let mut body = asking("who?");
            body["stream"] = json!(stream);
            let answer = send(&server, "POST", CHAT, "", &body.to_string());
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.body.contains("[email]"), "{odd:.20} {stream}: {answer:?}");
            assert!(!answer.body.contains("ann@"), "{odd:.20} {stream}: {answer:?}");
        }
    }
}
