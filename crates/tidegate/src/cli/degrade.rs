//! `tidegate degrade`: switch parts of the service off, by one command, and on again.

use super::backend::{Backend, read_status};
use super::operator;
use crate::control::Command;
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::view;
use clap::Args;
use std::path::Path;
use tidegate_core::degrade::DegradeLevel;

/// What to switch off.
#[derive(Debug, Args)]
pub(crate) struct DegradeArgs {
    /// 1: expensive tools off, answers cut short; 2: retrieval off too, a smaller model; 3: only
    /// the allow-list is served; 4: a fixed text for everyone; off: nothing; status: what is off.
    #[arg(value_name = "1|2|3|4|off|status", value_parser = wanted)]
    level: Wanted,
    /// Why; it is journalled.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who orders it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Status,
    Level(Option<DegradeLevel>),
}

fn wanted(text: &str) -> std::result::Result<Wanted, String> {
    match text {
        "status" => Ok(Wanted::Status),
        "off" | "0" => Ok(Wanted::Level(None)),
        number => {
            let level = number.parse().ok().and_then(DegradeLevel::of);
            level.map(|level| Wanted::Level(Some(level))).ok_or_else(|| {
                "1, 2, 3 or 4 is a level; `off` ends it, `status` shows it".to_owned()
            })
        }
    }
}

/// Runs `tidegate degrade …`.
pub(crate) async fn run(config: &Path, args: &DegradeArgs, json: bool) -> Result<()> {
    let server = args.server.as_deref();
    let level = match args.level {
        Wanted::Status => return show(config, server, json).await,
        Wanted::Level(level) => level,
    };
    let reason = args.reason.trim().to_owned();
    if level.is_some() && reason.is_empty() {
        return Err(CliError::usage("an order to degrade needs a reason")
            .hint("`--reason 'P95 is over 2 s'`: whoever comes next reads it in the status"));
    }
    let command = Command::Degrade { level, by: operator(args.by.as_deref())?, reason };
    let answer = Backend::reach(config, server).await?.command(command).await?;
    match json {
        true => output::json(&answer),
        false => output::wrapped(&answer.sentence(lang::reader()), 2).iter().for_each(output::line),
    }
    Ok(())
}

async fn show(config: &Path, server: Option<&str>, json: bool) -> Result<()> {
    let degraded = read_status(config, server).await?.state.degraded;
    match (&degraded, json) {
        (_, true) => output::json(&degraded),
        (None, false) => output::line(view::is_not_degraded(lang::reader())),
        (Some(degraded), false) => {
            let text = view::is_degraded(lang::reader(), degraded);
            output::wrapped(&text, 2).iter().for_each(output::line);
        }
    }
    Ok(())
}
