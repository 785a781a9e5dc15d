//! `tidegate traces`: requests, the newest first, one a line.

use super::backend::read_state;
use crate::clock::{Clock, span};
use crate::config::load;
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::store::{RecordQuery, Records as _};
use crate::view;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::Path;
use tidegate_core::ids::{ChangeId, UnixMs};
use tidegate_core::route::Arm;

/// An arm's name on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArmArg {
    /// The version set that was there before.
    Stable,
    /// The version set that is being released.
    Candidate,
}

impl From<ArmArg> for Arm {
    fn from(arm: ArmArg) -> Arm {
        match arm {
            ArmArg::Stable => Arm::Stable,
            ArmArg::Candidate => Arm::Candidate,
        }
    }
}

/// What `traces` takes.
#[derive(Debug, Args)]
pub(crate) struct TracesArgs {
    /// Only those that failed, broke the contract or were a risk.
    #[arg(long)]
    failed: bool,
    /// Only those of this arm.
    #[arg(long, value_enum)]
    arm: Option<ArmArg>,
    /// Only those of this release.
    #[arg(long, value_name = "CHANGE_ID")]
    release: Option<String>,
    /// Only those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only those of this user, by the name that records have.
    #[arg(long)]
    user: Option<String>,
    /// Only those since so long ago, such as 10m, 12h or 7d.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    since: Option<u64>,
    /// Only those from before so long ago.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    until: Option<u64>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value = "20", value_parser = few())]
    limit: u32,
}

/// Beyond so many, `--since` and the rest serve better.
fn few() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=10_000)
}

/// Lists the requests.
pub(crate) fn run(config: &Path, args: TracesArgs, json: bool) -> Result<()> {
    let (store, _) = read_state(&load(config)?.root)?;
    let now = Clock::Real.now();
    let ago = |span: u64| UnixMs(now.0.saturating_sub(span));
    let change_id = args.release.as_deref().map(ChangeId::parse).transpose();
    let limit = args.limit as usize;
    let mut query = RecordQuery {
        change_id: change_id.map_err(|e| CliError::usage(format!("--release: {e}")))?,
        arm: args.arm.map(Arm::from),
        since: args.since.map(ago),
        until: args.until.map(ago),
        tenant: args.tenant,
        user: args.user,
        failing_only: args.failed,
        newest_first: true,
        // One more shows whether there are more.
        limit: limit + 1,
    };
    if let (Some(since), Some(until)) = (query.since, query.until)
        && since >= until
    {
        return Err(CliError::usage("--until is not after --since, so no time is between them")
            .hint("both say how long ago: `--since 2h --until 1h` is the hour before the last"));
    }
    let mut found = store.records(&query)?;
    let more = found.len() > limit;
    found.truncate(limit);
    if json {
        output::json(&json!({ "records": found, "more": more }));
        return Ok(());
    }
    query.limit = limit;
    view::traces(lang::reader(), &query, &found, more).iter().for_each(output::line);
    Ok(())
}
