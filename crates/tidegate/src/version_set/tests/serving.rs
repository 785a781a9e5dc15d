//! A set that is served.

use super::*;

#[test]
fn an_altered_set_is_not_served() {
    let project = Project::new();
    let good = project.pack().unwrap();
    let refuse = |packed: &PackedSet, message: &str| {
        let Err(error) = project.live_of(packed) else { panic!("served: {message}") };
        assert!(error.message.contains(message), "{}", error.message);
    };
    let prompt = &good.set.artifacts[&ArtifactKind::Prompt].files["system.md"].digest;
    let mut altered = good.clone();
    altered.blobs.get_mut(prompt).unwrap()[0] ^= 1;
    refuse(&altered, "`system.md` of prompt was altered");
    altered.blobs.remove(prompt);
    refuse(&altered, "`system.md` of prompt is missing");
    let mut altered = good.clone();
    let code = altered.set.artifacts[&ArtifactKind::Code].clone();
    altered.set.artifacts.insert(ArtifactKind::Tools, code);
    refuse(&altered, "does not match its content");
}

#[test]
fn what_is_served_is_the_set_and_not_the_folder() {
    let project = Project::new();
    let packed = project.pack().unwrap();
    std::fs::remove_dir_all(project.folder.path().join("prompts")).unwrap();
    let live = project.live_of(&packed).unwrap();
    assert_eq!(live.detectors.system_prompt, SYSTEM);
    assert_eq!(live.max_tokens, Some(100));
    assert_eq!((live.model.as_str(), live.keys.prompt.as_str()), ("gpt-4o-mini", "v1"));
}

#[test]
fn detectors_come_from_the_set() {
    let mut project = Project::new();
    assert_eq!(project.live().unwrap().detectors.allowed_tools, None);
    project.set(&["risk", "planted"], json!(["T0K3N"]));
    project.set(&["artifacts", "tools"], json!("tools.yaml"));
    project.write("tools.yaml", "tools: [{name: lookup, permission: read}]");
    let detectors = project.live().unwrap().detectors;
    assert_eq!(detectors.planted, ["T0K3N"]);
    assert_eq!(detectors.allowed_tools.unwrap().into_iter().collect::<Vec<_>>(), ["lookup"]);
}

#[test]
fn an_answer_is_held_against_the_contract() {
    let mut project = Project::new();
    assert_eq!(project.live().unwrap().contract_problem("anything"), None);
    project.set(
        &["contract", "output"],
        json!({"type": "object", "required": ["answer"],
               "properties": {"answer": {"type": "string"}}}),
    );
    let live = project.live().unwrap();
    let good = r#"{"answer": "42", "confidence": 0.95}"#;
    assert_eq!(live.contract_problem(good), None);
    assert!(live.contract_problem("{}").unwrap().contains("required"));
    assert!(live.contract_problem(&format!("Sure! {good}")).unwrap().contains("extra text"));
}
