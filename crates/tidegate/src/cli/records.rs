//! `tidegate records delete`: records of a tenant or a user go, now.

use super::backend::{Backend, read_state};
use super::cost::day;
use super::operator;
use crate::clock::Clock;
use crate::config::load;
use crate::control::{Command, DeleteRequest, whose};
use crate::error::{CliError, Result};
use crate::evidence::packs_with_samples_of;
use crate::lang;
use crate::output;
use crate::store::Records as _;
use crate::view;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::Path;
use tidegate_core::calendar::Day;

/// What can be done with records.
#[derive(Debug, Subcommand)]
pub(crate) enum RecordsCommand {
    /// Delete records of a tenant or a user; without --yes only their number is shown.
    Delete(DeleteArgs),
}

/// What a deletion takes.
#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// The tenant whose records are deleted.
    #[arg(long, required_unless_present = "user")]
    tenant: Option<String>,
    /// The user whose records are deleted, as clients name it; with --tenant, that tenant's user.
    #[arg(long)]
    user: Option<String>,
    /// Only those from before this day (UTC), such as 2026-11-01; left out, all so far.
    #[arg(long, value_name = "DATE", value_parser = day)]
    before: Option<Day>,
    /// Delete them; they cannot be brought back.
    #[arg(long)]
    yes: bool,
    /// Who orders it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

/// The user's name may be personal data, so it is not shown.
impl std::fmt::Debug for DeleteArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeleteArgs")
    }
}

/// Runs `tidegate records …`.
pub(crate) async fn run(config: &Path, command: RecordsCommand, json: bool) -> Result<()> {
    let RecordsCommand::Delete(args) = command;
    let is_empty = |name: &Option<String>| name.as_deref().is_some_and(|name| name.is_empty());
    if is_empty(&args.tenant) || is_empty(&args.user) {
        return Err(CliError::usage("--tenant and --user take a name"));
    }
    let loaded = load(config)?;
    let before = args.before.map(Day::begins);
    let now = Clock::Real.now();
    let (store, state) = read_state(&loaded.root)?;
    let named = (args.tenant.clone(), args.user.as_deref());
    let meant = whose(&loaded.project.service, named.0, named.1, before.unwrap_or(now).min(now));
    let packs = packs_with_samples_of(&loaded.root, &state, &meant);
    if !args.yes {
        let records = store.count_of(&meant)?;
        if json {
            output::json(&json!({ "records": records, "deleted": false, "packs": packs }));
        } else {
            view::would_be_deleted(lang::reader(), records).iter().for_each(output::line);
            view::kept_elsewhere(lang::reader(), &packs).iter().for_each(output::line);
        }
        return Ok(());
    }
    drop(store);
    let by = operator(args.by.as_deref())?;
    let request = DeleteRequest { tenant: args.tenant, user: args.user, before, by };
    let command = Command::DeleteRecords(Box::new(request));
    let answer = Backend::reach(config, None).await?.command(command).await?;
    if json {
        let mut said = serde_json::to_value(&answer).unwrap_or_default();
        said["packs"] = json!(packs);
        output::json(&said);
    } else {
        output::line(answer.sentence(lang::reader()));
        view::kept_elsewhere(lang::reader(), &packs).iter().for_each(output::line);
    }
    Ok(())
}
