//! `tidegate sentinel`: whether the model behind stable has changed without a release.

use super::backend::{Backend, read_state, read_status};
use super::operator;
use crate::clock::Clock;
use crate::config::load;
use crate::control::Command;
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::sentinel::{SentinelResult, ask_stable};
use crate::spending::Spending;
use crate::store::{Evals as _, Sets as _};
use crate::version_set::LiveSet;
use crate::view;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::drift::{Drift, DriftVerdict};

#[derive(Debug, Subcommand)]
pub(crate) enum SentinelCommand {
    /// Ask the fixed cases of the model behind stable now, and compare with the reference.
    Run,
    /// Show what the last run says, and what it is compared with.
    Status(StatusArgs),
    /// Take the model as it is now: later runs are compared with it, and releases go on.
    Accept(AcceptArgs),
}

/// Whose state to show.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// Who accepts a change, and why.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// Why; it is journalled.
    #[arg(long)]
    reason: String,
    /// Who accepts it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// Runs `tidegate sentinel …`.
pub(crate) async fn run(config: &Path, command: SentinelCommand, json: bool) -> Result<()> {
    match command {
        SentinelCommand::Run => ask(config, json).await,
        SentinelCommand::Status(args) => status(config, args.server.as_deref(), json).await,
        SentinelCommand::Accept(args) => accept(config, &args, json).await,
    }
}

/// Asks from here, as an eval does, and lets control keep what came.
async fn ask(config: &Path, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let mut backend = Backend::connect(config).await?;
    let (packed, reference) = match &backend {
        Backend::Server(_) => {
            let (store, state) = read_state(&loaded.root)?;
            of_stable(&store, &state)?
        }
        Backend::Here(control) => of_stable(control.store(), control.state())?,
    };
    let live = Arc::new(LiveSet::new(&packed, &loaded.root, &Clock::Real)?);
    let asked = (&packed, &live);
    let spending = Arc::new(Spending::new(loaded.project.all_prices().table));
    let by = (&Clock::Real, &spending);
    let result = ask_stable(&loaded, asked, reference.as_ref(), by, true).await;
    backend.book(&spending).await;
    let result = result?;
    let answer = backend.command(Command::KeepSentinel(Box::new(result.clone()))).await?;
    let SentinelResult { run, drift, spent } = result;
    match json {
        true => output::json(&json!({
            "run_id": run.run_id, "at": run.at, "version_set": run.set,
            "upstream": run.upstream, "endpoint": run.endpoint, "model": run.model,
            "drift": drift, "spent": spent, "done": answer.done,
        })),
        false => {
            view::sentinel_run(drift.as_ref(), &spent).iter().for_each(output::line);
        }
    }
    exit(drift.as_ref(), &answer.sentence(lang::reader()))
}

type OfStable = (tidegate_core::version_set::PackedSet, Option<tidegate_core::drift::SentinelRun>);

/// The set that stable serves, and what its runs are compared with.
fn of_stable(
    store: &crate::store::Store,
    state: &tidegate_core::journal::ControlState,
) -> Result<OfStable> {
    let table = state.table.as_ref().ok_or(crate::control::ControlError::NoService)?;
    let reference = state.sentinel.reference_of(&table.stable);
    let reference = reference.map(|reference| store.sentinel(&reference.report)).transpose()?;
    Ok((store.set(&table.stable)?, reference))
}

/// The exit code of what a run says.
fn exit(drift: Option<&Drift>, said: &str) -> Result<()> {
    match drift.map(|drift| drift.verdict) {
        None | Some(DriftVerdict::Unchanged) => Ok(()),
        Some(DriftVerdict::CannotTell) => Err(CliError::inconclusive(said).shown()),
        Some(
            DriftVerdict::ModelRenamed
            | DriftVerdict::FingerprintChanged
            | DriftVerdict::AnswersChanged,
        ) => Err(CliError::failed(said)
            .hint("releases are held until it is as before, or until a person takes it:")
            .hint("`tidegate sentinel accept --reason 'the provider said so'`")
            .shown()),
    }
}

async fn status(config: &Path, server: Option<&str>, json: bool) -> Result<()> {
    let sentinel = read_status(config, server).await?.state.sentinel;
    match json {
        true => output::json(&sentinel),
        false => view::sentinel_status(&sentinel)
            .iter()
            .flat_map(|line| output::wrapped(line, 2))
            .for_each(output::line),
    }
    Ok(())
}

async fn accept(config: &Path, args: &AcceptArgs, json: bool) -> Result<()> {
    let reason = args.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(CliError::usage("to accept a change needs a reason")
            .hint("`--reason 'the provider said so'`: whoever comes next reads it"));
    }
    let by = operator(args.by.as_deref())?;
    let command = Command::AcceptSentinel { by, reason };
    let answer = Backend::reach(config, args.server.as_deref()).await?.command(command).await?;
    match json {
        true => output::json(&answer),
        false => output::line(answer.sentence(lang::reader())),
    }
    Ok(())
}
