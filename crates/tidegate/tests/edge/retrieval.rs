//! Retrieval: an index that is built, served with its version set, and never silently left out.

use crate::client::{self, Answer};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

const TEMPLATE: &str = "Sources:\n{{ retrieved }}\n\nQuestion: {{ input }}\n";

/// A project whose requests are searched in index `v1`, which is built unless `documents` is empty.
fn project(upstream: &Upstream, documents: &[(&str, &str)], search: &str, more: &str) -> Project {
    let index = format!("  index: {{version: v1, path: knowledge, search: {search}}}\n");
    let project = upstream.project(&index, more);
    let project = with_prompt(project);
    for (name, text) in documents {
        project.write(&format!("knowledge/{name}"), text);
    }
    if !documents.is_empty() {
        project.run(&["index", "build"]).exits(0);
    }
    project
}

/// The project with a prompt that has a place for what is found.
pub(crate) fn with_prompt(project: Project) -> Project {
    project.edit("tidegate.yaml", "{mode: pass_through}", "{path: prompts}");
    project.write("prompts/v1/system.md", "You are a support desk. Answer from the sources only.");
    project.write("prompts/v1/user_template.md", TEMPLATE);
    project.write("prompts/v1/config.yaml", "version: \"1.0\"\n");
    project.write("prompts/current", "v1");
    project
}

const RULES: &[(&str, &str)] = &[
    (
        "refunds.md",
        "# Refunds\r\n未骑过的自行车可在三十天内退货。An unused bicycle may be returned.",
    ),
    ("shipping.md", "\u{feff}# Shipping\nDelivery takes five days. 配送需要五天。"),
];

pub(crate) fn ask(server: &Server, trace: &str, body: &Value) -> Answer {
    let headers = format!("x-trace-id: {trace}\r\n");
    let path = "/v1/chat/completions";
    let bytes = client::request("POST", path, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

pub(crate) fn question(text: &str) -> Value {
    json!({"user": "mei", "messages": [{"role": "user", "content": text}]})
}

/// The last user text that the model server was sent.
pub(crate) fn sent(upstream: &Upstream) -> String {
    let body = upstream.asked().last().unwrap().clone();
    let messages = body["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_owned()
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

#[test]
fn what_the_index_has_for_a_question_is_in_its_prompt() {
    let upstream = Upstream::answering("30 days [1], or 40 [7]");
    let project = project(&upstream, RULES, "{}", "");
    let server = project.serve();
    assert_eq!(ask(&server, "q-1", &question("退货")).status, 200);
    let prompt = sent(&upstream);
    assert!(prompt.contains("[1] refunds.md#1\n# Refunds\n未骑过的自行车"), "{prompt}");
    assert!(prompt.contains("Question: 退货") && !prompt.contains("shipping.md"), "{prompt}");
    let kept = record(&project, "q-1");
    assert_eq!(kept["retrieval"]["chunks"], json!(["refunds.md#1"]));
    assert_eq!(kept["retrieval"]["cited"], json!({"shown": 1, "not_shown": 1}));
    assert_eq!(kept["version_set"]["index_v"], "v1");
    assert!(kept["timing"]["retrieval_us"].as_u64().unwrap() > 0, "{kept}");

    // Nothing is found: an empty place, and an answer.
    assert_eq!(ask(&server, "q-2", &question("zzzz")).status, 200);
    assert!(sent(&upstream).starts_with("Sources:\n\n"), "{}", sent(&upstream));
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    for line in ["result=\"found\"} 1", "result=\"nothing\"} 1", "result=\"failed\"} 0"] {
        let line = format!("tidegate_retrievals_total{{arm=\"stable\",{line}");
        assert!(page.contains(&line), "{line}");
    }
    // A streamed question, and parts of a message.
    let mut body = question("");
    body["stream"] = json!(true);
    body["messages"][0]["content"] = json!([{"type": "text", "text": "delivery"}]);
    ask(&server, "q-3", &body);
    let asked = upstream.asked().last().unwrap().to_string();
    assert!(asked.contains("[1] shipping.md#1"), "{asked}");

    // A level of degrade switches it off.
    project.run(&["degrade", "2", "--by", "mei", "--reason", "load"]).exits(0);
    assert_eq!(ask(&server, "q-4", &question("退货")).status, 200);
    assert!(!sent(&upstream).contains("refunds.md"), "{}", sent(&upstream));
    assert_eq!(record(&project, "q-4")["retrieval"], Value::Null);
}

#[test]
fn an_index_that_is_not_there_is_an_error_and_never_an_answer_without_it() {
    let upstream = Upstream::answering("sure");
    let project = project(&upstream, &[], "{}", "");
    let pack = ["version", "pack"];
    project.run(&pack).fails(2, &["there is no index snapshot"], &["tidegate index build"]);
    for (name, text) in RULES {
        project.write(&format!("knowledge/{name}"), text);
    }
    project.run(&["index", "build"]).exits(0);
    project.run(&pack).exits(0);
    // A prompt that would not show what is found.
    project.write("prompts/v1/user_template.md", "{{ input }}");
    project.run(&["serve"]).fails(2, &["no place for what is found"], &["{{ retrieved }}"]);
    project.write("prompts/v1/user_template.md", TEMPLATE);
    // Chunks of another length than were built.
    project.edit("tidegate.yaml", "search: {}", "search: {}, retrieval: {chunk_chars: 300}");
    project.run(&pack).fails(2, &["built with `chunk_chars` 500"], &["under a new version"]);
    project.edit("tidegate.yaml", ", retrieval: {chunk_chars: 300}", "");
    let server = project.serve();
    assert_eq!(ask(&server, "a-1", &question("退货")).status, 200);
    drop(server);
    // The file is damaged while no server has it open.
    let file = project.root.join(".tidegate/indexes/v1.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 64].fill(0x55);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, &bytes).unwrap();
    project.run(&["serve"]).fails(4, &["not as it was written"], &["build it again"]);
    std::fs::remove_file(&file).unwrap();
    project.run(&["serve"]).fails(2, &["there is no index snapshot"], &[]);
    // Another content under the same version is another index.
    project.write("knowledge/refunds.md", "Nothing can be returned.");
    project.run(&["index", "build"]).exits(0);
    project.run(&["serve"]).fails(4, &["is not the one that the version set was packed with"], &[]);
}

#[test]
fn a_release_of_an_index_serves_both_at_once_and_rolls_back_at_once() {
    let upstream = Upstream::by_rule(|_| ("200 OK", completion("sure")));
    let ladder = "release:\n  rungs:\n    - {weight_pct: 50, look_s: 3600}\n    \
                  - {weight_pct: 100, look_s: 3600}\n  tick_ms: 50\n";
    let project = project(&upstream, RULES, "{}", ladder);
    let _ = std::fs::remove_file(project.root.join("evals/dataset.jsonl"));
    project.write("evals/eval_cases.csv", CASES);
    let server = project.serve();
    assert_eq!(ask(&server, "r-0", &question("退货")).status, 200);
    project.write("knowledge/refunds.md", "退货期限改为六十天。");
    project.edit("tidegate.yaml", "version: v1, path", "version: v2, path");
    project.run(&["index", "build"]).exits(0);
    project.run(&["eval"]).exits(0);
    let start = ["release", "start", "--override", "--no-smoke", "--by", "mei", "--reason", "test"];
    project.run(&start).exits(0);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..40 {
        let mut body = question("退货");
        body["user"] = json!(format!("user-{number}"));
        let answer = ask(&server, &format!("r-{}", number + 1), &body);
        let arm = answer.header("x-tidegate-arm").to_owned();
        let days = if arm == "candidate" { "六十天" } else { "三十天" };
        assert!(sent(&upstream).contains(days), "{arm}: {}", sent(&upstream));
        seen.insert(arm);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    project.run(&["rollback", "--by", "mei", "--reason", "test"]).exits(0);
    for number in 0..20 {
        let mut body = question("退货");
        body["user"] = json!(format!("user-{number}"));
        assert_eq!(ask(&server, &format!("b-{number}"), &body).status, 200);
        assert!(sent(&upstream).contains("三十天"), "{}", sent(&upstream));
    }
}

#[test]
fn the_command_builds_lists_shows_and_searches() {
    let project = Project::init();
    project.write("docs/a.md", "Bicycles may be returned. 可以退货。");
    let built =
        project.run(&["index", "build", "docs", "--version", "v1", "--json"]).exits(0).json();
    assert_eq!((&built["document_count"], &built["written"]), (&json!(1), &json!(true)));
    let again = project.run(&["index", "build", "docs", "--version", "v1", "--json"]).exits(0);
    assert_eq!(
        (&again.json()["digest"], &again.json()["written"]),
        (&built["digest"], &json!(false))
    );
    let listed = project.run(&["index", "list", "--json"]).exits(0).json();
    assert_eq!(listed[0]["digest"], built["digest"]);
    let shown = project.run(&["index", "show", "v1", "--json"]).exits(0).json();
    assert_eq!(shown["documents"][0]["path"], "a.md");
    let found = project.run(&["index", "search", "v1", "退货", "--json"]).exits(0).json();
    assert_eq!(found[0]["id"], "a.md#1");
    project.write("docs/a.md", "Other.");
    let other = project.run(&["index", "build", "docs", "--version", "v1"]);
    other.fails(4, &["built already from other content"], &["a version is never changed"]);
    project.write("docs/logo.png", [0x89, 0x50, 0, 0]);
    let binary = project.run(&["index", "build", "docs", "--version", "v2"]);
    binary.fails(2, &["logo.png: it is binary"], &["--skip-unreadable"]);
    let without = ["index", "build", "docs", "--version", "v2", "--skip-unreadable"];
    project.run(&without).exits(0);
    project.run(&["index", "show", "v9"]).fails(2, &["index v9 is not built"], &["v1, v2"]);
}

/// What a model server says to a question, whole or in pieces of three characters.
fn says(asked: &Value, text: &str) -> (&'static str, &'static str, String) {
    if asked["stream"] != json!(true) {
        return ("200 OK", "application/json", completion(text));
    }
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks(3).map(|piece| {
        let text = piece.iter().collect::<String>();
        let choice = json!({"index": 0, "delta": {"content": text}});
        format!("data: {}\n\n", json!({"id": "c", "choices": [choice]}))
    });
    let end = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let body = format!("{}data: {end}\n\ndata: [DONE]\n\n", pieces.collect::<String>());
    ("200 OK", "text/event-stream", body)
}

/// A candidate that says the same as stable and no longer where it has it from, or says what none
/// of its sources does.
#[track_caller]
fn what_a_candidate_claims_is_judged(says_now: &'static str, metric: &str, sentences: [&str; 3]) {
    const CITED: &str =
        "An unused bicycle may be returned [1]. 未骑过的自行车可在三十天内退货【1】。";
    let upstream = Upstream::speaking(move |asked| {
        let is_candidate = asked.to_string().contains("Be quick");
        says(asked, if is_candidate { says_now } else { CITED })
    });
    let off = ["error_rate", "refusal_rate", "latency_p95", "timeout_rate", "tokens_per_request"];
    let off: String = off.iter().map(|metric| format!("  {metric}: {{off: true}}\n")).collect();
    let more = format!(
        "release:\n  rungs:\n    - {{weight_pct: 50, look_s: 1}}\n    \
         - {{weight_pct: 100, look_s: 3600}}\n  tick_ms: 50\n  hold_back_pct: 0\nlines:\n{off}"
    );
    let project = project(&upstream, RULES, "{}", &more);
    let _ = std::fs::remove_file(project.root.join("evals/dataset.jsonl"));
    project.write("evals/eval_cases.csv", CASES);
    let server = project.serve();
    ask(&server, "first", &question("退货"));
    project.write("prompts/v1/system.md", "You are a support desk. Be quick.");
    project.run(&["eval"]).exits(0);
    let start = ["release", "start", "--override", "--no-smoke", "--by", "mei", "--reason", "test"];
    project.run(&start).exits(0);
    let mut asked = 0;
    wait_for("the release to be paused or rolled back", || {
        for _ in 0..20 {
            let mut body = question("退货");
            (body["user"], body["stream"]) = (json!(format!("u-{asked}")), json!(asked % 2 == 0));
            asked += 1;
            assert_eq!(ask(&server, &format!("q-{asked}"), &body).status, 200);
        }
        ["paused", "rolled_back"].contains(&project.phase().as_str()).then_some(())
    });
    for (lang, sentence) in ["en", "zh", "ja"].into_iter().zip(sentences) {
        let shown = project.run(&["--lang", lang, "release", "status"]).exits(0).out;
        assert!(shown.contains(sentence), "{sentence}: {shown}");
        assert!(shown.contains(metric), "{shown}");
    }
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    let of = metric.trim_end_matches("_rate");
    let count = |arm: &str| {
        let name = format!("tidegate_claims_total{{arm=\"{arm}\",of=\"{of}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert!(count("stable") == 0 && count("candidate") > 20, "{page}");
}

#[test]
fn a_candidate_that_gives_no_sources_is_not_promoted() {
    what_a_candidate_claims_is_judged(
        "An unused bicycle may be returned. 未骑过的自行车可在三十天内退货。",
        "uncited_rate",
        ["uncited_rate", "无引用陈述的占比", "出典のない記述の割合"],
    );
}

#[test]
fn a_candidate_that_says_what_no_source_says_is_not_promoted() {
    what_a_candidate_claims_is_judged(
        "Our founder lives in Antwerp with seven dogs [1]. 本店创始人在火星种了九百棵苹果树【1】。",
        "ungrounded_rate",
        ["ungrounded_rate", "检索结果不支持的陈述的占比", "検索結果に裏付けのない記述の割合"],
    );
}

#[test]
fn what_an_answer_claims_is_in_its_record() {
    let upstream = Upstream::speaking(|asked| {
        says(asked, "An unused bicycle may be returned [1]. Our founder lives in Antwerp. OK?")
    });
    let project = project(&upstream, RULES, "{}", "");
    let server = project.serve();
    let claims = json!({"made": 2, "uncited": 1, "ungrounded": 1});
    for (trace, stream) in [("c-1", false), ("c-2", true)] {
        let mut body = question("退货");
        body["stream"] = json!(stream);
        assert_eq!(ask(&server, trace, &body).status, 200);
        assert_eq!(record(&project, trace)["retrieval"]["claims"], claims, "{trace}");
    }
    let shown = project.run(&["trace", "c-2"]).exits(0).out;
    assert!(shown.contains("2 (1 without citation, 1 without support)"), "{shown}");
    // Nothing was found, so nothing can be cited.
    assert_eq!(ask(&server, "c-3", &question("zzzz")).status, 200);
    let kept = record(&project, "c-3");
    assert_eq!(
        (&kept["retrieval"]["chunks"], &kept["retrieval"]["claims"]),
        (&json!([]), &Value::Null)
    );
}

/// An edited page is in no answer until its index is built: who checks, gates or looks is warned.
#[test]
fn texts_that_changed_after_the_index_was_built_are_named() {
    let upstream = Upstream::answering("30 days");
    let project = project(&upstream, RULES, "{}", "");
    let says = |out: &str, named: &[&str]| {
        assert_eq!(out.contains("served as it was built"), !named.is_empty(), "{out}");
        named.iter().for_each(|name| assert!(out.contains(name), "{name}: {out}"));
    };
    says(&project.run(&["check"]).out, &[]);
    // A line end more is no other text.
    let text = project.read("knowledge/shipping.md").replace('\n', "\r\n");
    project.write("knowledge/shipping.md", text);
    says(&project.run(&["check"]).out, &[]);
    project.write("knowledge/refunds.md", "Nothing can be returned.");
    project.write("knowledge/new.md", "New.");
    std::fs::remove_file(project.root.join("knowledge/shipping.md")).unwrap();
    let named = ["`new.md`", "`refunds.md`", "`shipping.md`", "tidegate index build"];
    says(&project.run(&["check"]).out, &named);
    let server = project.serve();
    let status = project.run(&["release", "status"]);
    says(&(status.out + &status.err), &named);
    drop(server);
    project.run(&["index", "build", "--version", "v2"]).exits(0);
    project.edit("tidegate.yaml", "version: v1", "version: v2");
    says(&project.run(&["check"]).out, &[]);
}
