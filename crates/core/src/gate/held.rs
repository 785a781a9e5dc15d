//! Whether a run holds what its policy demands.
//!
//! Order: prompt lints and named cases that are not in the run fail it, whatever else it shows;
//! then [`verdict_on`]. Nothing that a policy adds turns a fail into a pass.

use super::policy::GatePolicy;
use super::report::{CaseResult, GateVerdict, verdict_on};
use std::collections::BTreeSet;

/// The verdict over all cases with its reasons; `lints` is what was found in the prompt, a sentence
/// each.
pub fn judge_run(
    policy: &GatePolicy,
    results: &[CaseResult],
    lints: &[String],
) -> (GateVerdict, Vec<String>) {
    let found = lints.iter().filter(|_| policy.lints);
    let mut failed: Vec<String> = found.map(|lint| format!("prompt lint: {lint}")).collect();
    let asked: BTreeSet<&str> = results.iter().map(|result| result.case.id.as_str()).collect();
    for (what, named) in [("red-line", &policy.red_lines), ("blocking", &policy.blocking)] {
        let absent = named.iter().filter(|id| !asked.contains(id.as_str()));
        failed.extend(absent.map(|id| format!("{what} case `{id}` is not in this run")));
    }
    let (verdict, reasons) = verdict_on(results, &policy.thresholds);
    if failed.is_empty() {
        return (verdict, reasons);
    }
    if verdict == GateVerdict::Fail {
        failed.extend(reasons);
    }
    (GateVerdict::Fail, failed)
}

#[cfg(test)]
#[path = "held/tests.rs"]
mod tests;
