//! Every key of the project file is in the version set or is not, as docs/configuration.md says.
//!
//! A key that is hashed and not served from the set would change answers without a release; a key
//! that is served from the set and not hashed would give two behaviours one id. The served side is
//! held by types: a `LiveSet` is made from a packed set alone, and the gateway is given the limits
//! of the process only.

use super::*;
use crate::store::SnapshotWriter;
use serde_json::Map;

/// The name of a registered model.
const MODEL_COMMIT: &str = "0123abc";

/// A row of the tables of keys.
struct Row {
    key: String,
    class: String,
    text: String,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    let mut in_keys = false;
    for line in text.lines() {
        match line.starts_with('|') {
            false => in_keys = false,
            true if line.starts_with("| key |") => {
                assert!(line.starts_with("| key | in the set |"), "{line}");
                in_keys = true;
            }
            true => {}
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if in_keys && cells.get(1).is_some_and(|cell| cell.starts_with('`')) {
            rows.push(Row {
                key: cells[1].trim_matches('`').to_owned(),
                class: cells[2].to_owned(),
                text: line.to_owned(),
            });
        }
    }
    rows
}

/// A project in which every key of a row can be set.
fn base(row: &Row) -> Project {
    let mut project = Project::new();
    let kinds = row.text.split('|').nth(3).unwrap_or_default().trim();
    let upstream = match kinds {
        _ if row.key.ends_with(".embeddings") => json!({"kind": "azure", "base_url": "https://x"}),
        _ if kinds.starts_with("anthropic") => json!({"kind": "anthropic"}),
        _ if kinds.starts_with("gemini") => json!({"kind": "gemini"}),
        _ if kinds.starts_with("bedrock") => json!({"kind": "bedrock", "region": "eu-west-1"}),
        _ if kinds.starts_with("azure") => json!({"kind": "azure", "base_url": "https://x"}),
        _ if kinds.starts_with("openai") => json!({
            "kind": "openai", "base_url": "http://127.0.0.1:1/v1", "health": {"path": "/health"},
            "endpoints": [{"base_url": "http://127.0.0.1:2/v1"}],
        }),
        "replay" => json!({"kind": "replay", "path": "recorded.jsonl"}),
        _ => json!({"kind": "simulated", "faults": [{"status": 500}]}),
    };
    for file in ["recorded.jsonl", "other"] {
        project.write(file, r#"{"model": "m", "prompt": "p", "answer": "a"}"#);
    }
    project.yaml = json!({
        "service": "support",
        "tls": {"cert": "cert.pem", "key": "key.pem"},
        "credentials": [{"name": "app", "key_env": "APP_KEY"}],
        "artifacts": {"model": {
            "upstream": "main", "fallback": [{"upstream": "main", "name": "small"}],
        }},
        "upstreams": {"main": upstream, "other": upstream},
        "lines": {"latency_p95": {}},
        "release": {"rungs": [{"weight_pct": 100, "look_s": 1}]},
        "prices": {"gpt-4o-mini": {"input_per_million": 1, "output_per_million": 2}},
        "price_list": [{"model": "m1"}],
    });
    if row.key.starts_with("environments.") {
        project.yaml["environments"] = json!({"main": {"base_url": "http://127.0.0.1:4"}});
    }
    if row.key.starts_with("evals.embeddings.") || row.key.starts_with("evals.judge.") {
        project.yaml["evals"] = json!({
            "embeddings": {"url": "http://127.0.0.1:1/v1", "model": "m"},
            "judge": {"upstream": "main", "model": "m"},
        });
    }
    if row.key.starts_with("risk.moderation.") {
        project.yaml["risk"] = json!({"moderation": {"url": "http://127.0.0.1:3/v1"}});
    }
    if row.key.starts_with("artifacts.index.search.") {
        let is_embedded = row.key.contains(".embeddings.");
        write_index(&project, is_embedded.then_some("m"));
        let search = match row.key.contains(".http.") {
            true => json!({"http": {"url": "http://127.0.0.1:1/"}}),
            false if is_embedded => {
                json!({"embeddings": {"url": "http://127.0.0.1:1/v1", "model": "m"}})
            }
            false => json!({}),
        };
        project.yaml["artifacts"]["index"] = json!({"version": "v1", "search": search});
    }
    project
}

/// Writes the index `v1` again, with embeddings of this model.
fn write_index(project: &Project, model: Option<&str>) {
    let folder = project.folder.path().join(snapshot::FOLDER);
    let place = folder.join("v1.db");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::fs::remove_file(&place);
    let mut writer = SnapshotWriter::begin(&folder, ("v1", 500), None).unwrap();
    match model {
        Some(model) => writer.add_embedded("a.md", &["text"], (model, &[vec![1.0, 0.0]])).unwrap(),
        None => writer.add("a.md", &["text"]).unwrap(),
    }
    writer.finish(&place).unwrap();
}

/// Registers a model whose weights are on another machine.
fn write_registry(project: &Project) {
    let sha256 = "0".repeat(64);
    let part = json!({"sha256": sha256, "bytes": 7});
    let model = json!({
        "from": "models/absent", "sha256": sha256, "files": {"w.gguf": part}, "by": "mei",
        "at": "2026-11-29T00:00:00Z",
    });
    let path = project.folder.path().join(crate::models::REGISTRY);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, json!({"models": {MODEL_COMMIT: model}}).to_string()).unwrap();
}

/// The key's value in a project file, made where it is missing.
fn at<'a>(yaml: &'a mut Value, key: &str) -> &'a mut Value {
    let mut at = yaml;
    for part in key.split('.') {
        let (name, is_item) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        let name = match name {
            "<name>" => "main",
            "<model>" => "gpt-4o-mini",
            "<metric>" => "latency_p95",
            name => name,
        };
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[name];
        if is_item {
            at = &mut at[0];
        }
    }
    at
}

/// The project with another value of the key: the first of some that the key's type allows.
fn changed(row: &Row) -> Project {
    let quoted = row.text.split('`').skip(3).step_by(2).map(|word| json!(word));
    let others = [
        json!(["ids"]),
        json!(["answers"]),
        json!(7),
        json!(0.07),
        json!("other"),
        json!(true),
        json!(false),
        json!(["x"]),
        json!({"x": 1}),
        json!({"x": ["y"]}),
        json!({"failed": 0.02}),
        json!("http://127.0.0.1:9/v1"),
        json!("http://127.0.0.1:9"),
        json!(MODEL_COMMIT),
    ];
    let before = base(row).loaded().project;
    for other in quoted.chain(others) {
        let mut project = base(row);
        if row.key == "upstreams.<name>.kind" {
            let upstream = json!({"kind": "openai", "base_url": "http://127.0.0.1:1/v1"});
            project.yaml["upstreams"]["main"] = upstream;
            return project;
        }
        if row.key == "artifacts.index.search.embeddings.model" {
            write_index(&project, other.as_str());
        }
        if row.key == "artifacts.model.registered" {
            write_registry(&project);
        }
        *at(&mut project.yaml, &row.key) = other;
        let read = serde_json::from_value::<crate::config::Project>(project.yaml.clone());
        if read.is_ok_and(|after| after != before) && project.pack().is_ok() {
            return project;
        }
    }
    panic!("no other value of `{}` was found; give one here", row.key);
}

#[test]
fn every_key_is_hashed_or_not_as_the_document_says() {
    let rows = rows();
    assert!(rows.len() > 80, "{}", rows.len());
    for row in &rows {
        let hashed = match row.class.as_str() {
            "yes" => true,
            "no: restart" | "no: next release" | "no: next eval" | "no: next command"
            | "no: next shadow" | "no: next run" => false,
            "its content" => continue,
            other => panic!("`{}`: `{other}` does not say when the key has effect", row.key),
        };
        let (before, after) = (base(row).id(), changed(row).id());
        assert_eq!(before != after, hashed, "`{}` is {}", row.key, row.class);
    }
}

#[test]
fn of_a_path_the_content_is_hashed() {
    for row in rows().iter().filter(|row| row.class == "its content") {
        let mut project = base(row);
        let is_tools = row.key == "artifacts.tools";
        for name in ["here", "there"] {
            match row.key.as_str() {
                "artifacts.tools" => project.write(name, "tools: []"),
                "artifacts.prompt.path" => {
                    for file in ["system.md", "user_template.md", "config.yaml"] {
                        let from = project.folder.path().join("prompts/v1").join(file);
                        let text = std::fs::read(from).unwrap();
                        project.write(&format!("{name}/v1/{file}"), text);
                    }
                    project.write(&format!("{name}/current"), "v1");
                }
                _ => project.write(&format!("{name}/a.md"), "七天内"),
            }
        }
        *at(&mut project.yaml, &row.key) = json!("here");
        let here = project.id();
        *at(&mut project.yaml, &row.key) = json!("there");
        assert_eq!(project.id(), here, "`{}` is hashed as a path", row.key);
        match row.key.as_str() {
            "artifacts.prompt.path" => project.write("there/v1/user_template.md", "> {{ input }}"),
            _ if is_tools => project.write("there", "tools: [{name: a, permission: read}]"),
            _ => project.write("there/a.md", "七天"),
        }
        assert_ne!(project.id(), here, "`{}`: its content is not hashed", row.key);
    }
}

#[test]
fn limits_of_answers_are_served_from_the_set() {
    let mut project = Project::new();
    project.set(&["limits"], json!({"total_ms": 5_000, "retries": 3, "max_body_bytes": 10}));
    let packed = project.pack().unwrap();
    project.set(&["limits"], json!({"total_ms": 1}));
    let limits = project.live_of(&packed).unwrap().limits;
    assert_eq!((limits.total_ms, limits.retries, limits.idle_ms), (5_000, 3, 30_000));
}

/// The model's file as sets had it before a model could say more of itself.
const MODEL_BEFORE: &str = r#"{
  "name": "gpt-4o-mini",
  "parameters": {},
  "upstream": {
    "api_key_env": null,
    "base_url": "https://api.example.com/v1",
    "kind": "openai"
  },
  "upstream_name": "main"
}
"#;

#[test]
fn keys_of_a_model_that_are_absent_change_no_digest() {
    let mut project = Project::new();
    let openai = json!({"kind": "openai", "base_url": "https://api.example.com/v1"});
    project.set(&["upstreams", "main"], openai);
    let packed = project.pack().unwrap();
    let file = packed.file(ArtifactKind::Model, "model.json").unwrap();
    assert_eq!(std::str::from_utf8(file).unwrap(), MODEL_BEFORE);
    let before = project.id();
    for (key, value) in [
        ("quantization", json!("q8")),
        ("runtime", json!("vllm 0.11")),
        ("fine_tune", json!({"base": "b", "status": "fine_tuned"})),
        ("embeddings", json!("e1")),
        ("fallback", json!([{"upstream": "main", "name": "m2"}])),
    ] {
        project.set(&["artifacts", "model", key], value);
        assert_ne!(project.id(), before, "{key} is part of the set");
        project.yaml["artifacts"]["model"].as_object_mut().unwrap().remove(key);
        assert_eq!(project.id(), before, "without {key} it is the set of before");
    }
    // What is written as absent is absent.
    project.set(&["artifacts", "model"], json!({"quantization": null, "fallback": []}));
    assert_eq!(project.id(), before);
}
