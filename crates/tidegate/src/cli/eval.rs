//! `tidegate eval` and `tidegate gate`.

use super::SetArgs;
use super::backend::{Backend, read_state};
use crate::clock::Clock;
use crate::config::load;
use crate::control::{Command, require_contract};
use crate::error::{CliError, Result};
use crate::gate;
use crate::output;
use crate::store::{Access, Sets as _, Store};
use crate::view;
use clap::Args;
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tidegate_core::gate::{EvalReport, GateVerdict};
use tidegate_core::ids::ChangeId;

/// What an eval takes.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Cases as CSV, JSONL, YAML or a JSON list, instead of the project's. The environment's
    /// EVAL_DATASET says the same, and TEST_MODEL the same as `--model`.
    #[arg(long, env = "EVAL_DATASET", hide_env = true)]
    cases: Option<OsString>,
    /// Accuracy the gate needs, 0 to 1, instead of the project's.
    #[arg(long, env = "THRESHOLD_SCORE", hide_env = true)]
    threshold: Option<String>,
    /// Ask each case this many times and average its score.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(gate::REPEAT_MAX)))]
    repeat: u32,
    /// Ask with production's decoding settings instead of temperature 0.
    #[arg(long)]
    as_served: bool,
    /// Ask the cases that a release wrote back, on its own set as it was served, and mark each with
    /// how often it failed again.
    #[arg(long, value_name = "CHANGE_ID")]
    #[arg(conflicts_with_all = ["cases", "prompt", "model", "upstream"])]
    replay: Option<String>,
    /// Also write a JUnit report here.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Also fill `pass` and `notes` of this case file, which may be the project's own; what people
    /// wrote there stays.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Runs the eval, shows it, keeps it.
pub(crate) async fn run(config: &Path, args: &EvalArgs, json: bool) -> Result<()> {
    match &args.replay {
        Some(change_id) => replay(config, change_id, json).await,
        None => ask_and_show(config, args, json, false).await,
    }
}

/// Replays what a release wrote back.
async fn replay(config: &Path, change_id: &str, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let (store, state) = read_state(&loaded.root)?;
    let release =
        ChangeId::parse(change_id).ok().and_then(|id| Some((state.releases.get(&id)?, id)));
    let Some((release, change_id)) = release else {
        return Err(CliError::usage(format!("this project has no release `{change_id}`"))
            .hint("`tidegate release status` lists the releases"));
    };
    let packed = store.set(&release.plan.to)?;
    let rates = gate::replay(&loaded, &packed, &change_id, &Clock::Real).await?;
    if json {
        let rows: Vec<_> = rates
            .iter()
            .map(|(id, rate)| json!({"case_id": id, "failed": rate.failed, "asked": rate.asked}))
            .collect();
        output::json(&rows);
        return Ok(());
    }
    for (id, rate) in &rates {
        output::line(format!("{id}  failed again in {} of {} replays", rate.failed, rate.asked));
    }
    Ok(())
}

/// The same, after the contract: the question a pipeline asks.
pub(crate) async fn gate(config: &Path, args: &EvalArgs, json: bool) -> Result<()> {
    let loaded = load(config)?;
    require_contract(&loaded.project.contract)?;
    ask_and_show(config, args, json, true).await
}

async fn ask_and_show(config: &Path, args: &EvalArgs, json: bool, whole_set: bool) -> Result<()> {
    let report = ask(config, args, whole_set).await?;
    show(&report, json);
    verdict(&report)
}

fn is_table(cases: &Path) -> bool {
    gate::Form::of(cases) == gate::Form::Table
}

/// A variable that a pipeline sets to nothing counts as not set.
fn not_empty(text: &&String) -> bool {
    !text.trim().is_empty()
}

fn threshold(given: &str) -> Result<f64> {
    let number = given.trim().parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| {
        CliError::usage(format!("threshold `{given}` is not a number from 0 to 1"))
            .hint("0.85 is 85 %")
    })
}

/// Asks the cases. Given by hand, and not as a table, `eval` takes any number of them of any risk;
/// a gate and the project's own files must be a whole eval set.
async fn ask(config: &Path, args: &EvalArgs, gate: bool) -> Result<EvalReport> {
    let mut loaded = load(config)?;
    let given = args.cases.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    if let Some(cases) = given {
        loaded.project.evals.cases = std::path::absolute(cases)
            .map_err(|e| CliError::usage(format!("`{}`: {e}", cases.display())))?;
    }
    if let Some(given) = args.threshold.as_ref().filter(not_empty) {
        loaded.project.evals.threshold = threshold(given)?;
    }
    let mut overrides = args.set.overrides();
    let test_model = std::env::var("TEST_MODEL").ok();
    overrides.model = overrides.model.or(test_model.filter(|model| not_empty(&model)));
    let asking = gate::Asking {
        repeat: args.repeat,
        as_served: args.as_served,
        whole_set: gate || given.is_none_or(is_table),
    };
    let mut backend = Backend::connect(config).await?;
    let report = match &backend {
        Backend::Server(_) => {
            let store = Store::open(&loaded.root, Access::Read)?;
            gate::eval_project(&loaded, &overrides, asking, &store, &Clock::Real).await?
        }
        Backend::Here(control) => {
            let store = control.store();
            gate::eval_project(&loaded, &overrides, asking, store, &Clock::Real).await?
        }
    };
    let path = gate::save(&report, &loaded.root)?;
    output::stderr(format!("report: {}", path.display()));
    if let Some(path) = &args.junit {
        write(path, &gate::junit(&report))?;
    }
    if let Some(path) = &args.csv {
        let cases = loaded.root.join(&loaded.project.evals.cases);
        let cases = Some(cases.as_path()).filter(|path| is_table(path));
        gate::fill_csv(&report, path, cases)?;
    }
    backend.command(Command::RecordEval(Box::new(report.clone()))).await?;
    Ok(report)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|e| CliError::usage(format!("cannot write {}: {e}", path.display())))
}

fn show(report: &EvalReport, json: bool) {
    if json {
        output::json(report);
        return;
    }
    for line in view::eval(report) {
        output::line(line);
    }
}

fn verdict(report: &EvalReport) -> Result<()> {
    let mut why = report.reasons.first().cloned().unwrap_or_default();
    match report.reasons.len() {
        0 | 1 => {}
        2 => why.push_str(" (and 1 more reason above)"),
        several => why.push_str(&format!(" (and {} more reasons above)", several - 1)),
    }
    match report.verdict {
        GateVerdict::Pass => Ok(()),
        GateVerdict::Fail => Err(CliError::failed(format!("the gate fails: {why}")).shown()),
        GateVerdict::Inconclusive => {
            Err(CliError::inconclusive(format!("the gate is inconclusive: {why}"))
                .hint("what the model server said is in the table above; fix that and run it again")
                .shown())
        }
    }
}
