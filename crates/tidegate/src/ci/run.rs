//! The stages of a pipeline, one after the other, each with its evidence. A stage that fails skips
//! those that need it; the others run, as they do in a service for pipelines.

use super::arguments::expanded;
use super::error::CiError;
use super::file::{CI_FILE, Command, Stage};
use super::log::Log;
use super::plan::{Event, Planned};
use super::process::{Ended, Ready};
use super::report::{Report, StageReport, Status};
use crate::clock::Clock;
use crate::interrupt::interrupted;
use crate::output;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;
use tidegate_core::ids::Digest;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::Instant;

/// What a command of a stage came to: its exit code, and what is wrong.
struct Outcome {
    status: Status,
    exit_code: Option<i32>,
    why: String,
    interrupted: bool,
}

/// Runs the stages that are planned and writes the evidence of it.
///
/// # Errors
/// The evidence cannot be written. What a stage comes to is in the report.
pub(crate) async fn run(
    root: &Path,
    stages: Vec<Planned<'_>>,
    event: Event,
) -> Result<Report, CiError> {
    let began = Clock::Real.now();
    let path = root.join(CI_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| CiError::Unread { path: path.clone(), source })?;
    let mut interrupted = interruptions();
    let mut reports = Vec::new();
    let mut missing: BTreeSet<&str> = BTreeSet::new();
    let mut is_over = false;
    for (stage, why_not) in stages {
        // A stage that was left out, by order or for want of a key, keeps nothing from running.
        let left_out = why_not.or_else(|| unset(stage));
        let is_left_out = left_out.is_some();
        let interrupted_before = || is_over.then(|| "the run was interrupted".to_owned());
        let skipped = left_out.or_else(interrupted_before).or_else(|| needed(stage, &missing));
        let report = match skipped {
            Some(why) => StageReport::skipped(stage, why),
            None => {
                output::stderr(format!("== {}", stage.name));
                let (report, was_interrupted) = run_stage(root, stage, &mut interrupted).await;
                is_over |= was_interrupted;
                report
            }
        };
        if report.status != Status::Passed && !is_left_out {
            missing.insert(&stage.name);
        }
        reports.push(report);
    }
    let mut report = Report::of(event, reports, is_over);
    report.write(root, &text, began)?;
    Ok(report)
}

/// Ctrl-C, and the order to end that supervisors give.
fn interruptions() -> Receiver<()> {
    let (sender, receiver) = channel(1);
    tokio::spawn(async move {
        loop {
            interrupted().await;
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Why a stage that needs others cannot run.
fn needed(stage: &Stage, missing: &BTreeSet<&str>) -> Option<String> {
    let need = stage.needs.iter().find(|need| missing.contains(need.as_str()))?;
    Some(format!("it needs `{need}`, which did not pass"))
}

/// Why a stage is left out that is optional without its secrets.
fn unset(stage: &Stage) -> Option<String> {
    let is_set = |name: &&String| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let name = stage.secrets.iter().find(|name| !is_set(name)).filter(|_| stage.optional)?;
    Some(format!("`{name}` is not set"))
}

async fn run_stage(
    root: &Path,
    stage: &Stage,
    interrupted: &mut Receiver<()>,
) -> (StageReport, bool) {
    let (started_at, begun) = (Clock::Real.now(), Instant::now());
    let deadline = begun + Duration::from_secs(stage.timeout_s);
    let mut log = Log::new(stage.secrets.iter().filter_map(|name| std::env::var(name).ok()));
    let mut outcome = Outcome::passed();
    for command in &stage.run {
        outcome = run_command(root, stage, command, deadline, &mut log, interrupted).await;
        if outcome.status != Status::Passed {
            let line = log.masked(&outcome.why);
            output::stderr(&line);
            log.keep(&line);
            outcome.why = line;
            break;
        }
    }
    let log = log.into_text();
    let report = StageReport {
        name: stage.name.clone(),
        status: outcome.status,
        why: outcome.why,
        exit_code: outcome.exit_code,
        started_at,
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        log_sha256: Some(Digest::of(log.as_bytes())),
        log: Some(log),
    };
    (report, outcome.interrupted)
}

async fn run_command(
    root: &Path,
    stage: &Stage,
    command: &Command,
    deadline: Instant,
    log: &mut Log,
    interrupted: &mut Receiver<()>,
) -> Outcome {
    let shown = log.masked(&format!("$ {}", command.shown()));
    output::stderr(&shown);
    log.keep(&shown);
    let value = |name: &str| stage.env.get(name).cloned().or_else(|| std::env::var(name).ok());
    let words: Result<Vec<String>, String> = match command {
        Command::Shell(line) => Ok(["sh", "-c", &line.shell].map(str::to_owned).to_vec()),
        Command::Program(words) => words.iter().map(|word| expanded(word, value)).collect(),
    };
    let mut words = match words {
        Ok(words) => words,
        Err(name) => return Outcome::failed(format!("the variable `{name}` is not set")),
    };
    // Whatever is on the path: the stages that call us are run by this very program.
    let is_ours = matches!(command, Command::Program(_)) && words[0] == "tidegate";
    if is_ours && let Ok(ours) = std::env::current_exe() {
        words[0] = ours.to_string_lossy().into_owned();
    }
    let ready = Ready { words: &words, folder: root, env: &stage.env, deadline };
    let ended = ready.run(interrupted, |line| {
        let line = log.masked(line);
        output::stderr(&line);
        log.keep(&line);
    });
    match ended.await {
        Ok(ended) => Outcome::of(ended, is_ours, command, stage.timeout_s),
        Err(error) => Outcome::not_started(command, &error),
    }
}

impl Outcome {
    fn passed() -> Outcome {
        let why = String::new();
        Outcome { status: Status::Passed, exit_code: Some(0), why, interrupted: false }
    }

    fn failed(why: String) -> Outcome {
        Outcome { status: Status::Failed, exit_code: None, why, interrupted: false }
    }

    fn not_started(command: &Command, error: &io::Error) -> Outcome {
        let why = format!("`{}` cannot be started: {error}", first_word(command));
        Outcome { status: Status::Broken, ..Outcome::failed(why) }
    }

    fn of(ended: Ended, is_ours: bool, command: &Command, timeout_s: u64) -> Outcome {
        let name = first_word(command);
        match ended {
            Ended::Exited(0) => Outcome::passed(),
            Ended::Exited(code) => {
                // Another program's 3 and 4 mean something else.
                let status = match code {
                    3 if is_ours => Status::Inconclusive,
                    4 if is_ours => Status::Broken,
                    _ => Status::Failed,
                };
                let why = format!("`{name}` ended with exit code {code}");
                Outcome { status, exit_code: Some(code), ..Outcome::failed(why) }
            }
            Ended::Killed => Outcome::failed(format!("`{name}` was ended by a signal")),
            Ended::TimedOut => {
                Outcome::failed(format!("`{name}` was not done within {timeout_s} s (timeout_s)"))
            }
            Ended::Interrupted => Outcome {
                status: Status::Inconclusive,
                interrupted: true,
                ..Outcome::failed(format!("`{name}` was interrupted"))
            },
        }
    }
}

fn first_word(command: &Command) -> &str {
    match command {
        Command::Program(words) => words.first().map_or("", String::as_str),
        Command::Shell(_) => "sh",
    }
}

impl StageReport {
    fn skipped(stage: &Stage, why: String) -> StageReport {
        StageReport {
            name: stage.name.clone(),
            status: Status::Skipped,
            why,
            exit_code: None,
            started_at: Clock::Real.now(),
            duration_ms: 0,
            log_sha256: None,
            log: None,
        }
    }
}
