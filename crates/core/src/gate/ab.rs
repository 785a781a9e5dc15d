//! A/B: two runs of the same cases beside each other, case by case.
//!
//! The case is the sample: each has one score in each run (the mean over its repeats), so the tests
//! are paired. The number of cases is fixed before anybody looks, so that a plain t-test and its p
//! mean what they say; of traffic that is looked at again and again they do not
//! ([`crate::shadow`]). The t-test of unpaired samples is there beside it for who expects it.

use super::compare::asks;
use super::noise::{ALPHA, mcnemar};
use super::report::{CaseResult, EvalReport};
use super::rows::RowError;
use crate::ids::VersionSetId;
use crate::pairs::{Sample, TTest, paired, welch};
use crate::random::Random;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many samples of the cases the bootstrap draws.
const DRAWS: usize = 10_000;

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AbSide {
    /// The run.
    pub run_id: String,
    /// The set that it asked.
    pub version_set: VersionSetId,
    /// Cases that are compared.
    pub count: usize,
    /// Mean of their scores.
    pub avg_score: f64,
    /// Mean time of an answer, ms.
    pub avg_latency: f64,
    /// Standard deviation of the scores, with `count − 1`.
    pub score_std: f64,
    /// Share of cases that are correct.
    pub accuracy: f64,
}

/// McNemar's exact test of what is correct.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AbMcNemar {
    /// Cases that only A has right.
    pub only_a: u64,
    /// Cases that only B has right.
    pub only_b: u64,
    /// How often chance alone makes them as unequal, two-sided.
    pub p: f64,
}

/// Where the mean difference of scores is, by samples of the cases (percentiles).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AbInterval {
    /// Mean score of B less that of A.
    pub difference: f64,
    /// The lower end, at 95 %.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What two runs say of each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AbReport {
    /// The first.
    #[serde(rename = "A")]
    pub a: AbSide,
    /// The second.
    #[serde(rename = "B")]
    pub b: AbSide,
    /// Of the paired t-test; 1 where no score differs, null with fewer than two cases.
    pub p_value: Option<f64>,
    /// Whether that is below 0.05.
    pub significant: bool,
    /// The paired t-test of scores; absent where no score differs.
    pub paired_t: Option<TTest>,
    /// Welch's t-test of the same scores as if other cases had been asked; absent where it says
    /// nothing.
    pub welch_t: Option<TTest>,
    /// What is right or wrong.
    pub mcnemar: AbMcNemar,
    /// The mean difference.
    pub bootstrap: AbInterval,
    /// Cases of one run that are not compared: absent in the other, asked otherwise, or without an
    /// answer in one.
    pub left_out: Vec<String>,
}

/// What is compared of one result.
#[derive(Debug, Clone, Copy)]
struct OfCase {
    asks: u64,
    answered: bool,
    correct: bool,
    score: f64,
    latency_ms: u64,
}

impl OfCase {
    fn of(result: &CaseResult) -> OfCase {
        OfCase {
            asks: asks(&result.case),
            answered: result.error.is_none(),
            correct: result.is_correct(),
            score: result.score,
            latency_ms: result.latency_ms,
        }
    }
}

/// Compares two runs case by case; `None` where they have no case in common.
///
/// # Errors
/// A result cannot be read.
pub fn compare_ab(a: &EvalReport, b: &EvalReport, seed: u64) -> Result<Option<AbReport>, RowError> {
    let mut others: BTreeMap<String, OfCase> = BTreeMap::new();
    for result in b.results.iter() {
        let result = result?;
        others.insert(result.case.id.clone(), OfCase::of(&result));
    }
    let (mut ones, mut twos, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let mut compared: BTreeSet<String> = BTreeSet::new();
    for result in a.results.iter() {
        let result = result?;
        let (id, one) = (&result.case.id, OfCase::of(&result));
        let other = others.get(id).filter(|other| one.answered && other.answered);
        match other.filter(|other| one.asks == other.asks) {
            Some(other) => {
                ones.push(one);
                twos.push(*other);
                compared.insert(id.clone());
            }
            None => left_out.push(id.clone()),
        }
    }
    if ones.is_empty() {
        return Ok(None);
    }
    left_out.extend(others.into_keys());
    left_out.retain(|id| !compared.contains(id));
    left_out.sort();
    left_out.dedup();
    let scores = |side: &[OfCase]| side.iter().map(|case| case.score).collect::<Vec<f64>>();
    let (one, other) = (scores(&ones), scores(&twos));
    let pairs = || ones.iter().zip(&twos);
    let only_a = pairs().filter(|(a, b)| a.correct && !b.correct).count() as u64;
    let only_b = pairs().filter(|(a, b)| !a.correct && b.correct).count() as u64;
    let paired_t = paired(&one, &other);
    let p_value = paired_t.map(|test| test.p).or((ones.len() > 1).then_some(1.0));
    Ok(Some(AbReport {
        a: side(a, &ones),
        b: side(b, &twos),
        p_value,
        significant: p_value.is_some_and(|p| p < ALPHA),
        paired_t,
        welch_t: welch(&one, &other),
        mcnemar: AbMcNemar { only_a, only_b, p: mcnemar(only_a, only_b) },
        bootstrap: bootstrap(&one, &other, seed),
        left_out,
    }))
}

fn side(report: &EvalReport, cases: &[OfCase]) -> AbSide {
    let scores: Vec<f64> = cases.iter().map(|case| case.score).collect();
    let latencies: Vec<f64> = cases.iter().map(|case| case.latency_ms as f64).collect();
    let sample = Sample::of(&scores);
    let correct = cases.iter().filter(|case| case.correct).count();
    AbSide {
        run_id: report.run_id.clone(),
        version_set: report.version_set.clone(),
        count: sample.count,
        avg_score: sample.mean,
        avg_latency: Sample::of(&latencies).mean,
        score_std: sample.std(),
        accuracy: correct as f64 / cases.len().max(1) as f64,
    }
}

/// The percentile bootstrap of the mean difference, with the case as the sample.
fn bootstrap(a: &[f64], b: &[f64], seed: u64) -> AbInterval {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let count = differences.len().max(1);
    let mut random = Random::new(seed, "bootstrap of cases");
    let mut drawn = || {
        let picked = (0..count).map(|_| differences.get(random.index(count)).unwrap_or(&0.0));
        picked.sum::<f64>() / count as f64
    };
    let mut means: Vec<f64> = (0..DRAWS).map(|_| drawn()).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * (DRAWS - 1) as f64).round() as usize;
        means.get(place).copied().unwrap_or_default()
    };
    let difference = Sample::of(&differences).mean;
    AbInterval { difference, low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
#[path = "ab/tests.rs"]
mod tests;
