//! `tidegate ab`: two version sets on the same cases, offline.

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

/// Which runs are compared.
#[derive(Debug, Args)]
pub(crate) struct AbArgs {
    /// The first: a run (`eval-…`), or a version set (`vs-…`) for its latest run.
    #[arg(long, value_name = "RUN|SET")]
    a: String,
    /// The second.
    #[arg(long, value_name = "RUN|SET")]
    b: String,
    /// Which samples of the cases the bootstrap draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs `tidegate ab`. Reads only; a server may run meanwhile.
pub(crate) fn run(config: &Path, args: &AbArgs, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let (store, _) = read_state(&loaded.root)?;
    let (a, b) = (report(&store, &args.a)?, report(&store, &args.b)?);
    if a.run_id == b.run_id {
        return Err(CliError::usage(format!("both are run {}", a.run_id))
            .hint("name two runs, or two version sets: `tidegate version list` shows them"));
    }
    let Some(compared) = compare_ab(&a, &b, args.seed) else {
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
