//! Retrieval by meaning: an index built with embeddings, questions embedded in their time, and
//! words alone where that fails.

use crate::client;
use crate::project::{Project, wait_for};
use crate::retrieval::{ask, question, sent, with_prompt};
use crate::upstream::Upstream;
use serde_json::{Value, json};

/// What a text means to the test's model: bicycles, parcels, and a little of neither.
fn meaning(text: &str) -> [f64; 3] {
    let has = |words: &[&str]| f64::from(u8::from(words.iter().any(|word| text.contains(word))));
    [has(&["bicycle", "velo"]), has(&["Delivery", "colis"]), 0.01]
}

/// A server of embeddings.
fn embedder() -> Upstream {
    Upstream::by_rule(|body| {
        let texts = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        // The order of an answer is the server's.
        let data =
            texts.enumerate().map(|(i, text)| json!({"index": i, "embedding": meaning(text)}));
        let data: Vec<Value> = data.collect::<Vec<_>>().into_iter().rev().collect();
        ("200 OK", json!({"object": "list", "data": data, "model": body["model"]}).to_string())
    })
}

fn index(url: &str) -> String {
    let embeddings = format!("embeddings: {{url: \"{url}\", model: e1, api_key_env: E_KEY}}");
    let search = format!("search: {{timeout_ms: 4000, {embeddings}}}");
    format!("  index: {{version: v1, path: texts, retrieval: {{top_k: 1}}, {search}}}\n")
}

const ENV: &[(&str, &str)] = &[("E_KEY", "key-of-the-embedder")];

fn project(upstream: &Upstream, url: &str) -> Project {
    let project = with_prompt(upstream.project(&index(url), "limits: {retries: 0}\n"));
    project.write("texts/refunds.md", "An unused bicycle may be returned.");
    project.write("texts/shipping.md", "Delivery takes five days.");
    project
}

fn url(embedder: &Upstream) -> String {
    format!("http://{}/v1/embeddings", embedder.address)
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

fn counted(address: std::net::SocketAddr, result: &str) -> bool {
    let page = client::get(address, "/metrics", "").unwrap().body;
    let line = format!("tidegate_retrievals_total{{arm=\"stable\",result=\"{result}\"}} 1");
    page.contains(&line)
}

#[test]
fn what_a_question_means_is_found_without_its_words() {
    let (upstream, embedder) = (Upstream::answering("sure"), embedder());
    let project = project(&upstream, &url(&embedder));
    let built = project.run_with(&["index", "build", "--json"], ENV).exits(0).json();
    assert_eq!(built["embeddings"], json!({"model": "e1", "dimensions": 3}));
    let asked = json!({"model": "e1", "encoding_format": "float",
        "input": ["An unused bicycle may be returned.", "Delivery takes five days."]});
    assert_eq!(embedder.asked(), [asked], "one request for all chunks");
    let head = embedder.heads().remove(0);
    assert!(
        head.starts_with("post /v1/embeddings ") && head.contains("bearer key-of-the-embedder")
    );
    let found = project.run_with(&["index", "search", "v1", "mon colis?", "--json"], ENV);
    assert_eq!(found.exits(0).json()[0]["id"], "shipping.md#1");

    let server = crate::project::Server::start(&project.root, ENV);
    assert_eq!(ask(&server, "e-1", &question("où est mon colis?")).status, 200);
    assert!(sent(&upstream).contains("[1] shipping.md#1"), "{}", sent(&upstream));
    // What both ways find is first.
    assert_eq!(ask(&server, "e-2", &question("returned")).status, 200);
    assert!(sent(&upstream).contains("[1] refunds.md#1"), "{}", sent(&upstream));
    let kept = record(&project, "e-1");
    assert_eq!(kept["retrieval"]["chunks"], json!(["shipping.md#1"]));
    assert_eq!(kept["retrieval"]["words_only"], Value::Null);
}

#[test]
fn words_alone_are_searched_where_the_question_is_not_embedded() {
    let (upstream, embedder) = (Upstream::answering("sure"), embedder());
    let project = project(&upstream, &url(&embedder));
    project.run_with(&["index", "build"], ENV).exits(0);
    let broken = Upstream::saying("500 Broken", "application/json", "{}");
    project.edit("tidegate.yaml", &url(&embedder), &url(&broken));
    let server = crate::project::Server::start(&project.root, ENV);
    assert_eq!(ask(&server, "w-1", &question("bicycle")).status, 200);
    assert!(sent(&upstream).contains("[1] refunds.md#1"), "{}", sent(&upstream));
    let kept = record(&project, "w-1");
    let why = kept["retrieval"]["words_only"].as_str().unwrap().to_owned();
    assert!(why.contains("status 500") && kept["retrieval"]["failed"].is_null(), "{kept}");
    assert!(project.run(&["trace", "w-1"]).exits(0).out.contains("status 500"));
    assert!(counted(server.address, "words_only"));
}

#[test]
fn a_question_is_embedded_in_half_of_its_time_or_not_at_all() {
    let (upstream, embedder) = (Upstream::answering("sure"), embedder());
    let project = project(&upstream, &url(&embedder));
    project.run_with(&["index", "build"], ENV).exits(0);
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}/v1/embeddings", silent.local_addr().unwrap());
    project.edit("tidegate.yaml", &url(&embedder), &slow);
    let server = crate::project::Server::start(&project.root, ENV);
    assert_eq!(ask(&server, "s-1", &question("bicycle")).status, 200);
    assert!(sent(&upstream).contains("[1] refunds.md#1"), "{}", sent(&upstream));
    let kept = record(&project, "s-1");
    let why = kept["retrieval"]["words_only"].as_str().unwrap().to_owned();
    assert!(why.contains("not embedded within"), "{kept}");
}

#[test]
fn an_index_has_the_embeddings_that_the_project_names_or_is_refused() {
    let (upstream, embedder) = (Upstream::answering("sure"), embedder());
    let project = project(&upstream, &url(&embedder));
    project.run_with(&["index", "build"], ENV).exits(0);
    let packed = |what: &str| {
        let packed = project.run_with(&["version", "pack", "--json"], ENV).exits(0).json();
        packed["version_set"].as_str().unwrap_or_else(|| panic!("{what}: {packed}")).to_owned()
    };
    let with_e1 = packed("with e1");
    project.edit("tidegate.yaml", "model: e1", "model: e2");
    let pack = ["version", "pack"];
    let hint = &["under a new version"];
    project.run_with(&pack, ENV).fails(2, &["with those of `e1`", "is `e2`"], hint);
    project.run_with(&["index", "build"], ENV).fails(4, &["v1 is built already"], &["--version"]);
    project.run_with(&["index", "build", "--version", "v2"], ENV).exits(0);
    project.edit("tidegate.yaml", "version: v1", "version: v2");
    assert_ne!(packed("with e2"), with_e1);
}

#[test]
fn a_build_without_its_embeddings_leaves_nothing() {
    let upstream = Upstream::answering("sure");
    let refusing = Upstream::saying("400 Bad", "application/json", "{\"error\": {}}");
    let project = project(&upstream, &url(&refusing));
    let build = project.run_with(&["index", "build"], ENV);
    build.fails(2, &["`e1` made no embeddings", "status 400"], &["search.embeddings"]);
    project.run(&["index", "list", "--json"]).exits(0);
    assert!(!project.root.join(".tidegate/indexes/v1.db").exists());
    let few = json!({"data": [{"index": 0, "embedding": [1, 2]}]}).to_string();
    let few = Upstream::saying("200 OK", "application/json", &few);
    project.edit("tidegate.yaml", &url(&refusing), &url(&few));
    let build = project.run_with(&["index", "build"], ENV);
    build.fails(2, &["not one embedding for each text"], &[]);
}
