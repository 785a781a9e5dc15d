//! `tidegate cost`: what requests cost, from the books; `tidegate cost reprice` prices them again.

use super::backend::{Backend, read_state};
use super::operator;
use crate::clock::Clock;
use crate::config::load;
use crate::control::Command;
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::store::Books as _;
use crate::view::{self, CostBy, CostTable};
use clap::{Args, Subcommand};
use std::path::Path;
use tidegate_core::calendar::Day;
use tidegate_core::money::Purpose;

/// What `cost` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CostArgs {
    #[command(subcommand)]
    command: Option<CostCommand>,
    /// What to add up by; several are separated by commas. `purpose` is always among them.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "day")]
    by: Vec<CostBy>,
    /// The first day (UTC), such as 2026-11-01; left out, the first of this month.
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<Day>,
    /// The last day (UTC); left out, today.
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<Day>,
    /// Only calls made for this: `serve` are requests of users; `shadow`, `judge`, `embeddings`,
    /// `sentinel` and `eval` are what Tidegate asked. Several are separated by commas.
    #[arg(long, value_name = "PURPOSES", value_delimiter = ',', value_parser = purpose)]
    purpose: Vec<Purpose>,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
}

/// What can be done with the books.
#[derive(Debug, Subcommand)]
enum CostCommand {
    /// Price what was used from a day on by the project's prices as they are now.
    Reprice {
        /// The first day (UTC), such as 2026-11-01.
        #[arg(long, value_name = "DATE", value_parser = day)]
        from: Day,
        /// Who orders it; left out, the environment's USER.
        #[arg(long)]
        by: Option<String>,
    },
}

pub(super) fn day(text: &str) -> std::result::Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("`{text}`: a day such as `2026-11-28`"))
}

fn purpose(text: &str) -> std::result::Result<Purpose, String> {
    let known = Purpose::ALL.map(Purpose::as_str);
    Purpose::parse(text).ok_or_else(|| format!("`{text}` is none of {}", known.join(", ")))
}

/// Shows the books, or prices them again.
pub(crate) async fn run(config: &Path, args: &CostArgs, json: bool) -> Result<()> {
    if let Some(CostCommand::Reprice { from, by }) = &args.command {
        let command = Command::Reprice { from: *from, by: operator(by.as_deref())? };
        let answer = Backend::reach(config, None).await?.command(command).await?;
        match json {
            true => output::json(&answer),
            false => output::line(answer.sentence(lang::reader())),
        }
        return Ok(());
    }
    let loaded = load(config)?;
    let today = Day::of(Clock::Real.now());
    let (first, _) = today.month();
    let (since, until) = (args.since.unwrap_or(first), args.until.unwrap_or(today));
    if since > until {
        return Err(CliError::usage(format!("since {since} is after until {until}")));
    }
    let (store, _) = read_state(&loaded.root)?;
    let mut lines = store.costs(since, until)?;
    if !args.purpose.is_empty() {
        lines.retain(|line, _| args.purpose.contains(&line.purpose));
    }
    let table = CostTable::of(&lines, &args.by, &loaded.project.service);
    if args.csv {
        output::raw(&table.csv());
    } else if json {
        output::json(&table.json(since, until));
    } else {
        view::cost(lang::reader(), &table, (since, until)).iter().for_each(output::line);
    }
    Ok(())
}
