//! `tidegate smoke` against services that answer, and against those that do not.

use crate::project::{Output, Project, wait_for};
use crate::tls::{AUTHORITY, ONE};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::time::Duration;

const FAILED: &str = "API smoke test failed: ";

/// A service that is healthy and answers a chat completion so.
fn service(chat: (&'static str, &'static str, String)) -> Upstream {
    Upstream::speaking(move |body| match body {
        Value::Null => ("200 OK", "application/json", r#"{"status": "ok"}"#.to_owned()),
        _ => chat.clone(),
    })
}

fn url(service: &Upstream) -> String {
    format!("http://{}", service.address)
}

/// Types `tidegate smoke` in a fresh project.
fn smoke(args: &[&str]) -> (Output, Option<Value>) {
    let project = Project::init();
    let output = project.run(&[&["smoke"], args].concat());
    let saved = std::fs::read_to_string(project.root.join("api_smoke_test.json")).ok();
    if let Some(saved) = &saved {
        assert_eq!(*saved, output.out, "what is printed is saved");
    }
    (output, saved.map(|text| serde_json::from_str(&text).unwrap()))
}

#[test]
fn a_service_that_answers_is_asked_as_a_client_asks_and_the_report_is_saved() {
    let service = service(("200 OK", "application/json", completion("只发布测过的版本。")));
    let (output, saved) = smoke(&["--base-url", &url(&service)]);
    let output = output.exits(0);
    let expected = json!({
        "health": {"status": "ok"}, "model": "m", "has_choices": true,
        "first_message": "只发布测过的版本。",
    });
    assert_eq!(saved, Some(expected), "{output:?}");
    let keys: Vec<_> = ["health", "model", "has_choices", "first_message"]
        .map(|key| output.out.find(&format!("\n  \"{key}\": ")).unwrap())
        .into();
    assert!(keys.is_sorted() && output.out.contains("只发布"), "{output:?}");
    let question = "Give one safe release rule for a local LLM service.";
    let body = json!({"messages": [{"role": "user", "content": question}], "max_tokens": 80});
    assert_eq!(service.asked(), [Value::Null, body]);
    let heads = service.heads();
    assert!(heads[0].starts_with("get /health http/1.1\n"), "{heads:?}");
    assert!(heads[1].starts_with("post /v1/chat/completions http/1.1\n"), "{heads:?}");
    for head in &heads {
        assert!(head.contains("content-type: application/json\n"), "{head}");
        assert!(!head.contains("authorization"), "{head}");
    }
}

#[test]
fn tidegate_itself_passes_its_smoke_test() {
    let project = Project::quick();
    let server = project.serve();
    let endpoint = format!("http://{}/v1", server.address);
    let report = project.run(&["smoke", "--endpoint", &endpoint]).exits(0).json();
    assert_eq!(report["has_choices"], true, "{report}");
    assert_eq!(report["health"]["service"], "my-service", "{report}");
}

#[test]
fn an_environment_of_the_project_has_its_address_and_its_key() {
    let service = service(("200 OK", "application/json", completion("fine")));
    let project = Project::init();
    let staging = format!("{{base_url: \"{}\", api_key_env: STAGING_KEY}}", url(&service));
    project.append("tidegate.yaml", &format!("environments: {{staging: {staging}}}\n"));
    let run = ["smoke", "--env", "staging", "--report", "reports/smoke.json"];
    project.run(&run).fails(2, &["STAGING_KEY"], &["export STAGING_KEY"]);
    assert_eq!(service.asked(), Vec::<Value>::new());
    project.run_with(&run, &[("STAGING_KEY", "s3cret")]).exits(0);
    assert!(project.read("reports/smoke.json").contains("\"fine\""));
    let heads = service.heads();
    assert!(heads.iter().all(|head| head.contains("authorization: bearer s3cret\n")), "{heads:?}");
    let other = project.run(&["smoke", "--env", "stagin"]);
    other.fails(2, &["no environment `stagin`"], &["did you mean `staging`?"]);
    project.edit("tidegate.yaml", "base_url: \"http://", "base_url: \"ftp://");
    project.run(&run).fails(2, &["environments.staging.base_url", "http"], &[]);
}

/// What is wrong, and the report, of a service that answers the chat completion so.
fn check(chat: (&'static str, &'static str, String), says: &[&str], has_choices: bool) {
    let service = service(chat);
    let (output, saved) = smoke(&["--base-url", &url(&service)]);
    let saved = saved.unwrap();
    output.fails(1, &[&[FAILED, "POST ", "/v1/chat/completions: "], says].concat(), &[]);
    let health = json!({"status": "ok"});
    assert_eq!((&saved["health"], &saved["has_choices"]), (&health, &json!(has_choices)));
}

#[test]
fn what_is_no_chat_completion_fails() {
    let json_of = |status, body: &str| (status, "application/json", body.to_owned());
    let error = r#"{"error": {"message": "the model is loading"}}"#;
    check(json_of("503 Service Unavailable", error), &["HTTP 503", "the model is loading"], false);
    let bad_key = r#"{"error": {"message": "Incorrect API key: sk-abcdefghijklmnopqrstuvwx"}}"#;
    check(json_of("401 Unauthorized", bad_key), &["HTTP 401", "Incorrect API key"], false);
    check(json_of("200 OK", r#"{"choices": ["#), &["the answer is not JSON"], false);
    check(json_of("200 OK", &"[".repeat(100_000)), &["the answer is not JSON"], false);
    check(json_of("200 OK", r#"{"model": "m", "choices": []}"#), &["no choices"], false);
    check(json_of("200 OK", r#"{"model": "m"}"#), &["no choices"], false);
    check(json_of("200 OK", r#"{"choices": [{"text": "x"}]}"#), &["has no message"], true);
    let huge = completion(&"x".repeat(2 * 1024 * 1024));
    check(json_of("200 OK", &huge), &["over 1048576 bytes"], false);
    let moved = "302 Found\r\nlocation: http://127.0.0.1:1/";
    check((moved, "text/html", String::new()), &["HTTP 302", "not followed"], false);
}

#[test]
fn a_secret_in_an_error_is_not_repeated() {
    let body = r#"{"error": {"message": "bad key sk-proj-abcdefghijklmnopqrstuvwxyz012345"}}"#;
    let service = service(("401 Unauthorized", "application/json", body.to_owned()));
    let (output, _) = smoke(&["--base-url", &url(&service)]);
    assert!(!output.err.contains("sk-proj-abcdef"), "{output:?}");
}

#[test]
fn a_service_that_is_not_there_or_is_not_healthy_fails() {
    let nobody = format!("http://{}", Upstream::nobody());
    let (output, saved) = smoke(&["--base-url", &nobody]);
    output.fails(1, &[FAILED, "GET http://", "/health: ", "connection refused"], &[]);
    let nothing = json!({"health": null, "model": null, "has_choices": false, "first_message": ""});
    assert_eq!(saved, Some(nothing), "no report of an earlier test is left");
    for (status, kind, body, says) in [
        ("200 OK", "text/html", "<html>", "the answer is not JSON"),
        ("500 Internal Server Error", "text/plain", "oops", "HTTP 500"),
        ("404 Not Found", "application/json", "{}", "HTTP 404"),
    ] {
        let service = Upstream::saying(status, kind, body);
        let (output, _) = smoke(&["--base-url", &url(&service)]);
        output.fails(1, &[FAILED, "GET http://", says], &[]);
        assert_eq!(service.asked().len(), 1, "nothing is asked after that");
    }
    // A service that never answers.
    let silent = Upstream::speaking(|_| {
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    let (output, _) = smoke(&["--base-url", &url(&silent), "--timeout", "1"]);
    output.fails(1, &[FAILED, "no answer within 1 s"], &[]);
}

#[test]
fn what_is_no_address_is_usage() {
    for (bad, says) in [
        ("127.0.0.1:8000", "must start with `http://`"),
        ("http://user:hunter2@127.0.0.1", "credentials"),
        ("http://127.0.0.1:99999", "port"),
        ("http://169.254.169.254", "metadata"),
    ] {
        let (output, saved) = smoke(&["--base-url", bad]);
        assert!(!output.err.contains("hunter2"), "{output:?}");
        output.fails(2, &[says], &[]);
        assert_eq!(saved, None);
    }
    let (output, _) = smoke(&["--env", "x", "--base-url", "http://127.0.0.1"]);
    output.exits(2);
}

#[test]
fn a_service_behind_tls_is_asked_where_its_certificate_is_trusted() {
    let upstream = Upstream::answering("fine");
    let project = upstream.project("", "tls: {cert: cert.pem, key: key.pem}\n");
    project.write("cert.pem", ONE[0]);
    project.write("key.pem", ONE[1]);
    project.write("ca.pem", AUTHORITY);
    let server = project.serve();
    let here = format!("https://localhost:{}", server.address.port());
    let ca = project.root.join("ca.pem");
    let trusted = [("SSL_CERT_FILE", ca.to_str().unwrap())];
    project.run_with(&["smoke", "--base-url", &here], &trusted).exits(0);
    let other = format!("https://{}", server.address);
    for (url, env) in [(&here, &[][..]), (&other, &trusted[..])] {
        let output = project.run_with(&["smoke", "--base-url", url], env);
        output.fails(1, &[FAILED, "certificate is not valid here"], &[]);
    }
}

#[test]
fn a_release_keeps_the_smoke_test_of_its_environment_as_evidence() {
    let project = Project::fast();
    let server = project.serve();
    let staging = format!("{{base_url: \"http://{}\"}}", server.address);
    let nobody = format!("{{base_url: \"http://{}\"}}", Upstream::nobody());
    let environments = format!("environments: {{staging: {staging}, gone: {nobody}}}\n");
    project.append("tidegate.yaml", &environments);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let start = ["release", "start", "--prompt", "v2", "--smoke-env"];
    let refused = project.run(&[&start[..], &["gone"]].concat());
    refused.fails(1, &[FAILED, "connection refused"], &["nothing was started"]);
    project.run(&[&start[..], &["staging"]].concat()).exits(0);
    project.run(&["rollback", "--reason", "test"]).exits(0);
    let pack = wait_for("the evidence pack", || {
        let status = project.run(&["release", "status", "--json"]).json();
        status["release"]["pack"]["path"].as_str().map(str::to_owned)
    });
    let text = project.read(&format!("{pack}/gates/smoke.txt"));
    assert!(text.contains("\"has_choices\": true") && text.contains("question: "), "{text}");
}
