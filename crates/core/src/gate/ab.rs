//! A/B: two runs of the same cases beside each other, case by case.
//!
//! The case is the sample: each has one score in each run (the mean over its repeats), so the tests
//! are paired. The number of cases is fixed before anybody looks, so that a plain t-test and its p
//! mean what they say; of traffic that is looked at again and again they do not
//! ([`crate::shadow`]). The t-test of unpaired samples is there beside it for who expects it.

use super::noise::{ALPHA, mcnemar};
use super::report::{CaseResult, EvalReport, asks_the_same};
use crate::ids::VersionSetId;
use crate::pairs::{Sample, TTest, paired, welch};
use crate::random::Random;
use serde::Serialize;
use std::collections::BTreeMap;

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

/// Compares two runs case by case; `None` where they have no case in common.
pub fn compare_ab(a: &EvalReport, b: &EvalReport, seed: u64) -> Option<AbReport> {
    let others: BTreeMap<&str, &CaseResult> = by_id(b);
    let both = |one: &CaseResult| {
        let other = *others.get(one.case.id.as_str())?;
        let is_whole = one.error.is_none() && other.error.is_none();
        (is_whole && asks_the_same(&one.case, &other.case)).then_some(other)
    };
    let pairs: Vec<(&CaseResult, &CaseResult)> =
        a.results.iter().filter_map(|one| Some((one, both(one)?))).collect();
    if pairs.is_empty() {
        return None;
    }
    let compared: BTreeMap<&str, ()> =
        pairs.iter().map(|(one, _)| (one.case.id.as_str(), ())).collect();
    let mut left_out: Vec<String> = by_id(a)
        .into_keys()
        .chain(others.into_keys())
        .filter(|id| !compared.contains_key(id))
        .map(str::to_owned)
        .collect();
    left_out.sort();
    left_out.dedup();
    let scores = |which: fn(&(&CaseResult, &CaseResult)) -> f64| pairs.iter().map(which).collect();
    let (one, other): (Vec<f64>, Vec<f64>) = (scores(|p| p.0.score), scores(|p| p.1.score));
    let count = |is: fn(bool, bool) -> bool| {
        pairs.iter().filter(|(a, b)| is(a.is_correct(), b.is_correct())).count() as u64
    };
    let (only_a, only_b) = (count(|a, b| a && !b), count(|a, b| !a && b));
    let paired_t = paired(&one, &other);
    let p_value = paired_t.map(|test| test.p).or((pairs.len() > 1).then_some(1.0));
    Some(AbReport {
        a: side(a, pairs.iter().map(|pair| pair.0)),
        b: side(b, pairs.iter().map(|pair| pair.1)),
        p_value,
        significant: p_value.is_some_and(|p| p < ALPHA),
        paired_t,
        welch_t: welch(&one, &other),
        mcnemar: AbMcNemar { only_a, only_b, p: mcnemar(only_a, only_b) },
        bootstrap: bootstrap(&one, &other, seed),
        left_out,
    })
}

fn by_id(report: &EvalReport) -> BTreeMap<&str, &CaseResult> {
    report.results.iter().map(|result| (result.case.id.as_str(), result)).collect()
}

fn side<'a>(report: &EvalReport, results: impl Iterator<Item = &'a CaseResult>) -> AbSide {
    let results: Vec<&CaseResult> = results.collect();
    let scores: Vec<f64> = results.iter().map(|result| result.score).collect();
    let latencies: Vec<f64> = results.iter().map(|result| result.latency_ms as f64).collect();
    let sample = Sample::of(&scores);
    let correct = results.iter().filter(|result| result.is_correct()).count();
    AbSide {
        run_id: report.run_id.clone(),
        version_set: report.version_set.clone(),
        count: sample.count,
        avg_score: sample.mean,
        avg_latency: Sample::of(&latencies).mean,
        score_std: sample.std(),
        accuracy: correct as f64 / results.len().max(1) as f64,
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
