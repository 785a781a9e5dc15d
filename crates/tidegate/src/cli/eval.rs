//! `tidegate eval`: asks the cases, for `tidegate gate` as well.

use super::SetArgs;
use super::backend::{Backend, book, read_state};
use super::model::read_in_full;
use crate::clock::Clock;
use crate::config::load;
use crate::control::Command;
use crate::error::{CliError, Result};
use crate::gate;
use crate::lang;
use crate::models::is_empty;
use crate::near;
use crate::output;
use crate::spending::Spending;
use crate::store::{Access, Evals as _, Sets as _, Store};
use crate::version_set::PackOverrides;
use crate::view;
use clap::Args;
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_core::gate::{
    ACCURACY, CheckKind, EvalReport, GateVerdict, ModelFiles, Risk, WORST_SLICE,
};
use tidegate_core::ids::ChangeId;

/// What an eval takes.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Cases as CSV, JSONL, YAML or a JSON list, instead of the project's; `--eval-data` is the
    /// same. The environment's EVAL_DATASET says it as well, and TEST_MODEL the same as `--model`.
    #[arg(long, alias = "eval-data", alias = "eval_data", env = "EVAL_DATASET", hide_env = true)]
    cases: Option<OsString>,
    /// The folder of a model that the upstream serves under this name, as vLLM does. It must be
    /// there, and the digest of its files is noted in the run.
    #[arg(long, alias = "model_dir", value_name = "FOLDER", conflicts_with = "model")]
    model_dir: Option<PathBuf>,
    /// What to measure and show, with commas between: accuracy, a class of risk, latency, or a
    /// likeness to `expected` such as bleu or rouge (which is rouge_l).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Accuracy the gate needs, 0 to 1, instead of the project's.
    #[arg(long, env = "THRESHOLD_SCORE", hide_env = true)]
    threshold: Option<String>,
    /// Ask each case this many times and average its score.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(gate::REPEAT_MAX)))]
    repeat: u32,
    /// Ask with production's decoding settings instead of temperature 0.
    #[arg(long)]
    as_served: bool,
    /// Ask the cases that a release wrote back, on its own set as it was served, and mark each with
    /// how often it failed again.
    #[arg(long, value_name = "CHANGE_ID")]
    #[arg(conflicts_with_all = ["cases", "prompt", "model", "upstream"])]
    replay: Option<String>,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    reports: ReportArgs,
    /// Also fill `pass` and `notes` of this case file, which may be the project's own; what people
    /// wrote there stays.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// How the cases are asked, and where answers come from and go.
#[derive(Debug, Args)]
#[command(next_help_heading = "How cases are asked")]
struct RunnerArgs {
    /// Calls to the model server at a time, instead of the project's.
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// Ask in an order that is shuffled by this number, instead of the files'.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Go on with a run of the same version set that was cut off: ask only for what is missing.
    #[arg(long, conflicts_with = "replay_answers")]
    resume: bool,
    /// Use the answers of the last whole run with this flag again, where the same set was asked the
    /// same; never for repeats, answers as served or checks of latency.
    #[arg(long, conflicts_with = "replay_answers")]
    reuse: bool,
    /// Also write every answer here.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Ask nobody: take the answers of the same version set from a file of `--record`. Such a run
    /// is no eval of a release.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay_answers: Option<PathBuf>,
}

/// What is written of a run beside its JSON file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct ReportArgs {
    /// Also write a JUnit report here.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also write one page for people here, which needs nothing else and works offline.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write a summary in Markdown here; to GITHUB_STEP_SUMMARY's file it is added.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Also write what was found on safety here, as SARIF for code scanning.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
}

impl ReportArgs {
    /// Writes what is asked for, and GitHub's annotations in one of its workflows.
    pub(super) fn write(&self, report: &EvalReport, previous: Option<&EvalReport>) -> Result<()> {
        if let Some(path) = &self.junit {
            write_with(path, |out| gate::junit(report, out))?;
        }
        if let Some(path) = &self.html {
            write_with(path, |out| gate::html(lang::reader(), report, previous, out))?;
        }
        if let Some(path) = &self.sarif {
            write(path, &format!("{:#}\n", gate::sarif(report)?))?;
        }
        if let Some(path) = &self.summary {
            let summary = gate::summary(lang::reader(), report)?;
            match std::env::var_os("GITHUB_STEP_SUMMARY") {
                Some(page) if page == *path => append(path, &summary)?,
                _ => write(path, &summary)?,
            }
        }
        if std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true") {
            // The runner reads them on stderr as well; stdout holds the result.
            gate::annotations(report)?.iter().for_each(output::stderr);
        }
        Ok(())
    }
}

/// Runs the eval, shows it, keeps it.
pub(crate) async fn run(config: &Path, args: &EvalArgs, json: bool) -> Result<()> {
    match &args.replay {
        Some(change_id) => replay(config, change_id, json).await,
        None => ask_and_show(config, args, json, false).await,
    }
}

/// Replays what a release wrote back.
async fn replay(config: &Path, change_id: &str, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let (store, state) = read_state(&loaded.root)?;
    let release =
        ChangeId::parse(change_id).ok().and_then(|id| Some((state.releases.get(&id)?, id)));
    let Some((release, change_id)) = release else {
        return Err(CliError::usage(format!("this project has no release `{change_id}`"))
            .hint("`tidegate release status` lists the releases"));
    };
    let packed = store.set(&release.plan.to)?;
    let spending = Arc::new(Spending::new(loaded.project.all_prices().table));
    let rates = gate::replay(&loaded, &packed, &change_id, &Clock::Real, &spending).await;
    drop(store);
    book(config, &spending).await;
    let rates = rates?;
    if json {
        let rows: Vec<_> = rates
            .iter()
            .map(|(id, rate)| json!({"case_id": id, "failed": rate.failed, "asked": rate.asked}))
            .collect();
        output::json(&rows);
        return Ok(());
    }
    for (id, rate) in &rates {
        output::line(format!("{id}  failed again in {} of {} replays", rate.failed, rate.asked));
    }
    Ok(())
}

impl EvalArgs {
    /// What to pack instead of what the project says. The environment's TEST_MODEL is a model.
    pub(super) fn overrides(&self) -> Result<PackOverrides> {
        let mut overrides = self.set.overrides();
        let test_model = std::env::var("TEST_MODEL").ok();
        overrides.model = overrides.model.or(test_model.filter(|model| not_empty(&model)));
        if let Some(folder) = &self.model_dir {
            overrides.model = Some(served_name(folder)?);
        }
        Ok(overrides)
    }
}

/// Asks the cases, shows and keeps the run, and fails where its gate does.
pub(super) async fn ask_and_show(
    config: &Path,
    args: &EvalArgs,
    json: bool,
    whole_set: bool,
) -> Result<()> {
    let metrics = Metrics::parse(&args.metrics)?;
    let report = ask(config, args, whole_set, &metrics).await?;
    show(&report, json)?;
    if !json && !metrics.shown.is_empty() {
        output::line(view::metrics(lang::reader(), &metrics.shown, &report)?);
    }
    verdict(&report)
}

fn is_table(cases: &Path) -> bool {
    gate::Form::of(cases) == gate::Form::Table
}

/// What `--metrics` asks for.
#[derive(Debug, Default)]
struct Metrics {
    /// What is shown, as the report names it.
    shown: Vec<String>,
    /// What has to be measured for it.
    measure: Vec<CheckKind>,
}

impl Metrics {
    fn parse(names: &[String]) -> Result<Metrics> {
        let risks = Risk::ALL.map(Risk::as_str);
        let own = [ACCURACY, "relevance", WORST_SLICE, view::LATENCY];
        let mut metrics = Metrics::default();
        for name in names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            let name = if name == "rouge" { CheckKind::RougeL.name() } else { name };
            let kind = CheckKind::parse(name).map(|(kind, _)| kind);
            match kind.filter(|kind| kind.is_share() && kind.needs_reference()) {
                Some(kind) => {
                    metrics.measure.push(kind);
                    metrics.shown.push(kind.name().to_owned());
                }
                None if own.contains(&name) || risks.contains(&name) => {
                    metrics.shown.push(name.to_owned());
                }
                None => return Err(unknown_metric(name, own.into_iter().chain(risks))),
            }
        }
        Ok(metrics)
    }
}

fn unknown_metric(given: &str, own: impl Iterator<Item = &'static str>) -> CliError {
    let kinds = CheckKind::ROWS.iter().map(|row| row.kind);
    let kinds = kinds.filter(|kind| kind.is_share() && kind.needs_reference());
    let all: Vec<&str> = own.chain(kinds.map(CheckKind::name)).collect();
    let error = CliError::usage(format!("metric `{given}` is not one of {}", all.join(", ")));
    match near::nearest(given, all.iter().copied()) {
        Some(meant) => error.hint(near::question(meant)),
        None => error,
    }
}

/// The name under which a folder of a model is served: its path as it was typed.
fn served_name(folder: &Path) -> Result<String> {
    if !folder.is_dir() {
        let message = format!("--model-dir: `{}` is no folder", folder.display());
        return Err(CliError::usage(message));
    }
    let name = folder.to_string_lossy();
    Ok(name.trim_end_matches('/').to_owned())
}

/// The files of a model, read in full: the name says nothing of what is in them. `None` where they
/// are not on this machine.
fn model_files(folder: &Path) -> Result<Option<ModelFiles>> {
    let from = served_name(folder)?;
    if is_empty(folder)? {
        output::stderr(format!("note: {from} has no file, so no digest of the model is noted"));
        return Ok(None);
    }
    let (digest, parts, _) = read_in_full(folder)?;
    let bytes = parts.values().map(|part| part.bytes).sum();
    Ok(Some(ModelFiles { from, digest, files: parts.len(), bytes }))
}

/// A variable that a pipeline sets to nothing counts as not set.
fn not_empty(text: &&String) -> bool {
    !text.trim().is_empty()
}

fn threshold(given: &str) -> Result<f64> {
    let number = given.trim().parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| {
        CliError::usage(format!("threshold `{given}` is not a number from 0 to 1"))
            .hint("0.85 is 85 %")
    })
}

/// Asks the cases. Given by hand, `eval` takes any number of them of any risk; a gate and the
/// project's own files must be a whole eval set.
async fn ask(config: &Path, args: &EvalArgs, gate: bool, metrics: &Metrics) -> Result<EvalReport> {
    let mut loaded = load(config)?;
    let given = args.cases.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    if let Some(cases) = given {
        loaded.project.evals.cases = std::path::absolute(cases)
            .map_err(|e| CliError::usage(format!("`{}`: {e}", cases.display())))?;
    }
    let overrides = args.overrides()?;
    let spending = Arc::new(Spending::new(loaded.project.all_prices().table));
    let asking = gate::Asking {
        repeat: args.repeat,
        as_served: args.as_served,
        accuracy: args.threshold.as_ref().filter(not_empty).map(|it| threshold(it)).transpose()?,
        whole_set: gate || given.is_none(),
        concurrency: args.runner.concurrency.map(usize::from),
        seed: args.runner.seed,
        measure: metrics.measure.clone(),
        model_files: args.model_dir.as_deref().map(model_files).transpose()?.flatten(),
        tape: gate::TapeOptions {
            keep: true,
            resume: args.runner.resume,
            reuse: args.runner.reuse,
            record: args.runner.record.clone(),
            replay: args.runner.replay_answers.clone(),
        },
        interruptible: true,
        spending: Some(Arc::clone(&spending)),
    };
    let mut backend = Backend::connect(config).await?;
    let store = match &backend {
        Backend::Server(_) => Store::open(&loaded.root, Access::Read)?,
        Backend::Here(control) => control.store().clone(),
    };
    let report = gate::eval_project(&loaded, &overrides, &asking, &store, &Clock::Real).await;
    // A run that was interrupted has cost something as well.
    backend.book(&spending).await;
    let report = report?;
    let path = gate::save(&report, &loaded.root)?;
    output::stderr(format!("report: {}", path.display()));
    let run = report.comparison.as_ref().map(|comparison| comparison.previous_run.as_str());
    let previous = run.map(|run| store.eval(run)).transpose()?.flatten();
    args.reports.write(&report, previous.as_ref())?;
    if let Some(path) = &args.csv {
        let cases = loaded.root.join(&loaded.project.evals.cases);
        let cases = Some(cases.as_path()).filter(|path| is_table(path));
        gate::fill_csv(&report, path, cases)?;
    }
    if asking.tape.replay.is_none() {
        let report = match backend.is_server() {
            true => gate::hand_over(&loaded.root, &report).map_err(|source| {
                gate::GateError::Unwritten { what: "the results of the run".to_owned(), source }
            })?,
            false => report.clone(),
        };
        backend.command(Command::RecordEval(Box::new(report))).await?;
    }
    gate::close_tape(&loaded.root, &report.version_set, asking.as_served, &asking.tape)?;
    Ok(report)
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_with(path, |out| out.write_all(text.as_bytes()))
}

fn write_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    // A pipe or a terminal is written to; a file is replaced as a whole.
    let is_other = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let written = match is_other {
        true => std::fs::File::create(path).and_then(|mut file| write(&mut file)),
        false => gate::replace_file_with(path, write),
    };
    written.map_err(|error| unwritten(path, &error))
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}: {error}", path.display()))
}

pub(super) fn show(report: &EvalReport, json: bool) -> Result<()> {
    match json {
        true => output::json(report),
        false => view::eval(report)?.iter().for_each(output::line),
    }
    Ok(())
}

fn verdict(report: &EvalReport) -> Result<()> {
    let mut why = report.reasons.first().cloned().unwrap_or_default();
    match report.reasons.len() {
        0 | 1 => {}
        2 => why.push_str(" (and 1 more reason above)"),
        several => why.push_str(&format!(" (and {} more reasons above)", several - 1)),
    }
    match report.verdict {
        GateVerdict::Pass => Ok(()),
        GateVerdict::Fail => Err(CliError::failed(format!("the gate fails: {why}")).shown()),
        GateVerdict::Inconclusive => {
            Err(CliError::inconclusive(format!("the gate is inconclusive: {why}"))
                .hint("what the model server said is in the table above; fix that and run it again")
                .shown())
        }
    }
}
