//! A retriever over HTTP: asked for each request with the version set's index version, in its time,
//! and never at an address that is not a server's.

use crate::project::{Project, Server, wait_for};
use crate::retrieval::{ask, question, sent, with_prompt};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};

const CHUNKS: &str = r#"{"chunks": [
    {"id": "kb-7", "text": "可以退货。", "source": "refunds", "score": 0.9},
    {"text": "Five days.", "source": "shipping"}], "took_ms": 3}"#;

fn project(upstream: &Upstream, url: &str, more: &str) -> Project {
    let http = format!("{{url: \"{url}\", api_key_env: R_KEY}}");
    let search = format!("search: {{timeout_ms: 2000, {more}http: {http}}}");
    let index = format!("  index: {{version: 2026/11, retrieval: {{top_k: 2}}, {search}}}\n");
    with_prompt(upstream.project(&index, "limits: {retries: 0}\n"))
}

fn serve(project: &Project) -> Server {
    Server::start(&project.root, &[("R_KEY", "key-of-the-retriever")])
}

#[test]
fn it_is_asked_with_the_index_version_and_its_chunks_are_in_the_prompt() {
    let retriever = Upstream::saying("200 OK", "application/json", CHUNKS);
    let upstream = Upstream::answering("sure");
    let url = format!("http://{}/search", retriever.address);
    let project = project(&upstream, &url, "");
    let server = serve(&project);
    assert_eq!(ask(&server, "h-1", &question("退货?")).status, 200);
    let prompt = sent(&upstream);
    assert!(prompt.contains("[1] kb-7\n可以退货。\n\n[2] shipping\nFive days."), "{prompt}");
    let asked = json!({"query": "退货?", "index_version": "2026/11", "top_k": 2});
    assert_eq!(retriever.asked(), [asked]);
    let head = retriever.heads().remove(0);
    assert!(head.starts_with("post /search ") && head.contains("bearer key-of-the-retriever"));
    wait_for("its record", || (project.run(&["trace", "h-1"]).code == 0).then_some(()));
    let record = project.run(&["trace", "h-1", "--json"]).exits(0).json()["record"].clone();
    assert_eq!(record["retrieval"]["chunks"], json!(["kb-7", "shipping"]));
    assert_eq!(record["version_set"]["index_v"], "2026/11");
}

/// What becomes of a request where the retriever answers so.
#[track_caller]
fn check_failing(retriever: &Upstream, says: &str) {
    let upstream = Upstream::by_rule(|_| ("200 OK", completion("sure")));
    let url = format!("http://{}/search", retriever.address);
    let strict = project(&upstream, &url, "");
    let server = serve(&strict);
    let refused = ask(&server, "f-1", &question("退货"));
    refused.check_error(503, "retrieval_failed", &[says]);
    assert!(upstream.asked().is_empty(), "no model is asked");
    drop(server);
    let lenient = project(&upstream, &url, "on_failure: answer, ");
    let server = serve(&lenient);
    assert_eq!(ask(&server, "f-2", &question("退货")).status, 200);
    assert!(sent(&upstream).starts_with("Sources:\n\n"), "{}", sent(&upstream));
    wait_for("its record", || (lenient.run(&["trace", "f-2"]).code == 0).then_some(()));
    let record = lenient.run(&["trace", "f-2", "--json"]).exits(0).json()["record"].clone();
    assert!(record["retrieval"]["failed"].as_str().unwrap().contains(says), "{record}");
    assert_eq!((&record["retrieval"]["chunks"], &record["failure"]), (&json!([]), &Value::Null));
}

#[test]
fn a_retriever_that_fails_is_an_error_or_an_empty_place_as_the_set_says() {
    check_failing(&Upstream::saying("500 Broken", "application/json", "{}"), "status 500");
    check_failing(&Upstream::saying("200 OK", "application/json", "{\"hits\": []}"), "no `chunks`");
    let unnamed = "{\"chunks\": [{\"text\": \"t\"}]}";
    check_failing(&Upstream::saying("200 OK", "application/json", unnamed), "without `id`");
    // Nothing is asked of where it points to.
    let elsewhere = Upstream::saying("200 OK", "application/json", CHUNKS);
    let head = format!("302 Found\r\nLocation: http://{}/search", elsewhere.address);
    check_failing(&Upstream::saying(&head, "application/json", "{}"), "status 302");
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn a_retriever_that_is_slow_or_must_not_be_asked_holds_nothing_up() {
    let upstream = Upstream::answering("sure");
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/search", silent.local_addr().unwrap());
    let project = project(&upstream, &url, "");
    project.edit("tidegate.yaml", "timeout_ms: 2000", "timeout_ms: 200");
    let server = serve(&project);
    let late = ask(&server, "s-1", &question("退货"));
    late.check_error(503, "retrieval_failed", &["within 200 ms"]);
    drop(server);
    let metadata = "http://169.254.169.254/search";
    project.edit("tidegate.yaml", &url, metadata);
    project.edit("tidegate.yaml", ", api_key_env: R_KEY", "");
    let said = project.run(&["check"]).exits(2).out;
    assert!(said.contains("link-local"), "{said}");
}
