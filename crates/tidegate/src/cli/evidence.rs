//! `tidegate evidence` and `tidegate verify`.

use crate::control::{Backend, Command};
use crate::error::{CliError, Result};
use crate::evidence::JournalCheck;
use crate::output;
use clap::Args;
use std::path::{Path, PathBuf};
use tidegate_core::ids::ChangeId;

/// What `evidence` takes.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// The release.
    change_id: String,
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The pack's folder, `reports/YYYY-MM-DD/<change-id>`.
    pack: PathBuf,
}

/// Writes the pack of a release as things stand.
pub(crate) async fn run(config: &Path, args: &EvidenceArgs, json: bool) -> Result<()> {
    let change_id = ChangeId::parse(&args.change_id).map_err(|e| CliError::usage(e.to_string()))?;
    let answer = Backend::connect(config).await?.command(Command::WritePack { change_id }).await?;
    if json {
        output::json(&answer)
    } else {
        output::line(&answer.text)
    }
    Ok(())
}

/// Checks a pack, offline, and holds it against the project's journal where that is at hand.
pub(crate) fn verify(args: &VerifyArgs, json: bool) -> Result<()> {
    let mut outcome = crate::evidence::verify(&args.pack)?;
    outcome.compare_with_journal(&args.pack);
    if json {
        output::json(&outcome);
    }
    let outcome = outcome.into_result().map_err(CliError::told)?;
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
            output::talk("a pack that was rewritten as a whole is only told by its journal");
        }
        // A difference is a problem, which was told above.
        JournalCheck::Different { .. } => {}
    }
    Ok(())
}
