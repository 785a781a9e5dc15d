//! `tidegate ab`: two version sets beside each other, on the same cases offline or on live traffic.

mod live;

use super::backend::read_state;
use crate::config::load;
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::store::{Evals as _, Store};
use crate::view;
use clap::Args;
use std::path::Path;
use tidegate_core::gate::{EvalReport, compare_ab};
use tidegate_core::ids::VersionSetId;

/// Which runs are compared, or what to do with the A/B test on live traffic.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct AbArgs {
    #[command(subcommand)]
    live: Option<live::LiveCommand>,
    /// The first: a run (`eval-…`), or a version set (`vs-…`) for its latest run.
    #[arg(long, value_name = "RUN|SET", required = true)]
    a: Option<String>,
    /// The second.
    #[arg(long, value_name = "RUN|SET", required = true)]
    b: Option<String>,
    /// Which samples of the cases the bootstrap draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs `tidegate ab`.
pub(crate) async fn run(config: &Path, args: AbArgs, json: bool) -> Result<()> {
    let AbArgs { live, a, b, seed } = args;
    match live {
        Some(command) => live::run(config, command, json).await,
        None => offline(config, [&a.unwrap_or_default(), &b.unwrap_or_default()], seed, json),
    }
}

/// Compares two runs. Reads only; a server may run meanwhile.
fn offline(config: &Path, [a, b]: [&str; 2], seed: u64, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let (store, _) = read_state(&loaded.root)?;
    let (a, b) = (report(&store, a)?, report(&store, b)?);
    if a.run_id == b.run_id {
        return Err(CliError::usage(format!("both are run {}", a.run_id))
            .hint("name two runs, or two version sets: `tidegate version list` shows them"));
    }
    let Some(compared) = compare_ab(&a, &b, seed)? else {
        let (a, b) = (&a.run_id, &b.run_id);
        return Err(CliError::usage(format!("{a} and {b} have no answered case in common"))
            .hint("run the same cases on both: `tidegate eval --prompt v1`, `… --prompt v2`"));
    };
    match json {
        true => output::json(&compared),
        false => view::ab(lang::reader(), &compared).iter().for_each(output::line),
    }
    Ok(())
}

fn report(store: &Store, name: &str) -> Result<EvalReport> {
    let (found, what) = match VersionSetId::parse(name) {
        Ok(set) => (store.latest_eval(&set)?, "version set"),
        Err(_) => (store.eval(name)?, "run"),
    };
    found.ok_or_else(|| {
        CliError::usage(format!("no eval of {what} `{name}` is kept here"))
            .hint("`tidegate eval --json` says its `run_id` and its `version_set`")
    })
}
