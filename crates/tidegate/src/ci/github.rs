//! The workflow of GitHub Actions. Actions are pinned by their commit, permissions are the least,
//! secrets come by the environment, and no value of an event is in a line of shell.

use super::file::{CiFile, Only, Stage};
use serde_json::json;
use std::fmt::Write as _;

/// actions/checkout v4.2.2.
const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
/// actions/upload-artifact v4.6.2.
const UPLOAD: &str = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2";

/// The text of the workflow.
pub(super) fn workflow(file: &CiFile) -> String {
    let main = file.main();
    let branches = json!(file.branches);
    let mut text = format!(
        "# Written by `tidegate ci init github`. Change ci.yaml, then write this with `--force`.\n\
         name: LLM CI/CD\n\
         on:\n  push:\n    branches: {branches}\n  pull_request:\n    branches: {}\n\
         permissions:\n  contents: read\n\
         concurrency:\n  group: ${{{{ github.workflow }}}}-${{{{ github.ref }}}}\n  \
         cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}\n\
         env:\n  GIT_SHA: ${{{{ github.sha }}}}\n\
         jobs:\n",
        json!([main]),
    );
    for stage in &file.stages {
        text.push_str(&job(file, stage));
    }
    text
}

fn job(file: &CiFile, stage: &Stage) -> String {
    let name = &stage.name;
    let mut text = format!("  {name}:\n");
    // Writing to a String cannot fail, here and below.
    let mut line = |line: String| {
        let _ = writeln!(text, "    {line}");
    };
    line(format!("runs-on: {}", labels(file.runner_of(stage))));
    line(format!("timeout-minutes: {}", minutes(stage)));
    if !stage.needs.is_empty() {
        line(format!("needs: {}", json!(stage.needs)));
    }
    match stage.only {
        Only::Always => {}
        Only::PullRequest => line("if: github.event_name == 'pull_request'".to_owned()),
        Only::Main => {
            let main = file.main();
            line(format!("if: github.event_name == 'push' && github.ref == 'refs/heads/{main}'"));
        }
    }
    if let Some(image) = &file.image {
        line(format!("container: {}", json!(image)));
    }
    if let Some(environment) = &stage.environment {
        line(format!("environment: {}", json!(environment)));
        // A deployment that has begun is not broken off by the next one.
        line(format!(
            "concurrency: {{group: {}, cancel-in-progress: false}}",
            json!(format!("deploy-{environment}"))
        ));
    }
    line("steps:".to_owned());
    for step in steps(file, stage) {
        for (at, part) in step.lines().enumerate() {
            line(format!("  {}{part}", if at == 0 { "- " } else { "  " }));
        }
    }
    text
}

/// The steps of a job, each as lines of YAML.
fn steps(file: &CiFile, stage: &Stage) -> Vec<String> {
    let name = &stage.name;
    let mut steps = vec![format!("uses: {CHECKOUT}\nwith:\n  persist-credentials: false")];
    if !file.setup.is_empty() {
        let lines: Vec<&str> = file.setup.iter().flat_map(|line| line.lines()).collect();
        steps.push(format!("name: Set up\nrun: |\n  {}", lines.join("\n  ")));
    }
    let mut step = format!("name: {name}\nrun: tidegate ci run --only {name}");
    if !stage.secrets.is_empty() {
        step.push_str("\nenv:");
        for secret in &stage.secrets {
            step.push_str(&format!("\n  {secret}: ${{{{ secrets.{secret} }}}}"));
        }
    }
    steps.push(step);
    let evidence = (format!("evidence-{name}"), vec!["reports/*/ci-*/**".to_owned()]);
    let artifacts = stage.artifacts.clone().into_iter().chain([evidence]);
    steps.extend(artifacts.map(|(artifact, paths)| {
        let paths = paths.join("\n    ");
        format!(
            "name: Keep {artifact}\nif: always()\nuses: {UPLOAD}\nwith:\n  name: {artifact}\n  \
             if-no-files-found: ignore\n  path: |\n    {paths}"
        )
    }));
    steps
}

fn labels(labels: &[String]) -> String {
    match labels {
        [one] => one.clone(),
        several => json!(several).to_string(),
    }
}

/// Some minutes more than the stage: it ends its commands by itself, and keeps what they said.
fn minutes(stage: &Stage) -> u64 {
    stage.timeout_s.div_ceil(60) + 30
}
