//! `tidegate ab start|status|stop`: stable and another version set on live traffic, until somebody
//! ends it.

use super::super::backend::{Backend, read_status};
use super::super::release::{ServerArgs, say, smoke_test};
use super::super::{CandidateArgs, operator};
use crate::clock::span;
use crate::control::{AbRequest, AbTerms, Command, StartRequest};
use crate::error::{CliError, Result};
use crate::lang;
use crate::near;
use crate::output;
use crate::view::{self, AbAnswer};
use clap::{Args, Subcommand};
use std::path::Path;
use std::sync::Arc;
use tidegate_core::decide::{AbVerdict, Metric, Order, OrderKind};
use tidegate_core::journal::{ControlState, Release};

/// An A/B test on live traffic.
#[derive(Debug, Subcommand)]
pub(crate) enum LiveCommand {
    /// Split live traffic between stable and another version set until somebody ends it. Nothing
    /// is promoted by itself; red lines and rollback lines act as in a release.
    Start(StartArgs),
    /// Show the A/B test that runs, or the last one: both arms, and what is proven.
    Status(StatusArgs),
    /// End the A/B test that runs: everyone is on stable again.
    Stop(StopArgs),
}

/// What a start takes.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    candidate: CandidateArgs,
    /// What people call the test.
    #[arg(long)]
    name: String,
    /// What is compared, the most important first, such as `dislike_rate`; several with commas.
    #[arg(long = "metric", value_name = "METRIC", required = true, value_delimiter = ',',
          value_parser = metric)]
    metrics: Vec<Metric>,
    /// Share of users that get the other set, percent.
    #[arg(long, value_name = "PERCENT", default_value = "50",
          allow_negative_numbers = true, value_parser = number)]
    split: f64,
    /// What the arms are called: stable's name, a comma, the other's.
    #[arg(long, value_name = "NAME,NAME", default_value = "A,B", value_parser = arms)]
    arms: (String, String),
    /// How long it lasts at most, such as `12h` or `14d`; 31 days are allowed.
    #[arg(long = "for", value_name = "TIME", default_value = "7d", value_parser = span)]
    lasts_ms: u64,
    /// The chance of finding a difference of any metric where there is none, however often one
    /// looks.
    #[arg(long, default_value = "0.05", allow_negative_numbers = true, value_parser = number)]
    alpha: f64,
    /// Who starts it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// Start without asking the other set one question first.
    #[arg(long)]
    no_smoke: bool,
    /// Start although the old set cannot read what the new one writes.
    #[arg(long)]
    accept_one_way: bool,
}

/// What a status takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// An A/B test by its name or its id; left out, the running or last one.
    test: Option<String>,
    /// End with 0 where the other set is better on the first metric, with 1 where it is worse, with
    /// 3 where that is not known.
    #[arg(long)]
    gate: bool,
    #[command(flatten)]
    server: ServerArgs,
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
    #[command(flatten)]
    server: ServerArgs,
}

fn metric(name: &str) -> std::result::Result<Metric, String> {
    let names = || Metric::ALL.iter().map(|metric| metric.as_str());
    Metric::parse(name).ok_or_else(|| {
        let near = near::hint(name, names()).map(|near| format!("{near} "));
        let all = names().collect::<Vec<_>>().join(", ");
        format!("{}allowed are {all}", near.unwrap_or_default())
    })
}

fn number(text: &str) -> std::result::Result<f64, String> {
    // JSON has no other numbers.
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "a number is needed".to_owned())
}

fn arms(text: &str) -> std::result::Result<(String, String), String> {
    let arms = text.split_once(',').map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()));
    arms.ok_or_else(|| "two names with a comma between, such as `control,warm`".to_owned())
}

/// Runs `tidegate ab start|status|stop`.
pub(super) async fn run(config: &Path, command: LiveCommand, json: bool) -> Result<()> {
    match command {
        LiveCommand::Start(args) => start(config, args, json).await,
        LiveCommand::Status(args) => status(config, &args, json).await,
        LiveCommand::Stop(args) => {
            let by = operator(args.by.as_deref())?;
            let order = Order { kind: OrderKind::End, by, reason: args.reason };
            let command = Command::Order { order, release: None, anyway: false };
            let mut backend = Backend::reach(config, args.server.server.as_deref()).await?;
            say(&backend.command(command).await?, json);
            Ok(())
        }
    }
}

async fn start(config: &Path, args: StartArgs, json: bool) -> Result<()> {
    let mut start = StartRequest {
        set: args.candidate.kept()?,
        overrides: args.candidate.overrides(),
        by: operator(args.by.as_deref())?,
        override_reason: None,
        accept_one_way: args.accept_one_way,
        smoke: None,
    };
    if !args.no_smoke {
        start.smoke = smoke_test(config, &start, None).await?;
    }
    let ab = AbTerms {
        name: args.name,
        arms: args.arms,
        metrics: args.metrics,
        split_pct: args.split,
        alpha: args.alpha,
        lasts_ms: args.lasts_ms,
    };
    let mut backend = Backend::connect(config).await?;
    let answer = backend.command(Command::StartAb(Box::new(AbRequest { start, ab }))).await?;
    let served = backend.is_server();
    say(&answer, json);
    if !served {
        output::sentence(view::waits_for_server(lang::reader()));
    }
    Ok(())
}

async fn status(config: &Path, args: &StatusArgs, json: bool) -> Result<()> {
    let seen = read_status(config, args.server.server.as_deref()).await?;
    let release = match &args.test {
        Some(named) => Some(find(&seen.state, named)?),
        None => newest(tests(&seen.state)),
    };
    let answer = release.and_then(AbAnswer::of);
    match (&answer, json) {
        (_, true) => output::json(&answer),
        (None, false) => {
            let [none, hint] = view::no_ab(lang::reader());
            output::line(none);
            output::sentence(hint);
        }
        (Some(answer), false) => {
            view::live_ab(lang::reader(), answer).iter().for_each(output::line);
            let note = seen.note(lang::reader());
            note.iter().flat_map(|note| output::wrapped(note, 2)).for_each(output::line);
            if answer.running && !seen.served {
                output::sentence(view::unserved(lang::reader()));
            }
        }
    }
    if args.gate { gate(answer.as_ref()) } else { Ok(()) }
}

fn gate(answer: Option<&AbAnswer>) -> Result<()> {
    let first = answer.and_then(|answer| answer.metrics.first());
    match first.map(|line| (line.verdict, line.metric.as_str())) {
        None => Err(CliError::inconclusive("no A/B test was run")),
        Some((AbVerdict::Better, _)) => Ok(()),
        Some((AbVerdict::Worse, metric)) => {
            Err(CliError::failed(format!("the other set is worse than stable: {metric}")))
        }
        Some((AbVerdict::Open, metric)) => {
            Err(CliError::inconclusive(format!("no difference is proven: {metric}")))
        }
    }
}

fn tests(state: &ControlState) -> impl Iterator<Item = &Release> {
    state.releases.values().map(Arc::as_ref).filter(|release| release.plan.ab.is_some())
}

fn newest<'a>(tests: impl Iterator<Item = &'a Release>) -> Option<&'a Release> {
    tests.max_by_key(|release| release.started_at)
}

/// The last one of this name, or the one of this id.
fn find<'a>(state: &'a ControlState, named: &str) -> Result<&'a Release> {
    let is_meant = |release: &&Release| {
        let name = release.plan.ab.as_ref().map(|ab| ab.name.as_str());
        name == Some(named) || release.plan.change_id.as_str() == named
    };
    newest(tests(state).filter(is_meant)).ok_or_else(|| {
        let shown: String = named.chars().take(80).flat_map(char::escape_debug).collect();
        CliError::usage(format!("this project has no A/B test `{shown}`"))
            .hint("`tidegate ab status` shows the last one")
    })
}
