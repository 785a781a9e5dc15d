//! What a set is made of, and what changes its id.

use super::*;

#[test]
fn the_six_artifacts_are_there_and_named() {
    let mut project = Project::new();
    project.set(&["artifacts", "index", "version"], json!("v2025.12.24.01"));
    project.set(&["artifacts", "code", "version"], json!("a1b2c3d"));
    let packed = project.pack().unwrap();
    let kinds: Vec<ArtifactKind> = packed.set.artifacts.keys().copied().collect();
    assert_eq!(kinds, ArtifactKind::REQUIRED);
    let keys = packed.set.keys();
    assert_eq!(
        [keys.code, keys.prompt, keys.model, keys.index],
        ["a1b2c3d", "v1", "gpt-4o-mini", "v2025.12.24.01"]
    );
    assert_eq!(packed.label, "prompt v1 · gpt-4o-mini");
    assert_eq!(packed.set.artifacts[&ArtifactKind::Tools].version, "none");
    let config = &packed.set.artifacts[&ArtifactKind::Config];
    assert_eq!(config.version, config.digest.short(8));
    packed.verify().unwrap();
    assert!(warnings(&packed).is_empty(), "{:?}", warnings(&packed));
}

#[test]
fn the_same_files_have_the_same_id_and_every_change_has_another() {
    let mut project = Project::new();
    let mut seen = vec![project.id()];
    assert_eq!(project.id(), seen[0]);
    let mut changed = |project: &Project, what: &str| {
        let id = project.id();
        assert!(!seen.contains(&id), "{what} changes nothing");
        seen.push(id);
    };
    project.write("prompts/v1/system.md", format!("{SYSTEM}!"));
    changed(&project, "a byte of the prompt");
    project.set(&["artifacts", "model", "name"], json!("gpt-4o"));
    changed(&project, "the model");
    project.set(&["artifacts", "model", "parameters"], json!({"seed": 1}));
    changed(&project, "a parameter");
    project.set(&["upstreams", "main", "seed"], json!(7));
    changed(&project, "the upstream");
    project.set(&["artifacts", "index", "version"], json!("v2025.12.24.01"));
    changed(&project, "the index version");
    project.set(&["artifacts", "index", "retrieval"], json!({"chunk_size": 512}));
    changed(&project, "the chunk size");
    project.set(&["artifacts", "index", "path"], json!("knowledge"));
    project.write("knowledge/政策/退款.md", "七天内");
    changed(&project, "a document");
    project.set(&["artifacts", "tools"], json!("tools.yaml"));
    project.write("tools.yaml", "tools: [{name: a, permission: read}]");
    changed(&project, "the tools");
    project.set(&["contract", "output"], json!({"type": "object"}));
    changed(&project, "the contract");
    project.set(&["limits", "total_ms"], json!(1000));
    changed(&project, "a limit");
    project.set(&["artifacts", "code", "version"], json!("r2"));
    changed(&project, "the code");
    project.set(&["artifacts", "policy"], json!("policy.md"));
    project.write("policy.md", "no");
    changed(&project, "a policy");
}

#[test]
fn the_order_of_keys_in_the_project_file_changes_nothing() {
    let with = |parameters: &str, schema: &str| {
        let mut project = Project::new();
        let parse = |text| serde_json::from_str::<Value>(text).unwrap();
        project.set(&["artifacts", "model", "parameters"], parse(parameters));
        project.set(&["contract", "output"], parse(schema));
        project.id()
    };
    assert_eq!(
        with(r#"{"a": {"x": 1, "y": 2}, "b": 1}"#, r#"{"type": "object", "minProperties": 1}"#),
        with(r#"{"b": 1, "a": {"y": 2, "x": 1}}"#, r#"{"minProperties": 1, "type": "object"}"#),
    );
}

#[test]
fn a_label_is_for_people_only() {
    let project = Project::new();
    let label = |text: &str| PackOverrides { label: Some(text.into()), ..Default::default() };
    let packed = pack(&project.loaded(), &label("更礼貌")).unwrap();
    assert_eq!((packed.label.as_str(), packed.set.id.to_string()), ("更礼貌", project.id()));
    project.refuse_with(&label("a\nb"), "the label");
    project.refuse_with(&label(" "), "the label");
}

#[test]
fn the_model_s_name_comes_from_the_strongest_place() {
    let mut project = Project::new();
    let name = |project: &Project, overrides: &PackOverrides| {
        pack(&project.loaded(), overrides).unwrap().set.keys().model
    };
    assert_eq!(name(&project, &PackOverrides::default()), "gpt-4o-mini");
    project.set(&["artifacts", "model", "name"], json!("b"));
    assert_eq!(name(&project, &PackOverrides::default()), "b");
    let c = PackOverrides { model: Some("c".into()), ..Default::default() };
    assert_eq!(name(&project, &c), "c");
    let mut project = Project::new();
    project.write("prompts/v1/config.yaml", "# nothing yet\n");
    assert!(hints(&project.refuse("no model is named")).contains("artifacts.model.name"));
    project.set(&["artifacts", "model", "name"], json!("a b"));
    project.refuse("`a b` is not valid");
}

#[test]
fn an_upstream_must_be_named_where_there_are_several() {
    let mut project = Project::new();
    project.set(&["upstreams", "other"], json!({"kind": "simulated", "seed": 2}));
    project.refuse("several upstreams: `main`, `other`");
    project.set(&["artifacts", "model", "upstream"], json!("mian"));
    assert!(hints(&project.refuse("upstream `mian` is not defined")).contains("`main`"));
    let other = PackOverrides { upstream: Some("other".into()), ..Default::default() };
    pack(&project.loaded(), &other).unwrap();
    project.set(&["upstreams"], json!({}));
    project.refuse("`upstreams` is empty");
}

#[test]
fn no_secret_gets_into_a_set() {
    let mut project = Project::new();
    let openai = json!({"kind": "openai", "base_url": "https://u:p@example.com/v1"});
    project.set(&["upstreams", "main"], openai);
    let error = project.refuse("`upstreams.main.base_url` may hold neither");
    assert!(!error.message.contains("u:p"));
    project.set(&["upstreams", "main", "base_url"], json!("https://example.com/v1?key=abc"));
    project.refuse("`upstreams.main.base_url`");
    project.set(&["upstreams", "main", "base_url"], json!("https://example.com/v1/"));
    project.set(&["upstreams", "main", "api_key_env"], json!("OPENAI_API_KEY"));
    let packed = project.pack().unwrap();
    let model = packed.file(ArtifactKind::Model, "model.json").unwrap();
    let model: super::model::ModelFile = serde_json::from_slice(model).unwrap();
    assert_eq!(Some(&model.upstream), project.loaded().project.upstreams.get("main"));
    project.set(&["artifacts", "model", "parameters"], json!({"api_key": "sk-123"}));
    assert!(!project.refuse("parameters.api_key`").message.contains("sk-123"));
    project.set(&["artifacts", "model", "parameters"], json!({"messages": []}));
    project.refuse("parameters.messages`");
}

#[test]
fn another_recording_is_another_model() {
    let mut project = Project::new();
    project.set(&["upstreams", "main"], json!({"kind": "replay", "path": "r.jsonl"}));
    project.refuse("`upstreams.main.path`: r.jsonl cannot be read");
    let line = "{\"model\":\"gpt-4o-mini\",\"prompt\":\"a\",\"answer\":\"b\"}\n";
    project.write("r.jsonl", line);
    let first = project.pack().unwrap();
    project.live_of(&first).map(drop).unwrap();
    project.write("r.jsonl", line.repeat(2));
    assert_ne!(first.set.id, project.pack().unwrap().set.id);
    let Err(error) = project.live_of(&first) else { panic!("the recording changed") };
    assert!(error.message.contains("the recording is not the one"), "{}", error.message);
}

#[test]
fn bad_settings_are_named() {
    let mut project = Project::new();
    project.set(&["risk", "planted"], json!(["T0K3N", " "]));
    project.refuse("`risk.planted[1]` is empty");
    project.set(&["risk"], json!({}));
    project.set(&["contract", "output"], json!({"type": "strin"}));
    project.refuse("contract.output: not a valid JSON Schema");
    project.set(&["contract"], json!({}));
    project.set(&["artifacts", "index", "version"], json!(""));
    project.refuse("artifacts.index.version is ``");
    project.set(&["artifacts", "index", "version"], json!("v1"));
    project.set(&["artifacts", "tools"], json!("tools/tools.yaml"));
    project.refuse("`artifacts.tools`:");
    project.write("tools/tools.yaml", "tools: [{name: a}]");
    project.refuse("permission");
}
