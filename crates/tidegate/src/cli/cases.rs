//! `tidegate cases`: cases of other programs as ours, ours for others, and files of cases checked.

use crate::cases::export::{self, To};
use crate::cases::import::{self, Format, Ideal, Imported, Options};
use crate::config::load;
use crate::error::{CliError, Result};
use crate::gate::{self, CaseNotes, Defaults, Spool};
use crate::output::{self, Tone, paint};
use crate::prompts::import::Named;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidegate_core::gate::{Case, CaseSet, Risk, Severity};

/// What `tidegate cases` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// Read cases of promptfoo, OpenAI evals, Langfuse or Inspect as ours
    Import(ImportArgs),
    /// Write the project's cases, or those of a file, as JSONL or CSV
    Export(ExportArgs),
    /// Check files of cases without asking anything
    Check(CheckArgs),
    /// Print the JSON Schema of a case
    Schema,
}

/// What `cases import` takes.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file
    file: PathBuf,
    /// The program that it is of
    #[arg(long, value_enum)]
    from: Format,
    /// Write the cases here as JSONL; left out, to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What is asked, of several variables: the name of one, or `'{{name}} asks: {{question}}'`
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// How samples of OpenAI evals compare an answer with `ideal`
    #[arg(long, value_enum)]
    ideal: Option<Ideal>,
    /// Write the cases although some of what the file says has no place in them
    #[arg(long)]
    partial: bool,
    /// Replace the file that `--out` names
    #[arg(long)]
    replace: bool,
}

/// What `cases export` takes.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A file of cases; left out, the project's files
    file: Option<PathBuf>,
    /// The form
    #[arg(long, value_enum)]
    to: To,
    /// Write them here; left out, to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the cases although some of what they say has no place in a table
    #[arg(long)]
    partial: bool,
    /// Replace the file that `--out` names
    #[arg(long)]
    replace: bool,
}

/// What `cases check` takes.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files of cases
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(config: &Path, command: CasesCommand, json: bool) -> Result<()> {
    match command {
        CasesCommand::Import(args) => import_file(&args, json),
        CasesCommand::Export(args) => export_cases(config, &args, json),
        CasesCommand::Check(args) => check(&args, json),
        CasesCommand::Schema => {
            output::json(&gate::case_schema());
            Ok(())
        }
    }
}

fn import_file(args: &ImportArgs, json: bool) -> Result<()> {
    let options = Options { input: args.input.as_deref(), ideal: args.ideal };
    let Imported { cases, lost, notes, .. } = import::read(&args.file, args.from, options)?;
    let refused = !lost.is_empty() && !args.partial;
    let lines = cases.iter().map(|case| format!("{}\n", Value::Object(case.clone())));
    let lines: String = lines.collect();
    name(&lost, &notes, json);
    if !refused && let Some(out) = &args.out {
        export::write(out, lines.as_bytes(), args.replace)?;
    }
    if json {
        let shown = args.out.is_none() && !refused;
        output::json(&json!({
            "count": cases.len(), "lost": lost, "notes": notes,
            "written": args.out.as_ref().filter(|_| !refused),
            "cases": shown.then_some(&cases),
        }));
    } else if !refused {
        match &args.out {
            None => output::raw(&lines),
            Some(out) => output::line(format!("{} cases: {}", cases.len(), out.display())),
        }
    }
    verdict(&args.file.display().to_string(), "a case", &lost, args.partial, json)
}

/// Names what has no place, and what is written in another way: beside the cases, which may be on
/// standard output.
fn name(lost: &[Named], notes: &[Named], json: bool) {
    if json {
        return;
    }
    for (named, tone, word) in [(lost, Tone::Red, "LOST"), (notes, Tone::Dim, "note")] {
        for Named { place, what } in named {
            let line = output::one_line(&format!("{place}: {what}"));
            output::stderr(format!("{}  {line}", paint(tone, word)));
        }
    }
}

fn verdict(file: &str, place: &str, lost: &[Named], partial: bool, json: bool) -> Result<()> {
    if lost.is_empty() || partial {
        return Ok(());
    }
    let words = if lost.len() == 1 { "part of it has" } else { "parts of it have" };
    let count = lost.len();
    let message = format!("{file}: {count} {words} no place in {place}; nothing was written");
    let mut error = CliError::usage(message);
    error.shown = json;
    Err(error.hint("change them in the file, or take the rest: `--partial`"))
}

fn export_cases(config: &Path, args: &ExportArgs, json: bool) -> Result<()> {
    let (cases, of) = match &args.file {
        Some(file) => (read(file, &Defaults::AS_WRITTEN)?, file.display().to_string()),
        None => (gate::file_cases(&load(config)?)?, "the project".to_owned()),
    };
    let (bytes, lost) = match args.to {
        To::Jsonl => (export::lines(&cases).into_bytes(), Vec::new()),
        To::Csv => export::table(&cases),
    };
    let refused = !lost.is_empty() && !args.partial;
    name(&lost, &[], json);
    if !refused && let Some(out) = &args.out {
        export::write(out, &bytes, args.replace)?;
    }
    if json {
        let written = args.out.as_ref().filter(|_| !refused);
        let rows: Vec<_> = cases.iter().map(export::members).collect();
        let shown = written.is_none().then_some(rows);
        output::json(&json!({
            "count": cases.len(), "lost": lost, "written": written, "cases": shown,
        }));
    } else if !refused {
        match &args.out {
            None => output::raw(&String::from_utf8_lossy(&bytes)),
            Some(out) => output::line(format!("{} cases: {}", cases.len(), out.display())),
        }
    }
    verdict(&of, "a table", &lost, args.partial, json)
}

/// The cases of a file.
fn read(file: &Path, defaults: &Defaults<'_>) -> Result<Vec<Case>> {
    let cases = gate::read_file(Path::new(""), file, Severity::Normal, defaults)?;
    cases.ok_or_else(|| absent(file))
}

fn absent(file: &Path) -> CliError {
    CliError::usage(format!("{} does not exist", file.display()))
}

fn check(args: &CheckArgs, json: bool) -> Result<()> {
    let defaults = Defaults { latency_ms: 10_000, ..Defaults::default() };
    let (mut cases, mut notes) = (Spool::new(Path::new("")), CaseNotes::default());
    let mut files: Vec<(&PathBuf, BTreeMap<&str, usize>)> = Vec::new();
    for file in &args.files {
        let mut risks: BTreeMap<&str, usize> = BTreeMap::new();
        let how = (Severity::Normal, &defaults);
        let is_there = gate::each_case(Path::new(""), file, how, &mut |case| {
            *risks.entry(case.risk.as_str()).or_default() += 1;
            notes.add(&case);
            gate::put_aside(&mut cases, case)
        })?;
        if !is_there {
            return Err(absent(file));
        }
        files.push((file, risks));
    }
    let set = CaseSet { cases: cases.rows() };
    set.check_ids().map_err(|error| {
        CliError::usage(error.to_string()).hint("give one of them another id, or remove it")
    })?;
    let notes = notes.sentences();
    if json {
        let row = |(file, risks): &(&PathBuf, BTreeMap<&str, usize>)| {
            let count: usize = risks.values().sum();
            json!({"file": file, "count": count, "risks": risks})
        };
        let files: Vec<Value> = files.iter().map(row).collect();
        output::json(&json!({"count": set.cases.len(), "files": files, "notes": notes}));
        return Ok(());
    }
    for (file, risks) in &files {
        let total: usize = risks.values().sum();
        let of = Risk::ALL.map(Risk::as_str).into_iter();
        let of: Vec<String> =
            of.filter_map(|risk| Some(format!("{risk} {}", risks.get(risk)?))).collect();
        output::line(format!("{}: {total} cases: {}", file.display(), of.join(", ")));
    }
    for note in &notes {
        output::line(format!("{}  {note}", paint(Tone::Yellow, "note")));
    }
    Ok(())
}
