//! Whether a run holds what its policy demands.
//!
//! Order: prompt lints and named cases that are not in the run fail it, whatever else it shows;
//! then [`Tally::verdict_on`]. Nothing that a policy adds turns a fail into a pass.

use super::policy::GatePolicy;
use super::report::GateVerdict;
use super::tally::Tally;

/// The verdict over all cases with its reasons; `lints` is what was found in the prompt, a sentence
/// each.
pub fn judge_run(
    policy: &GatePolicy,
    tally: &Tally,
    lints: &[String],
) -> (GateVerdict, Vec<String>) {
    let found = lints.iter().filter(|_| policy.lints);
    let mut failed: Vec<String> = found.map(|lint| format!("prompt lint: {lint}")).collect();
    for (what, named) in [("red-line", &policy.red_lines), ("blocking", &policy.blocking)] {
        let absent = named.iter().filter(|id| !tally.has(id));
        failed.extend(absent.map(|id| format!("{what} case `{id}` is not in this run")));
    }
    let (verdict, reasons) = tally.verdict_on(&policy.thresholds);
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
