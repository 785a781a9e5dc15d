//! `tidegate check`: everything that can be said without asking a model, and with `--live` whether
//! the model answers.

use super::SetArgs;
use crate::clock::Clock;
use crate::config::{Loaded, Workspace, load};
use crate::control::{replay, require_contract, require_same_service};
use crate::error::{CliError, Result};
use crate::gate::{case_notes, load_cases};
use crate::index::outdated;
use crate::output::{self, Tone, paint};
use crate::smoke::ask_set;
use crate::store::{Access, Lost, LostRecords, Records as _, Sets as _, Store};
use crate::version_set::{LiveSet, PackedSet, pack, warnings};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tidegate_core::evidence::GateStatus;

/// What a check takes.
#[derive(Debug, Default, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Also ask the model one question, to check address, key and model name.
    #[arg(long)]
    live: bool,
    /// Check every project of a workspace file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "model", "upstream", "label"])]
    workspace: Option<PathBuf>,
}

/// What was checked, and what came of it.
type Step = (&'static str, Result<String>);

/// Checks the project, or each of a workspace.
pub(crate) async fn run(config: &Path, args: &CheckArgs, json: bool) -> Result<()> {
    let Some(file) = &args.workspace else {
        let steps = steps(config, args).await?;
        show(&steps, json);
        if json {
            output::json(&rows(&steps));
        }
        return verdict(&steps);
    };
    let mut all = Vec::new();
    let mut failed = None;
    for project in &Workspace::read(file)?.projects {
        if !json {
            output::line(paint(Tone::Bold, &project.display().to_string()));
        }
        // A project file that cannot be read is a step that failed: the others are checked too.
        let steps = match steps(project, args).await {
            Ok(steps) => steps,
            Err(error) => vec![("project file", Err(error))],
        };
        show(&steps, json);
        failed = failed.or(verdict(&steps).err());
        all.push(json!({ "project": project, "checks": rows(&steps) }));
    }
    if json {
        output::json(&all);
    }
    failed.map_or(Ok(()), Err)
}

/// Checks a project step by step; later steps need the earlier ones.
async fn steps(config: &Path, args: &CheckArgs) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let loaded = load(config)?;
    steps.push((
        "project file",
        Ok(format!("{} is service `{}`", config.display(), loaded.project.service)),
    ));
    match pack(&loaded, &args.set.overrides()) {
        Ok(packed) => {
            steps.push(("version set", Ok(format!("{} ({})", packed.set.id, packed.label))));
            for warning in warnings(&packed) {
                steps.push(("warning", Ok(warning.clone())));
            }
            steps.extend(outdated(&loaded).map(|warning| ("warning", Ok(warning))));
            let live = LiveSet::new(&packed, &loaded.root, &Clock::Real);
            steps.push((
                "templates, schema and upstream",
                live.map(|live| format!("model {}", live.model)).map_err(CliError::from),
            ));
            let cases = load_cases(&loaded, &packed);
            let notes = cases.as_ref().ok().map(|set| case_notes(&set.cases)).transpose()?;
            steps.push((
                "eval cases",
                cases
                    .map(|cases| format!("{} cases over all five risks", cases.cases.len()))
                    .map_err(CliError::from),
            ));
            steps.extend(notes.into_iter().flatten().map(|note| ("warning", Ok(note))));
            if args.live {
                steps.push(("model", live_answer(&loaded, &packed).await));
            }
        }
        Err(error) => steps.push(("version set", Err(error.into()))),
    }
    let contract = require_contract(&loaded.project.contract);
    let contract = contract.map(|()| "all five questions answered".to_owned());
    steps.push(("release contract", contract.map_err(CliError::from)));
    if Store::exists(&loaded.root) {
        steps.push(("state", state(&loaded)));
    }
    Ok(steps)
}

/// One question to the model.
async fn live_answer(loaded: &Loaded, packed: &PackedSet) -> Result<String> {
    let run = ask_set(loaded, packed, &Clock::Real).await?;
    let first = run.text.lines().next().unwrap_or_default().to_owned();
    match run.status {
        GateStatus::Pass => Ok(first),
        GateStatus::Fail | GateStatus::Inconclusive => Err(CliError::failed(first)),
    }
}

/// Reads the whole state; a running server goes on meanwhile.
fn state(loaded: &Loaded) -> Result<String> {
    let store = Store::open(&loaded.root, Access::Read)?;
    let problems = store.integrity()?;
    if problems.is_empty() {
        require_same_service(&replay(&store)?, &loaded.project)?;
        let sets = store.sets()?.len();
        let s = if sets == 1 { "" } else { "s" };
        let whole = format!("journal, records, {sets} version set{s} and their files are whole");
        return Ok(whole + &without_record(store.lost_records()?));
    }
    let damaged = CliError::internal(format!("damaged: {}", problems.join("; ")));
    Err(damaged.hint("take `.tidegate/` from a backup"))
}

/// What processes that were killed have lost; nothing where they have not.
fn without_record(LostRecords { last: _, total, admitted }: LostRecords) -> String {
    let Lost { at_least, at_most } = total;
    let mut text = String::new();
    if at_most > 0 {
        text.push_str(&format!(
            "; {at_least} to {at_most} requests have no record since their process was killed"
        ));
    }
    if admitted > 0 {
        text.push_str(&format!("; of {admitted} requests there is an admission and no record"));
    }
    text
}

fn show(steps: &[Step], json: bool) {
    for (name, result) in steps {
        match result {
            Ok(text) if *name == "warning" => row(json, paint(Tone::Yellow, "!"), name, text),
            Ok(text) => row(json, paint(Tone::Green, "✓"), name, text),
            Err(error) => {
                row(json, paint(Tone::Red, "✗"), name, &error.message);
                for hint in &error.hints {
                    row(json, " ".to_owned(), "  hint", hint);
                }
            }
        }
    }
}

fn rows(steps: &[Step]) -> Vec<Value> {
    let row = |(name, result): &Step| match result {
        Ok(text) => json!({ "check": name, "ok": true, "detail": text }),
        Err(e) => json!({ "check": name, "ok": false, "detail": e.message, "hints": e.hints }),
    };
    steps.iter().map(row).collect()
}

/// An error, shown already, where a step failed; its kind is that of the last one that did.
fn verdict(steps: &[Step]) -> Result<()> {
    let failed: Vec<(&str, &CliError)> =
        steps.iter().filter_map(|(name, result)| Some((*name, result.as_ref().err()?))).collect();
    let Some((_, last)) = failed.last() else { return Ok(()) };
    let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    let mut error = CliError::usage(format!("not ready: {}", names.join(", ")));
    error.kind = last.kind;
    Err(error.shown())
}

fn row(json: bool, mark: String, name: &str, text: &str) {
    if !json {
        let line = format!("{mark} {} {text}", output::padded(name, 31));
        output::wrapped(&line, 34).iter().for_each(output::line);
    }
}
