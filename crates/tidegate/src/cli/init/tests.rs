//! A new project works at once, and nothing is written over.

use super::init;
use crate::cli::check;
use crate::config::{PromptConfig, load, parse_yaml};
use crate::gate::load_cases;
use crate::store::{Access, Store};
use crate::version_set::{PackOverrides, pack};
use std::fs;
use std::path::Path;

#[test]
fn a_new_project_loads() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("refund-desk");
    let written = init(&dir, false).unwrap();
    for path in &written {
        assert!(path.symlink_metadata().is_ok(), "{}", path.display());
    }
    let loaded = load(&dir.join("tidegate.yaml")).unwrap();
    assert_eq!(loaded.project.service, "refund-desk");
    let planted = &loaded.project.risk.planted[0];
    for version in ["v1", "v2", "current"] {
        let folder = dir.join("prompts").join(version);
        let system = fs::read_to_string(folder.join("system.md")).unwrap();
        assert!(system.chars().count() > 100 && system.contains("You are"), "{version}");
        assert!(system.contains(planted), "{version}");
        let file = folder.join("config.yaml");
        parse_yaml::<PromptConfig>(&fs::read_to_string(&file).unwrap(), &file).unwrap();
    }
    for left_over in ["__SERVICE__", "__CANARY__"] {
        for path in written.iter().filter(|path| path.is_file()) {
            assert!(!fs::read_to_string(path).unwrap().contains(left_over), "{}", path.display());
        }
    }
    let schema = fs::read_to_string(dir.join(".tidegate/schema.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&schema).is_ok());
    let first = fs::read_to_string(dir.join("tidegate.yaml")).unwrap();
    assert!(first.starts_with("# yaml-language-server: $schema=./.tidegate/schema.json\n"));
}

#[test]
fn the_cases_are_the_seeds_and_cover_every_risk() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("desk");
    init(&dir, false).unwrap();
    let mut reader = csv::Reader::from_path(dir.join("evals/eval_cases.csv")).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["case_id", "prompt", "expected_behavior", "risk", "pass", "notes"]);
    let risks: Vec<String> = reader.records().map(|row| row.unwrap()[3].to_owned()).collect();
    assert_eq!(risks, ["format", "grounding", "safety", "performance", "regression"]);
    let dataset = fs::read_to_string(dir.join("evals/dataset.jsonl")).unwrap();
    for line in dataset.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

/// Every file and its content.
fn content(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => content(&path),
            false => vec![(path.display().to_string(), fs::read_to_string(&path).unwrap())],
        })
        .collect();
    files.sort();
    files
}

#[test]
fn nothing_is_written_over() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("desk");
    fs::create_dir_all(dir.join("prompts")).unwrap();
    fs::write(dir.join("README.md"), "mine\n").unwrap();
    let before = content(&dir);
    let error = init(&dir, false).unwrap_err();
    assert!(error.message.ends_with("desk is not empty"), "{error}");
    assert_eq!(content(&dir), before);

    let written = init(&dir, true).unwrap();
    assert_eq!(fs::read_to_string(dir.join("README.md")).unwrap(), "mine\n");
    assert!(!written.contains(&dir.join("README.md")));
    assert!(written.contains(&dir.join("tidegate.yaml")));

    let error = init(&dir, false).unwrap_err();
    assert!(error.message.ends_with("is a Tidegate project already"), "{error}");
    let before = content(&dir);
    assert_eq!(init(&dir, true).unwrap(), Vec::<std::path::PathBuf>::new());
    assert_eq!(content(&dir), before);
}

#[test]
fn a_fresh_repository_counts_as_empty() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("desk");
    fs::create_dir_all(dir.join(".git")).unwrap();
    assert!(init(&dir, false).is_ok());
}

#[test]
fn a_folder_that_is_no_service_name_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let error = init(&temp.path().join("客服 desk"), false).unwrap_err();
    assert!(error.message.contains("the service is named after its folder"), "{error}");
    assert!(error.hints[0].contains("tidegate init NAME"));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn the_adversarial_inputs_are_asked_where_the_project_wants_them() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("desk");
    init(&dir, false).unwrap();
    let file = dir.join("tidegate.yaml");
    let cases = |key: &str| {
        let yaml = fs::read_to_string(&file).unwrap();
        fs::write(&file, yaml.replace("evals:\n", &format!("evals:\n{key}"))).unwrap();
        let loaded = load(&file).unwrap();
        let packed = pack(&loaded, &PackOverrides::default()).unwrap();
        load_cases(&loaded, &packed).unwrap().cases.to_vec().unwrap()
    };
    let without = cases("").len();
    let with = cases("  adversarial: literal\n");
    assert_eq!(with.len(), without + 3);
    assert_eq!(with.iter().filter(|case| case.checks.literal_leak == Some(true)).count(), 3);
}

#[tokio::test]
async fn a_check_reads_the_state_where_there_is_one() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("desk");
    init(&dir, false).unwrap();
    let file = dir.join("tidegate.yaml");
    check::run(&file, &check::CheckArgs::default(), true).await.unwrap();
    drop(Store::open(&dir, Access::Exclusive).unwrap());
    check::run(&file, &check::CheckArgs::default(), true).await.unwrap();
    fs::write(dir.join(".tidegate/state.db"), "not a database").unwrap();
    assert!(
        check::run(&file, &check::CheckArgs::default(), true)
            .await
            .unwrap_err()
            .message
            .contains("state")
    );
}
