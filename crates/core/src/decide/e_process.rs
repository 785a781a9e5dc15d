//! The e-process of one rule: for any null "the harm is at most (or at least) so much", a number
//! that is 1 : 1 before the first outcome and whose expectation is at most 1 while the null holds.
//! So it reaches 1/α with probability α at most, however often one looks (Ville's inequality). It
//! is kept as a logarithm, and shown to people as odds.
//!
//! The e-values of strata multiply, and the result is the weighted mean of several products, one
//! from each stratum on (see `starts`). A release that was good for hours and then turns bad is not
//! excused by its past, because the product from the last doubling on does not contain it. And an
//! hour in which stable was far from its anchor does not hold a release for ever.
//!
//! At full weight nobody is on stable. Only then is the candidate compared with what stable did
//! before. That is weaker, and the reason says so: whatever changes with time looks like an effect
//! of the candidate. A hold-back keeps a control there.

use super::bets::{Against, BETS, Null, Pair, add_growth, growth_bound, mean_stake};
use super::harm::harm_point;
use super::levels::{LN_ODDS_MAX, level};
use super::means::{self, Sums, SumsPair};
use super::plan::{BandUnit, LineRule};
use super::starts::{mean_of_starts, sum_of_parts, weight_of_start};
use super::strata::{Cell, TAIL_FROM};
use super::tally::{MetricKind, Share};
use super::yardstick::Yardstick;
use crate::route::Weight;

/// At full weight, stable requests below this share of the candidate's are stragglers, no control.
const STRAGGLERS: f64 = 0.005;

/// The outcomes of one rule, stratum by stratum, ready to be tested.
pub(super) struct EProcess<'a> {
    pub(super) rule: &'a LineRule,
    unit: BandUnit,
    arms: Arms,
    /// The design effect, at least 1: every logarithm is divided by it; see `clusters`.
    pub(super) effect: f64,
    /// Whether, at full weight, the candidate is compared with what stable did before.
    pub(super) alone: bool,
}

enum Arms {
    Rates(Vec<Pair>),
    Tails(Vec<TailPair>),
    Means(Vec<SumsPair>),
}

/// A stratum's tails: the pair without the candidate's sum, which depends on the harm.
struct TailPair {
    anchor_us: f64,
    pair: Pair,
    /// Lower edge, upper edge, values in this bucket and all above.
    beyond: Vec<(f64, f64, f64)>,
}

/// The result of testing one null.
pub(super) struct Test {
    /// The harm of its null, and on which side of it the null is.
    pub(super) harm: f64,
    pub(super) against: Against,
    /// The chance of refuting a null that holds.
    pub(super) alpha: f64,
    /// ln of the e-value; exact unless it refutes the null or is over [`LN_ODDS_MAX`].
    log_e: f64,
    /// The growth of the bets from each start on, the whole first, where bets were made.
    growth: Vec<[f64; BETS]>,
}

impl Test {
    /// Whether its null is refuted.
    pub(super) fn is_proven(&self) -> bool {
        self.log_e >= level(self.alpha)
    }

    /// The e-value as odds, within the range that is shown.
    pub(super) fn odds(&self) -> f64 {
        self.log_e.clamp(-LN_ODDS_MAX, LN_ODDS_MAX).exp()
    }
}

impl<'a> EProcess<'a> {
    /// From the strata's cells of this rule, by what was reported.
    pub(super) fn new<'s>(
        rule: &'a LineRule,
        cells: impl Iterator<Item = (&'s Cell, Weight)>,
        effect: f64,
    ) -> EProcess<'a> {
        EProcess::by(Yardstick::Reported, rule, cells, effect)
    }

    /// From the strata's cells of this rule, by this yardstick.
    pub(super) fn by<'s>(
        by: Yardstick,
        rule: &'a LineRule,
        cells: impl Iterator<Item = (&'s Cell, Weight)>,
        effect: f64,
    ) -> EProcess<'a> {
        let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
        let scale = match rule.metric.kind() {
            MetricKind::Mean { scale, .. } => scale,
            MetricKind::Rate(_) | MetricKind::Quantile { .. } => 1.0,
        };
        let (mut rates, mut tails, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        let mut before = Before::default();
        for (cell, weight) in cells {
            match cell {
                Cell::Rate { anchor: None, .. } => {}
                Cell::Rate { anchor: Some(anchor), stable, candidate } => {
                    let stable = before.rate(*stable, candidate.n, weight);
                    rates.push(pair(*anchor, stable, *candidate));
                }
                Cell::Tail { anchor_us: None, .. } => {}
                Cell::Tail { anchor_us: Some(anchor_us), share, stable, candidate, beyond } => {
                    let stable = before.rate(*stable, *candidate, weight);
                    let new = Share { n: *candidate, milli: 0 };
                    let mut above = 0.0;
                    let mut edges: Vec<_> = beyond.buckets().map(float).collect();
                    for edge in edges.iter_mut().rev() {
                        above += edge.2;
                        edge.2 = above;
                    }
                    let pair = pair(*share, stable, new);
                    tails.push(TailPair { anchor_us: *anchor_us as f64, pair, beyond: edges });
                }
                Cell::Mean { stable, candidate, estimated } => {
                    let (stable, candidate) = match (by, estimated.as_deref()) {
                        (Yardstick::Reported, _) => (*stable, *candidate),
                        (Yardstick::Estimated, Some(both)) => *both,
                        // Nothing that could be compared.
                        (_, _) => continue,
                    };
                    let (stable, candidate) = (stable.sums(scale), candidate.sums(scale));
                    sums.push((before.sums(stable, candidate.n, weight), candidate));
                }
            }
        }
        let arms = match rule.metric.kind() {
            MetricKind::Rate(_) => Arms::Rates(rates),
            MetricKind::Quantile { .. } => Arms::Tails(tails),
            MetricKind::Mean { .. } => Arms::Means(sums),
        };
        EProcess { rule, unit, arms, effect, alone: before.used }
    }

    /// The candidate's samples that count.
    pub(super) fn samples(&self) -> f64 {
        match &self.arms {
            Arms::Rates(pairs) => pairs.iter().map(|pair| pair.candidate_n).sum(),
            Arms::Tails(tails) => tails.iter().map(|tail| tail.pair.candidate_n).sum(),
            Arms::Means(sums) => sums.iter().map(|(_, new)| new.by).sum(),
        }
    }

    /// ln of the e-value against a harm of at most, or at least, `harm`.
    pub(super) fn against(&self, harm: f64, against: Against) -> f64 {
        self.up_to(f64::INFINITY, harm, against).0
    }

    /// Whether the e-value against a harm of at most, or at least, `harm` reaches `goal`, a
    /// logarithm.
    pub(super) fn proves(&self, goal: f64, harm: f64, against: Against) -> bool {
        self.up_to(goal, harm, against).0 >= goal
    }

    /// The test at this chance of an error whether the harm is at most, or at least, `harm`.
    pub(super) fn test(&self, alpha: f64, harm: f64, against: Against) -> Test {
        // More changes neither the verdict nor the numbers shown.
        let enough = level(alpha).max(LN_ODDS_MAX);
        let (log_e, growth) = self.up_to(enough, harm, against);
        Test { harm, against, alpha, log_e, growth }
    }

    /// ln of the e-value against a harm of at most, or at least, `harm`: exact below `enough`, else
    /// any number from `enough` on. With it, where all bets were needed, their growth from each
    /// start on, the whole release first.
    fn up_to(&self, enough: f64, harm: f64, against: Against) -> (f64, Vec<[f64; BETS]>) {
        let null = self.null(harm);
        match &self.arms {
            Arms::Rates(pairs) => self.bet(enough, pairs.iter().copied(), null, against),
            Arms::Tails(tails) => {
                let pairs = tails.iter().map(|tail| self.cut(tail, harm));
                self.bet(enough, pairs, null, against)
            }
            Arms::Means(sums) => {
                let line = (null.kappa, null.offset);
                let from_each = means::log_e_values(sums, line, against, self.effect);
                (mean_of_starts(from_each), vec![])
            }
        }
    }

    /// ln of the test's e-value if everything had been seen twice: what more of the same would add.
    pub(super) fn repeated(&self, test: &Test) -> f64 {
        match &self.arms {
            // Twice the counts is twice the growth.
            Arms::Rates(_) | Arms::Tails(_) => {
                mean_of_starts(test.growth.iter().map(|g| mean_stake(g, self.effect / 2.0)))
            }
            Arms::Means(sums) => {
                let twice = sums.iter().map(|(old, new)| (old.twice(), new.twice())).collect();
                let twice = EProcess { arms: Arms::Means(twice), ..*self };
                twice.against(test.harm, test.against)
            }
        }
    }

    /// The strata of a rate, for tests of other nulls; `None` for tails and means.
    pub(super) fn pairs(&self) -> Option<&[Pair]> {
        match &self.arms {
            Arms::Rates(pairs) => Some(pairs),
            Arms::Tails(_) | Arms::Means(_) => None,
        }
    }

    /// The odds against this null, where they refute it at this chance of an error; of rates only.
    pub(super) fn refutes(&self, null: Null, alpha: f64) -> Option<f64> {
        let pairs = self.pairs()?;
        let most: f64 = pairs.iter().map(|pair| growth_bound(pair, null)).sum();
        if most < level(alpha) * self.effect {
            return None;
        }
        let enough = level(alpha).max(LN_ODDS_MAX);
        let (log_e, _) = self.bet(enough, pairs.iter().copied(), null, Against::AtMost);
        (log_e >= level(alpha)).then(|| log_e.min(LN_ODDS_MAX).exp())
    }

    /// Whether the e-value against a harm of at most `harm` can reach `goal`, a logarithm: a bound
    /// that is cheap to compute. Most looks at most lines end here.
    pub(super) fn may_be_over(&self, harm: f64, goal: f64) -> bool {
        let null = self.null(harm);
        let most: f64 = match &self.arms {
            Arms::Rates(pairs) => pairs.iter().map(|pair| growth_bound(pair, null)).sum(),
            Arms::Tails(tails) => {
                tails.iter().map(|tail| growth_bound(&self.cut(tail, harm), null)).sum()
            }
            Arms::Means(_) => f64::INFINITY,
        };
        most >= goal * self.effect
    }

    /// [`EProcess::up_to`] by bets on these pairs, from the newest on: they hold most requests, so
    /// what is beyond doubt is found there, without the others.
    fn bet(
        &self,
        enough: f64,
        pairs: impl DoubleEndedIterator<Item = Pair> + ExactSizeIterator,
        null: Null,
        against: Against,
    ) -> (f64, Vec<[f64; BETS]>) {
        let mut growth = [0.0; BETS];
        let mut from_each = vec![[0.0; BETS]; pairs.len()];
        let mut parts = vec![0.0; pairs.len()];
        for (start, pair) in pairs.enumerate().rev() {
            add_growth(&pair, null, against, &mut growth);
            let stake = mean_stake(&growth, self.effect);
            let part = stake + weight_of_start(start).ln();
            if part >= enough {
                return (part, vec![]);
            }
            (from_each[start], parts[start]) = (growth, part);
        }
        (sum_of_parts(&parts), from_each)
    }

    fn null(&self, harm: f64) -> Null {
        // Up to the floor, more is the same; a gain is a gain without it.
        let floor = if harm >= 0.0 { self.rule.floor } else { 0.0 };
        match (&self.arms, self.unit) {
            (Arms::Tails(_), _) => Null { kappa: 1.0, offset: 0.0 },
            (Arms::Rates(_), BandUnit::Points) => Null { kappa: 1.0, offset: harm + floor },
            (Arms::Rates(_), BandUnit::Relative) => {
                Null { kappa: (1.0 - harm).max(1e-6), offset: harm + floor }
            }
            (Arms::Means(_), _) => Null { kappa: (1.0 + harm).max(1e-6), offset: floor },
        }
    }

    /// Counts the candidate's values beyond the point where stable's, this much slower, would lie.
    ///
    /// The bucket that holds the point counts in part, as if its values lay evenly in it: it is
    /// 1.6 % wide, and to count it whole against the bet would cost an eighth of the growth at a
    /// margin of 13 %, where the error of the even spread is below a thousandth of the tail.
    fn cut(&self, tail: &TailPair, harm: f64) -> Pair {
        let floor_us = if harm >= 0.0 { self.rule.floor * 1000.0 } else { 0.0 };
        let point = tail.anchor_us * (1.0 + harm) + floor_us;
        let first = tail.beyond.partition_point(|(_, upper, _)| *upper <= point);
        let above = |at: usize| tail.beyond.get(at).map_or(0.0, |(_, _, above)| *above);
        let within = above(first) - above(first + 1);
        let below = tail.beyond.get(first).map_or(0.0, |(lower, upper, _)| {
            ((point - lower) / (upper + 1.0 - lower)).clamp(0.0, 1.0)
        });
        Pair { candidate_x: above(first) - within * below, ..tail.pair }
    }

    /// The harm that the strata show together, each weighted by how much it can show; NaN without
    /// samples side by side.
    pub(super) fn estimate(&self) -> f64 {
        match &self.arms {
            Arms::Rates(pairs) => {
                let weighted = || pairs.iter().map(|p| (weight(p.stable_n, p.candidate_n), p));
                let stable = mean(weighted().map(|(weight, p)| (weight, p.stable_x / p.stable_n)));
                let new =
                    mean(weighted().map(|(weight, p)| (weight, p.candidate_x / p.candidate_n)));
                self.harm(stable, new)
            }
            Arms::Means(sums) => {
                let weighted = || sums.iter().map(|pair| (weight(pair.0.by, pair.1.by), pair));
                let stable = mean(weighted().map(|(weight, (old, _))| (weight, old.mean())));
                let new = mean(weighted().map(|(weight, (_, new))| (weight, new.mean())));
                self.harm(stable, new)
            }
            Arms::Tails(tails) => self.tail_estimate(tails),
        }
    }

    /// How much slower stable would have to be for as much of it to lie beyond as of the candidate.
    fn tail_estimate(&self, tails: &[TailPair]) -> f64 {
        // What does not depend on the harm is worked out once.
        let weighted: Vec<(f64, &TailPair)> = tails
            .iter()
            .map(|tail| (weight(tail.pair.stable_n, tail.pair.candidate_n), tail))
            .collect();
        let rate = |of: &dyn Fn(&TailPair) -> f64| {
            mean(weighted.iter().map(|(weight, tail)| (*weight, of(tail))))
        };
        let stable = rate(&|tail| tail.pair.stable_x / tail.pair.stable_n);
        let excess = |harm: f64| {
            rate(&|tail| self.cut(tail, harm).candidate_x / tail.pair.candidate_n) - stable
        };
        if excess(0.0).is_nan() {
            return f64::NAN;
        }
        let (mut low, mut high) = (TAIL_FROM - 1.0, 1.0);
        while excess(high) > 0.0 && high < 1e4 {
            (low, high) = (high, high * 4.0);
        }
        for _ in 0..12 {
            let middle = f64::midpoint(low, high);
            if excess(middle) > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        // Within a bucket's width of nothing it is nothing.
        let middle = f64::midpoint(low, high);
        if middle.abs() < 1.0 / 64.0 { 0.0 } else { middle }
    }

    /// Harm in the band's unit of these two values.
    fn harm(&self, stable: f64, candidate: f64) -> f64 {
        harm_point(self.rule, self.unit, stable, candidate)
    }

    /// The ends beyond which the harm is refuted, at these levels (logarithms): the
    /// largest harm that it is proven over, and the smallest that it is proven within.
    pub(super) fn interval(&self, over: f64, within: f64) -> (Option<f64>, Option<f64>) {
        let estimate = self.estimate();
        if !estimate.is_finite() {
            return (None, None);
        }
        let is_over = |harm: f64| self.proves(over, harm, Against::AtMost);
        let is_within = |harm: f64| self.proves(within, harm, Against::AtLeast);
        let least = match (&self.arms, self.unit) {
            (Arms::Rates(_), _) => -0.999,
            (Arms::Tails(_), _) => TAIL_FROM - 1.0,
            (Arms::Means(_), _) => -0.95,
        };
        let most = if matches!(self.arms, Arms::Rates(_)) { 0.999 } else { 100.0 };
        (edge(estimate, least, is_over), edge(estimate, most, is_within))
    }
}

/// Walks from `from` towards `to` until `holds`, then bisects; `None` if it never does.
fn edge(from: f64, to: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    let sign = if to > from { 1.0 } else { -1.0 };
    let (mut fails, mut step) = (from, 0.005);
    let mut found = loop {
        let next = from + sign * step;
        if (next - to) * sign >= 0.0 {
            break holds(to).then_some(to)?;
        }
        if holds(next) {
            break next;
        }
        (fails, step) = (next, step * 2.0);
    };
    for _ in 0..7 {
        let middle = f64::midpoint(fails, found);
        if holds(middle) {
            found = middle;
        } else {
            fails = middle;
        }
    }
    Some(found)
}

/// What stable did in the strata before, for the one where nobody is on it.
#[derive(Default)]
struct Before {
    share: Share,
    sums: Sums,
    used: bool,
}

impl Before {
    fn rate(&mut self, stable: Share, candidate: u64, weight: Weight) -> Share {
        if self.is_needed(stable.n as f64, candidate as f64, weight) {
            return self.share;
        }
        self.share.add(stable);
        stable
    }

    fn sums(&mut self, stable: Sums, candidate: f64, weight: Weight) -> Sums {
        if self.is_needed(stable.n, candidate, weight) {
            return self.sums;
        }
        self.sums.add(&stable);
        stable
    }

    fn is_needed(&mut self, stable: f64, candidate: f64, weight: Weight) -> bool {
        let alone = weight == Weight::FULL && candidate > 0.0 && stable < STRAGGLERS * candidate;
        self.used |= alone;
        alone
    }
}

fn pair(anchor: f64, stable: Share, candidate: Share) -> Pair {
    let (old, new) = (stable.n as f64, candidate.n as f64);
    Pair {
        share: (new / (old + new)).clamp(1e-4, 1.0 - 1e-4),
        anchor,
        stable_n: old,
        stable_x: stable.sum(),
        candidate_n: new,
        candidate_x: candidate.sum(),
    }
}

fn float((lower, upper, count): (u64, u64, u64)) -> (f64, f64, f64) {
    (lower as f64, upper as f64, count as f64)
}

/// How much a stratum can show of a difference, by the samples of both arms; 0 where one has none.
fn weight(stable_n: f64, candidate_n: f64) -> f64 {
    let both = stable_n > 0.0 && candidate_n > 0.0;
    if both { stable_n * candidate_n / (stable_n + candidate_n) } else { 0.0 }
}

/// The mean of values with their weights, those without weight left out; NaN where all are.
fn mean(weighed: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut weights, mut sum) = (0.0, 0.0);
    for (weight, value) in weighed.filter(|(weight, _)| *weight > 0.0) {
        weights += weight;
        sum += weight * value;
    }
    sum / weights
}

#[cfg(test)]
mod tests;
