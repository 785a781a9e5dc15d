//! `tidegate check`: everything that can be said without asking a model, and with `--live` whether
//! the model answers.

use super::SetArgs;
use crate::clock::Clock;
use crate::config::{Loaded, load};
use crate::control::{replay, require_contract, require_same_service};
use crate::error::{CliError, ErrorKind, Result};
use crate::gate::{case_notes, load_cases, smoke};
use crate::output::{self, Tone, paint};
use crate::store::{Access, Sets as _, Store};
use crate::version_set::{LiveSet, PackedSet, pack, warnings};
use clap::Args;
use serde_json::json;
use std::path::Path;
use tidegate_core::evidence::GateStatus;

/// What a check takes.
#[derive(Debug, Default, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Ask the model one question as well: address, key and model name.
    #[arg(long)]
    live: bool,
}

/// Checks the project step by step; later steps need the earlier ones.
pub(crate) async fn run(config: &Path, args: &CheckArgs, json: bool) -> Result<()> {
    let mut steps: Vec<(&str, Result<String>)> = Vec::new();
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
            let live = LiveSet::new(&packed, &loaded.root, &Clock::Real);
            steps.push((
                "templates, schema and upstream",
                live.map(|live| format!("model {}", live.model)),
            ));
            let cases = load_cases(&loaded, &packed);
            let notes = cases.as_ref().map(case_notes).unwrap_or_default();
            steps.push((
                "eval cases",
                cases.map(|cases| format!("{} cases over all five risks", cases.cases.len())),
            ));
            steps.extend(notes.into_iter().map(|note| ("warning", Ok(note))));
            if args.live {
                steps.push(("model", live_answer(&loaded, &packed).await));
            }
        }
        Err(error) => steps.push(("version set", Err(error))),
    }
    let contract = require_contract(&loaded.project.contract);
    steps.push(("release contract", contract.map(|()| "all five questions answered".to_owned())));
    if Store::exists(&loaded.root) {
        steps.push(("state", state(&loaded)));
    }
    report(&steps, json)
}

/// One question to the model.
async fn live_answer(loaded: &Loaded, packed: &PackedSet) -> Result<String> {
    let run = smoke(loaded, packed, &Clock::Real).await?;
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
        return Ok(format!("journal, {sets} version set{s} and their files are whole"));
    }
    let damaged = CliError::internal(format!("damaged: {}", problems.join("; ")));
    Err(damaged.hint("take `.tidegate/` from a backup"))
}

fn report(steps: &[(&str, Result<String>)], json: bool) -> Result<()> {
    let mut failed = Vec::new();
    let mut kind = ErrorKind::Usage;
    for (name, result) in steps {
        match result {
            Ok(text) if *name == "warning" => row(json, paint(Tone::Yellow, "!"), name, text),
            Ok(text) => row(json, paint(Tone::Green, "✓"), name, text),
            Err(error) => {
                row(json, paint(Tone::Red, "✗"), name, &error.message);
                for hint in &error.hints {
                    row(json, " ".to_owned(), "  hint", hint);
                }
                kind = error.kind;
                failed.push(*name);
            }
        }
    }
    if json {
        let rows: Vec<_> = steps
            .iter()
            .map(|(name, result)| match result {
                Ok(text) => json!({ "check": name, "ok": true, "detail": text }),
                Err(e) => {
                    json!({ "check": name, "ok": false, "detail": e.message, "hints": e.hints })
                }
            })
            .collect();
        output::json(&rows);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut error = CliError::usage(format!("not ready: {}", failed.join(", ")));
    error.kind = kind;
    Err(error.told())
}

fn row(json: bool, mark: String, name: &str, text: &str) {
    if !json {
        output::line(format!("{mark} {} {text}", output::padded(name, 31)));
    }
}
