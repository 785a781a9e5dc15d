//! The pipeline of GitLab CI/CD. Secrets are the project's masked variables, which jobs have in
//! their environment; none is in the file.

use super::file::{CiFile, Only, Stage};
use serde_json::json;
use std::fmt::Write as _;

const IS_MERGE_REQUEST: &str = "$CI_PIPELINE_SOURCE == \"merge_request_event\"";

/// The text of `.gitlab-ci.yml`.
pub(super) fn workflow(file: &CiFile) -> String {
    let mut text = String::from(
        "# Written by `tidegate ci init gitlab`. Change ci.yaml, then write this with `--force`.\n\
         workflow:\n  rules:\n",
    );
    // A merge request and its branch are one pipeline, not two.
    let branches = file.branches.iter().map(|branch| of_branch(branch));
    for rule in std::iter::once(IS_MERGE_REQUEST.to_owned()).chain(branches) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "    - if: {}", quoted(&rule));
    }
    let _ = writeln!(text, "variables:\n  GIT_SHA: $CI_COMMIT_SHA");
    let names: Vec<&str> = file.stages.iter().map(|stage| stage.name.as_str()).collect();
    let _ = writeln!(text, "stages: {}", json!(names));
    if let Some(image) = &file.image {
        let _ = writeln!(text, "default:\n  image: {}", json!(image));
    }
    for stage in &file.stages {
        text.push_str(&job(file, stage));
    }
    text
}

fn of_branch(branch: &str) -> String {
    format!("$CI_COMMIT_BRANCH == \"{branch}\"")
}

/// A condition in single quotes.
fn quoted(rule: &str) -> String {
    format!("'{rule}'")
}

fn job(file: &CiFile, stage: &Stage) -> String {
    let name = &stage.name;
    let mut text = format!("{name}:\n");
    let mut line = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    line(format!("stage: {name}"));
    // A stage before may not be in this pipeline.
    let needs: Vec<_> =
        stage.needs.iter().map(|need| json!({ "job": need, "optional": true })).collect();
    line(format!("needs: {}", json!(needs)));
    match stage.only {
        Only::Always => {}
        Only::PullRequest => line(format!("rules: [{{if: {}}}]", quoted(IS_MERGE_REQUEST))),
        Only::Main => line(format!("rules: [{{if: {}}}]", quoted(&of_branch(file.main())))),
    }
    if !stage.runner.is_empty() {
        line(format!("tags: {}", json!(stage.runner)));
    }
    line(format!("timeout: {} minutes", stage.timeout_s.div_ceil(60) + 30));
    match &stage.environment {
        Some(environment) => {
            line(format!("environment: {{name: {}}}", json!(environment)));
            line(format!("resource_group: {}", json!(environment)));
        }
        None => line("interruptible: true".to_owned()),
    }
    if !file.setup.is_empty() {
        line("before_script:".to_owned());
        for setup in file.setup.iter().flat_map(|setup| setup.lines()) {
            line(format!("  - {}", json!(setup)));
        }
    }
    line(format!("script: [\"tidegate ci run --only {name}\"]"));
    let evidence = "reports/*/ci-*/**".to_owned();
    let paths: Vec<String> =
        stage.artifacts.values().flatten().cloned().chain([evidence]).collect();
    line("artifacts:".to_owned());
    line("  when: always".to_owned());
    let named = stage.artifacts.keys().next().map_or(name.as_str(), String::as_str);
    line(format!("  name: {}", json!(named)));
    line(format!("  paths: {}", json!(paths)));
    text
}
