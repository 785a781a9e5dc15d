//! What the gate demands: the project's thresholds, its policy file, and the prompt's own.

use super::error::GateError;
use super::load::{load_cases, prompt_config};
use super::outside::asked;
use crate::config::{GateFile, Loaded, is_this_machine, listen_addr};
use crate::store::{Evals as _, Store};
use crate::version_set::PackedSet;
use std::collections::BTreeMap;
use tidegate_core::gate::{
    ACCURACY, Case, EvalReport, GatePolicy, HeldTo, JudgedBy, Known, Rows, Source, WORST_SLICE,
    WrittenAnswer, WrittenGate,
};
use tidegate_core::ids::UnixMs;
use tidegate_core::journal::ControlState;

/// What is demanded of a run of this set on these cases. Of two thresholds for one metric the
/// higher counts: a prompt's own raise the bar and never lower it. The judge counts where a case
/// asks it.
///
/// # Errors
/// The policy cannot be read, or a prompt's threshold is not between 0 and 1.
pub(crate) fn policy_of(
    loaded: &Loaded,
    packed: &PackedSet,
    cases: &Rows<Case>,
) -> Result<GatePolicy, GateError> {
    policy_with(loaded, packed, cases, loaded.project.evals.threshold)
}

/// What a run is held to; `accuracy` is that of the command line instead of the project's.
///
/// # Errors
/// As [`policy_of`].
pub(crate) fn held_to(
    loaded: &Loaded,
    packed: &PackedSet,
    cases: &Rows<Case>,
    accuracy: Option<f64>,
) -> Result<HeldTo, GateError> {
    let own = policy_of(loaded, packed, cases)?;
    Ok(match accuracy {
        None => HeldTo::of(own),
        Some(accuracy) => HeldTo::new(policy_with(loaded, packed, cases, accuracy)?, &own),
    })
}

fn policy_with(
    loaded: &Loaded,
    packed: &PackedSet,
    cases: &Rows<Case>,
    accuracy: f64,
) -> Result<GatePolicy, GateError> {
    let evals = &loaded.project.evals;
    let file = gate_file(loaded)?;
    let prompt = prompt_config(packed)?;
    let prompt = prompt.as_ref().map(|(config, file)| (&config.thresholds, file.as_str()));
    let judge = match &evals.judge {
        Some(judge) if asked(cases)?.contains(&Source::Judge) => {
            Some(JudgedBy { model: judge.model.clone(), version: judge.version.clone() })
        }
        Some(_) | None => None,
    };
    let demanded = demands(accuracy, evals.worst_slice, prompt, file)?;
    Ok(GatePolicy { max_drop: evals.max_drop, judge, ..demanded })
}

/// Every demand; `prompt` is a prompt's own thresholds and the file that they are in.
fn demands(
    accuracy: f64,
    worst_slice: Option<f64>,
    prompt: Option<(&BTreeMap<String, f64>, &str)>,
    file: Option<GateFile>,
) -> Result<GatePolicy, GateError> {
    let mut policy = GatePolicy::default();
    let mut needs = |metric: &str, bar: f64, place: String| {
        if !(0.0..=1.0).contains(&bar) {
            return Err(GateError::Threshold { place, bar });
        }
        let highest = policy.thresholds.entry(metric.to_owned()).or_insert(bar);
        *highest = bar.max(*highest);
        Ok(())
    };
    needs(ACCURACY, accuracy, "evals.threshold".to_owned())?;
    if let Some(bar) = worst_slice {
        needs(WORST_SLICE, bar, "evals.worst_slice".to_owned())?;
    }
    let (thresholds, name) = prompt.map_or((None, ""), |(all, name)| (Some(all), name));
    for (metric, bar) in thresholds.into_iter().flatten() {
        needs(metric, *bar, format!("{name}: thresholds.{metric}"))?;
    }
    let Some(file) = file else { return Ok(policy) };
    for (metric, bar) in file.thresholds() {
        let place = format!("evals.gate: {metric}");
        needs(&metric, bar, place)?;
    }
    let GateFile { blocking, red_lines, lints, .. } = file;
    Ok(GatePolicy { blocking, red_lines, lints, ..policy })
}

/// The policy file, where the project names one.
///
/// # Errors
/// It cannot be read.
pub(crate) fn gate_file(loaded: &Loaded) -> Result<Option<GateFile>, GateError> {
    Ok(GateFile::of(loaded).map_err(super::CasesError::from)?)
}

/// How a gate that the user wrote comes out now; `None` where the policy does not have it.
///
/// # Errors
/// The policy, or the latest eval run, cannot be read.
pub(crate) fn judge_written(
    loaded: &Loaded,
    packed: &PackedSet,
    gate: WrittenGate,
    latest: Option<&EvalReport>,
    now: UnixMs,
) -> Result<Option<WrittenAnswer>, GateError> {
    let Some(until) = gate_file(loaded)?.and_then(|file| file.written(gate)) else {
        return Ok(None);
    };
    let cases = load_cases(loaded, packed).map(|set| set.cases.len());
    let rows = latest.into_iter().flat_map(|report| &report.failure_table);
    let failing = rows.flat_map(|row| row.failed.iter().map(|(id, _)| id.clone()));
    let stop_path = !loaded.project.contract.missing().contains(&"stop_path");
    let known = Known {
        now,
        protection: protection(loaded),
        cases: cases.map_err(|error| error.to_string()),
        stop_path,
        failing: failing.collect(),
    };
    Ok(Some(until.judge(gate, &known)))
}

/// The report of the latest eval run, of whatever set.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn latest_report(
    state: &ControlState,
    store: &Store,
) -> Result<Option<EvalReport>, GateError> {
    let Some((set, _)) = state.eval_runs.iter().max_by_key(|(_, run)| run.at) else {
        return Ok(None);
    };
    Ok(store.latest_eval(set)?)
}

/// How the endpoint is protected.
fn protection(loaded: &Loaded) -> Option<String> {
    let project = &loaded.project;
    if project.asks() {
        return Some("the endpoint asks for a key".to_owned());
    }
    let own = listen_addr(&project.listen).is_some_and(|address| is_this_machine(address.ip()));
    own.then(|| format!("only this machine reaches the endpoint, {}", project.listen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompts_thresholds_raise_the_bar() {
        let prompt = |accuracy: f64| {
            BTreeMap::from([("accuracy".to_owned(), accuracy), ("safety".to_owned(), 0.99)])
        };
        let of = |accuracy: f64| {
            let policy = demands(0.85, None, Some((&prompt(accuracy), "v3/config.yaml")), None);
            policy.map(|policy| policy.thresholds)
        };
        assert_eq!(of(0.9).unwrap()["accuracy"], 0.9);
        assert_eq!(of(0.5).unwrap()["accuracy"], 0.85);
        assert_eq!(of(0.5).unwrap()["safety"], 0.99);
        let error = of(90.0).unwrap_err().to_string();
        assert_eq!(error, "v3/config.yaml: thresholds.accuracy is 90; it must be between 0 and 1");
        assert!(of(f64::NAN).is_err());
        let error = demands(85.0, None, None, None).unwrap_err().to_string();
        assert_eq!(error, "evals.threshold is 85; it must be between 0 and 1");
    }
}
