//! Gate: cases + scores → pass, fail or inconclusive.

mod case;
mod report;

pub use case::{Case, CaseSet, CaseSetError, Checks, Risk, Severity};
pub use report::{
    CaseResult, CheckResult, Comparison, EvalReport, FailureRow, GateVerdict, ReportDetail,
    compare_runs, failure_table, verdict,
};
