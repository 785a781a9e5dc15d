//! The command line: the engine and its peers on simulated releases.

use crate::engine::Engine;
use crate::error::{Result, SimulateError};
use crate::output;
use crate::picture::picture;
use crate::real;
use crate::report::{Report, markdown, table};
use crate::run::{RunOptions, run};
use crate::scenario::{self, Scenario};
use crate::shadow;
use clap::Parser;
use clap::builder::{PossibleValuesParser, RangedI64ValueParser};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The group of scenarios that need data.
const REAL: &str = "real";

/// The decision engine of Tidegate and its peers on the same simulated releases.
#[derive(Debug, Parser)]
#[command(name = "tidegate-simulate", version, max_term_width = 100)]
struct Args {
    /// Scenarios by name, `real` for all of real data; all of them when none is named.
    #[arg(value_parser = names(scenario_names()), hide_possible_values = true)]
    scenarios: Vec<String>,
    /// An engine; may be given several times. All of them when none is named.
    #[arg(
        long = "engine",
        value_name = "NAME",
        value_parser = names(engine_names()),
        hide_possible_values = true
    )]
    engines: Vec<String>,
    /// Repetitions of each scenario.
    #[arg(long, default_value_t = 200, value_parser = reps(), allow_negative_numbers = true)]
    reps: u32,
    /// All draws follow from it.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,
    /// How often our engine looks, s.
    #[arg(long, default_value_t = 10.0, value_name = "S", allow_negative_numbers = true)]
    look_s: f64,
    /// Folder of real answers and arrivals, for the `real` scenarios.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Count the requests that a shadow and a split at 5 % need to prove a candidate worse whose
    /// tasks fail in 5 points more of cases, on real answers.
    #[arg(
        long,
        requires = "data",
        conflicts_with_all = ["scenarios", "engines", "list", "look_s", "picture", "markdown"]
    )]
    shadow: bool,
    /// List scenarios and engines, or those that are named.
    #[arg(long)]
    list: bool,
    /// Print results as JSON.
    #[arg(long)]
    json: bool,
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
    /// Draw one release of our engine, the first of one scenario: its odds over time, with the odds
    /// that are needed.
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

/// Scenarios or engines by name; a slip is shown the nearest.
fn names(known: Vec<String>) -> PossibleValuesParser {
    PossibleValuesParser::new(known)
}

fn scenario_names() -> Vec<String> {
    let drawn = scenario::all().into_iter().map(|scenario| scenario.name);
    drawn.chain([REAL.to_owned()]).chain(real::names()).collect()
}

fn engine_names() -> Vec<String> {
    Engine::all().into_iter().map(|engine| engine.name().to_owned()).collect()
}

/// Runs what was typed and gives the exit code.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout with 0; the rest is usage.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let Err(error) = execute(&args) else { return ExitCode::SUCCESS };
    output::stderr(format!("error: {error}"));
    if let SimulateError::Usage { hint: Some(hint), .. } = &error {
        output::stderr(format!("hint: {hint}"));
    }
    ExitCode::from(error.exit_code())
}

/// Runs the benchmark and shows it.
fn execute(args: &Args) -> Result<()> {
    if !args.join.is_empty() {
        let reports = args.join.iter().map(|path| saved(path)).collect::<Result<_>>()?;
        show(&Report::join(reports)?, args);
        return Ok(());
    }
    if let Some(folder) = args.data.as_deref().filter(|_| args.shadow) {
        return shadow::run(folder, args.reps, args.seed, args.json);
    }
    let chosen = choose(args)?;
    let engines = engines(&args.engines);
    if args.list {
        list(&chosen, &engines, args.json);
        return Ok(());
    }
    if let Some(path) = &args.picture {
        return draw(path, &chosen, args);
    }
    let options = RunOptions {
        reps: args.reps as usize,
        seed: args.seed,
        look_ms: look_ms(args.look_s)?,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        progress: true,
    };
    let cells = run(&chosen, &engines, &options)?;
    show(&Report::new(&cells, &options), args);
    Ok(())
}

fn show(report: &Report, args: &Args) {
    if args.json {
        output::json(report);
        return;
    }
    let lines = if args.markdown { markdown(report) } else { table(report) };
    for line in lines {
        output::line(line);
    }
}

fn saved(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| SimulateError::usage(format!("cannot read {}: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| {
        SimulateError::usage(format!("{} is not a report of this version: {e}", path.display()))
            .hint("`tidegate-simulate … --json > FILE.json` saves one")
    })
}

/// Writes the picture of one release, and says how it ended.
fn draw(path: &Path, chosen: &[Scenario], args: &Args) -> Result<()> {
    let [scenario] = chosen else {
        let message =
            format!("--picture draws one scenario; {} are named that can be drawn", chosen.len());
        return Err(
            SimulateError::usage(message).hint("`tidegate-simulate --list` has their names")
        );
    };
    if path.extension().is_none_or(|extension| extension != "svg") {
        let message = format!("--picture draws SVG; given `{}`", path.display());
        return Err(SimulateError::usage(message).hint("give it a name that ends in `.svg`"));
    }
    let (svg, end) = picture(scenario, args.seed, look_ms(args.look_s)?)?;
    std::fs::write(path, svg)
        .map_err(|e| SimulateError::usage(format!("cannot write {}: {e}", path.display())))?;
    if args.json {
        output::json(&serde_json::json!({ "picture": path, "end": end }));
        return Ok(());
    }
    output::line(format!("{}: {end}", path.display()));
    Ok(())
}

/// The named scenarios in the order of the list; all of them when none is named. Says so where
/// the real ones are left out for want of data.
fn choose(args: &Args) -> Result<Vec<Scenario>> {
    let is_real = |name: &str| name == REAL || name.starts_with("real_");
    let mut all = scenario::all();
    match &args.data {
        Some(folder) => all.extend(real::pairs(folder)?),
        None => {
            if let Some(name) = args.scenarios.iter().find(|name| is_real(name)) {
                let message = format!("scenario `{name}` is of real data, and no folder is given");
                return Err(SimulateError::usage(message).hint("add `--data DIR`"));
            }
            if args.scenarios.is_empty() {
                output::stderr("the `real` scenarios are skipped: they need `--data DIR`");
            }
        }
    }
    let named = &args.scenarios;
    all.retain(|scenario| {
        named.is_empty()
            || named.contains(&scenario.name)
            || (is_real(&scenario.name) && named.iter().any(|name| name == REAL))
    });
    Ok(all)
}

fn engines(named: &[String]) -> Vec<Engine> {
    let is_named = |engine: &Engine| named.is_empty() || named.iter().any(|n| n == engine.name());
    Engine::all().into_iter().filter(is_named).collect()
}

/// Whole milliseconds of a look, from a millisecond to an hour.
fn look_ms(seconds: f64) -> Result<u64> {
    if (0.001..=3600.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds).as_millis() as u64);
    }
    Err(SimulateError::usage(format!(
        "--look-s is {seconds}; it must be from 0.001 to 3600 seconds"
    )))
}

/// Lists them, each with what it is.
fn list(scenarios: &[Scenario], engines: &[Engine], json: bool) {
    if json {
        let scenario = |s: &Scenario| {
            let truth = s.truth.as_str();
            serde_json::json!({"name": s.name, "about": s.about, "truth": truth})
        };
        let engine = |e: &Engine| serde_json::json!({"name": e.name(), "about": e.about()});
        output::json(&serde_json::json!({
            "scenarios": scenarios.iter().map(scenario).collect::<Vec<_>>(),
            "engines": engines.iter().map(engine).collect::<Vec<_>>(),
        }));
        return;
    }
    let about = |width: usize, head: String, about: &str| {
        output::wrapped(&format!("{head}  {about}"), width + 2).into_iter().for_each(output::line);
    };
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for Scenario { name, truth, about: what, .. } in scenarios {
        about(width + 12, format!("{name:width$}  {:10}", truth.as_str()), what);
    }
    output::line(String::new());
    let width = engines.iter().map(|engine| engine.name().len()).max().unwrap_or(0);
    for engine in engines {
        about(width, format!("{:width$}", engine.name()), engine.about());
    }
}
