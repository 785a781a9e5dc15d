//! `tidegate simulate`: the engine and its peers on simulated releases.

use super::number;
use crate::config::nearest;
use crate::error::{CliError, Result};
use crate::output;
use crate::simulate::{self, Engine, Options, Report, Scenario};
use clap::Args;
use clap::builder::RangedI64ValueParser;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The group of scenarios that need data.
const REAL: &str = "real";

/// What a simulation takes.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Scenarios by name, `real` for all of real data; all of them when none is named.
    scenarios: Vec<String>,
    /// An engine; may be given several times. All of them when none is named.
    #[arg(long = "engine", value_name = "NAME")]
    engines: Vec<String>,
    /// Repetitions of each scenario.
    #[arg(long, default_value_t = 200, value_parser = reps(), allow_negative_numbers = true)]
    reps: u32,
    /// All draws follow from it.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    /// How often our engine looks, s.
    #[arg(
        long,
        default_value_t = 10.0,
        value_name = "S",
        allow_negative_numbers = true,
        value_parser = number
    )]
    look_s: f64,
    /// Folder of real answers and arrivals, for the `real` scenarios.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// List scenarios and engines.
    #[arg(long)]
    list: bool,
    /// Show saved reports (`--json`) of the same runs as one, instead of running anything.
    #[arg(
        long,
        value_name = "FILE.json",
        num_args = 1..,
        conflicts_with_all = [
            "scenarios", "engines", "list", "data", "reps", "seed", "look_s", "picture"
        ]
    )]
    join: Vec<PathBuf>,
    /// Print the table as Markdown.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Draw one release of our engine, the first of one scenario: its evidence beside what is
    /// enough of it.
    #[arg(
        long,
        value_name = "FILE.svg",
        requires = "scenarios",
        conflicts_with_all = ["engines", "list", "markdown"]
    )]
    picture: Option<PathBuf>,
}

fn reps() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

/// Runs the benchmark and shows it.
pub(crate) fn run(args: &SimulateArgs, json: bool) -> Result<()> {
    if !args.join.is_empty() {
        let reports = args.join.iter().map(|path| saved(path)).collect::<Result<_>>()?;
        show(&Report::join(reports)?, args, json);
        return Ok(());
    }
    let (all, skipped) = scenarios(args)?;
    if args.list {
        list(&all, json);
        return Ok(());
    }
    let chosen = choose(&args.scenarios, &all, skipped.as_deref())?;
    if let Some(path) = &args.picture {
        return draw(path, &chosen, args, json);
    }
    let engines = engines(&args.engines)?;
    let options = Options {
        reps: args.reps as usize,
        seed: args.seed,
        look_ms: look_ms(args.look_s)?,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        progress: true,
    };
    let cells = simulate::run(&chosen, &engines, &options)?;
    show(&Report::new(&cells, &options), args, json);
    Ok(())
}

fn show(report: &Report, args: &SimulateArgs, json: bool) {
    if json {
        output::json(report);
        return;
    }
    let lines = if args.markdown { simulate::markdown(report) } else { simulate::table(report) };
    for line in lines {
        output::line(line);
    }
}

fn saved(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| CliError::usage(format!("cannot read {}: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| {
        CliError::usage(format!("{} is not a report of this tidegate: {e}", path.display()))
            .hint("`tidegate simulate … --json > FILE.json` saves one")
    })
}

/// Writes the picture of one release, and says how it ended.
fn draw(path: &Path, chosen: &[Scenario], args: &SimulateArgs, json: bool) -> Result<()> {
    let [scenario] = chosen else {
        let message =
            format!("--picture draws one scenario; {} are named that can be drawn", chosen.len());
        return Err(CliError::usage(message).hint("`tidegate simulate --list` has their names"));
    };
    if path.extension().is_none_or(|extension| extension != "svg") {
        let message = format!("--picture draws SVG; given `{}`", path.display());
        return Err(CliError::usage(message).hint("give it a name that ends in `.svg`"));
    }
    let (svg, end) = simulate::picture(scenario, args.seed, look_ms(args.look_s)?)?;
    std::fs::write(path, svg)
        .map_err(|e| CliError::usage(format!("cannot write {}: {e}", path.display())))?;
    if json {
        output::json(&serde_json::json!({ "picture": path, "end": end }));
        return Ok(());
    }
    output::line(format!("{}: {end}", path.display()));
    Ok(())
}

/// Every scenario there is, and why the real ones are not among them.
fn scenarios(args: &SimulateArgs) -> Result<(Vec<Scenario>, Option<String>)> {
    let mut all = simulate::scenarios();
    let Some(folder) = &args.data else {
        let why = "the `real` scenarios are skipped: they need `--data DIR`".to_owned();
        return Ok((all, Some(why)));
    };
    all.extend(simulate::real(folder)?);
    Ok((all, None))
}

/// The named scenarios in the order of the list; all of them when none is named.
fn choose(named: &[String], all: &[Scenario], skipped: Option<&str>) -> Result<Vec<Scenario>> {
    let is_real = |name: &str| name == REAL || name.starts_with("real_");
    let known: Vec<&str> =
        all.iter().map(|scenario| scenario.name.as_str()).chain([REAL]).collect();
    for name in named {
        if skipped.is_some() && is_real(name) {
            let message = format!("scenario `{name}` is of real data, and no folder is given");
            return Err(CliError::usage(message).hint("add `--data DIR`"));
        }
        if !known.contains(&name.as_str()) {
            return Err(unknown("scenario", name, &known));
        }
    }
    if let Some(why) = skipped
        && (named.is_empty() || named.iter().any(|name| is_real(name)))
    {
        output::talk(why);
    }
    let is_named = |scenario: &&Scenario| {
        named.is_empty()
            || named.contains(&scenario.name)
            || (scenario.name.starts_with("real_") && named.iter().any(|name| name == REAL))
    };
    Ok(all.iter().filter(is_named).cloned().collect())
}

fn engines(named: &[String]) -> Result<Vec<Engine>> {
    let all = Engine::all();
    if named.is_empty() {
        return Ok(all);
    }
    let known: Vec<&str> = all.iter().map(|engine| engine.name()).collect();
    if let Some(name) = named.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown("engine", name, &known));
    }
    Ok(all.into_iter().filter(|engine| named.iter().any(|name| name == engine.name())).collect())
}

fn unknown(what: &str, given: &str, known: &[&str]) -> CliError {
    let message = format!("unknown {what} `{given}`; there are {}", known.join(", "));
    let error = CliError::usage(message);
    match nearest(given, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`tidegate simulate --list` says what each is"),
    }
}

/// Whole milliseconds of a look, from a millisecond to an hour.
fn look_ms(seconds: f64) -> Result<u64> {
    if (0.001..=3600.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds).as_millis() as u64);
    }
    Err(CliError::usage(format!("--look-s is {seconds}; it must be from 0.001 to 3600 seconds")))
}

fn list(all: &[Scenario], json: bool) {
    let engines = Engine::all();
    if json {
        let scenario = |s: &Scenario| {
            let truth = s.truth.as_str();
            serde_json::json!({"name": s.name, "about": s.about, "truth": truth})
        };
        let engine = |e: &Engine| serde_json::json!({"name": e.name(), "about": e.about()});
        output::json(&serde_json::json!({
            "scenarios": all.iter().map(scenario).collect::<Vec<_>>(),
            "engines": engines.iter().map(engine).collect::<Vec<_>>(),
        }));
        return;
    }
    let width = all.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in all {
        let name = output::padded(&scenario.name, width);
        let truth = output::padded(scenario.truth.as_str(), 10);
        output::line(format!("{name}  {truth}  {}", scenario.about));
    }
    output::line(String::new());
    for engine in engines {
        output::line(format!("{}  {}", output::padded(engine.name(), width), engine.about()));
    }
}
