//! `tidegate shadow`: compare a candidate with stable on the same requests, before any user gets
//! its answers.

mod recorded;

use super::backend::{Backend, read_status};
use super::{CandidateArgs, kept_set, operator};
use crate::clock::span;
use crate::control::{Command, ShadowRequest};
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::view;
use clap::{Args, Subcommand};
use recorded::RecordedArgs;
use std::path::Path;
use tidegate_core::access::bounds::parse_budget;
use tidegate_core::money::Money;
use tidegate_core::shadow::ShadowVerdict;

/// What `shadow` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ShadowArgs {
    #[command(subcommand)]
    command: Option<ShadowCommand>,
    #[command(flatten)]
    recorded: RecordedArgs,
}

/// What can be done with a shadow.
#[derive(Debug, Subcommand)]
enum ShadowCommand {
    /// Mirror a share of stable's requests to a version set, within caps and a time.
    Start(StartArgs),
    /// Show the shadow that runs, or the last one: its verdict and its numbers.
    Status(StatusArgs),
    /// End the shadow that runs; its pairs and its verdict are kept.
    Stop(StopArgs),
}

/// What a start takes.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    candidate: CandidateArgs,
    /// Share of stable's requests that is mirrored; left out, `release.shadow.sample_pct`.
    #[arg(long, value_name = "PERCENT")]
    sample: Option<f64>,
    #[command(flatten)]
    caps: CapArgs,
    /// Who starts it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// What a shadow may use at most.
#[derive(Debug, Args)]
struct CapArgs {
    /// Most requests that the candidate is asked; left out, `release.shadow.max_requests`.
    #[arg(long, value_name = "COUNT")]
    max_requests: Option<u64>,
    /// Most that they may cost; left out, `release.shadow.max_cost_usd`.
    #[arg(long, value_name = "USD", value_parser = cost)]
    max_cost: Option<Money>,
    /// How long it lasts at most, such as `90m` or `24h`; left out, `release.shadow.max_hours`.
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    lasts_ms: Option<u64>,
}

impl CapArgs {
    /// A shadow of this candidate, of a share of the requests that are meant.
    fn request(
        &self,
        candidate: &CandidateArgs,
        sample_pct: Option<f64>,
        by: Option<&str>,
        recorded_ms: Option<u64>,
    ) -> Result<ShadowRequest> {
        Ok(ShadowRequest {
            set: candidate.kept()?,
            overrides: candidate.overrides(),
            by: operator(by)?,
            sample_pct,
            max_requests: self.max_requests,
            max_cost: self.max_cost,
            lasts_ms: self.lasts_ms,
            recorded_ms,
        })
    }
}

/// What a status takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A version set; left out, the shadow that runs, or the last one.
    version_set: Option<String>,
    /// End with 0 where the candidate is not worse, with 1 where it is, with 3 where that is not
    /// known.
    #[arg(long)]
    gate: bool,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// What a stop takes.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Why; it is journalled.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Who orders it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// The server's admin address; left out, the one that runs on this project.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

fn cost(text: &str) -> std::result::Result<Money, String> {
    parse_budget(text).map_err(|error| error.to_string())
}

/// Runs `tidegate shadow …`.
pub(crate) async fn run(config: &Path, args: ShadowArgs, json: bool) -> Result<()> {
    let ShadowArgs { command, recorded } = args;
    let Some(command) = command else { return recorded::run(config, &recorded, json).await };
    let (command, server) = match command {
        ShadowCommand::Status(args) => return status(config, &args, json).await,
        ShadowCommand::Start(args) => {
            let (caps, by) = (&args.caps, args.by.as_deref());
            let request = caps.request(&args.candidate, args.sample, by, None)?;
            (Command::StartShadow(Box::new(request)), args.server)
        }
        ShadowCommand::Stop(args) => {
            let by = operator(args.by.as_deref())?;
            (Command::StopShadow { by, reason: args.reason }, args.server)
        }
    };
    let answer = Backend::reach(config, server.as_deref()).await?.command(command).await?;
    match json {
        true => output::json(&answer),
        false => output::wrapped(&answer.sentence(lang::reader()), 2).iter().for_each(output::line),
    }
    Ok(())
}

async fn status(config: &Path, args: &StatusArgs, json: bool) -> Result<()> {
    let named = kept_set(args.version_set.as_deref())?;
    let shadows = read_status(config, args.server.as_deref()).await?.shadows;
    // The one that runs was started last.
    let shadow = match &named {
        Some(set) => shadows.iter().find(|shadow| shadow.set == *set),
        None => shadows.iter().max_by_key(|shadow| shadow.started_at()),
    };
    if let (Some(set), None) = (&named, shadow) {
        return Err(CliError::usage(format!("version set `{set}` had no shadow"))
            .hint("`tidegate shadow status` shows the last one"));
    }
    match (shadow, json) {
        (_, true) => output::json(&shadow),
        (None, false) => {
            let [none, hint] = view::no_shadow(lang::reader());
            output::line(none);
            output::sentence(hint);
        }
        (Some(shadow), false) => {
            view::shadow(lang::reader(), shadow).iter().for_each(output::line);
        }
    }
    match args.gate {
        true => gate(shadow.map(|shadow| shadow.verdict), json),
        false => Ok(()),
    }
}

/// The exit code of a gate; `is_shown` where stdout has the verdict as JSON.
fn gate(verdict: Option<ShadowVerdict>, is_shown: bool) -> Result<()> {
    let passed = match verdict {
        None => Err(CliError::inconclusive("no shadow was run")),
        Some(ShadowVerdict::Worse) => Err(CliError::failed("the candidate is worse than stable")),
        Some(ShadowVerdict::NotYet) => {
            Err(CliError::inconclusive("whether the candidate is worse is not known yet"))
        }
        Some(ShadowVerdict::Better | ShadowVerdict::NotWorse) => Ok(()),
    };
    passed.map_err(|error| CliError { shown: is_shown, ..error })
}
