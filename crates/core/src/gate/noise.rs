//! Noise and change: whether a case is stable, and whether two runs of the same cases differ.
//!
//! The case is the sample, not the repeat: a case that is asked ten times is one pair in every
//! test, with the mean over its repeats. Counting repeats as samples would call chance a proof,
//! since the answers to one question are alike.
//!
//! Both runs asked the same cases, so the tests are paired: McNemar's exact test for what is
//! correct or not, and flips of signs for scores. Several metrics are looked at, so the p-values
//! are Holm's. `bench/metrics.py` compares the numbers with scipy's.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// The metric of [`predictability`].
pub const PREDICTABILITY: &str = "predictability";
/// How often chance alone may look like a change.
pub const ALPHA: f64 = 0.05;
/// How often a change as large as the detectable one is seen.
pub const POWER: f64 = 0.8;
/// Most differences whose sign flips are all tried; beyond, draws are made.
const ALL_FLIPS_MAX: usize = 16;
/// How many draws of signs are made.
const FLIPS: u32 = 10_000;

/// How the repeats of a case went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repeats {
    /// Those with an answer.
    pub answered: u32,
    /// Those that were correct.
    pub passed: u32,
}

/// What the repeats of a case say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Correct in each repeat.
    StablePass,
    /// Correct in some.
    Flaky,
    /// Correct in none.
    StableFail,
}

impl Repeats {
    /// What they say; `None` with fewer than two answers, which say nothing about stability.
    pub fn stability(self) -> Option<Stability> {
        match (self.answered, self.passed) {
            (0 | 1, _) => None,
            (_, 0) => Some(Stability::StableFail),
            (answered, passed) if passed >= answered => Some(Stability::StablePass),
            _ => Some(Stability::Flaky),
        }
    }

    /// How many pairs of answered repeats there are, and in how many of them both are correct or
    /// both are not.
    pub(super) fn pairs(self) -> (u64, u64) {
        let pairs = |of: u32| u64::from(of) * u64::from(of.saturating_sub(1)) / 2;
        let failed = self.answered.saturating_sub(self.passed);
        (pairs(self.answered), pairs(self.passed) + pairs(failed))
    }
}

/// How likely two answers to the same case are both correct or both not, 0 to 1: the mean over the
/// cases of the share of their pairs of repeats that agree. Each case counts alike, however often
/// it was asked. `None` where none has two answers.
pub fn predictability(repeats: impl Iterator<Item = Repeats>) -> Option<f64> {
    let shares = repeats.map(Repeats::pairs).filter(|(all, _)| *all > 0);
    let (sum, cases) = shares.fold((0.0, 0_u64), |(sum, cases), (all, same)| {
        (sum + same as f64 / all as f64, cases + 1)
    });
    (cases > 0).then(|| sum / cases as f64)
}

/// One metric of two runs over the same cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// The metric: `accuracy`, a class of risk, `score`, or a kind of check that measures.
    pub metric: String,
    /// Cases with a value in both runs.
    pub cases: u64,
    /// Its mean in the run before, over these cases.
    pub before: f64,
    /// Its mean now.
    pub now: f64,
    /// How often chance alone makes a difference at least as large, in either direction.
    pub p: f64,
    /// The same after Holm's correction for all metrics of the comparison.
    pub p_holm: f64,
}

impl PairedTest {
    /// Whether the difference is beyond chance.
    pub fn is_change(&self) -> bool {
        self.p_holm <= ALPHA
    }
}

/// McNemar's exact test, two-sided: cases that passed before and fail now beside those that failed
/// and pass. Cases with the same result in both runs say nothing about a change.
pub fn mcnemar(broken: u64, fixed: u64) -> f64 {
    let total = broken + fixed;
    (2.0 * binomial_up_to(broken.min(fixed), total, 0.5)).min(1.0)
}

/// The probability of at most `most` successes in `total` tries of probability `p`, 0 < p < 1.
fn binomial_up_to(most: u64, total: u64, p: f64) -> f64 {
    let (yes, no) = (p.ln(), (1.0 - p).ln());
    let mut log_ways = 0.0;
    let mut sum = 0.0;
    for count in 0..=most.min(total) {
        if count > 0 {
            log_ways += ((total - count + 1) as f64 / count as f64).ln();
        }
        sum += (log_ways + count as f64 * yes + (total - count) as f64 * no).exp();
    }
    sum.min(1.0)
}

/// How often flipping the signs of the differences at random gives a mean at least as far from 0,
/// two-sided. All flips are tried for up to 16 differences that are not 0; beyond,
/// draws that follow from the seed, the observed signs counted as one of them.
pub fn sign_flips(differences: &[f64], seed: u64) -> f64 {
    let changed: Vec<f64> = differences.iter().copied().filter(|value| *value != 0.0).collect();
    let observed = changed.iter().sum::<f64>().abs();
    // Equal sums may differ in their last bits by the order of adding.
    let limit = observed - observed * 1e-12;
    let is_far = |is_negative: &mut dyn FnMut(usize) -> bool| {
        let signed = changed.iter().enumerate();
        let sum: f64 = signed.map(|(at, d)| if is_negative(at) { -d } else { *d }).sum();
        sum.abs() >= limit
    };
    if changed.len() <= ALL_FLIPS_MAX {
        let all = 1_u32 << changed.len();
        let far = (0..all).filter(|signs| is_far(&mut |at| signs & (1 << at) != 0)).count();
        return far as f64 / f64::from(all);
    }
    let mut random = Random::new(seed, "sign flips");
    let far = (0..FLIPS).filter(|_| is_far(&mut |_| random.one_in(2))).count();
    (far as f64 + 1.0) / (f64::from(FLIPS) + 1.0)
}

/// Holm's correction: p-values that keep the chance of any false alarm in the family at alpha.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max(((p.len() - rank) as f64 * p[at]).min(1.0));
        corrected[at] = least;
    }
    corrected
}

/// The smallest drop of accuracy, 0 to 1, that a comparison over so many cases shows in
/// [`POWER`] of runs, where `fixed` cases pass that failed before. `None` where even the loss of
/// all cases would show nothing.
pub fn detectable_drop(cases: u64, fixed: u64) -> Option<f64> {
    let needed = (fixed + 1..=cases).find(|broken| mcnemar(*broken, fixed) <= ALPHA)?;
    let shown = |rate: f64| 1.0 - binomial_up_to(needed - 1, cases, rate);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if shown(middle) < POWER { low = middle } else { high = middle }
    }
    Some((high - fixed as f64 / cases as f64).max(0.0))
}

#[cfg(test)]
#[path = "noise/tests.rs"]
mod tests;
