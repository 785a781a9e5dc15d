//! What Tidegate asks for itself is in the books, apart from what users asked: cases, judges,
//! embeddings, the fixed cases, a shadow's candidate.

use crate::project::{Project, Watching, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::net::TcpListener;

/// A model server's prices, and those of embeddings; judges have none.
const PRICES: &str = "prices:\n  m1: {input_per_million: 1, output_per_million: 1}\n  \
                      e1: {input_per_million: 2, output_per_million: 0}\n";

fn cost(project: &Project, more: &[&str]) -> Value {
    let args = ["cost", "--since", "1970-01-01", "--by", "purpose,model,arm", "--json"];
    project.run(&[&args[..], more].concat()).exits(0).json()
}

/// Of each purpose: its requests, those by estimate, those of unknown usage, those without a price,
/// and what it cost.
fn rows(project: &Project) -> Vec<(String, [u64; 4], String)> {
    let books = cost(project, &[]);
    let row = |row: &Value| {
        assert_eq!(row["arm"] == Value::Null, row["purpose"] != "serve", "{row}");
        let count = |name: &str| row[name].as_u64().unwrap();
        let counts = ["requests", "estimated_requests", "unknown_requests", "unpriced_requests"];
        let total = row["total_cost"].as_str().unwrap().to_owned();
        (row["purpose"].as_str().unwrap().to_owned(), counts.map(count), total)
    };
    books["rows"].as_array().unwrap().iter().map(row).collect()
}

fn row(purpose: &str, counts: [u64; 4], cost: &str) -> (String, [u64; 4], String) {
    (purpose.to_owned(), counts, cost.to_owned())
}

/// A project whose five cases pass on this server, with a judge and embeddings at others.
fn project(upstream: &Upstream, judge: &Upstream, embedder: &Upstream, case: &Value) -> Project {
    let evals = format!(
        "evals:\n  check_timeout_ms: 300\n  judge: {{upstream: judges, model: judge-1}}\n  \
         embeddings: {{url: \"http://{}/v1/embeddings\", model: e1}}\n",
        embedder.address
    );
    let project = upstream.project("", &format!("{PRICES}{evals}"));
    let judges = format!("  judges: {{kind: openai, base_url: \"http://{}/v1\"}}\n", judge.address);
    project.edit("tidegate.yaml", "artifacts:\n", &format!("{judges}artifacts:\n"));
    project.write("evals/eval_cases.csv", CASES);
    project.write("evals/dataset.jsonl", format!("{case}\n"));
    project
}

fn judge() -> Upstream {
    Upstream::by_rule(|_| ("200 OK", completion(r#"{"reason": "r", "score": 1}"#)))
}

fn embedder(usage: &'static str) -> Upstream {
    Upstream::by_rule(move |_| {
        let one = |index: u32| json!({"index": index, "embedding": [1, 1]}).to_string();
        ("200 OK", format!("{{\"data\": [{}, {}]{usage}}}", one(0), one(1)))
    })
}

fn asking_both() -> Value {
    json!({"case_id": "asks", "input": "问", "assert": [
        {"check": "rubric", "value": "polite"}, {"check": "similar", "value": "好的"}]})
}

/// Without a server the state is written here, with one by it: the sums are the same.
#[test]
fn an_eval_books_its_answers_its_judge_and_its_embeddings() {
    let (upstream, judge) = (Upstream::answering("好的"), judge());
    let embedder = embedder(r#", "usage": {"prompt_tokens": 7}"#);
    let project = project(&upstream, &judge, &embedder, &asking_both());
    project.run(&["eval"]).exits(0);
    // 8 tokens for each of 6 cases; 7 at two millionths; a judge whose cost is not known.
    let once = [
        row("embeddings", [1, 0, 0, 0], "0.000014"),
        row("eval", [6, 0, 0, 0], "0.000048"),
        row("judge", [1, 0, 0, 1], "0.00"),
    ];
    assert_eq!(rows(&project), once);
    let table = project.run(&["cost", "--since", "1970-01-01"]).exits(0).out;
    assert!(table.contains("purpose") && table.contains("judge"), "{table}");
    assert!(table.contains("1 requests of a model without a price"), "{table}");
    let _server = project.serve();
    project.run(&["eval"]).exits(0);
    let twice = [
        row("embeddings", [2, 0, 0, 0], "0.000028"),
        row("eval", [12, 0, 0, 0], "0.000096"),
        row("judge", [2, 0, 0, 2], "0.00"),
    ];
    assert_eq!(rows(&project), twice);
    // A judge that is priced later is priced again, as any call.
    project.edit(
        "tidegate.yaml",
        "  e1:",
        "  judge-1: {input_per_million: 1, output_per_million: 1}\n  e1:",
    );
    project.run(&["cost", "reprice", "--from", "2020-01-01"]).exits(0);
    assert_eq!(rows(&project)[2], row("judge", [2, 0, 0, 0], "0.000016"));
    // What users asked is apart.
    let serve = cost(&project, &["--purpose", "serve"]);
    assert_eq!(serve["total"]["requests"], 0, "{serve}");
    let own = cost(&project, &["--purpose", "judge,eval"]);
    assert_eq!(own["total"]["requests"], 14, "{own}");
    project.run(&["cost", "--purpose", "rent"]).fails(2, &["`rent` is none of serve, shadow"], &[]);
}

#[test]
fn what_no_answer_came_of_is_booked_as_not_known() {
    let upstream = Upstream::answering("好的");
    // The judge answers with nonsense, which costs what it costs, and embeddings do not come.
    let judge = Upstream::answering("I would rather not say");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let unasked = Upstream::answering("");
    let project = project(&upstream, &judge, &unasked, &asking_both());
    let (there, here) = (unasked.address.to_string(), silent.local_addr().unwrap().to_string());
    project.edit("tidegate.yaml", &there, &here);
    project.run(&["eval"]).exits(3);
    let rows = rows(&project);
    // 好的 twice is 4 tokens by our estimate.
    assert_eq!(rows[0], row("embeddings", [1, 0, 1, 0], "0.000008"));
    assert_eq!(rows[1], row("eval", [6, 0, 0, 0], "0.000048"));
    assert_eq!(rows[2], row("judge", [1, 0, 0, 1], "0.00"));
    // A model server that answers 500 sends no bill.
    let down = Upstream::saying("500 Internal Server Error", "application/json", "{}");
    let project = self::project(&down, &judge, &unasked, &json!({"case_id": "c", "input": "问"}));
    project.run(&["eval"]).exits(3);
    assert_eq!(self::rows(&project), []);
}

#[test]
fn embeddings_without_a_usage_are_estimated() {
    let (upstream, judge) = (Upstream::answering("好的"), judge());
    for usage in ["", r#", "usage": "none""#, r#", "usage": {"prompt_tokens": -1}"#] {
        let embedder = embedder(usage);
        let project = project(&upstream, &judge, &embedder, &asking_both());
        project.run(&["eval"]).exits(0);
        assert_eq!(rows(&project)[0], row("embeddings", [1, 1, 0, 0], "0.000008"), "{usage}");
    }
}

#[test]
fn the_fixed_cases_and_prompt_tests_are_booked() {
    let (upstream, judge, embedder) = (Upstream::answering("好的"), judge(), embedder(""));
    let project = project(&upstream, &judge, &embedder, &json!({"case_id": "c", "input": "问"}));
    let server = project.serve();
    assert_eq!(server.chat("mei", "hi").status, 200);
    // A first run asks each of 6 cases three times.
    let ran = project.run(&["sentinel", "run", "--json"]).exits(0).json();
    assert_eq!(ran["spent"]["requests"], 18, "{ran}");
    let rows = wait_for("the books", || Some(rows(&project)).filter(|rows| rows.len() == 2));
    assert_eq!(rows[0], row("sentinel", [18, 0, 0, 0], "0.000144"));
    assert_eq!(rows[1], row("serve", [1, 0, 0, 0], "0.000008"));
    assert_eq!(ran["spent"]["cost"], "0.000144", "{ran}");
}

/// A run that is interrupted has cost what it has cost.
#[test]
fn an_interrupted_eval_is_booked() {
    let judge = judge();
    let embedder = embedder("");
    let (mut asked, no_call_comes) = (0, TcpListener::bind("127.0.0.1:0").unwrap());
    let (say, said) = std::sync::mpsc::channel();
    let upstream = Upstream::by_rule_mut(move |_| {
        asked += 1;
        // The second question waits for ever.
        if asked == 2 {
            say.send(()).unwrap();
            let _ = no_call_comes.accept();
        }
        ("200 OK", completion("好的"))
    });
    let project = project(&upstream, &judge, &embedder, &json!({"case_id": "c", "input": "问"}));
    project.edit("tidegate.yaml", "evals:\n", "evals:\n  concurrency: 1\n");
    let eval = Watching::start(&project.root, &["eval"]);
    said.recv().unwrap();
    assert_eq!(eval.interrupt().code, 3);
    // One answer, and one call that may be on the invoice: only its prompt is counted.
    let [only] = rows(&project).try_into().unwrap();
    assert_eq!((only.0.as_str(), only.1), ("eval", [2, 0, 1, 0]));
}
