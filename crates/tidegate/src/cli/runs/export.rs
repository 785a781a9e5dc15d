//! `tidegate runs export`: an eval run, sent to a tool that a team tracks its work with.

use super::super::backend::read_state;
use super::report;
use crate::clock::Clock;
use crate::config::{Loaded, load};
use crate::error::{CliError, Result};
use crate::output;
use crate::store::{Evals as _, Sets as _, Store};
use crate::tracking::{Tool, TrackedRun, export};
use crate::version_set::{PackOverrides, PackedSet, pack};
use clap::{Args, ValueEnum as _};
use serde_json::json;
use std::path::Path;
use tidegate_core::ids::VersionSetId;

/// What to send where.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The run's id, `eval-…`; `last` is the last one of the set that stable serves.
    run: String,
    /// The tool and its address, such as `mlflow http://127.0.0.1:5000`.
    #[arg(long, num_args = 2, value_names = ["mlflow|langfuse|otlp", "URL"], required = true)]
    to: Vec<String>,
    /// The experiment of MLflow; left out, the service's name.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
}

/// The set of a run: as it is kept, or as the project's files are now.
fn set_of(loaded: &Loaded, store: &Store, id: &VersionSetId) -> Option<PackedSet> {
    let now = || pack(loaded, &PackOverrides::default()).ok().filter(|set| set.set.id == *id);
    store.set(id).ok().or_else(now)
}

/// Sends a run.
pub(super) async fn send(config: &Path, args: ExportArgs, json: bool) -> Result<()> {
    let [tool, address] = args.to.as_slice() else {
        return Err(CliError::usage("`--to` takes a tool and its address"));
    };
    let tool = Tool::from_str(tool, true).map_err(|_| {
        CliError::usage(format!("given tool `{tool}`, allowed mlflow, langfuse, otlp"))
            .hint("`--to mlflow http://127.0.0.1:5000`")
    })?;
    let loaded = load(config)?;
    let (store, state) = read_state(&loaded.root)?;
    let last = match (args.run.as_str(), &state.table) {
        ("last", Some(table)) => store.latest_eval(&table.stable)?,
        (_, Some(_) | None) => None,
    };
    let report = match last {
        Some(report) => report,
        None => report(&store, &args.run)?,
    };
    let service = loaded.project.service.clone();
    let experiment = args.experiment.unwrap_or_else(|| service.clone());
    let set = set_of(&loaded, &store, &report.version_set);
    let run = TrackedRun { service, experiment, report, set };
    let sent = export(tool, address, &run, &Clock::Real).await?;
    if run.set.is_none() {
        let set = &run.report.version_set;
        output::stderr(format!(
            "warning: left out: the prompt's version and files, as {set} is not kept here; \
             `tidegate version pack` keeps the set of the project's files"
        ));
    }
    for left_out in &sent.left_out {
        output::stderr(format!("warning: left out: {left_out}"));
    }
    match json {
        true => output::json(&json!({
            "run_id": run.report.run_id, "tool": tool, "sent": sent,
        })),
        false => {
            let (run_id, id) = (&run.report.run_id, &sent.id);
            let at = if id.is_empty() { String::new() } else { format!(", found there as {id}") };
            let (items, files) = (sent.items, sent.files);
            output::line(format!("sent {run_id}: {items} values, {files} files{at}"));
        }
    }
    Ok(())
}
