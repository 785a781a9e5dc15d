//! `tidegate approve`: say yes to a version set before it is released.

use super::backend::Backend;
use super::operator;
use crate::control::{ApproveRequest, Command};
use crate::error::Result;
use crate::{lang, output};
use clap::Args;
use std::path::Path;
use tidegate_core::approval::Approver;

/// What is approved, and why.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// A version set (`vs-…`), or a release, whose candidate is meant.
    #[arg(value_name = "CHANGE")]
    change: String,
    /// Why it may be released; kept in the journal and in the evidence.
    #[arg(long)]
    reason: String,
    /// Who approves it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// It is a program that approves, such as a pipeline, and no person.
    #[arg(long)]
    machine: bool,
    /// Approve a set although it was rolled back.
    #[arg(long)]
    again: bool,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// Runs `tidegate approve`.
pub(crate) async fn run(config: &Path, args: ApproveArgs, json: bool) -> Result<()> {
    let ApproveArgs { change, reason, by, machine, again, server } = args;
    let approver = if machine { Approver::Machine } else { Approver::Person };
    let by = operator(by.as_deref())?;
    let request = ApproveRequest { change, by, approver, reason, again };
    let command = Command::Approve(Box::new(request));
    let answer = Backend::reach(config, server.as_deref()).await?.command(command).await?;
    match json {
        true => output::json(&answer),
        false => output::wrapped(&answer.sentence(lang::reader()), 2).iter().for_each(output::line),
    }
    Ok(())
}
