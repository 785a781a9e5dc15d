//! `tidegate demo`: the whole loop in a minute, on the real engine behind its real listener.
//!
//! Simulated are the model, the users and the clock, and all three are labelled. Everything else is
//! what a user's own service runs on: the same gateway, control, journal, gate and packs.

mod acts;
mod project;
mod stage;
mod users;

use crate::error::Result;
use crate::log;
use crate::output::{self, Tone, paint};
use clap::{Args, ValueEnum};
use stage::Stage;
use std::path::PathBuf;

/// What `demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Seed of the users and the model; the same seed gives the same decisions.
    #[arg(long, default_value_t = 7, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Another story than the four acts.
    #[arg(long)]
    pub(crate) scenario: Option<Scenario>,
    /// Leave the service running afterwards.
    #[arg(long)]
    pub(crate) serve: bool,
    /// Log the service's events to stderr, as text or as JSON lines.
    #[arg(long, value_name = "FORMAT", env = "TIDEGATE_LOG_FORMAT")]
    pub(crate) log_format: Option<log::Format>,
    /// Where to write the demo's project; left out, a new folder for temporary files.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// Another story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// An attack works on the candidate: black, forced rollback, entrance closed.
    Injection,
    /// The upstream fails for everyone: no verdict on the candidate.
    Outage,
    /// Too little traffic: yellow, nothing moves.
    NoData,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Scenario::Injection => "injection",
            Scenario::Outage => "outage",
            Scenario::NoData => "no-data",
        }
    }
}

/// Runs the demo.
pub(crate) async fn run(args: DemoArgs, json: bool) -> Result<()> {
    let say = |text: String| if json { output::stderr(text) } else { output::line(text) };
    say(paint(Tone::Bold, "Tidegate demo: a release is moved on evidence, or taken back"));
    say(format!(
        "seed {} · story {} · {}",
        args.seed,
        args.scenario.map_or("four acts", Scenario::name),
        paint(Tone::Yellow, "SIMULATED model, users and clock; the engine is the real one")
    ));
    let mut stage = Stage::build(&args, json).await?;
    say(format!("listening on http://{} · project in {}", stage.address(), stage.root().display()));
    say(paint(
        Tone::Dim,
        "demo clock: 1 tick = 10 s of service time, as fast as this machine serves it",
    ));
    match args.scenario {
        None => acts::four_acts(&mut stage).await?,
        Some(Scenario::Injection) => acts::injection(&mut stage).await?,
        Some(Scenario::Outage) => acts::outage(&mut stage).await?,
        Some(Scenario::NoData) => acts::no_data(&mut stage).await?,
    }
    stage.finish();
    if args.serve {
        return stage.keep_serving().await;
    }
    stage.close().await
}
