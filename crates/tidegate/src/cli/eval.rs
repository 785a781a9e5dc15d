//! `tidegate eval` and `tidegate gate`.

use super::SetArgs;
use crate::clock::Clock;
use crate::config::load;
use crate::control::{Backend, Command, require_contract};
use crate::error::{CliError, Result};
use crate::gate;
use crate::output;
use crate::store::{Access, Store};
use clap::Args;
use std::path::{Path, PathBuf};
use tidegate_core::gate::{EvalReport, GateVerdict};

/// What an eval takes.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Cases as CSV, instead of the project's.
    #[arg(long, env = "EVAL_DATASET")]
    cases: Option<PathBuf>,
    /// Accuracy the gate needs, 0 to 1, instead of the project's.
    #[arg(long, env = "THRESHOLD_SCORE")]
    threshold: Option<f64>,
    /// Ask each case so many times and average its score.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(gate::REPEAT_MAX)))]
    repeat: u32,
    /// Also write a JUnit report here.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Also write the cases here as CSV, with `pass` and `notes` filled by the run.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Runs the eval, shows it, keeps it.
pub(crate) async fn run(config: &Path, args: &EvalArgs, json: bool) -> Result<()> {
    let report = ask(config, args).await?;
    show(&report, json);
    verdict(&report)
}

/// The same, after the contract: the question a pipeline asks.
pub(crate) async fn gate(config: &Path, args: &EvalArgs, json: bool) -> Result<()> {
    let loaded = load(config)?;
    require_contract(&loaded.project.contract)?;
    run(config, args, json).await
}

async fn ask(config: &Path, args: &EvalArgs) -> Result<EvalReport> {
    let mut loaded = load(config)?;
    if let Some(cases) = &args.cases {
        loaded.project.evals.cases = std::path::absolute(cases)
            .map_err(|e| CliError::usage(format!("`{}`: {e}", cases.display())))?;
    }
    if let Some(threshold) = args.threshold {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(CliError::usage(format!("threshold {threshold} is not within 0 and 1")));
        }
        loaded.project.evals.threshold = threshold;
    }
    let overrides = args.set.overrides();
    let mut backend = Backend::connect(config).await?;
    let report = match &backend {
        Backend::Server(_) => {
            let store = Store::open(&loaded.root, Access::Read)?;
            gate::eval_project(&loaded, &overrides, args.repeat, &store, &Clock::Real).await?
        }
        Backend::Here(control) => {
            let store = control.store();
            gate::eval_project(&loaded, &overrides, args.repeat, store, &Clock::Real).await?
        }
    };
    let path = gate::save(&report, &loaded.root)?;
    output::talk(format!("report: {}", path.display()));
    if let Some(path) = &args.junit {
        write(path, &gate::junit(&report))?;
    }
    if let Some(path) = &args.csv {
        write(path, &gate::filled_csv(&report)?)?;
    }
    backend.command(Command::RecordEval(Box::new(report.clone()))).await?;
    Ok(report)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|e| CliError::usage(format!("cannot write {}: {e}", path.display())))
}

fn show(report: &EvalReport, json: bool) {
    if json {
        output::json(report);
        return;
    }
    for line in gate::console(report) {
        output::line(line);
    }
}

fn verdict(report: &EvalReport) -> Result<()> {
    let mut why = report.reasons.first().cloned().unwrap_or_default();
    if report.reasons.len() > 1 {
        why.push_str(&format!(" (and {} more reasons above)", report.reasons.len() - 1));
    }
    match report.verdict {
        GateVerdict::Pass => Ok(()),
        GateVerdict::Fail => Err(CliError::failed(format!("the gate fails: {why}")).told()),
        GateVerdict::Inconclusive => {
            Err(CliError::inconclusive(format!("the gate cannot tell: {why}"))
                .hint("the model server did not answer; run it again once it does")
                .told())
        }
    }
}
