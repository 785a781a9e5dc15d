//! `tidegate trace <id>`: one request with its versions, its time and its fate. Where several
//! tenants used the id, the latest request of each is shown, and every one that was admitted and
//! has no record.

use super::backend::read_state;
use crate::config::load;
use crate::error::{CliError, Result};
use crate::output;
use crate::store::Records as _;
use crate::view;
use clap::Args;
use std::path::Path;
use std::time::Duration;
use tidegate_core::evidence::Record;
use tidegate_core::ids::TraceId;
use tidegate_core::observe::Feedback;

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
    let mut found = store.traces(&id)?;
    let mut unrecorded = store.unrecorded(&id)?;
    if found.is_empty() && unrecorded.iter().all(|request| !request.is_over) {
        // The writer commits records in groups; one of this very moment is there a little later.
        std::thread::sleep(WRITTEN_WITHIN);
        found = store.traces(&id)?;
        unrecorded = store.unrecorded(&id)?;
    }
    if found.is_empty() && unrecorded.is_empty() {
        let error = CliError::usage(format!("no request with trace id `{id}` is kept here"));
        return Err(error.hint("answers carry their id in the header x-trace-id; records are kept for `records.retention_days`"));
    }
    let traces: Vec<_> = found.iter().map(|record| (record.tenant.clone(), id.clone())).collect();
    let mut feedback = store.feedback_on(&traces)?;
    let found = found.into_iter().zip(traces);
    let found: Vec<(Record, Vec<Feedback>)> = found
        .map(|(record, trace)| (record, feedback.remove(&trace).unwrap_or_default()))
        .collect();
    if json {
        output::json(&view::trace_as_json(&found, &unrecorded));
        return Ok(());
    }
    let recorded = found.iter().map(|(record, feedback)| view::trace(record, feedback));
    let shown = recorded.chain(unrecorded.iter().map(view::unrecorded));
    for (place, lines) in shown.enumerate() {
        if place > 0 {
            output::line("");
        }
        lines.iter().for_each(output::line);
    }
    Ok(())
}
