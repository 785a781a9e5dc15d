//! Gate: cases + scores → pass, fail or inconclusive.
//!
//! The first thing a run shows is its failure table by class, never one average. A failing blocking
//! or red-line case fails the gate alone, and so does a case whose request always fails while the
//! upstream answers others. Any other missing answer is an infrastructure error, not a failure, and
//! makes the gate inconclusive, as does an answer whose judge did not answer; only then do the
//! thresholds count.

mod ab;
mod agreement;
mod case;
mod check;
mod compare;
mod drop;
mod held;
mod judge;
mod kind;
mod labels;
mod likeness;
mod markup;
mod noise;
mod outside;
mod panel;
mod policy;
mod report;
mod rows;
mod runs;
mod sample;
mod score;
mod slice;
mod spent;
mod sql;
mod tally;
#[cfg(test)]
mod testing;
mod written;

pub use ab::{AbInterval, AbMcNemar, AbReport, AbSide, compare_ab};
pub use agreement::{Agreement, JudgeRecord};
pub use case::{
    ADVERSARIAL_INPUTS, Case, CaseSet, CaseSetError, Checks, Handling, HumanLabel, Risk, Severity,
    adversarial_cases,
};
pub use check::Check;
pub use compare::{Comparing, RunBefore, compare_runs};
pub use drop::{Judged, judge_drop, worse};
pub use held::judge_run;
pub use judge::{
    CalledTool, Found, check_value, fold_case_and_width, judge_grounding, judge_text, judge_tools,
    levenshtein, result_names,
};
pub use kind::{CheckKind, CheckRow, NoSuchCheck, Takes, Tokens};
pub use labels::Labelled;
pub use likeness::{Measure, bleu, chrf, exact_match, gleu, measure, rouge_l, rouge_n, token_f1};
pub use noise::{
    ALPHA, POWER, PREDICTABILITY, PairedTest, Repeats, Stability, detectable_drop, holm, mcnemar,
    predictability, sign_flips,
};
pub use outside::{Brought, Need, Source, cosine, found, need, source};
pub use panel::{About, Question, family};
pub use policy::{GatePolicy, HeldTo, JudgedBy};
pub use report::{
    ACCURACY, CaseResult, EvalReport, FailureRow, GateVerdict, ModelFiles, RunComparison,
    Unanswered,
};
pub use rows::{KeptRows, RowError, Rows};
pub use runs::{QueryError, RunQuery, RunRow};
pub use score::{
    CORRECT_FROM, CheckResult, RED_LINE, fails_hard, legacy_score, mean_score, renormalised_score,
};
pub use slice::{SLICE, SLICE_CASES_MIN, SliceRow, TAG, WORST_SLICE};
pub use spent::mean;
pub use tally::Tally;
pub use written::{Known, TRIED_BEFORE, Until, WrittenAnswer, WrittenGate, WrittenRecord};
