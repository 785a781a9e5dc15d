//! `tidegate prompt`: the versions of the prompt.

use super::backend::{book, read_state};
use super::operator;
use crate::clock::Clock;
use crate::config::{Loaded, load};
use crate::error::{CliError, Result};
use crate::output::{self, Tone, aligned, paint};
use crate::prompts::import::{self, Format, Named, Written};
use crate::prompts::{Because, Change, Failed, How, Hub, Trial, Version, history, promote, trial};
use crate::spending::Spending;
use crate::store::Store;
use crate::version_set::{
    CONFIG, Edit, Finding, Hunk, PackOverrides, Piece, SYSTEM, USER_TEMPLATE, by_words,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_core::gate::GateVerdict;

/// How much of a case's input is shown, characters.
const INPUT_CHARS_SHOWN: usize = 60;

/// What `tidegate prompt` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PromptCommand {
    /// List the versions: which is current, which is served, what their lints find
    List,
    /// Show a version
    Show {
        /// The version; left out, the current one
        version: Option<String>,
    },
    /// Show what differs between two versions, to the word
    Diff {
        /// The version before
        from: String,
        /// The version after; left out, the current one
        to: Option<String>,
    },
    /// Check a version by its lints, without asking a model
    Lint {
        /// The version; left out, the current one
        version: Option<String>,
        /// Check every version
        #[arg(long, conflicts_with = "version")]
        all: bool,
    },
    /// Test a version: its lints, its own cases, those in tests/prompts, adversarial inputs
    Test(TestArgs),
    /// Make a version current, once its gate has passed; what users see changes by a release
    Promote(PromoteArgs),
    /// Show who changed the prompt, and when
    History,
    /// Import a prompt of another tool as a new version
    Import(ImportArgs),
}

/// What `prompt import` takes.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file: .prompt.yml, .prompty, messages of promptfoo, a prompt of LangSmith or Langfuse
    file: PathBuf,
    /// Its format; left out, by its name and content
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The version to make; left out, the next `v<n>`
    #[arg(long = "as", value_name = "VERSION")]
    version: Option<String>,
    /// Write the version although some of the prompt has no place in it
    #[arg(long)]
    partial: bool,
}

/// What `prompt test` takes.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The version; left out, the current one
    version: Option<String>,
    /// A model instead of the project's
    #[arg(long)]
    model: Option<String>,
    /// An upstream instead of the project's
    #[arg(long)]
    upstream: Option<String>,
    /// Ask each case this many times; a case holds where its mean does
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Also fail an answer to an adversarial input that has "你是" in its first 50 characters or
    /// "system prompt" anywhere; honest answers may have both
    #[arg(long)]
    literal: bool,
}

/// What `prompt promote` takes.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The version
    version: String,
    /// Who promotes it; left out, the environment's USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(config: &Path, command: PromptCommand, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let hub = open(&loaded)?;
    match command {
        PromptCommand::List => list(&hub, json),
        PromptCommand::Show { version } => show(&hub, version.as_deref(), json),
        PromptCommand::Diff { from, to } => diff(&hub, &from, to.as_deref(), json),
        PromptCommand::Lint { version, all } => lint(&hub, version.as_deref(), all, json),
        PromptCommand::Test(args) => test(config, &hub, args, json).await,
        PromptCommand::Promote(args) => move_current(&hub, &args, json),
        PromptCommand::History => show_history(&hub, json),
        PromptCommand::Import(args) => import_file(&hub, &args, json),
    }
}

fn open(loaded: &Loaded) -> Result<Hub<'_>> {
    let kept = match Store::exists(&loaded.root) {
        true => Some(read_state(&loaded.root)?),
        false => None,
    };
    Ok(Hub::open(loaded, kept)?)
}

fn list(hub: &Hub<'_>, json: bool) -> Result<()> {
    let versions = hub.versions()?;
    if json {
        output::json(&versions);
        return Ok(());
    }
    if let Err(error) = hub.folder.current() {
        output::stderr(format!("warning: {error}"));
    }
    let rows: Vec<[String; 5]> = versions.iter().map(row).collect();
    aligned(&rows, 5).iter().for_each(output::line);
    if rows.is_empty() {
        let folder = hub.folder.shown.display();
        output::stderr(format!("there is no version in {folder}"));
        output::stderr(format!("hint: make {folder}/v1/ with {SYSTEM}, {USER_TEMPLATE}, {CONFIG}"));
    }
    Ok(())
}

fn row(version: &Version) -> [String; 5] {
    let current = if version.current { "current" } else { "" };
    let lints = match (version.failures().count(), version.findings.len()) {
        (0, 0) => "lints pass".to_owned(),
        (0, off) => format!("lints pass, {off} off"),
        (failed, _) => format!("{failed} lints fail"),
    };
    [
        version.version.clone(),
        current.to_owned(),
        version.serves.join(", "),
        version.digest.short(12).to_owned(),
        lints,
    ]
}

fn show(hub: &Hub<'_>, version: Option<&str>, json: bool) -> Result<()> {
    let version = hub.version(version)?;
    if json {
        let mut value = serde_json::to_value(&version).unwrap_or_default();
        let text = |bytes: &Vec<u8>| Value::from(String::from_utf8_lossy(bytes));
        let files = version.files.iter().map(|(name, bytes)| (name.clone(), text(bytes)));
        value["files"] = files.collect::<serde_json::Map<_, _>>().into();
        output::json(&value);
        return Ok(());
    }
    let line = row(&version).map(|cell| cell.trim().to_owned());
    let line: Vec<String> = line.into_iter().filter(|cell| !cell.is_empty()).collect();
    output::line(paint(Tone::Bold, &line.join("  ")));
    for (name, bytes) in &version.files {
        output::line(paint(Tone::Dim, &format!("\n{}", version.folder.join(name).display())));
        for line in String::from_utf8_lossy(bytes).lines() {
            output::line(shown(line));
        }
    }
    say_findings(&version.findings);
    Ok(())
}

fn diff(hub: &Hub<'_>, from: &str, to: Option<&str>, json: bool) -> Result<()> {
    let (from, to) = (hub.version(Some(from))?, hub.version(to)?);
    let mut files = Vec::new();
    for name in [SYSTEM, USER_TEMPLATE, CONFIG] {
        let text = |version: &Version| {
            let bytes = version.files.get(name).map(Vec::as_slice).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let hunks = by_words(&text(&from), &text(&to));
        if !hunks.is_empty() {
            files.push((name, hunks));
        }
    }
    if json {
        let files: Vec<Value> =
            files.iter().map(|(name, hunks)| json!({"file": name, "hunks": hunks})).collect();
        output::json(&json!({"from": from.version, "to": to.version, "files": files}));
        return Ok(());
    }
    output::line(format!("{} → {}", from.version, to.version));
    if files.is_empty() {
        output::line("no difference");
    }
    for (name, hunks) in &files {
        output::line(paint(Tone::Bold, &format!("\n{name}")));
        hunks.iter().flat_map(hunk_lines).for_each(output::line);
    }
    Ok(())
}

/// A hunk for people: `[-removed-]` and `{+added+}`, in colour where there is some.
fn hunk_lines(hunk: &Hunk) -> Vec<String> {
    let place = format!("@@ line {} → {} @@", hunk.line_before, hunk.line_after);
    let mut lines = vec![paint(Tone::Dim, &place)];
    let mut line = String::new();
    for Piece { edit, text } in &hunk.pieces {
        for part in text.split_inclusive('\n') {
            let body = part.trim_end_matches(['\n', '\r']);
            let (body, ends) = (shown(body), part.ends_with('\n'));
            match edit {
                Edit::Kept => line.push_str(&body),
                // A line end by itself is seen by the mark.
                Edit::Removed => line.push_str(&paint(Tone::Red, &format!("[-{body}-]"))),
                Edit::Added => line.push_str(&paint(Tone::Green, &format!("{{+{body}+}}"))),
            }
            if ends {
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn lint(hub: &Hub<'_>, version: Option<&str>, all: bool, json: bool) -> Result<()> {
    let versions = match all {
        true => hub.versions()?,
        false => vec![hub.version(version)?],
    };
    let findings: Vec<&Finding> = versions.iter().flat_map(|version| &version.findings).collect();
    let failed = findings.iter().filter(|one| one.counts()).count();
    if json {
        output::json(&json!({"passed": failed == 0, "findings": findings}));
    } else {
        for version in &versions {
            say_findings(&version.findings);
        }
        let names: Vec<&str> = versions.iter().map(|one| one.version.as_str()).collect();
        if failed == 0 {
            output::line(format!("{}: lints pass", names.join(", ")));
        }
    }
    match failed {
        0 => Ok(()),
        _ => {
            let words = if failed == 1 { "lint fails" } else { "lints fail" };
            let mut error = CliError::failed(format!("{failed} {words}"));
            error.shown = json;
            Err(error.hint("each line above says where, and what to do"))
        }
    }
}

fn say_findings(findings: &[Finding]) {
    for one in findings {
        match &one.off {
            None => {
                output::line(format!("{}  {}", paint(Tone::Red, "FAIL"), one.sentence()));
                output::line(format!("      {}", one.hint));
            }
            Some(why) => {
                let why = output::one_line(why);
                output::line(format!("{}   {} ({why})", paint(Tone::Dim, "off"), one.sentence()));
            }
        }
    }
}

async fn test(config: &Path, hub: &Hub<'_>, args: TestArgs, json: bool) -> Result<()> {
    let version = hub.version(args.version.as_deref())?;
    let failed = version.failures().count();
    if failed > 0 {
        say_findings(&version.findings);
        let (words, name) =
            (if failed == 1 { "lint fails" } else { "lints fail" }, &version.version);
        return Err(CliError::failed(format!(
            "prompt {name}: {failed} {words}, no case was asked"
        ))
        .hint(format!("see them alone: `tidegate prompt lint {name}`")));
    }
    let TestArgs { version: _, model, upstream, repeat, literal } = args;
    let overrides = PackOverrides { model, upstream, ..PackOverrides::default() };
    let spending = Arc::new(Spending::new(hub.loaded.project.all_prices().table));
    let how = How { overrides, repeat, literal, spending };
    let tried = trial(hub, &version, &how).await;
    book(config, &how.spending).await;
    let trial = tried?;
    for file in &trial.unread {
        output::stderr(format!("note: {} is no file of cases, not read", file.display()));
    }
    if json {
        output::json(&trial);
    } else {
        say_findings(&version.findings);
        trial.failures.iter().for_each(say_failed);
        let Trial { version, version_set, total, correct, .. } = &trial;
        output::line(format!("{version} in {version_set}: {correct} of {total} cases hold"));
    }
    let not_held = trial.total - trial.correct;
    let name = &trial.version;
    let mut error = match trial.verdict {
        GateVerdict::Pass => return Ok(()),
        GateVerdict::Fail => {
            CliError::failed(format!("prompt {name}: {not_held} cases do not hold"))
        }
        GateVerdict::Inconclusive => {
            let some = "some cases got no answer";
            CliError::inconclusive(format!("prompt {name}: {some}")).hint("run it again")
        }
    };
    error.shown = json;
    Err(error)
}

fn say_failed(failed: &Failed) {
    let Failed { case_id, input, actual: _, problems } = failed;
    let input: String = output::one_line(input).chars().take(INPUT_CHARS_SHOWN).collect();
    output::line(format!("{}  {}  {input}", paint(Tone::Red, "FAIL"), output::one_line(case_id)));
    for problem in problems {
        output::line(format!("      {}", output::one_line(problem)));
    }
}

fn move_current(hub: &Hub<'_>, args: &PromoteArgs, json: bool) -> Result<()> {
    let by = operator(args.by.as_deref())?;
    let (moved, because) = promote(hub, &args.version, &by, Clock::Real.now())?;
    if json {
        output::json(&json!({"moved": moved, "because": because}));
        return Ok(());
    }
    let from = moved.from.as_deref().unwrap_or("none");
    output::line(format!("current: {from} → {}  by {by}", moved.to));
    match because {
        Because::Served(set) => output::line(format!("stable serves it: {set}")),
        Because::Passed { run_id, version_set } => {
            output::line(format!("its gate passed: {run_id} of {version_set}"));
            output::stderr(format!(
                "hint: nothing changed for users; to take it to them: `tidegate release start \
                 --prompt {}`",
                moved.to
            ));
        }
    }
    Ok(())
}

fn show_history(hub: &Hub<'_>, json: bool) -> Result<()> {
    let changes = history(hub)?;
    if json {
        output::json(&changes);
        return Ok(());
    }
    if changes.is_empty() {
        output::line("the prompt was not changed by a release or by `tidegate prompt promote`");
    }
    for change in &changes {
        output::line(match change {
            Change::Promoted(moved) => {
                let from = moved.from.as_deref().unwrap_or("none");
                let (at, by) = (&moved.at, output::one_line(&moved.by));
                format!("{at}  current {from} → {}  by {by}  {}", moved.to, moved.because)
            }
            Change::Released { at, by, from, to, change_id, phase, ended_at, .. } => {
                let ended = ended_at.as_ref().map(|at| format!(" {at}")).unwrap_or_default();
                let by = output::one_line(by);
                format!("{at}  release {from} → {to}  by {by}  {change_id}  {phase}{ended}")
            }
        });
    }
    let last = changes.iter().rev().find_map(|change| match change {
        Change::Promoted(moved) => Some(&moved.to),
        Change::Released { .. } => None,
    });
    if let (Some(last), Ok(current)) = (last, hub.folder.current())
        && *last != current
    {
        output::stderr(format!(
            "warning: current is {current}, and the last promotion was of {last}: the link was \
             moved by hand, or a promotion was cut short"
        ));
    }
    Ok(())
}

fn import_file(hub: &Hub<'_>, args: &ImportArgs, json: bool) -> Result<()> {
    let (imported, format) = import::read(&args.file, args.format)?;
    let refused = !imported.lost.is_empty() && !args.partial;
    let written = match refused {
        true => None,
        false => Some(import::write(hub, &imported, args.version.as_deref())?),
    };
    let findings = match &written {
        Some(written) => hub.version(Some(&written.version))?.findings,
        None => Vec::new(),
    };
    if json {
        output::json(&json!({
            "format": format, "written": written, "lost": imported.lost, "notes": imported.notes,
            "cases": imported.cases.len(), "findings": findings,
        }));
    } else {
        let file = args.file.display();
        for (named, tone, word) in
            [(&imported.lost, Tone::Red, "LOST"), (&imported.notes, Tone::Dim, "note")]
        {
            for Named { place, what } in named {
                let line = output::one_line(&format!("{file}: {place}: {what}"));
                output::line(format!("{}  {line}", paint(tone, word)));
            }
        }
        if let Some(Written { version, folder, cases }) = &written {
            output::line(format!("{version}: {}", folder.display()));
            if let Some(cases) = cases {
                output::line(format!("{} cases: {}", imported.cases.len(), cases.display()));
            }
            say_findings(&findings);
        }
    }
    if !refused {
        return Ok(());
    }
    let count = imported.lost.len();
    let words = if count == 1 { "part of it has" } else { "parts of it have" };
    let mut error = CliError::failed(format!(
        "{}: {count} {words} no place in a prompt version; nothing was written",
        args.file.display()
    ));
    error.shown = json;
    Err(error.hint("change them in the file, or import the rest: `--partial`"))
}

/// A line of a prompt without what a terminal would obey or not show.
fn shown(text: &str) -> String {
    let visible = |c: char| match c {
        '\t' => c,
        c if tidegate_core::text::is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}
