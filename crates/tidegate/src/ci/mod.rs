//! The project's pipeline: its stages are in `ci.yaml` and nowhere else. `tidegate ci run` runs
//! them here; the workflows that `tidegate ci init` writes call `tidegate ci run --only STAGE`, so
//! that a pipeline and a machine of a person never run different commands.
//!
//! | file | what it does |
//! |---|---|
//! | `file` | `ci.yaml`: its shape, its checks |
//! | `plan` | which stages run, and why the others do not |
//! | `arguments` | values of the environment in arguments |
//! | `process` | one command in its own process group: its end, its time, its output |
//! | `log` | what a stage prints, as evidence: redacted, within a bound |
//! | `run` | the stages, one after the other |
//! | `report` | what came of a run, for people, as JSON, as files of a pack |
//! | `github`, `gitlab` | the workflow file |

mod arguments;
mod error;
mod file;
mod github;
mod gitlab;
mod log;
mod plan;
mod process;
mod report;
mod run;

pub(crate) use error::CiError;
pub(crate) use file::{CI_FILE, CiFile, template};
pub(crate) use plan::{Event, Wanted, plan};
pub(crate) use report::{Report, Status};
pub(crate) use run::run;

use std::path::Path;

/// A service that runs pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Host {
    /// GitHub Actions
    Github,
    /// GitLab CI/CD
    Gitlab,
}

impl Host {
    /// Where it looks for its workflow, from the root of the repository.
    pub(crate) fn path(self) -> &'static Path {
        Path::new(match self {
            Host::Github => ".github/workflows/tidegate.yml",
            Host::Gitlab => ".gitlab-ci.yml",
        })
    }

    /// The workflow that runs these stages.
    pub(crate) fn workflow(self, file: &CiFile) -> String {
        match self {
            Host::Github => github::workflow(file),
            Host::Gitlab => gitlab::workflow(file),
        }
    }
}
