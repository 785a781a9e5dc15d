//! Asking written-back cases again on the set that failed, as it was served.
//!
//! A case that never fails there proves nothing about the set that comes next: the cause may lie in
//! the conversation before the question, or in an hour's load. Each case is marked with its rate,
//! `reproduced: 2/5`.

use super::error::GateError;
use super::load::{Defaults, read_jsonl, read_text};
use super::replace_file;
use super::run::{RunOptions, run};
use super::tape::Tape;
use super::write_back::WRITTEN_BACK_REPEAT;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::spending::Spending;
use crate::version_set::{LiveSet, PackedSet};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::gate::{Case, CaseResult, CaseSet, RowError, Rows, Severity};
use tidegate_core::ids::ChangeId;
use tidegate_core::upstream::Failure;

/// How often one case failed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rate {
    /// Replays that failed.
    pub(crate) failed: u32,
    /// Replays that say something; an upstream that cannot be reached says nothing.
    pub(crate) asked: u32,
}

/// Replays the cases that a release wrote back on its set, and marks them in the regression file.
/// Gives the rate of each by its id; what it costs goes to `spending`.
///
/// # Errors
/// A usage error when the release wrote no case or the regression file cannot be read, an internal
/// one when it cannot be written.
pub(crate) async fn replay(
    loaded: &Loaded,
    packed: &PackedSet,
    change_id: &ChangeId,
    clock: &Clock,
    spending: &Arc<Spending>,
) -> Result<BTreeMap<String, Rate>, GateError> {
    let path = &loaded.project.evals.regression;
    let text = read_text(&loaded.root, path)?.unwrap_or_default();
    let defaults = Defaults {
        as_written: false,
        latency_ms: loaded.project.evals.latency_ms,
        contract: loaded.project.contract.output.as_ref(),
    };
    let prefix = format!("reg-{change_id}-");
    let mut cases = read_jsonl(&text, path, Severity::Blocking, &defaults)?;
    cases.retain(|case| case.id.starts_with(&prefix));
    if cases.is_empty() {
        let (release, file) = (change_id.clone(), path.clone());
        return Err(GateError::NothingToReplay { release, file });
    }
    let live = Arc::new(LiveSet::new(packed, &loaded.root, clock)?);
    let cases = CaseSet::from(copies(&cases));
    let options = RunOptions::of(loaded, packed, &cases.cases, clock, Some(spending))?;
    let options = RunOptions { as_served: true, ..options };
    let report = run(&live, &cases, &options, &Tape::default(), clock).await?;
    let rates = rates(&report.results)?;
    let marked = marked(&text, &rates)?;
    replace_file(&loaded.root.join(path), marked.as_bytes())
        .map_err(|source| GateError::Unwritten { what: path.display().to_string(), source })?;
    Ok(rates)
}

/// Each case as often as it is replayed; a run would give one result for its repeats.
fn copies(cases: &[Case]) -> Vec<Case> {
    let copy = |case: &Case| {
        let mut copy = case.clone();
        copy.handling.repeat = None;
        copy
    };
    let repeats = |case: &Case| case.handling.repeat.unwrap_or(WRITTEN_BACK_REPEAT);
    cases.iter().flat_map(|case| (0..repeats(case)).map(move |_| copy(case))).collect()
}

/// The rate of each case; a fault of the way to the upstream is not counted.
fn rates(results: &Rows<CaseResult>) -> Result<BTreeMap<String, Rate>, RowError> {
    let mut rates: BTreeMap<String, Rate> = BTreeMap::new();
    for result in results.iter() {
        let result = result?;
        let rate = rates.entry(result.case.id.clone()).or_default();
        let failure = result.unanswered.and_then(|unanswered| unanswered.failure);
        let is_unjudged = result.error.is_some() && result.actual.is_some();
        let says_nothing = is_unjudged
            || matches!(
                failure,
                Some(
                    Failure::Unreachable
                        | Failure::RateLimited
                        | Failure::AccountLimit
                        | Failure::Credential
                )
            );
        if !says_nothing {
            rate.asked += 1;
            rate.failed += u32::from(!result.is_correct());
        }
    }
    Ok(rates)
}

/// The regression file with the rates in the lines of these cases; other lines keep every byte.
fn marked(text: &str, rates: &BTreeMap<String, Rate>) -> Result<String, GateError> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let members: Option<Map<String, Value>> = serde_json::from_str(line).ok();
        let id = members.as_ref().and_then(|members| members.get("case_id")?.as_str());
        match (id.and_then(|id| rates.get(id)).copied(), members.clone()) {
            (Some(Rate { failed, asked }), Some(mut members)) if asked > 0 => {
                members.insert("reproduced".to_owned(), format!("{failed}/{asked}").into());
                let line = serde_json::to_string(&members)
                    .map_err(|source| GateError::NoJson { what: "a case", source })?;
                out.push_str(&line);
                out.push('\n');
            }
            _ => out.push_str(line),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_replayed_cases_are_marked() {
        let text = "{\"case_id\": \"mine\",  \"input\": \"手写\"}\n\
            {\"case_id\":\"reg-a-1\",\"input\":\"q\",\"reproduced\":\"0/5\"}\n\n\
            {\"case_id\":\"reg-a-2\",\"input\":\"q\"}";
        let rate = |failed, asked| Rate { failed, asked };
        let rates = BTreeMap::from([
            ("reg-a-1".to_owned(), rate(2, 5)),
            ("reg-a-2".to_owned(), rate(0, 0)),
        ]);
        assert_eq!(
            marked(text, &rates).unwrap(),
            "{\"case_id\": \"mine\",  \"input\": \"手写\"}\n\
             {\"case_id\":\"reg-a-1\",\"input\":\"q\",\"reproduced\":\"2/5\"}\n\n\
             {\"case_id\":\"reg-a-2\",\"input\":\"q\"}",
            "and nothing is said where nothing answered"
        );
    }
}
