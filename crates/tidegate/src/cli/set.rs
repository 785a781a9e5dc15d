//! Which version set a command is about.

use crate::error::{CliError, Result};
use crate::version_set::PackOverrides;
use clap::Args;
use tidegate_core::ids::VersionSetId;

/// Which version set a command is about.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SetArgs {
    /// A prompt version instead of `prompts/current`.
    #[arg(long)]
    pub(super) prompt: Option<String>,
    /// A model instead of the project's.
    #[arg(long)]
    pub(super) model: Option<String>,
    /// An upstream instead of the project's.
    #[arg(long)]
    pub(super) upstream: Option<String>,
    /// A label for people, shown with the set's id; left out, prompt and model.
    #[arg(long)]
    pub(super) label: Option<String>,
}

impl SetArgs {
    pub(super) fn overrides(&self) -> PackOverrides {
        PackOverrides {
            prompt: self.prompt.clone(),
            model: self.model.clone(),
            upstream: self.upstream.clone(),
            label: self.label.clone(),
        }
    }
}

/// Which version set is tried beside stable: what is packed now, or one that is kept.
#[derive(Debug, Args)]
pub(super) struct CandidateArgs {
    #[command(flatten)]
    set: SetArgs,
    /// A kept version set instead of the project's files.
    #[arg(long, conflicts_with_all = ["prompt", "model", "upstream", "label"])]
    version_set: Option<String>,
}

impl CandidateArgs {
    pub(super) fn overrides(&self) -> PackOverrides {
        self.set.overrides()
    }

    /// The kept one, where one is named.
    pub(super) fn kept(&self) -> Result<Option<VersionSetId>> {
        kept_set(self.version_set.as_deref())
    }
}

/// The kept version set of this name, where one is named.
pub(super) fn kept_set(name: Option<&str>) -> Result<Option<VersionSetId>> {
    let set = name.map(VersionSetId::parse).transpose();
    set.map_err(|e| CliError::usage(e.to_string()).hint("`tidegate version list` shows them"))
}
