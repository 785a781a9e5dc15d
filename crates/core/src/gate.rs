//! Gate: cases + scores → pass, fail or inconclusive.
//!
//! The first thing a run shows is its failure table by class, never one average (R30). A failing
//! blocking or red-line case fails the gate alone; a missing answer is an error, not a failure, and
//! makes the gate inconclusive; only then do the thresholds count.

mod case;
mod report;

pub use case::{
    ADVERSARIAL_INPUTS, Case, CaseSet, CaseSetError, Checks, Risk, Severity, adversarial_cases,
};
pub use report::{
    ACCURACY, CORRECT_FROM, CaseResult, CheckResult, Comparison, EvalReport, FailureRow,
    GateVerdict, ReportDetail, asks_the_same, compare_runs, failure_table, legacy_score, metrics,
    verdict, verdict_on,
};
