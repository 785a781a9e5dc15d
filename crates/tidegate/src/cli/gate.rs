//! `tidegate gate`: may it be released, and may the step that a written gate guards be taken.

use super::backend::read_state;
use super::eval::{EvalArgs, ask_and_show};
use crate::clock::Clock;
use crate::config::{Loaded, load};
use crate::control::require_contract;
use crate::error::{CliError, Result};
use crate::gate::{judge_written, latest_report};
use crate::output;
use crate::store::Store;
use crate::version_set::{PackOverrides, pack};
use clap::Args;
use serde_json::json;
use std::path::Path;
use tidegate_core::gate::{WrittenAnswer, WrittenGate};

/// What a gate takes.
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// One of the gates that the project's policy writes, and nothing else: `gate_1` before the
    /// service is shared, `gate_2` before the next GPU hour is rented, `gate_3` before anything is
    /// fine-tuned. Asks no model.
    #[arg(value_name = "GATE", value_parser = written)]
    written: Option<WrittenGate>,
    #[command(flatten)]
    eval: EvalArgs,
}

fn written(given: &str) -> Result<WrittenGate, String> {
    let gate = WrittenGate::ALL.into_iter().find(|gate| gate.as_str() == given);
    gate.ok_or_else(|| "allowed are gate_1, gate_2 and gate_3".to_owned())
}

/// Runs `tidegate gate`: the contract, the gate before sharing, then the cases.
pub(crate) async fn run(config: &Path, args: &GateArgs, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let overrides = args.eval.overrides()?;
    if let Some(gate) = args.written {
        return ask_written(&loaded, &overrides, gate, json);
    }
    require_contract(&loaded.project.contract)?;
    // Before any case is asked: nothing that they answer would change it.
    if let Some(WrittenAnswer { holds, why }) = judged(&loaded, &overrides, WrittenGate::Share)? {
        match holds {
            true => output::stderr(why),
            false => return Err(refused(why)),
        }
    }
    ask_and_show(config, &args.eval, json, true).await
}

fn judged(
    loaded: &Loaded,
    overrides: &PackOverrides,
    gate: WrittenGate,
) -> Result<Option<WrittenAnswer>> {
    let packed = pack(loaded, overrides)?;
    let latest = match Store::exists(&loaded.root) {
        true => {
            let (store, state) = read_state(&loaded.root)?;
            latest_report(&state, &store)?
        }
        false => None,
    };
    Ok(judge_written(loaded, &packed, gate, latest.as_ref(), Clock::Real.now())?)
}

fn refused(why: String) -> CliError {
    CliError::failed(why).hint("the gate is written in the file that `evals.gate` names")
}

fn ask_written(
    loaded: &Loaded,
    overrides: &PackOverrides,
    gate: WrittenGate,
    json: bool,
) -> Result<()> {
    let name = gate.as_str();
    let Some(WrittenAnswer { holds, why }) = judged(loaded, overrides, gate)? else {
        return Err(CliError::failed(format!(
            "{name} is not written, so nothing says that it holds"
        ))
        .hint(format!(
            "name a policy with `evals.gate: evals/gate.yaml`, and write it there: `gates: \
                 {{{name}: {{until: \"a condition\"}}}}`"
        )));
    };
    if json {
        let step = gate.step();
        output::json(&json!({"gate": name, "before": step, "holds": holds, "why": why}));
    } else if holds {
        output::line(&why);
    }
    match holds {
        true => Ok(()),
        false => Err(refused(why)),
    }
}
