//! `ci.yaml`: the stages of the pipeline, their order, and what each may have.

use super::error::CiError;
use crate::config::parse_yaml;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file's name, beside `tidegate.yaml`.
pub(crate) const CI_FILE: &str = "ci.yaml";
/// Longest time a stage may take unless it says so, s.
const TIMEOUT_S: u64 = 1_800;
/// Longest time a stage may say, s: two days, for a release that climbs slowly.
const TIMEOUT_S_MAX: u64 = 172_800;
/// Most stages.
const STAGES_MAX: usize = 64;
/// What GitHub replaces in a workflow: in a command, whoever writes a branch's name writes code.
const EXPRESSION: &str = "${{";

/// The pipeline.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CiFile {
    /// Branches whose pushes are built; pull requests and deployments are about the first.
    #[serde(default = "branches")]
    pub(crate) branches: Vec<String>,
    /// Where jobs of the workflow run that name no other runner: labels.
    #[serde(default = "runner")]
    pub(crate) runner: Vec<String>,
    /// Image that jobs of the workflow run in.
    pub(crate) image: Option<String>,
    /// Lines of shell that a job of the workflow begins with; `ci run` does not run them.
    #[serde(default)]
    pub(crate) setup: Vec<String>,
    /// The stages, each after those that it needs.
    pub(crate) stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    /// Its name: small letters, digits and dashes.
    pub(crate) name: String,
    /// Stages before it that must have passed.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// For which pipelines it is there.
    #[serde(default)]
    pub(crate) only: Only,
    /// Its commands; the first that fails ends it.
    pub(crate) run: Vec<Command>,
    /// Variables of the environment with a fixed value.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Variables of the environment that hold secrets; masked in the log.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// Whether it is skipped where one of its secrets is not set.
    #[serde(default)]
    pub(crate) optional: bool,
    /// Longest time for all its commands, s.
    #[serde(default = "timeout_s")]
    pub(crate) timeout_s: u64,
    /// Where its job of the workflow runs: labels.
    #[serde(default)]
    pub(crate) runner: Vec<String>,
    /// The environment that it deploys to; one job at a time has it.
    pub(crate) environment: Option<String>,
    /// Files that the workflow keeps, by a name.
    #[serde(default)]
    pub(crate) artifacts: BTreeMap<String, Vec<String>>,
}

/// For which pipelines a stage is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Only {
    /// For every one.
    #[default]
    Always,
    /// For pull requests (merge requests).
    PullRequest,
    /// For pushes to the first branch.
    Main,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Command {
    /// A program and its arguments; no shell reads them.
    Program(Vec<String>),
    /// A line that `sh` runs.
    Shell(ShellLine),
}

/// A line of shell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShellLine {
    /// The line.
    pub(crate) shell: String,
}

fn branches() -> Vec<String> {
    ["main", "dev"].map(str::to_owned).to_vec()
}

fn runner() -> Vec<String> {
    vec!["ubuntu-latest".to_owned()]
}

fn timeout_s() -> u64 {
    TIMEOUT_S
}

/// The file that `ci init` writes where there is none; with data validation and training in front
/// where models are `trained` here.
pub(crate) fn template(trained: bool) -> String {
    let text = match trained {
        false => include_str!("../../templates/ci/application.yaml"),
        true => include_str!("../../templates/ci/model.yaml"),
    };
    let repository = env!("CARGO_PKG_REPOSITORY");
    text.replace("__REPOSITORY__", repository).replace("__VERSION__", env!("CARGO_PKG_VERSION"))
}

impl CiFile {
    /// Reads the pipeline of the project in this folder.
    ///
    /// # Errors
    /// There is none, or it cannot be a pipeline.
    pub(crate) fn read(root: &Path) -> Result<CiFile, CiError> {
        let path = root.join(CI_FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CiError::NoFile(path.clone()),
            _ => CiError::Unread { path: path.clone(), source },
        })?;
        CiFile::parse(&text, &path)
    }

    /// Reads the text of a pipeline's file.
    ///
    /// # Errors
    /// It cannot be a pipeline.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<CiFile, CiError> {
        let file: CiFile = parse_yaml(text, path)?;
        let wrong = |(place, what): (String, String)| {
            let path = path.to_owned();
            CiError::Wrong { path, place, what }
        };
        file.check().map_err(wrong)?;
        Ok(file)
    }

    /// The branch that is deployed.
    pub(crate) fn main(&self) -> &str {
        self.branches.first().map_or("main", String::as_str)
    }

    /// Where the job of a stage runs.
    pub(crate) fn runner_of<'a>(&'a self, stage: &'a Stage) -> &'a [String] {
        if stage.runner.is_empty() { &self.runner } else { &stage.runner }
    }

    fn check(&self) -> Result<(), (String, String)> {
        let at = |place: &str, what: &str| Err((place.to_owned(), what.to_owned()));
        if self.stages.is_empty() || self.stages.len() > STAGES_MAX {
            return at("stages", &format!("1 to {STAGES_MAX} stages are allowed"));
        }
        if self.branches.is_empty() || !self.branches.iter().all(|name| is_branch(name)) {
            return at("branches", "a branch has letters, digits and `._/-`, and there is one");
        }
        if self.runner.is_empty() {
            return at("runner", "at least one label is needed");
        }
        no_expression("setup", &self.setup)?;
        no_expression("image", self.image.as_slice())?;
        let mut before = BTreeSet::new();
        for stage in &self.stages {
            stage.check(&before).map_err(|what| (format!("stage `{}`", stage.name), what))?;
            if !before.insert(stage.name.as_str()) {
                return at(&format!("stage `{}`", stage.name), "the name is there twice");
            }
        }
        let labels = self.runner.iter().chain(self.stages.iter().flat_map(|stage| &stage.runner));
        if let Some(label) = labels.into_iter().find(|label| !is_name(label)) {
            return at("runner", &format!("`{label}` is no label"));
        }
        Ok(())
    }
}

impl Stage {
    fn check(&self, before: &BTreeSet<&str>) -> Result<(), String> {
        let is_small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !self.name.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.name.chars().all(is_small)
            || self.name.len() > 40
        {
            return Err("a name has 1 to 40 small letters, digits and dashes".to_owned());
        }
        if let Some(need) = self.needs.iter().find(|need| !before.contains(need.as_str())) {
            return Err(format!("it needs `{need}`, which is not a stage before it"));
        }
        if self.run.is_empty() || self.run.iter().any(Command::is_empty) {
            return Err("`run` is a list of commands, such as `[[pytest, tests/unit]]`".to_owned());
        }
        if !(1..=TIMEOUT_S_MAX).contains(&self.timeout_s) {
            return Err(format!("timeout_s is 1 to {TIMEOUT_S_MAX}"));
        }
        let variables = self.env.keys().chain(&self.secrets);
        if let Some(name) = variables.into_iter().find(|name| !is_variable(name)) {
            return Err(format!("`{name}` is no variable's name"));
        }
        if let Some(name) = self.environment.iter().find(|name| !is_name(name)) {
            return Err(format!("`{name}` is no environment's name"));
        }
        if let Some(name) = self.artifacts.keys().find(|name| !is_name(name)) {
            return Err(format!("`{name}` is no artifact's name"));
        }
        for paths in self.artifacts.values() {
            no_expression("artifacts", paths).map_err(|(_, what)| what)?;
        }
        Ok(())
    }
}

impl Command {
    fn is_empty(&self) -> bool {
        match self {
            Command::Program(words) => words.first().is_none_or(String::is_empty),
            Command::Shell(line) => line.shell.trim().is_empty(),
        }
    }

    /// As a person would type it, for reports.
    pub(crate) fn shown(&self) -> String {
        match self {
            Command::Program(words) => words.join(" "),
            Command::Shell(line) => line.shell.clone(),
        }
    }
}

fn no_expression(place: &str, texts: &[String]) -> Result<(), (String, String)> {
    match texts.iter().any(|text| text.contains(EXPRESSION)) {
        true => Err((place.to_owned(), format!("`{EXPRESSION} … }}}}` is not allowed"))),
        false => Ok(()),
    }
}

fn is_variable(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_word)
}

fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(is_word)
}

fn is_branch(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(is_word) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CiFile, String> {
        CiFile::parse(text, Path::new("ci.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn both_templates_are_pipelines_with_the_jobs_in_their_order() {
        let names = |trained| -> Vec<String> {
            let file = read(&template(trained)).unwrap();
            file.stages.into_iter().map(|stage| stage.name).collect()
        };
        let application = [
            "lint",
            "unit-tests",
            "prompt-tests",
            "model-evaluation",
            "build",
            "deploy-staging",
            "deploy-production",
        ];
        assert_eq!(names(false), application);
        let model = ["data-validation", "model-training", "deploy-staging", "deploy-production"];
        assert_eq!(names(true), model);
        let file = read(&template(false)).unwrap();
        let evaluation = &file.stages[3];
        assert_eq!(evaluation.needs, ["unit-tests", "prompt-tests"]);
        assert_eq!(evaluation.only, Only::PullRequest);
        assert_eq!(evaluation.env["THRESHOLD_SCORE"], "0.85");
        assert_eq!(evaluation.artifacts["eval-report"], ["reports/evaluation_*.json"]);
        assert!(file.stages[4..].iter().all(|stage| stage.only == Only::Main));
    }

    #[test]
    fn what_is_no_pipeline_is_refused_with_its_place() {
        let check = |text: &str, says: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        };
        check("stages: []\n", "1 to 64 stages");
        check("stages: [{name: a, run: []}]\n", "stage `a`: `run` is a list");
        check("stages: [{name: a, run: [[]]}]\n", "stage `a`: `run` is a list");
        check("stages: [{name: A b, run: [[x]]}]\n", "small letters");
        check("stages: [{name: a, run: [[x]], needs: [b]}]\n", "it needs `b`");
        check("stages: [{name: a, run: [[x]]}, {name: a, run: [[x]]}]\n", "there twice");
        check("stages: [{name: a, run: [[x]], secrets: [\"A B\"]}]\n", "no variable's name");
        check("stages: [{name: a, run: [[x]], timeout_s: 0}]\n", "timeout_s");
        check("stages: [{name: a, run: [[x]], runner: [\"a: b\"]}]\n", "no label");
        check("setup: [\"echo ${{ github.event.pull_request.title }}\"]\nstages: []\n", "stages");
        let injected = "setup: [\"echo ${{ github.head_ref }}\"]\n\
                        stages: [{name: a, run: [[x]]}]\n";
        check(injected, "is not allowed");
        check("stages: [{name: a, run: [[x]], when: b}]\n", "ci.yaml:1");
        assert!(read("stages: [{name: a, run: [[x, y], {shell: \"x | y\"}]}]\n").is_ok());
    }
}
