//! Packing a project in a temporary folder, and serving what was packed.

use super::*;
use crate::clock::Clock;
use crate::config::{Loaded, PromptMode};
use crate::error::{CliError, Result};
use serde_json::{Value, json};
use std::path::Path;
use tidegate_core::ids::UnixMs;
use tidegate_core::version_set::ArtifactKind;

const SYSTEM: &str = "You are a support agent of 北风 shop. Answer in the customer's language, \
    cite the policy you use, and never promise a refund before the order was looked up.";

/// A project in a folder of its own.
struct Project {
    folder: tempfile::TempDir,
    yaml: Value,
}

impl Project {
    fn new() -> Project {
        let project = Project {
            folder: tempfile::tempdir().unwrap(),
            yaml: json!({"service": "support", "upstreams": {"main": {"kind": "simulated"}}}),
        };
        project.prompt("v1", SYSTEM, "{{ input }}");
        project.write("prompts/current", "v1\n");
        project
    }

    fn prompt(&self, version: &str, system: &str, user: &str) {
        self.write(&format!("prompts/{version}/system.md"), system);
        self.write(&format!("prompts/{version}/user_template.md"), user);
        self.write(
            &format!("prompts/{version}/config.yaml"),
            "version: \"1.0\"\nmodel: gpt-4o-mini\ntemperature: 0.7\nmax_tokens: 100\n",
        );
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).unwrap();
    }

    #[cfg(unix)]
    fn link(&self, target: &str, path: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn set(&mut self, pointer: &[&str], value: Value) -> &mut Self {
        let mut at = &mut self.yaml;
        for key in pointer {
            at = &mut at[*key];
        }
        *at = value;
        self
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            project: serde_json::from_value(self.yaml.clone()).unwrap(),
            root: self.folder.path().to_owned(),
        }
    }

    fn pack(&self) -> Result<PackedSet> {
        pack(&self.loaded(), &PackOverrides::default())
    }

    fn id(&self) -> String {
        self.pack().unwrap().set.id.to_string()
    }

    fn live(&self) -> Result<LiveSet> {
        self.live_of(&self.pack()?)
    }

    fn live_of(&self, packed: &PackedSet) -> Result<LiveSet> {
        LiveSet::new(packed, self.folder.path(), &Clock::demo(UnixMs(0), 1))
    }

    fn refuse(&self, message: &str) -> CliError {
        self.refuse_with(&PackOverrides::default(), message)
    }

    fn refuse_with(&self, overrides: &PackOverrides, message: &str) -> CliError {
        let error = pack(&self.loaded(), overrides).unwrap_err();
        assert!(error.message.contains(message), "{}\nlacks: {message}", error.message);
        assert!(!error.message.contains('\n') && !error.message.ends_with('.'));
        error
    }
}

fn prompt_override(version: &str) -> PackOverrides {
    PackOverrides { prompt: Some(version.to_owned()), ..PackOverrides::default() }
}

fn hints(error: &CliError) -> String {
    error.hints.join("\n")
}

mod packing {
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
        assert_eq!(packed.set.artifacts[&ArtifactKind::Config].version.len(), 8);
        packed.verify().unwrap();
        assert!(packed.warnings().is_empty(), "{:?}", packed.warnings());
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
        assert!(String::from_utf8_lossy(model).contains("\"OPENAI_API_KEY\""));
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
}

mod prompts {
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
        project
            .refuse_with(&prompt_override("v7"), "prompts/v7/system.md leads out of the project");
        project
            .refuse_with(&prompt_override("v8"), "prompts/v8/system.md: the file does not exist");
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
            project.pack().unwrap().warnings().join("\n")
        };
        assert_eq!(warnings(&format!("你是客服。{}", "请".repeat(100)), "{{ input }}"), "");
        assert!(warnings("你是客服。", "{{ input }}").contains("has 5 characters, more than 100"));
        assert!(warnings(&"Be kind. ".repeat(20), "{{ input }}").contains("who the model is"));
        assert!(warnings(SYSTEM, "hello").contains("does not use `{{ input }}`"));
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
        assert!(packed.warnings().is_empty());
        let live = project.live_of(&packed).unwrap();
        assert_eq!(
            (live.mode, live.detectors.system_prompt.as_str()),
            (PromptMode::PassThrough, "")
        );
    }
}

mod folders {
    use super::super::files::{FILES_MAX, INLINE_FILE_BYTES_MAX};
    use super::*;

    fn with_index() -> Project {
        let mut project = Project::new();
        project.set(&["artifacts", "index"], json!({"version": "v1", "path": "knowledge"}));
        project.write("knowledge/a.md", "a");
        project
    }

    fn paths(project: &Project) -> Vec<String> {
        project.pack().unwrap().set.artifacts[&ArtifactKind::Index].files.keys().cloned().collect()
    }

    #[test]
    fn documents_are_found_in_folders_and_hidden_files_are_not() {
        let project = with_index();
        project.write("knowledge/b/c.md", "c");
        project.write("knowledge/.DS_Store", "x");
        project.write("knowledge/.git/config", "x");
        let expected = ["documents/a.md", "documents/b/c.md", "retrieval.json"];
        assert_eq!(paths(&project), expected);
    }

    #[test]
    fn one_file_is_an_index_too_and_a_missing_one_is_named() {
        let mut project = with_index();
        project.set(&["artifacts", "index", "path"], json!("knowledge/a.md"));
        assert_eq!(paths(&project), ["documents/a.md", "retrieval.json"]);
        project.set(&["artifacts", "index", "path"], json!("knowledge/x.md"));
        project.refuse("knowledge/x.md does not exist");
    }

    #[test]
    fn a_large_file_is_kept_by_its_digest() {
        let project = with_index();
        let mut large = vec![b'x'; usize::try_from(INLINE_FILE_BYTES_MAX).unwrap() + 1];
        project.write("knowledge/big.bin", &large);
        let packed = project.pack().unwrap();
        let pointer = packed.file(ArtifactKind::Index, "documents/big.bin.pointer.json").unwrap();
        let pointer: Value = serde_json::from_slice(pointer).unwrap();
        assert_eq!(pointer["path"], "knowledge/big.bin");
        assert_eq!(pointer["bytes"], INLINE_FILE_BYTES_MAX + 1);
        assert_eq!(pointer["sha256"].as_str().unwrap().len(), 64);
        let size: usize = packed.blobs.values().map(Vec::len).sum();
        assert!(size < 100_000);
        large[0] = b'y';
        project.write("knowledge/big.bin", &large);
        assert_ne!(packed.set.id, project.pack().unwrap().set.id);
    }

    #[test]
    fn too_many_files_are_refused() {
        let project = with_index();
        for n in 0..FILES_MAX {
            project.write(&format!("knowledge/{n}.md"), "");
        }
        project.refuse("`artifacts.index.path` has more than 2000 files");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_multiply_folders_end_early() {
        let project = with_index();
        for n in 0..14 {
            std::fs::create_dir(project.folder.path().join(format!("knowledge/d{n}"))).unwrap();
            project.link(&format!("../d{}", n + 1), &format!("knowledge/d{n}/a"));
            project.link(&format!("../d{}", n + 1), &format!("knowledge/d{n}/b"));
        }
        project.write("knowledge/d14/x.md", "x");
        project.refuse("has more than 2000 files");
    }

    #[test]
    fn a_file_called_as_a_pointer_hides_nothing() {
        let project = with_index();
        project
            .write("knowledge/big", vec![0; usize::try_from(INLINE_FILE_BYTES_MAX).unwrap() + 1]);
        project.write("knowledge/big.pointer.json", "{}");
        project.refuse("the path big.pointer.json is taken twice");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_project_is_refused_and_one_within_is_followed() {
        let mut project = with_index();
        project.write("shared/s.md", "s");
        project.link("../shared/s.md", "knowledge/s.md");
        assert_eq!(paths(&project).len(), 3);
        project.link("/etc/hostname", "knowledge/host");
        project.refuse("knowledge/host leads out of the project");
        project.remove("knowledge/host");
        project.link("..", "knowledge/up");
        project.refuse("folders are more than 16 deep");
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("d.md"), "d").unwrap();
        project.set(&["artifacts", "index", "path"], json!(outside.path()));
        assert_eq!(paths(&project), ["documents/d.md", "retrieval.json"]);
    }

    #[test]
    fn a_changed_index_format_has_no_way_back() {
        let mut project = with_index();
        project.set(&["artifacts", "index", "format"], json!("hnsw-1"));
        let old = project.pack().unwrap().set;
        project.set(&["artifacts", "index", "format"], json!("hnsw-2"));
        let new = project.pack().unwrap().set;
        assert_ne!(old.id, new.id);
        assert_eq!(old.way_back_problems(&new).len(), 1);
    }
}

mod serving {
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
        refuse(&altered, "prompt/system.md does not match its digest");
        altered.blobs.remove(prompt);
        refuse(&altered, "prompt/system.md is missing");
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
        assert_eq!((live.temperature, live.max_tokens), (Some(0.7), Some(100)));
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
}

mod rendering {
    use super::*;

    fn live(system: &str, user: &str, parameters: Value) -> LiveSet {
        let mut project = Project::new();
        project.prompt("v1", system, user);
        project.set(&["artifacts", "model", "parameters"], parameters);
        project.live().unwrap()
    }

    fn render(live: &LiveSet, body: Value, user: Option<&str>) -> Result<Value, String> {
        let rendered = live.render(body.as_object().unwrap(), user).map_err(|e| e.to_string())?;
        Ok(Value::Object(rendered.body))
    }

    /// One user message through `user`, with these members more in the body.
    fn check(user: &str, content: Value, expected: Value) {
        let live = live("You are S.", user, json!({}));
        let body = json!({"messages": [{"role": "user", "content": content, "name": "n"}]});
        let got = render(&live, body, Some("u1")).unwrap();
        let messages = json!([
            {"role": "system", "content": "You are S."},
            {"role": "user", "name": "n", "content": expected}
        ]);
        assert_eq!(got["messages"], messages);
    }

    #[test]
    fn the_last_user_text_goes_through_the_template() {
        check("{{ input }}", json!("测试回滚"), json!("测试回滚"));
        check(
            "Q {{ user }}: {{ input }}\n",
            json!("{{ user }} {%"),
            json!("Q u1: {{ user }} {%\n"),
        );
        check("<{{ input }}>", Value::Null, json!("<>"));
        let image = json!({"type": "image_url", "image_url": {"url": "data:,x"}});
        let text = |t: &str| json!({"type": "text", "text": t});
        check(
            "<{{ input }}>",
            json!([image, text("a"), image, text("b")]),
            json!([image, text("<a\nb>"), image]),
        );
        check("<{{ input }}>", json!([image]), json!([text("<>"), image]));
    }

    #[test]
    fn the_client_s_other_messages_and_members_are_kept() {
        let live = live("You are S.", "<{{ input }}>", json!({}));
        let messages = json!([
            {"role": "system", "content": "client's own"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "second"},
            {"role": "assistant", "tool_calls": [{"id": "1"}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"}
        ]);
        let body = json!({
            "model": "support", "messages": messages, "stream": true, "x_new": {"deep": [1]},
            "stream_options": {"include_usage": false}, "metadata": {"k": "v"}, "user": "u"
        });
        let got = render(&live, body.clone(), None).unwrap();
        for key in ["stream", "x_new", "stream_options", "metadata", "user"] {
            assert_eq!(got[key], body[key], "{key}");
        }
        assert_eq!(got["model"], "gpt-4o-mini");
        let mut expected = messages.as_array().unwrap().clone();
        expected[3]["content"] = json!("<second>");
        expected.insert(0, json!({"role": "system", "content": "You are S."}));
        assert_eq!(got["messages"], Value::Array(expected));
    }

    fn check_members(parameters: Value, client: Value, expected: Value) {
        let live = live("You are S.", "{{ input }}", parameters);
        let mut body = client.as_object().unwrap().clone();
        body.insert("messages".into(), json!([{"role": "user", "content": "a"}]));
        let got = match render(&live, Value::Object(body), None) {
            Ok(mut got) => {
                let members = got.as_object_mut().unwrap();
                members.shift_remove("messages");
                assert_eq!(members.shift_remove("model"), Some(json!("gpt-4o-mini")));
                got
            }
            Err(error) => json!(error),
        };
        assert_eq!(got, expected, "client {client}");
    }

    #[test]
    fn the_client_s_settings_win_up_to_the_set_s_longest_answer() {
        let set = json!({"temperature": 0.7, "max_tokens": 100});
        check_members(json!({}), json!({}), set.clone());
        check_members(json!({}), json!({"temperature": null, "max_tokens": null}), set);
        let cases = [
            (
                json!({"temperature": 0, "max_tokens": 7}),
                json!({"temperature": 0, "max_tokens": 7}),
            ),
            (json!({"max_tokens": 5000}), json!({"max_tokens": 100, "temperature": 0.7})),
            (
                json!({"max_completion_tokens": 5000}),
                json!({"max_completion_tokens": 100, "temperature": 0.7}),
            ),
            (json!({"max_tokens": -1}), json!("`max_tokens` must be a whole number from 1 to 100")),
            (
                json!({"max_tokens": "9"}),
                json!("`max_tokens` must be a whole number from 1 to 100"),
            ),
        ];
        for (client, expected) in cases {
            check_members(json!({}), client, expected);
        }
    }

    #[test]
    fn parameters_fill_what_the_client_leaves_out() {
        let parameters = json!({"top_p": 0.9, "seed": 7, "temperature": 1.5});
        check_members(
            parameters,
            json!({"seed": 1}),
            json!({"seed": 1, "top_p": 0.9, "temperature": 0.7, "max_tokens": 100}),
        );
        check_members(
            json!({"max_completion_tokens": 10}),
            json!({}),
            json!({"max_completion_tokens": 100, "temperature": 0.7}),
        );
    }

    #[test]
    fn metadata_fills_variables_and_is_not_sent_on() {
        let live = live("For {{ metadata.plan }}.", "{{ metadata.n }} {{ input }}", json!({}));
        let body = |metadata: Value| json!({"messages": [{"role": "user", "content": "a"}], "metadata": metadata});
        let got = render(&live, body(json!({"plan": "pro", "n": 3, "k": "v"})), None).unwrap();
        assert_eq!(got["messages"][0]["content"], "For pro.");
        assert_eq!(got["messages"][1]["content"], "3 a");
        assert_eq!(got["metadata"], json!({"k": "v"}));
        let got = render(&live, body(json!({"plan": "pro", "n": 3})), None).unwrap();
        assert_eq!(got.get("metadata"), None);
        let error = render(&live, body(json!({"n": 3})), None).unwrap_err();
        assert!(error.contains("`metadata.plan`") && error.contains("\"metadata\": {\"plan\""));
        let error = render(&live, body(json!({"plan": ["secret"], "n": 3})), None).unwrap_err();
        assert!(error.contains("must be text") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn messages_of_the_wrong_shape_are_the_client_s_to_mend() {
        let live = live("You are S.", "{{ input }}", json!({}));
        for (body, message) in [
            (json!({}), "`messages` must be a list"),
            (json!({"messages": "a"}), "`messages` must be a list"),
            (json!({"messages": []}), "no message with `\"role\": \"user\"`"),
            (json!({"messages": [1, {"role": "system", "content": "a"}]}), "no message with"),
            (json!({"messages": [{"role": "user", "content": 1}]}), "must be text or a list"),
        ] {
            assert!(render(&live, body.clone(), None).unwrap_err().contains(message), "{body}");
        }
    }

    #[test]
    fn pass_through_fills_in_and_touches_nothing_else() {
        let mut project = Project::new();
        project.set(&["artifacts", "prompt", "mode"], json!("pass_through"));
        let live = project.live().unwrap();
        let body = json!({"model": "support", "messages": [{"role": "tool", "content": "x"}],
                          "metadata": {"k": "v"}, "stream": false});
        let got = render(&live, body.clone(), None).unwrap();
        let mut expected = body;
        expected["model"] = json!("gpt-4o-mini");
        expected["temperature"] = json!(0.7);
        expected["max_tokens"] = json!(100);
        assert_eq!(got, expected);
    }
}

#[test]
fn the_path_in_errors_is_relative_to_the_project() {
    let project = Project::new();
    project.write("prompts/v1/system.md", "{{ x }}");
    let error = project.pack().unwrap_err().message;
    assert!(!error.contains(project.folder.path().to_str().unwrap()), "{error}");
    assert!(Path::new("prompts/v1/system.md").is_relative() && error.starts_with("prompts/v1/"));
}
