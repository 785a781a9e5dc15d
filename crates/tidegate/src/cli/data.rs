//! `tidegate data`: checks data that models are trained on.

use crate::config::load;
use crate::data::{Check, Found, Kind, Report};
use crate::error::{CliError, Result};
use crate::gate::{all_cases, replace_file};
use crate::output::{self, Tone, paint};
use crate::version_set::{PackOverrides, pack};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Lines that are shown of each kind; `--json` has more.
const SHOWN: usize = 5;

/// What `tidegate data` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Check a file of JSON lines: schema, duplicates, personal data, eval cases in it
    Validate(ValidateArgs),
}

/// What `data validate` takes.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The file: a JSON object a line
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// A JSON Schema that each line must match
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Fewest samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_samples: u64,
    /// What fails the check as well, and is counted only otherwise
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    refuse: Vec<Kind>,
    /// Do not look for the project's eval cases in the data
    #[arg(long)]
    without_cases: bool,
    /// Write the digest of the data and all that was found here, as JSON
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(config: &Path, command: DataCommand, json: bool) -> Result<()> {
    let DataCommand::Validate(args) = command;
    let cases = match args.without_cases || !config.exists() {
        true => Vec::new(),
        false => project_cases(config)?,
    };
    let looked_for = cases.len();
    let check = Check {
        input: &args.input,
        schema: args.schema.as_deref(),
        min_samples: args.min_samples,
        cases,
        refused: args.refuse.iter().copied().collect(),
    };
    let length = std::fs::metadata(&args.input).map_or(0, |about| about.len());
    let bar = output::progress(length, "reading {wide_bar} {bytes}/{total_bytes} {eta}");
    let report = check.run(|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let report = report?;
    let input = args.input.display().to_string();
    let value = report.json(&input);
    if let Some(path) = &args.manifest {
        let text = format!("{value:#}\n");
        replace_file(path, text.as_bytes()).map_err(|error| {
            let path = path.display();
            CliError::usage(format!("the manifest {path} cannot be written: {error}"))
        })?;
    }
    match json {
        true => output::json(&value),
        false => show(&report, &input, looked_for),
    }
    verdict(&report, &input, json)
}

fn project_cases(config: &Path) -> Result<Vec<(String, String)>> {
    let read = || -> Result<_> {
        let loaded = load(config)?;
        let packed = pack(&loaded, &PackOverrides::default())?;
        Ok(all_cases(&loaded, &packed)?)
    };
    let cases = read().map_err(|error| {
        error.hint("to check the data without the project's eval cases: `--without-cases`")
    })?;
    let texts = cases.cases.iter().map(|case| {
        let case = case?;
        Ok((case.id.clone(), case.input.clone()))
    });
    texts.collect()
}

fn show(report: &Report, input: &str, cases: usize) {
    let digest = report.digest.as_ref().map_or("", |digest| digest.short(12));
    let digest = paint(Tone::Dim, &format!("sha256 {digest}"));
    let input = paint(Tone::Bold, input);
    output::line(format!("{input}: {} samples, {} bytes  {digest}", report.rows, report.bytes));
    for (kind, found) in &report.found {
        show_kind(*kind, found, report.fails(*kind));
    }
    if let Some(compared) = report.compared {
        output::line(format!(
            "near-duplicates were looked for among the first {compared} samples with enough text"
        ));
    }
    if cases == 0 {
        output::line("eval cases were not looked for in it");
    }
}

fn show_kind(kind: Kind, found: &Found, fails: bool) {
    let (tone, word) = if fails { (Tone::Red, "FAIL") } else { (Tone::Yellow, "note") };
    let (word, count) = (paint(tone, word), found.count);
    match kind {
        Kind::TooFew | Kind::Changed => output::line(format!("{word}  {}", kind.words())),
        _ => output::line(format!("{word}  {}: {count} lines", kind.words())),
    }
    for named in found.first.iter().take(SHOWN) {
        let why = output::one_line(&named.why);
        match named.line {
            0 => output::line(format!("      {why}")),
            line => output::line(format!("      line {line}: {why}")),
        }
    }
    if count > SHOWN as u64 {
        output::line(format!("      and {} more", count - SHOWN as u64));
    }
}

fn verdict(report: &Report, input: &str, json: bool) -> Result<()> {
    let failed: Vec<&str> =
        report.found.keys().filter(|kind| report.fails(**kind)).map(|kind| kind.words()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let mut error = CliError::failed(format!("{input} is not valid: {}", failed.join("; ")));
    error.shown = json;
    Err(error)
}
