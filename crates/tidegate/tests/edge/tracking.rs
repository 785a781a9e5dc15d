//! Runs sent to MLflow, Langfuse and OTLP receivers: small servers that keep what comes, and fail.

use crate::project::Project;
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Debug, Clone)]
struct Came {
    line: String,
    head: String,
    body: Vec<u8>,
}

impl Came {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A tool that answers by a rule: a status line and JSON for each request.
struct Tool {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Tool {
    fn answering(rule: impl Fn(&Came, usize) -> (&'static str, Value) + Send + 'static) -> Tool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let (mut line, mut head, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut line).unwrap();
                loop {
                    let mut next = String::new();
                    reader.read_line(&mut next).unwrap();
                    let next = next.trim_end().to_owned();
                    if next.is_empty() {
                        break;
                    }
                    let small = next.to_ascii_lowercase();
                    if let Some(given) = small.strip_prefix("content-length: ") {
                        length = given.parse().unwrap();
                    }
                    head.push_str(&next);
                    head.push('\n');
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let request = Came { line: line.trim_end().to_owned(), head, body };
                let number = kept.lock().unwrap().len();
                let (status, answer) = rule(&request, number);
                kept.lock().unwrap().push(request);
                let answer = answer.to_string();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{answer}",
                    answer.len()
                );
                // A client that breaks off is its own concern.
                let _ = reader.into_inner().write_all(answer.as_bytes());
            }
        });
        Tool { address, came }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

/// A project with one eval run, and the run's id.
fn evaluated() -> (Project, String, Upstream) {
    let upstream = Upstream::by_rule(|body| {
        let question = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        ("200 OK", completion(&format!("回答 {}", question.as_str().unwrap())))
    });
    let prices = "prices:\n  m1: {input_per_million: 1, output_per_million: 2}\n";
    let project = upstream.project("", prices);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let report = project.run(&["eval", "--json"]).exits(0).json();
    (project, report["run_id"].as_str().unwrap().to_owned(), upstream)
}

/// Where files of the one run are put.
const FILES: &str = "PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/";

/// As much of MLflow's API as its own client uses for a run.
fn mlflow() -> (Tool, Arc<Mutex<BTreeMap<String, Value>>>) {
    let runs: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let kept = Arc::clone(&runs);
    let tool = Tool::answering(move |came, number| {
        let mut runs = kept.lock().unwrap();
        let run = |tags: &Value| {
            json!({"info": {"run_id": "r1", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts"},
                "data": {"tags": tags}})
        };
        let (_, rest) = came.line.split_once(' ').unwrap();
        let path = rest.split([' ', '?']).next().unwrap();
        // What may pass does: the first request of all is refused for a moment.
        if number == 0 {
            return ("503 Service Unavailable", json!({}));
        }
        match path.trim_start_matches("/api/2.0/mlflow/") {
            "experiments/get-by-name" if runs.contains_key("made") => {
                ("200 OK", json!({"experiment": {"experiment_id": "7"}}))
            }
            "experiments/get-by-name" => {
                ("404 Not Found", json!({"error_code": "RESOURCE_DOES_NOT_EXIST"}))
            }
            "experiments/create" => {
                runs.insert("made".to_owned(), came.json());
                ("200 OK", json!({"experiment_id": "7"}))
            }
            "runs/search" => {
                let found: Vec<Value> = runs.get("r1").into_iter().map(&run).collect();
                ("200 OK", json!({"runs": found}))
            }
            "runs/create" => {
                runs.insert("r1".to_owned(), came.json()["tags"].clone());
                ("200 OK", json!({"run": run(&Value::Null)}))
            }
            "runs/log-batch" | "runs/update" => ("200 OK", json!({})),
            _ if came.line.starts_with(FILES) => ("200 OK", json!({})),
            other => panic!("{other} is not MLflow's"),
        }
    });
    (tool, runs)
}

#[test]
fn a_run_is_in_mlflow_once_with_params_metrics_tags_and_files() {
    let (project, run_id, _upstream) = evaluated();
    let (tool, runs) = mlflow();
    let export = ["runs", "export", &run_id, "--to", "mlflow", &tool.url(), "--json"];
    let named = [&export[..], &["--experiment", "llm-prompt-optimization"]].concat();
    let sent = project.run(&named).exits(0).json();
    // The prompt's one file and the report.
    assert_eq!((&sent["sent"]["id"], &sent["sent"]["files"]), (&json!("r1"), &json!(2)), "{sent}");
    assert_eq!(runs.lock().unwrap()["made"]["name"], "llm-prompt-optimization");
    let came = tool.came();
    let batch = came.iter().find(|came| came.line.contains("log-batch")).unwrap().json();
    let of = |list: &str, key: &str| {
        let list = batch[list].as_array().unwrap();
        list.iter().find(|item| item["key"] == key).map(|item| item["value"].clone())
    };
    assert_eq!(of("metrics", "accuracy"), Some(json!(1.0)), "{batch}");
    assert!(of("metrics", "avg_latency").is_some() && of("metrics", "regression").is_some());
    assert_eq!(of("metrics", "avg_tokens"), Some(json!(8.0)), "{batch}");
    let cost = of("metrics", "cost_per_query").and_then(|cost| cost.as_f64()).unwrap();
    assert!((cost - 0.000_013).abs() < 1e-12, "3 tokens in, 5 out: {cost}");
    assert_eq!(of("params", "model"), Some(json!("m1")), "{batch}");
    assert_eq!(of("tags", "tidegate.run_id"), Some(json!(run_id)), "{batch}");
    let file = came.iter().find(|came| came.line.contains("evaluation.json")).unwrap().json();
    assert_eq!(file["run_id"], json!(run_id));

    // Again: no second run, and the same requests.
    project.run(&named).exits(0);
    let created = |came: &[Came]| came.iter().filter(|c| c.line.contains("runs/create")).count();
    assert_eq!(created(&tool.came()), 1);
    let bodies = |path: &str| {
        let came = tool.came();
        came.iter().filter(|c| c.line.contains(path)).map(Came::json).collect::<Vec<_>>()
    };
    let batches = bodies("log-batch");
    assert_eq!((batches.len(), &batches[0]), (2, &batches[1]));
}

#[test]
fn scores_reach_langfuse_with_ids_that_stay() {
    let (project, run_id, _upstream) = evaluated();
    let tool = Tool::answering(|_, number| match number {
        0 => ("429 Too Many Requests", json!({})),
        1 | 2 => ("207 Multi-Status", json!({"successes": [], "errors": []})),
        _ => ("207 Multi-Status", json!({"errors": [{"status": 400, "message": "no such name"}]})),
    });
    let url = tool.url();
    let export = ["runs", "export", "last", "--to", "langfuse", &url];
    // `last` is of what stable serves, and nothing is served yet.
    project.run(&export).fails(2, &["no eval run `last`"], &["runs list"]);
    let export = ["runs", "export", &run_id, "--to", "langfuse", &url];
    project.run(&export).fails(2, &["LANGFUSE_PUBLIC_KEY", "not set"], &["export "]);
    let keys = [("LANGFUSE_PUBLIC_KEY", "pk-1"), ("LANGFUSE_SECRET_KEY", "sk-secret-1")];
    project.run_with(&export, &keys).exits(0);
    project.run_with(&export, &keys).exits(0);
    let came = tool.came();
    assert_eq!(came.len(), 3, "one that is tried again, and one more");
    assert_eq!(came[1].body, came[2].body, "the same ids");
    assert!(came[1].head.contains("Basic cGstMTpzay1zZWNyZXQtMQ=="), "{}", came[1].head);
    let batch = came[1].json()["batch"].as_array().unwrap().clone();
    let scores: Vec<&Value> = batch.iter().filter(|e| e["type"] == "score-create").collect();
    let accuracy = scores.iter().find(|score| score["body"]["name"] == "accuracy").unwrap();
    assert_eq!(accuracy["body"]["value"], 1.0);
    let correct = scores.iter().filter(|score| score["body"]["name"] == "correct").count();
    assert!(correct >= 5, "{batch:?}");
    let mut ids: Vec<&Value> = batch.iter().map(|event| &event["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    assert_eq!(ids.len(), batch.len(), "each its own");
    // What it refuses is said, without a key.
    let refused = project.run_with(&export, &keys);
    let refused = refused.fails(4, &["Langfuse took", "no such name"], &["same command again"]);
    assert!(!format!("{refused:?}").contains("sk-secret"), "{refused:?}");
}

#[test]
fn results_are_events_of_open_telemetry() {
    let (project, run_id, _upstream) = evaluated();
    let tool = Tool::answering(|_, number| match number {
        0 | 1 => ("200 OK", json!({})),
        2 => {
            let partial = json!({"rejectedLogRecords": "2", "errorMessage": "too old"});
            ("200 OK", json!({"partialSuccess": partial}))
        }
        3 => ("401 Unauthorized", json!({"message": "who?"})),
        _ => ("500 Internal Server Error", json!("broken")),
    });
    let url = tool.url();
    let export = ["runs", "export", &run_id, "--to", "otlp", &url];
    project.run(&export).exits(0);
    project.run(&["runs", "export", &run_id, "--to", "otlp", &format!("{url}/v1/logs")]).exits(0);
    let came = tool.came();
    assert_eq!(came[0].line, "POST /v1/logs HTTP/1.1");
    assert_eq!(came[0].body, came[1].body, "the same bytes each time");
    let logs = &came[0].json()["resourceLogs"][0];
    assert_eq!(logs["resource"]["attributes"][0]["value"]["stringValue"], "my-service");
    let records = logs["scopeLogs"][0]["logRecords"].as_array().unwrap().clone();
    assert!(records.iter().all(|record| record["eventName"] == "gen_ai.evaluation.result"));
    let of = |record: &Value, key: &str| {
        let all = record["attributes"].as_array().unwrap();
        let found = all.iter().find(|attribute| attribute["key"] == key)?;
        Some(found["value"]["stringValue"].as_str()?.to_owned())
    };
    let case = records.iter().find(|r| of(r, "tidegate.case_id").as_deref() == Some("format_01"));
    let case = case.unwrap_or_else(|| panic!("{records:?}"));
    assert_eq!(of(case, "gen_ai.evaluation.score.label").as_deref(), Some("pass"));
    assert!(records.iter().all(|record| of(record, "log.record.uid").is_some()));
    project.run(&export).fails(4, &["refused the others: too old"], &["same command again"]);
    project.run(&export).fails(2, &["HTTP 401", "who?"], &["the key"]);
    project.run(&export).fails(4, &["HTTP 500"], &[]);
    let hostile = ["runs", "export", &run_id, "--to", "otlp", "ftp://x"];
    project.run(&hostile).fails(2, &["no address of the OTLP receiver"], &["looks like"]);
    let unknown = ["runs", "export", &run_id, "--to", "wandb", &url];
    project.run(&unknown).fails(2, &["allowed mlflow, langfuse, otlp"], &[]);
    let none = ["runs", "export", "eval-0-x", "--to", "otlp", &url];
    project.run(&none).fails(2, &["no eval run"], &[]);
}

#[test]
fn a_tool_that_is_down_is_said_with_how_often_it_was_tried() {
    let (project, run_id, _upstream) = evaluated();
    let url = format!("http://{}", Upstream::nobody());
    let export = ["runs", "export", &run_id, "--to", "mlflow", &url];
    let says = ["MLflow does not answer", "(4 tries)"];
    project.run(&export).fails(4, &says, &["same command again"]);
}
