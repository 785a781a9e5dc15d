//! `tidegate runs`: the evals that are kept.

mod export;

use super::backend::read_state;
use super::eval::{ReportArgs, show};
use crate::config::load;
use crate::error::{CliError, Result};
use crate::lang;
use crate::near;
use crate::output;
use crate::store::{Evals as _, Store};
use crate::view;
use clap::{Args, Subcommand};
use std::path::Path;
use tidegate_core::gate::{EvalReport, RunQuery, RunRow, compare_runs};

/// What is done with the runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, the newest first.
    List(ListArgs),
    /// Show a run as it was shown at its end; its reports can be written again.
    Show(ShowArgs),
    /// Compare two runs case by case: what broke, what is fixed, and which metrics changed.
    Compare(CompareArgs),
    /// Send a run to MLflow, to Langfuse, or as OTLP events; sending it again changes nothing.
    Export(export::ExportArgs),
}

/// Which runs are listed.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only runs that fit, for example 'accuracy > 0.85 and model = m1'.
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// By a metric, the highest first, or the lowest: 'accuracy asc'.
    #[arg(long, value_name = "METRIC")]
    order: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Which run is shown.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The run's id.
    run: String,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Which runs are compared.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The run before.
    before: String,
    /// The run after.
    after: String,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Does it.
pub(crate) async fn run(config: &Path, command: RunsCommand, json: bool) -> Result<()> {
    let root = load(config)?.root;
    if !Store::exists(&root) {
        let none = CliError::usage("no eval run is kept yet");
        return Err(none.hint("`tidegate eval` keeps one"));
    }
    let (store, _) = read_state(&root)?;
    match command {
        RunsCommand::Export(args) => export::send(config, args, json).await,
        RunsCommand::List(args) => list(&store, &args, json),
        RunsCommand::Show(args) => {
            let report = report(&store, &args.run)?;
            let before = report.comparison.as_ref().map(|comparison| &comparison.previous_run);
            let before = before.map(|run| store.eval(run)).transpose()?.flatten();
            args.reports.write(&report, before.as_ref())?;
            show(&report, json)
        }
        RunsCommand::Compare(args) => {
            let (before, mut after) = (report(&store, &args.before)?, report(&store, &args.after)?);
            after.comparison = Some(compare_runs(&before, &after)?);
            args.reports.write(&after, Some(&before))?;
            match (json, &after.comparison) {
                (true, Some(comparison)) => output::json(comparison),
                (true, None) | (false, _) => {
                    view::compared(&before, &after).iter().for_each(output::line);
                }
            }
            Ok(())
        }
    }
}

fn list(store: &Store, args: &ListArgs, json: bool) -> Result<()> {
    let query = RunQuery::parse(args.condition.as_deref(), args.order.as_deref())?;
    let mut rows = Vec::new();
    for run in store.eval_runs()? {
        // One report at a time: all of them may be more than memory holds.
        rows.extend(store.eval(&run)?.as_ref().map(RunRow::of).transpose()?);
    }
    let mut rows = query.of(rows)?;
    let left_out = rows.len().saturating_sub(args.limit as usize);
    rows.truncate(args.limit as usize);
    if json {
        output::json(&rows);
        return Ok(());
    }
    view::runs(lang::reader(), &rows, left_out).iter().for_each(output::line);
    Ok(())
}

fn report(store: &Store, run: &str) -> Result<EvalReport> {
    if let Some(report) = store.eval(run)? {
        return Ok(report);
    }
    let error = CliError::usage(format!("no eval run `{run}` is kept"));
    let runs = store.eval_runs()?;
    Err(match near::nearest(run, runs.iter().map(String::as_str)) {
        Some(meant) => error.hint(near::question(meant)),
        None => error.hint("`tidegate runs list` lists them"),
    })
}
