//! The prompt's folder and its faults.

use super::*;

fn version(project: &Project) -> String {
    project.pack().unwrap().set.keys().prompt
}

#[test]
fn the_current_version_is_named_by_a_file_or_a_link() {
    let project = Project::new();
    project.prompt("v2", "你是北风商店的客服。", "{{ input }}");
    assert_eq!(version(&project), "v1");
    project.write("prompts/current", "v2/\n");
    assert_eq!(version(&project), "v2");
    let v1 = pack(&project.loaded(), &prompt_override("v1")).unwrap();
    assert_eq!(v1.set.keys().prompt, "v1");
}

#[cfg(unix)]
#[test]
fn a_link_must_stay_beside_it() {
    let project = Project::new();
    project.prompt("v2", SYSTEM, "{{ input }}");
    project.write("elsewhere/v9/system.md", "x");
    let absolute = project.folder.path().join("prompts/v2");
    for target in ["v2", "v2/", "./v2", "../prompts/v2", absolute.to_str().unwrap()] {
        project.remove("prompts/current");
        project.link(target, "prompts/current");
        assert_eq!(version(&project), "v2", "{target}");
    }
    for target in ["../elsewhere/v9", "/etc", "..", "/", "v2/.."] {
        project.remove("prompts/current");
        project.link(target, "prompts/current");
        project.refuse("prompts/current does not point to a folder beside it");
    }
    project.remove("prompts/current");
    project.link("v3", "prompts/current");
    project.refuse("the prompt version prompts/v3 does not exist");
    project.remove("prompts/current");
    project.link("current", "prompts/current");
    project.refuse("names `current`");
    project.link("../elsewhere/v9", "prompts/v9");
    project.link("/etc", "prompts/v8");
    project.write("elsewhere/v9/user_template.md", "{{ input }}");
    project.write("elsewhere/v9/config.yaml", "model: m");
    pack(&project.loaded(), &prompt_override("v9")).unwrap();
    project.link("/etc/hostname", "prompts/v7/system.md");
    project.refuse_with(&prompt_override("v7"), "prompts/v7/system.md leads out of the project");
    project.refuse_with(&prompt_override("v8"), "prompts/v8/system.md: the file does not exist");
}

#[test]
fn a_missing_current_names_the_way_out() {
    let project = Project::new();
    project.remove("prompts/current");
    let error = project.refuse("prompts/current does not exist");
    assert!(hints(&error).contains("versions in prompts: v1"), "{}", hints(&error));
    assert!(hints(&error).contains("ln -sfn v1 prompts/current"));
    std::fs::create_dir(project.folder.path().join("prompts/current")).unwrap();
    project.refuse("prompts/current is a folder");
    let empty = Project { folder: tempfile::tempdir().unwrap(), yaml: project.yaml.clone() };
    assert!(hints(&empty.refuse("folder prompts does not exist")).contains("pass_through"));
}

#[test]
fn a_missing_version_lists_those_there_are_nearest_first() {
    let project = Project::new();
    for name in ["v2", "v10", "v12", "polite", "v30", ".git"] {
        project.prompt(name, SYSTEM, "{{ input }}");
    }
    let error = project.refuse_with(&prompt_override("v11"), "prompts/v11 does not exist");
    assert!(hints(&error).contains("versions in prompts: v1, v10, v12, v2, v30"), "{error:?}");
}

#[test]
fn a_version_is_a_name_and_never_a_path() {
    let project = Project::new();
    project.write("system.md", "outside");
    let long = "v".repeat(65);
    for name in ["..", ".", "../prompts/v1", "/etc", "", "v1/../v1", "a\\b", ".hidden", &long] {
        project.refuse_with(&prompt_override(name), "allowed is a folder's name");
        project.write("prompts/current", name);
        project.refuse("allowed is a folder's name");
    }
}

#[test]
fn the_three_files_are_needed_and_checked() {
    let project = Project::new();
    project.write("prompts/v1/system.md", " \n");
    project.refuse("prompts/v1/system.md: the file is empty");
    project.write("prompts/v1/system.md", "a\n{% if x %}");
    project.refuse("prompts/v1/system.md:2: `{%` tags");
    project.remove("prompts/v1/system.md");
    project.refuse("prompts/v1/system.md: the file does not exist");
    project.write("prompts/v1/system.md", SYSTEM);
    project.write("prompts/v1/user_template.md", "{{ question }}");
    project.refuse("prompts/v1/user_template.md:1: unknown variable `question`");
    project.write("prompts/v1/user_template.md", "");
    project.refuse("prompts/v1/user_template.md: the file is empty");
    project.write("prompts/v1/user_template.md", "{{ input }}");
    project.write("prompts/v1/config.yaml", "temperature: 3");
    project.refuse("prompts/v1/config.yaml: `temperature` is 3, allowed is 0 to 2");
    project.write("prompts/v1/config.yaml", "thresholds: {accuracy: 90}");
    project.refuse("`thresholds.accuracy` is 90, allowed is 0 to 1");
    project.write("prompts/v1/config.yaml", "max_tokens: 0");
    project.refuse("`max_tokens` is 0");
    project.write("prompts/v1/config.yaml", "temprature: 1");
    project.refuse("temprature");
}

#[test]
fn unwise_prompts_are_warned_of() {
    let project = Project::new();
    let warnings = |system: &str, user: &str| {
        project.prompt("v1", system, user);
        warnings(&project.pack().unwrap()).join("\n")
    };
    assert_eq!(warnings(&format!("你是客服。{}", "请".repeat(100)), "{{ input }}"), "");
    assert!(
        warnings("你是客服。", "{{ input }}")
            .contains("v1/system.md:1:1: the system prompt has 5 characters, more than 100")
    );
    assert!(
        warnings(&"Be kind. ".repeat(20), "{{ input }}").contains("does not say who the model is")
    );
    assert!(warnings(SYSTEM, "hello").contains("`{{ input }}` is not used"));
}

#[test]
fn a_pass_through_service_needs_no_prompt() {
    let mut project = Project::new();
    project.set(&["artifacts", "prompt"], json!({"mode": "pass_through", "path": "none"}));
    project.refuse("no model is named");
    project.set(&["artifacts", "model", "name"], json!("m"));
    let packed = project.pack().unwrap();
    assert_eq!(packed.file(ArtifactKind::Prompt, "mode"), Some(&b"pass_through"[..]));
    assert_eq!(packed.label, "pass-through · m");
    assert!(warnings(&packed).is_empty());
    let live = project.live_of(&packed).unwrap();
    assert_eq!(live.detectors.system_prompt, "");
}

#[test]
fn the_config_of_the_seed_is_read() {
    let project = Project::new();
    project.write(
        "prompts/v1/config.yaml",
        "version: 2.0\nmodel: \"gpt-4o\"\ntemperature: 0.7\nmax_tokens: 1024\nthresholds:\n  \
         accuracy: 0.90\n  relevance: 0.85\n  safety: 0.99\ntest_cases:\n  - input: \
         什么是机器学习?\n    expected_keywords: [学习, 数据, 模型]\n    forbidden_keywords: \
         [不知道, 无法回答]\n  - input: 帮我写一段 Python 代码\n    expected_contains: \"def \"\n    \
         max_length: 2000\n",
    );
    let live = project.live().unwrap();
    assert_eq!((live.model.as_str(), live.max_tokens), ("gpt-4o", Some(1024)));
}
