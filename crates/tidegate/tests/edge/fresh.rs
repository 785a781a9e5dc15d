//! What a set is made of: a change of any part needs a fresh run before a release, and weights are
//! those that were registered.

use crate::project::{Output, Project};
use crate::upstream::{CASES, Upstream};
use serde_json::json;

/// A commit.
const SHA: &str = "3f2a9c1d0b";

/// Every part that can change beside the model's name, each as it is at first.
const PARTS: &str = "  code: {version: c1}\n  index: {version: i1, path: knowledge, \
    send_as: retrieval, retrieval: {top_k: 3}}\n  \
    adapter: adapter\n  policy: policy.md\n  data: data.jsonl\n";

fn project(upstream: &Upstream) -> Project {
    let project = upstream.project(PARTS, "risk: {words: [w1]}\n");
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    project.edit("tidegate.yaml", "{mode: pass_through}", "{mode: render}");
    project.edit(
        "tidegate.yaml",
        "{upstream: up, name: m1}",
        "{upstream: up, name: m1, quantization: q8, runtime: r1, parameters: {top_p: 0.5}, \
         fine_tune: {base: b1, status: base, checkpoint: k1, post_training: p1}}",
    );
    project.write("prompts/v1/system.md", "You are a support assistant.\n");
    project.write("prompts/v1/user_template.md", "{{ input }}");
    project.write("prompts/v1/config.yaml", "version: \"1\"\ntemperature: 0.1\n");
    project.write("prompts/current", "v1\n");
    project.write("adapter/adapter.bin", "a1");
    project.write("policy.md", "refuse politely");
    project.write("data.jsonl", "{}\n");
    project
}

fn start(project: &Project) -> Output {
    project.run(&["release", "start", "--no-smoke"])
}

#[test]
fn a_change_of_any_part_needs_a_fresh_run() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream);
    let server = project.serve();
    project.run(&["eval"]).exits(0);
    start(&project).fails(2, &["nothing to release"], &[]);
    let parts = [
        ("model", "tidegate.yaml", "name: m1", "name: m2"),
        ("quantization", "tidegate.yaml", "q8", "q4"),
        ("runtime", "tidegate.yaml", "runtime: r1", "runtime: r2"),
        ("fine-tune status", "tidegate.yaml", "status: base", "status: fine_tuned"),
        ("base model", "tidegate.yaml", "base: b1", "base: b2"),
        ("checkpoint", "tidegate.yaml", "checkpoint: k1", "checkpoint: k2"),
        ("post-training policy", "tidegate.yaml", "post_training: p1", "post_training: p2"),
        ("decoding", "tidegate.yaml", "top_p: 0.5", "top_p: 0.6"),
        ("decoding of the prompt", "prompts/v1/config.yaml", "0.1", "0.2"),
        ("prompt", "prompts/v1/system.md", "support", "sales"),
        ("user template", "prompts/v1/user_template.md", "{{ input }}", "Q: {{ input }}"),
        ("index", "tidegate.yaml", "version: i1", "version: i2"),
        ("RAG context", "tidegate.yaml", "top_k: 3", "top_k: 4"),
        ("adapter", "adapter/adapter.bin", "a1", "a2"),
        ("policy", "policy.md", "politely", "briefly"),
        ("data", "data.jsonl", "{}", "{\"a\": 1}"),
        ("code", "tidegate.yaml", "version: c1", "version: c2"),
        ("risk rules", "tidegate.yaml", "words: [w1]", "words: [w2]"),
    ];
    for (part, file, from, to) in parts {
        project.edit(file, from, to);
        let refused = start(&project);
        assert_eq!(refused.code, 1, "a changed {part}: {refused:?}");
        refused.fails(1, &["it has no eval run"], &["`tidegate eval`"]);
        project.edit(file, to, from);
        start(&project).fails(2, &["nothing to release"], &[]);
    }
    let document = "knowledge/policy.md";
    project.append(document, "Refunds take nine days.\n");
    start(&project).fails(1, &["it has no eval run"], &[]);
    project.run(&["eval"]).exits(0);
    start(&project).exits(0);
    server.terminate();
}

#[test]
fn what_is_said_of_a_model_is_text_on_one_line() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream);
    project.edit("tidegate.yaml", "checkpoint: k1", "checkpoint: \" \"");
    let says = ["`artifacts.model.fine_tune.checkpoint` is not valid"];
    project.run(&["version", "pack"]).fails(2, &says, &[]);
    project.edit("tidegate.yaml", "checkpoint: \" \"", "checkpont: k1");
    project.run(&["check"]).fails(2, &["unknown key `checkpont`"], &["checkpoint"]);
    project.edit("tidegate.yaml", "checkpont: k1", "status: tuned");
    project.run(&["check"]).fails(2, &["tidegate.yaml"], &[]);
}

fn register(project: &Project, sha: &str, from: &str) -> Output {
    project.run(&["model", "register", "--sha", sha, "--from", from, "--json"])
}

#[test]
fn weights_are_those_that_are_registered() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream);
    let server = project.serve();
    project.run(&["model", "list"]).exits(0);
    let from = format!("models/{SHA}");
    project.write(&format!("{from}/config.json"), "{}");
    project.write(&format!("{from}/shards/1.safetensors"), vec![7_u8; 700_000]);
    let named = format!("name: m1, registered: {SHA}");
    project.edit("tidegate.yaml", "name: m1", &named);
    let says = [SHA, "is not registered"];
    project.run(&["version", "pack"]).fails(2, &says, &["tidegate model register --sha"]);

    let new = register(&project, SHA, &from).exits(0).json();
    let expected = json!({"files": 2, "bytes": 700_002, "pointers": 0, "new": true});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&new[key], value, "{new}");
    }
    let again = register(&project, &SHA.to_uppercase(), &from).exits(0).json();
    assert_eq!((&again["new"], &again["sha256"]), (&json!(false), &new["sha256"]));
    let listed = project.run(&["model", "list", "--verify", "--json"]).exits(0).json();
    assert_eq!(listed[0]["state"], "as registered", "{listed}");
    assert_eq!((&listed[0]["used"], &listed[0]["from"]), (&json!(true), &json!(from)));

    // The set names the weights, so they need a fresh run.
    start(&project).fails(1, &["it has no eval run"], &[]);
    let set = project.run(&["version", "pack", "--json"]).exits(0).json();
    let shown = project.run(&["version", "show", set["version_set"].as_str().unwrap()]).exits(0);
    assert!(shown.out.contains("model"), "{shown:?}");

    // Another size is seen at once, another byte by reading all.
    project.write(&format!("{from}/shards/1.safetensors"), vec![7_u8; 700_001]);
    let says = ["1.safetensors has 700001 bytes, 700000 are registered"];
    project.run(&["version", "pack"]).fails(1, &says, &["register these by their own commit"]);
    project.write(&format!("{from}/shards/1.safetensors"), vec![8_u8; 700_000]);
    project.run(&["check"]).exits(0);
    let says = ["1.safetensors has sha256", "is registered"];
    project.run(&["model", "list", "--verify"]).fails(1, &says, &[]);
    register(&project, SHA, &from).fails(1, &["registered already with other files"], &[]);
    // Where the weights are elsewhere, the registry is what is known of them.
    std::fs::remove_dir_all(project.root.join(&from)).unwrap();
    project.run(&["check"]).exits(0);
    let listed = project.run(&["model", "list", "--verify", "--json"]).exits(0).json();
    assert_eq!(listed[0]["state"], "not on this machine");
    server.terminate();
}

#[test]
fn what_cannot_be_registered_says_why() {
    let upstream = Upstream::answering("fine");
    let project = project(&upstream);
    project.write("models/a/w.bin", "w");
    for sha in ["", "v1", "3f2a9c", "3f2a9c1g", "../../../../x"] {
        register(&project, sha, "models/a").fails(2, &["is not the name of a commit"], &["--sha"]);
    }
    register(&project, SHA, "models/gone").fails(2, &["models/gone cannot be read"], &[]);
    std::fs::create_dir_all(project.root.join("models/empty")).unwrap();
    register(&project, SHA, "models/empty").fails(2, &["has no file"], &[]);
    project.write("models/registry.json", "{\"models\": {\"a\": 1}}");
    register(&project, SHA, "models/a").fails(2, &["models/registry.json cannot be read"], &[]);
    assert_eq!(project.read("models/registry.json"), "{\"models\": {\"a\": 1}}");
    std::fs::remove_file(project.root.join("models/registry.json")).unwrap();

    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 42\n",
        "ab".repeat(32)
    );
    project.write("models/a/w.bin", pointer);
    let out = project.run(&["model", "register", "--sha", SHA, "--from", "models/a"]).exits(0);
    assert!(out.err.contains("1 of them are pointers of Git LFS"), "{out:?}");
    assert!(out.out.contains("1 file, 42 bytes"), "{out:?}");
}
