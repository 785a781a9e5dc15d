//! `tidegate evidence` and `tidegate verify`.

use super::backend::{Backend, read_status};
use crate::control::Command;
use crate::error::{CliError, Result};
use crate::evidence::JournalCheck;
use crate::lang;
use crate::output;
use clap::Args;
use std::path::{Path, PathBuf};
use tidegate_core::ids::ChangeId;

/// What `evidence` takes.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// The release; left out, the last one.
    change_id: Option<String>,
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The packs' folders, `reports/YYYY-MM-DD/<change-id>`.
    #[arg(required = true)]
    packs: Vec<PathBuf>,
}

/// Writes the pack of a release from the current state.
pub(crate) async fn run(config: &Path, args: &EvidenceArgs, json: bool) -> Result<()> {
    let change_id = match &args.change_id {
        Some(id) => ChangeId::parse(id).map_err(|e| CliError::usage(e.to_string()))?,
        None => last_release(config).await?,
    };
    let answer = Backend::connect(config).await?.command(Command::WritePack { change_id }).await?;
    if json {
        output::json(&answer)
    } else {
        output::line(answer.sentence(lang::reader()))
    }
    Ok(())
}

async fn last_release(config: &Path) -> Result<ChangeId> {
    let state = read_status(config, None).await?.state;
    let last = state.last_release().map(|release| release.plan.change_id.clone());
    last.ok_or_else(|| CliError::usage("there is no release yet, so there is no evidence"))
}

/// Checks packs one after the other; the first that does not hold ends it.
pub(crate) fn verify(args: &VerifyArgs, json: bool) -> Result<()> {
    args.packs.iter().try_for_each(|pack| verify_one(pack, json))
}

/// Checks a pack, offline, and holds it against the project's journal where that is at hand.
fn verify_one(pack: &Path, json: bool) -> Result<()> {
    let mut outcome = crate::evidence::verify(pack)?;
    outcome.compare_with_journal(pack);
    if json {
        output::json(&outcome);
    }
    let outcome = outcome.into_result().map_err(|error| CliError::from(error).shown())?;
    if json {
        return Ok(());
    }
    output::line(format!("✓ {} files, all as the manifest lists them", outcome.files));
    match &outcome.journal {
        JournalCheck::Same { project } => output::line(format!(
            "✓ the manifest is the one in the journal of {}",
            project.display()
        )),
        JournalCheck::Replaced { project } => output::line(format!(
            "✓ the manifest is in the journal of {}, which has a later pack of this release",
            project.display()
        )),
        JournalCheck::NotCompared { why } => {
            output::line(format!("- not compared with a journal: {why}"));
            output::stderr("only the journal shows a pack that was rewritten as a whole");
        }
        // A difference is a problem, which was shown above.
        JournalCheck::Different { .. } => {}
    }
    Ok(())
}
