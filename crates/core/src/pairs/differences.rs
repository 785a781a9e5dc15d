//! Differences within pairs, counted, and the bets on their mean.
//!
//! Against "the mean difference is at most m" a bet multiplies its stake by 1 + λ(d − m) for each
//! pair. Under the null that is at most 1 on average, whatever came before, so the stake is a
//! supermartingale and by Ville's inequality reaches 1/α with probability at most α, over all
//! looks together (Waudby-Smith & Ramdas 2024). λ is fixed before: the stake is then a function of
//! the counts alone, so the order of pairs does not matter and parts merge exactly. Twelve λ at
//! once, since the best one, about the difference over its variance, is not known; a mean of
//! stakes is a stake, and the price is at most ln 12 = 2.5 nats.

use crate::decide::mean_stake;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many λ are bet at once. Each is two thirds of the one before: the nearest is then within a
/// fifth of the best, which costs 4 % of the pairs. The smallest fits a difference of a hundredth.
const BETS: usize = 12;

/// The largest share of the stake that one pair may take.
const STAKE_MAX: f64 = 0.95;

/// How much smaller each λ is than the one before.
const STEP: f64 = 1.5;

/// A difference of 1, in the whole numbers that are counted.
const ONE: f64 = 1_000.0;

/// Two numbers as a difference from −1 to 1 that depends on their ratio alone: (b − a) / (b + a).
/// 0 where both are 0 (nothing was used on either side); twice as much is a third. Swapping the
/// two changes the sign and nothing else.
pub fn relative(a: f64, b: f64) -> f64 {
    if a + b > 0.0 { (b - a) / (b + a) } else { 0.0 }
}

/// The differences of pairs, to a thousandth, with how often each was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(i16, u64)>", into = "Vec<(i16, u64)>")]
pub struct Differences {
    counts: BTreeMap<i16, u64>,
}

/// A list, since a key of JSON is a text.
impl From<Differences> for Vec<(i16, u64)> {
    fn from(differences: Differences) -> Vec<(i16, u64)> {
        differences.counts.into_iter().collect()
    }
}

impl From<Vec<(i16, u64)>> for Differences {
    fn from(list: Vec<(i16, u64)>) -> Differences {
        let mut differences = Differences::default();
        for (thousandths, times) in list {
            differences.add_times(f64::from(thousandths) / ONE, times);
        }
        differences
    }
}

impl Differences {
    /// Counts one pair: its difference, −1 to 1, above 0 where the candidate is worse. What is
    /// outside counts as the nearest end; what is no number counts as nothing.
    pub fn add(&mut self, difference: f64) {
        self.add_times(difference, 1);
    }

    /// Counts as many pairs with the same difference.
    pub fn add_times(&mut self, difference: f64, times: u64) {
        if difference.is_nan() || times == 0 {
            return;
        }
        // Half a thousandth goes away from 0 on both sides, so swapping the arms changes the sign.
        let thousandths = (difference.clamp(-1.0, 1.0) * ONE).round() as i16;
        let count = self.counts.entry(thousandths).or_default();
        *count = count.saturating_add(times);
    }

    /// Adds another part's pairs.
    pub fn merge(&mut self, other: &Differences) {
        for (difference, times) in &other.counts {
            let count = self.counts.entry(*difference).or_default();
            *count = count.saturating_add(*times);
        }
    }

    /// The same without these, which it has.
    #[must_use]
    pub fn without(&self, these: &Differences) -> Differences {
        let left = |(difference, times): (&i16, &u64)| {
            let taken = these.counts.get(difference).copied().unwrap_or_default();
            let left = times.saturating_sub(taken);
            (left > 0).then_some((*difference, left))
        };
        Differences { counts: self.counts.iter().filter_map(left).collect() }
    }

    /// The same with the arms swapped.
    #[must_use]
    pub fn swapped(&self) -> Differences {
        Differences { counts: self.counts.iter().map(|(d, times)| (-d, *times)).collect() }
    }

    /// Pairs.
    pub fn pairs(&self) -> u64 {
        self.counts.values().fold(0, |sum, times| sum.saturating_add(*times))
    }

    /// Pairs in which the candidate is worse, and in which it is better.
    pub fn worse_and_better(&self) -> (u64, u64) {
        let count = |is: fn(i16) -> bool| {
            let these = self.counts.iter().filter(|(difference, _)| is(**difference));
            these.map(|(_, times)| *times).sum()
        };
        (count(|difference| difference > 0), count(|difference| difference < 0))
    }

    /// The mean difference; `None` without pairs.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.each().map(|(difference, times)| difference * times).sum();
        let pairs = self.pairs();
        (pairs > 0).then(|| sum / pairs as f64)
    }

    /// ln of the odds that the mean difference is over `limit`, −1 < limit < 1.
    pub fn log_odds_over(&self, limit: f64) -> f64 {
        self.log_odds(limit, |difference| difference, 1.0)
    }

    /// ln of the odds that the mean difference is below `limit`, −1 < limit < 1.
    pub fn log_odds_within(&self, limit: f64) -> f64 {
        self.log_odds(-limit, |difference| -difference, 1.0)
    }

    /// Where the mean difference is, at every moment at once, wrong with probability at most
    /// `alpha`.
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        // One side is wrong with half of it each.
        let level = (2.0 / alpha).ln();
        let high = self.edge(|limit| self.log_odds_within(limit) >= level);
        let mirrored = self.swapped();
        let low = -mirrored.edge(|limit| mirrored.log_odds_within(limit) >= level);
        (low, high)
    }

    /// About how many pairs like these it takes, in all, until the odds reach `level` (their
    /// logarithm) that the mean difference is within the limit, or over it. `None` where pairs
    /// like these never get there.
    pub fn needed(&self, limit: f64, is_over: bool, level: f64) -> Option<u64> {
        const MOST: f64 = 1e9;
        let pairs = self.pairs() as f64;
        let odds = |all: f64| match is_over {
            true => self.log_odds(limit, |difference| difference, all / pairs),
            false => self.log_odds(-limit, |difference| -difference, all / pairs),
        };
        if pairs == 0.0 || odds(MOST) < level {
            return None;
        }
        let (mut few, mut enough) = (1.0, MOST);
        while enough - few > 0.5 && enough / few > 1.0001 {
            let middle = f64::sqrt(few * enough);
            if odds(middle) >= level { enough = middle } else { few = middle }
        }
        Some(enough.ceil() as u64)
    }

    /// ln of the mean stake against "at most `limit`" over the differences as `read` gives them,
    /// each counted `scale` times as often.
    fn log_odds(&self, limit: f64, read: fn(f64) -> f64, scale: f64) -> f64 {
        let lambdas: [f64; BETS] =
            std::array::from_fn(|bet| STAKE_MAX / STEP.powi(bet as i32) / (1.0 + limit));
        let mut growth = [0.0; BETS];
        for (difference, times) in self.each() {
            let gain = read(difference) - limit;
            for (growth, lambda) in growth.iter_mut().zip(lambdas) {
                *growth += times * scale * (lambda * gain).ln_1p();
            }
        }
        mean_stake(&growth, 1.0)
    }

    /// The smallest limit that `holds`, which holds for all above it; 1 where none does.
    fn edge(&self, holds: impl Fn(f64) -> bool) -> f64 {
        // Nothing is bet at the ends themselves.
        let (mut out, mut inside) = (-0.999_999, 0.999_999);
        if !holds(inside) {
            return 1.0;
        }
        for _ in 0..50 {
            let middle = f64::midpoint(out, inside);
            if holds(middle) { inside = middle } else { out = middle }
        }
        inside
    }

    fn each(&self) -> impl Iterator<Item = (f64, f64)> {
        self.counts.iter().map(|(difference, times)| (f64::from(*difference) / ONE, *times as f64))
    }
}
