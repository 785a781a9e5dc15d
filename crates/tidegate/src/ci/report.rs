//! What came of a run of the pipeline.

use super::plan::Event;
use crate::evidence::{RunPack, write_run_pack};
use crate::output::{Tone, aligned, paint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tidegate_core::evidence::{GateEntry, GateLevel, GateStatus, VerdictDecision};
use tidegate_core::ids::{Digest, UnixMs};

/// How a stage came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It did not run, which is no failure.
    Skipped,
    /// All its commands ended with 0.
    Passed,
    /// A command of Tidegate could not answer its question: exit code 3.
    Inconclusive,
    /// A command could not be started, or one of Tidegate's met a broken machine: exit code 4.
    Broken,
    /// A command failed.
    Failed,
}

impl Status {
    /// The status's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Skipped => "skipped",
            Status::Passed => "passed",
            Status::Inconclusive => "inconclusive",
            Status::Broken => "broken",
            Status::Failed => "failed",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Status::Skipped => Tone::Dim,
            Status::Passed => Tone::Green,
            Status::Inconclusive => Tone::Yellow,
            Status::Broken | Status::Failed => Tone::Red,
        }
    }

    fn gate(self) -> GateStatus {
        match self {
            Status::Passed => GateStatus::Pass,
            Status::Failed => GateStatus::Fail,
            Status::Skipped | Status::Inconclusive | Status::Broken => GateStatus::Inconclusive,
        }
    }
}

/// What came of one stage.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageReport {
    /// Its name.
    pub(crate) name: String,
    /// How it came out.
    pub(crate) status: Status,
    /// Why it was skipped, or what failed; empty where it passed.
    pub(crate) why: String,
    /// Exit code of its last command; `None` where none ended by itself.
    pub(crate) exit_code: Option<i32>,
    /// When it began, ms since 1970.
    pub(crate) started_at: UnixMs,
    /// How long it took, ms.
    pub(crate) duration_ms: u64,
    /// SHA-256 of its log.
    pub(crate) log_sha256: Option<Digest>,
    #[serde(skip)]
    pub(super) log: Option<String>,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// What it ran for.
    pub(crate) event: &'static str,
    /// The worst of its stages.
    pub(crate) status: Status,
    /// Whether somebody ended it.
    pub(crate) interrupted: bool,
    /// The evidence, relative to the project.
    pub(crate) pack: String,
    /// Every stage of the file, in its order.
    pub(crate) stages: Vec<StageReport>,
}

impl Report {
    /// Of these stages, without evidence yet.
    pub(super) fn of(event: Event, stages: Vec<StageReport>, interrupted: bool) -> Report {
        let worst = stages.iter().map(|stage| stage.status).max();
        let status = worst.unwrap_or(Status::Skipped);
        Report { event: event.as_str(), status, interrupted, pack: String::new(), stages }
    }

    /// Writes the evidence below the project's folder, with a digest of `ci.yaml` as it was.
    pub(super) fn write(
        &mut self,
        root: &Path,
        ci_file: &str,
        at: UnixMs,
    ) -> Result<(), crate::evidence::EvidenceError> {
        let mut files = BTreeMap::from([
            ("ci.yaml".to_owned(), ci_file.as_bytes().to_vec()),
            ("gates/summary.md".to_owned(), self.markdown().into_bytes()),
        ]);
        let mut gates = BTreeMap::new();
        for stage in &self.stages {
            let Some(log) = &stage.log else { continue };
            let path = format!("gates/{}.log", stage.name);
            let (level, status) = (GateLevel::L0, stage.status.gate());
            gates.insert(stage.name.clone(), GateEntry { level, status, evidence: path.clone() });
            files.insert(path, log.clone().into_bytes());
        }
        let mut lines = String::new();
        for stage in &self.stages {
            // A tree of JSON always has a text.
            lines.push_str(&serde_json::to_string(stage).unwrap_or_default());
            lines.push('\n');
        }
        files.insert("stages.jsonl".to_owned(), lines.into_bytes());
        let pack = RunPack {
            kind: "ci",
            desc: self.event,
            files,
            gates,
            decision: match self.status {
                Status::Passed => VerdictDecision::Ship,
                Status::Skipped | Status::Inconclusive | Status::Broken | Status::Failed => {
                    VerdictDecision::Hold
                }
            },
            reason: self.sentence(),
            at,
        };
        self.pack = write_run_pack(root, pack)?;
        Ok(())
    }

    /// The run in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let bad = self.stages.iter().filter(|stage| stage.status > Status::Passed);
        let bad: Vec<String> =
            bad.map(|stage| format!("`{}`: {}", stage.name, stage.why)).collect();
        let ran = self.stages.iter().filter(|stage| stage.status != Status::Skipped).count();
        match bad.is_empty() {
            true => format!("{ran} of {} stages ran and passed", self.stages.len()),
            false => bad.join("; "),
        }
    }

    /// The table for people.
    pub(crate) fn table(&self) -> Vec<String> {
        let rows: Vec<[String; 4]> = self.stages.iter().map(StageReport::row).collect();
        let lines = aligned(&rows, 4).into_iter().zip(&self.stages);
        let painted = lines.map(|(line, stage)| {
            let word = stage.status.as_str();
            line.replacen(word, &paint(stage.status.tone(), word), 1)
        });
        painted.collect()
    }

    /// The table in Markdown, as summaries of jobs have it.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "| status | stage | time | |\n|---|---|---|---|\n".to_owned();
        for stage in &self.stages {
            let [status, name, time, why] = stage.row();
            let why = why.replace('|', "\\|").replace('\n', " ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {status} | {name} | {time} | {why} |");
        }
        text
    }
}

impl StageReport {
    fn row(&self) -> [String; 4] {
        let time = match self.status {
            Status::Skipped => String::new(),
            _ => format!("{:.1} s", self.duration_ms as f64 / 1000.0),
        };
        [self.status.as_str().to_owned(), self.name.clone(), time, self.why.clone()]
    }
}
