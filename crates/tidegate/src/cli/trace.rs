//! `tidegate trace <id>`: one request with its versions, its time and its fate.

use super::backend::read_state;
use crate::config::load;
use crate::error::{CliError, Result};
use crate::output;
use crate::store::Records as _;
use crate::view;
use clap::Args;
use std::path::Path;
use std::time::Duration;
use tidegate_core::ids::TraceId;

/// How long a record may take to the disk on a busy machine.
const WRITTEN_WITHIN: Duration = Duration::from_millis(150);

/// What `trace` takes.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The request's id, which the answer carried in its header `x-trace-id`.
    id: String,
}

/// Shows the request.
pub(crate) fn run(config: &Path, args: &TraceArgs, json: bool) -> Result<()> {
    let id = TraceId::parse(&args.id).map_err(|e| CliError::usage(e.to_string()))?;
    let (store, _) = read_state(&load(config)?.root)?;
    let mut found = store.trace(&id)?;
    if found.is_none() {
        // The writer commits records in groups; one of this very moment is there a little later.
        std::thread::sleep(WRITTEN_WITHIN);
        found = store.trace(&id)?;
    }
    let record = found.ok_or_else(|| {
        CliError::usage(format!("no request with trace id `{id}` is kept here"))
            .hint("answers carry their id in the header x-trace-id; records are kept for `records.retention_days`")
    })?;
    let feedback = store.feedback_on(std::slice::from_ref(&id))?.remove(&id).unwrap_or_default();
    if json {
        output::json(&serde_json::json!({ "record": record, "feedback": feedback }));
        return Ok(());
    }
    for line in view::trace(&record, &feedback) {
        output::line(line);
    }
    Ok(())
}
