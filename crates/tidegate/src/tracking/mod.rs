//! Eval runs sent to the tools that a team tracks its work with: MLflow (REST), Langfuse (scores),
//! anything that takes OTLP.
//!
//! Sending the same run again changes nothing there: what is sent has ids that follow from the run,
//! or is looked for first. So whatever broke off is simply sent again.

mod base64;
mod client;
mod error;
mod langfuse;
mod mlflow;
mod otlp;
mod run;

pub(crate) use error::TrackingError;
pub(crate) use run::TrackedRun;

use crate::clock::Clock;
use clap::ValueEnum;
use serde::Serialize;

/// Where a run can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tool {
    /// An MLflow tracking server.
    Mlflow,
    /// Langfuse.
    Langfuse,
    /// Any receiver of OTLP over HTTP with JSON.
    Otlp,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Sent {
    /// Where it is found there: the id of a run or a trace; empty where the tool gives none.
    pub(crate) id: String,
    /// How many params, metrics, scores or events.
    pub(crate) items: usize,
    /// Files.
    pub(crate) files: usize,
    /// What was not sent, and why; one sentence each.
    pub(crate) left_out: Vec<String>,
}

/// Sends a run to a tool at an address.
///
/// # Errors
/// The address is none, a key is not there, or the tool refuses or does not answer, also when it is
/// asked again.
pub(crate) async fn export(
    tool: Tool,
    address: &str,
    run: &TrackedRun,
    clock: &Clock,
) -> Result<Sent, TrackingError> {
    match tool {
        Tool::Mlflow => mlflow::export(address, run, clock).await,
        Tool::Langfuse => langfuse::export(address, run, clock).await,
        Tool::Otlp => otlp::export(address, run, clock).await,
    }
}
