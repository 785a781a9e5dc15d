//! Pairs: two answers to the *same* request, one of stable and one of the candidate, beside each
//! other.
//!
//! A split compares different requests of different users, so most of what it sees is how much
//! requests differ. A pair has one request, so that cancels. What is left is the difference `d` of
//! the pair, from −1 to 1, read as harm: above 0 the candidate is worse.
//!
//! - [`Differences`] counts them. Its odds are an e-process, as in [`crate::decide`]: looking
//!   after each pair is free.
//! - [`PairLine`] compares one metric with its limit: within it, over it, or neither.
//! - [`welch`] and [`paired`] are the t-tests for a number of cases that is fixed before; they are
//!   not for looking again and again.
//!
//! The promise is about the requests that were mirrored, as they came: it needs no independence of
//! pairs, only that at each moment the mean difference is what the null says. It does not say that
//! other users ask alike; a caller who sends most of the requests is most of the evidence.

mod differences;
mod line;
mod t_test;

pub use differences::{Differences, relative};
pub use line::{Limit, PairLine, PairMetric, PairUnit, PairVerdict, Verdicts, verdict};
pub use t_test::{Sample, TTest, paired, welch};

#[cfg(test)]
mod tests;
