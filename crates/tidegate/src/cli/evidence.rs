//! `tidegate evidence` and `tidegate verify`.

use crate::control::{Backend, Command};
use crate::error::{CliError, Result};
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

/// Checks a pack, offline.
pub(crate) fn verify(args: &VerifyArgs, json: bool) -> Result<()> {
    let outcome = crate::evidence::verify(&args.pack)?;
    if json {
        output::json(&outcome);
    }
    let outcome = outcome.into_result().map_err(CliError::told)?;
    if !json {
        output::line(format!("✓ {} files, all as the manifest lists them", outcome.files));
    }
    Ok(())
}
