//! The gate's policy: thresholds of parts, named cases, lints, and the gates that users write.

use crate::project::{Output, Project};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

/// What a request asks.
fn question(body: &Value) -> &str {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

/// A model server that answers every question well but `q2` and `zh`.
fn upstream() -> Upstream {
    Upstream::by_rule(|body| {
        let text = if ["q2", "zh"].contains(&question(body)) { "bad" } else { "fine" };
        ("200 OK", completion(text))
    })
}

/// A small project on it, held to this policy.
fn project(upstream: &Upstream, policy: &str) -> Project {
    let project = upstream.project("", "evals: {gate: evals/gate.yaml, threshold: 0.5}\n");
    let tagged = |input: &str, tag: &str| {
        json!({"input": input, "expected_contains": "fine", "tags": [tag]}).to_string() + "\n"
    };
    project.write("evals/dataset.jsonl", tagged("zh", "zh") + &tagged("en", "en"));
    project
        .write("evals/eval_cases.csv", CASES.replace("not_empty=true", "expected_contains=fine"));
    project.write("evals/gate.yaml", policy);
    project
}

fn gate(policy: &str) -> Output {
    let upstream = upstream();
    project(&upstream, policy).run(&["gate"])
}

#[test]
fn thresholds_are_by_metric_class_tag_and_slice() {
    gate("metrics: {accuracy: 0.7}\nclasses: {format: 1}\ntags: {en: 1}\n").exits(0);
    let says = ["Quality gate failed: accuracy = 0.714 < 0.75"];
    gate("metrics: {accuracy: 0.75}\n").fails(1, &says, &[]);
    let says = ["Quality gate failed: grounding = 0.000 < 0.5"];
    gate("classes: {grounding: 0.5}\n").fails(1, &says, &[]);
    gate("tags: {zh: 0.9}\n").fails(1, &["Quality gate failed: tag:zh = 0.000 < 0.9"], &[]);
    gate("slices: {zh: 0.9}\n").fails(1, &["Quality gate failed: slice:zh = 0.000 < 0.9"], &[]);
    // A metric that the run does not measure is 0.
    gate("metrics: {bleu: 0.3}\n").fails(1, &["Quality gate failed: bleu = 0 < 0.3"], &[]);
    gate("tags: {ja: 0}\n").fails(1, &["Quality gate failed: tag:ja = 0 < 0"], &[]);
}

#[test]
fn named_cases_fail_the_gate_alone() {
    gate("blocking: [format_01]\n").exits(0);
    gate("blocking: [grounding_01]\n").fails(1, &["blocking case `grounding_01` failed"], &[]);
    gate("red_lines: [grounding_01]\n").fails(1, &["red-line case `grounding_01` failed"], &[]);
    gate("blocking: [gone_01]\n").fails(1, &["blocking case `gone_01` is not in this run"], &[]);
}

#[test]
fn a_policy_that_is_wrong_names_file_and_line() {
    let says = ["evals/gate.yaml:2", "unknown key `blockin`"];
    gate("metrics: {}\nblockin: [a]\n").fails(2, &says, &["blocking"]);
    gate("tags:\n  zh: 90\n").fails(2, &["evals/gate.yaml:2", "tags.zh", "0 to 1"], &[]);
    let upstream = upstream();
    let project = project(&upstream, "");
    std::fs::remove_file(project.root.join("evals/gate.yaml")).unwrap();
    project.run(&["gate"]).fails(2, &["evals/gate.yaml", "cannot be read"], &["`evals.gate`"]);
    assert_eq!(upstream.asked().len(), 0, "nothing is asked under a policy that is not there");
}

/// The project's prompt, whose system prompt the lints of length and role are about.
fn with_prompt(project: &Project, system: &str, config: &str) {
    project.edit("tidegate.yaml", "{mode: pass_through}", "{mode: render}");
    project.write("prompts/v1/system.md", system);
    project.write("prompts/v1/user_template.md", "{{ input }}");
    project.write("prompts/v1/config.yaml", format!("version: \"1\"\nmodel: m1\n{config}"));
}

#[test]
fn what_the_lints_find_fails_the_gate_unless_it_is_switched_off() {
    let upstream = upstream();
    let good = "You are the support assistant of a shop. Answer in short sentences, say what the \
                policy says, and name the note that you have it from.";
    let project_of = |policy: &str, system: &str, config: &str| {
        let project = project(&upstream, policy);
        with_prompt(&project, system, config);
        project.run(&["gate", "--prompt", "v1"])
    };
    project_of("", good, "").exits(0);
    let short = project_of("", "Answer.", "");
    let short = short.fails(1, &["prompt lint: v1/system.md:1:1", "[system_length]"], &[]);
    assert!(short.out.contains("[role]"), "{short:?}");
    project_of("lints: false\n", "Answer.", "").exits(0);
    let off = "lint_off: {system_length: \"a classifier\", role: \"a classifier\"}\n";
    project_of("", "Answer.", off).exits(0);
}

#[test]
fn a_run_is_kept_with_what_it_was_held_to_and_counts_for_nothing_less() {
    let upstream = upstream();
    let project = project(&upstream, "metrics: {accuracy: 0.6}\n");
    let server = project.serve();
    let report = project.run(&["gate", "--json"]).exits(0).json();
    assert_eq!(report["held_to"]["policy"]["thresholds"], json!({"accuracy": 0.6}));
    project.edit("tidegate.yaml", "name: m1", "name: m2");
    let start = || project.run(&["release", "start", "--no-smoke"]);
    start().fails(1, &["it has no eval run"], &["`tidegate eval`"]);
    project.run(&["eval"]).exits(0);
    // More is demanded than that run had to show.
    project.write("evals/gate.yaml", "metrics: {accuracy: 0.65}\n");
    let says = ["was not held to what the gate demands now"];
    start().fails(1, &says, &["run the cases"]);
    // A bar that is lowered by hand counts for itself only.
    project.run(&["eval", "--threshold", "0.1"]).exits(0);
    project.edit("tidegate.yaml", "threshold: 0.5", "threshold: 0.7");
    project.run(&["eval", "--threshold", "0.1"]).exits(0);
    start().fails(1, &says, &["run the cases"]);
    // A higher one counts for the project's.
    project.run(&["eval", "--threshold", "0.71"]).exits(0);
    start().exits(0);
    server.terminate();
}

#[test]
fn a_service_is_not_shared_before_the_gate_that_guards_that() {
    let upstream = upstream();
    let policy = "gates: {gate_1: {until: \"TLS is on\"}}\n";
    let project = project(&upstream, policy);
    let says = ["gate_1: do not share the service until TLS is on", "nobody wrote"];
    project.run(&["gate"]).fails(1, &says, &["`evals.gate`"]);
    assert_eq!(upstream.asked().len(), 0, "no case is asked where none can change it");
    let server = project.serve();
    project.edit("tidegate.yaml", "name: m1", "name: m2");
    project.run(&["eval"]).exits(0);
    project.run(&["release", "start", "--no-smoke"]).fails(1, &says, &["`evals.gate`"]);
    let met = "gates:\n  gate_1: {until: TLS is on, met: \"ann, 2026-11-29\"}\n  \
               gate_2: {preset: cases_and_stop_time}\n";
    project.write("evals/gate.yaml", met);
    let started = project.run(&["release", "start", "--no-smoke", "--json"]).exits(0).json();
    // What was asked of the gates is in the evidence, whatever the policy says later.
    project.write("evals/gate.yaml", "");
    project.run(&["rollback", "--reason", "enough"]).exits(0);
    project.run(&["evidence", started["change_id"].as_str().unwrap()]).exits(0);
    let pack = project.files();
    let text = |name: &str| {
        let file = pack.iter().find(|(path, _)| path.ends_with(name));
        let (_, bytes) = file.unwrap_or_else(|| panic!("no {name}"));
        String::from_utf8(bytes.clone()).unwrap()
    };
    assert_eq!(text("gates/gate-1.txt"), "gate_1 holds: ann, 2026-11-29\n");
    assert!(text("gates/gate-2.txt").contains("no stop time is written"));
    let manifest: Value = serde_json::from_str(&text("manifest.json")).unwrap();
    let of = |name: &str| {
        let gate = &manifest["gates"][name];
        (gate["level"].clone(), gate["status"].clone())
    };
    assert_eq!(of("gate_1"), (json!("L0"), json!("PASS")), "{manifest}");
    assert_eq!(of("gate_2"), (json!("L2"), json!("FAIL")), "{manifest}");
    server.terminate();
}

#[test]
fn the_presets_answer_without_a_model() {
    let upstream = upstream();
    let project = project(&upstream, "");
    let ask = |gate: &str| project.run(&["gate", gate]);
    ask("gate_2").fails(1, &["gate_2 is not written"], &["gates: {gate_2:"]);
    ask("gate_4").fails(2, &["gate_1, gate_2 and gate_3"], &[]);
    let preset = |gate: &str, rest: &str| {
        project.write("evals/gate.yaml", format!("gates:\n  {gate}: {{preset: {rest}}}\n"));
    };
    preset("gate_1", "protected_endpoint");
    let holds = ask("gate_1").exits(0);
    assert!(holds.out.starts_with("gate_1 holds: only this machine reaches"), "{holds:?}");
    preset("gate_2", "cases_and_stop_time");
    let says = ["gate_2: do not rent the next GPU hour until", "no stop time is written"];
    ask("gate_2").fails(1, &says, &[]);
    preset("gate_2", "cases_and_stop_time, stop_at: \"2020-01-01T00:00:00Z\"");
    ask("gate_2").fails(1, &["the stop time is over"], &[]);
    preset("gate_2", "cases_and_stop_time, stop_at: \"2900-01-01T00:00:00Z\"");
    let answer = project.run(&["gate", "gate_2", "--json"]).exits(0).json();
    assert_eq!(answer["holds"], true, "{answer}");
    preset("gate_3", "all_tried, tried: {prompt: v3, rag: more notes}, failures: [grounding_01]");
    let says = ["do not fine-tune until", "not tried yet: schema, decoding, runtime"];
    ask("gate_3").fails(1, &says, &[]);
    let all = "all_tried, tried: {prompt: a, rag: b, schema: c, decoding: d, runtime: e}, ";
    preset("gate_3", &format!("{all}failures: [grounding_01]"));
    let says = ["these did not fail in the latest eval run: `grounding_01`"];
    ask("gate_3").fails(1, &says, &[]);
    assert_eq!(upstream.asked().len(), 0);
    project.run(&["eval"]).exits(0);
    ask("gate_3").exits(0);
    preset("gate_3", &format!("{all}failures: [format_01]"));
    ask("gate_3").fails(1, &["`format_01`"], &[]);
}
