//! Strata: outcomes are cut so that like is compared with like.
//!
//! A stratum is a stretch of one weight. Within it both arms saw the same hours in one proportion;
//! across a rise they did not, and adding them up would show whatever changes with time for both as
//! a difference between them (Simpson's paradox of every ramp). So arms are compared within strata
//! only, and what was won in each is multiplied.
//!
//! A stratum is opened at each rise, whenever the requests so far have doubled, and when the stable
//! arm's tail has left its anchor. Each opening freezes *anchors* from what came before: the stable
//! arm's rate, and the value its tail is counted beyond. Being from before, they are predictable,
//! which is what makes the bets on them fair. The doubling also gives late trouble a fresh start:
//! see `lines`.

use super::metric::Metric;
use super::plan::Plan;
use super::tally::{MetricKind, Moments, Share};
use super::yardstick::Yardstick;
use crate::observe::{Histogram, Window};
use crate::route::Weight;
use serde::{Deserialize, Serialize};

/// Requests of both arms before anchors are first taken.
const FIRST_ANCHORS: u64 = 25;
/// Outcomes of the stable arm that the anchor of a rate needs.
const RATE_SAMPLES: f64 = 20.0;
/// Outcomes of the stable arm before its anchor is said to have been left.
const DRIFT_SAMPLES: u64 = 100;
/// Samples that an anchor of a tail needs.
pub(super) const TAIL_SAMPLES: u64 = 100;
/// Requests at the last rung after which one that asked for stable would have come.
const NOBODY_AFTER: u64 = 200;
/// Strata kept at most beside those of the ladder's rises, opened by doublings and by drifts.
const DOUBLINGS_MAX: usize = 40;
/// Of these, kept free of drifts: a thousand million requests' worth of doublings.
const DOUBLINGS_KEPT: usize = 26;
/// What of the candidate's tail is kept, from this share of the anchor on.
pub(super) const TAIL_FROM: f64 = 0.7;

/// What one rule counts in a stratum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Cell {
    /// A share of outcomes.
    Rate {
        /// The stable arm's rate before, within (0, 1); while it is not known nothing counts.
        anchor: Option<f64>,
        /// The stable arm's outcomes.
        stable: Share,
        /// The candidate's outcomes.
        candidate: Share,
    },
    /// Values beyond a point of the stable arm's tail.
    Tail {
        /// That point, µs, the lower edge of a bucket; while it is not known nothing counts.
        anchor_us: Option<u64>,
        /// The share of stable's values there or beyond, before: more than 1 − q, and much more
        /// where many values are alike.
        share: f64,
        /// The stable arm's values, and those beyond it.
        stable: Share,
        /// The candidate's values.
        candidate: u64,
        /// Those of them near it or beyond.
        beyond: Histogram,
    },
    /// Sums of a value.
    Mean {
        /// The stable arm's.
        stable: Moments,
        /// The candidate's sums.
        candidate: Moments,
        /// The same of both by our own estimate of tokens, where it was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        estimated: Option<Box<(Moments, Moments)>>,
    },
}

/// A stretch of one weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// The candidate's weight.
    pub weight: Weight,
    /// Requests of both arms before it.
    pub from: u64,
    /// Requests of subjects on stable, and on the candidate: those that the split was asked for.
    pub split: (u64, u64),
    /// One for each rule of the plan, in its order, then one for each metric of an A/B test.
    pub cells: Vec<Cell>,
}

impl Cell {
    /// An empty cell with its anchor from `before`, the stable arm's outcomes until now, of which
    /// `recent` are the newest; from its `days` before the release where those are too few.
    fn open(metric: Metric, days: &Window, before: &Window, recent: &Window) -> Cell {
        match metric.kind() {
            MetricKind::Rate(share) => {
                let enough = |window: &Window| {
                    let seen = share(&window.counts);
                    rate_anchor(seen.sum(), seen.n as f64)
                };
                // All that is known of a rate is better than the little that is newest of a rare
                // one, unless that is enough.
                let anchor = enough(recent).filter(|_| is_enough(share(&recent.counts)));
                let anchor = anchor.or_else(|| enough(before)).or_else(|| enough(days));
                let empty = Share::default();
                Cell::Rate { anchor, stable: empty, candidate: empty }
            }
            MetricKind::Quantile { histogram, q } => {
                let enough = |window: &Window| tail_anchor(histogram(window), q);
                let anchor = enough(recent).or_else(|| enough(before)).or_else(|| enough(days));
                let (anchor_us, share) = anchor.unzip();
                let (stable, beyond) = (Share::default(), Histogram::default());
                let share = share.unwrap_or(1.0 - q);
                Cell::Tail { anchor_us, share, stable, candidate: 0, beyond }
            }
            MetricKind::Mean { .. } => {
                let (stable, candidate) = (Moments::default(), Moments::default());
                Cell::Mean { stable, candidate, estimated: None }
            }
        }
    }

    /// Both windows as one cell, with the anchor from the stable one: for arms that were not there
    /// at the same time.
    pub(super) fn between(metric: Metric, stable: &Window, candidate: &Window) -> Cell {
        let mut cell = Cell::open(metric, stable, stable, stable);
        cell.add(metric, stable, candidate);
        cell
    }

    fn add(&mut self, metric: Metric, old: &Window, new: &Window) {
        match (self, metric.kind()) {
            (Cell::Rate { anchor: Some(_), stable, candidate }, MetricKind::Rate(share)) => {
                stable.add(share(&old.counts));
                candidate.add(share(&new.counts));
            }
            (
                Cell::Tail { anchor_us: Some(anchor_us), stable, candidate, beyond, .. },
                MetricKind::Quantile { histogram, .. },
            ) => {
                for (lower, _, count) in histogram(old).buckets() {
                    let over = if lower >= *anchor_us { count * 1000 } else { 0 };
                    stable.add(Share { n: count, milli: over });
                }
                *candidate += histogram(new).count();
                beyond.merge(&histogram(new).tail(*anchor_us as f64 * TAIL_FROM));
            }
            (Cell::Mean { stable, candidate, estimated }, MetricKind::Mean { .. }) => {
                stable.add(&metric.moments(old, Yardstick::Reported));
                candidate.add(&metric.moments(new, Yardstick::Reported));
                let by_estimate = |window| metric.moments(window, Yardstick::Estimated);
                let (old, new) = (by_estimate(old), by_estimate(new));
                if estimated.is_some() || old.n + new.n > 0 {
                    let (stable, candidate) = &mut **estimated.get_or_insert_default();
                    stable.add(&old);
                    candidate.add(&new);
                }
            }
            // A plan does not change while it runs, so a cell stays of its metric's kind; one
            // without an anchor counts nothing.
            (Cell::Rate { .. } | Cell::Tail { .. } | Cell::Mean { .. }, _) => {}
        }
    }

    /// Whether the stable arm has moved so far from its anchor that it should be taken again: to
    /// less than half or more than twice of it, in what is rarer, bad or good, and not by chance.
    fn has_drifted(&self, metric: Metric) -> bool {
        let (anchor, stable) = match (self, metric.kind()) {
            (Cell::Tail { share, stable, .. }, _) => (*share, stable),
            (Cell::Rate { anchor: Some(anchor), stable, .. }, _) => (*anchor, stable),
            (Cell::Rate { .. } | Cell::Mean { .. }, _) => return false,
        };
        if stable.n < DRIFT_SAMPLES {
            return false;
        }
        let (expected, rate) = (anchor.min(1.0 - anchor), stable.rate());
        let rate = if anchor <= 0.5 { rate } else { 1.0 - rate };
        let chance = 4.0 * (expected * (1.0 - expected) / stable.n as f64).sqrt();
        (rate - expected).abs() > chance && !(0.5 * expected..=2.0 * expected).contains(&rate)
    }
}

impl Plan {
    /// What each stratum counts: the rules' metrics, then the A/B test's.
    fn measured(&self) -> impl Iterator<Item = Metric> + '_ {
        let compared = self.ab.iter().flat_map(|ab| ab.metrics.iter().copied());
        self.rules.iter().map(|rule| rule.metric).chain(compared)
    }
}

/// Whether these outcomes estimate a rate well enough to anchor on: ten of the rarer kind.
fn is_enough(seen: Share) -> bool {
    seen.sum().min(seen.n as f64 - seen.sum()) >= 10.0
}

impl Stratum {
    /// The first one of a release: its anchors are the baseline's, where there is one.
    pub(super) fn first(plan: &Plan) -> Stratum {
        let nothing = Window::default();
        let weight = plan.rungs.first().map_or(Weight::ZERO, |rung| rung.weight);
        Stratum::open(plan, weight, 0, (&nothing, &nothing))
    }

    /// An empty one; `before` is what counts on stable so far, `recent` the newest part of it, and
    /// `from` the requests of both arms.
    pub(super) fn open(
        plan: &Plan,
        weight: Weight,
        from: u64,
        (before, recent): (&Window, &Window),
    ) -> Stratum {
        let nothing = Window::default();
        let days = plan.baseline.as_ref().map_or(&nothing, |baseline| &baseline.window);
        let cells = plan.measured().map(|metric| Cell::open(metric, days, before, recent));
        let cells = cells.collect();
        Stratum { weight, from, split: (0, 0), cells }
    }

    pub(super) fn add(&mut self, plan: &Plan, stable: &Window, candidate: &Window) {
        let asked = |window: &Window| {
            window.cohorts.iter().map(|c| c.requests + c.client_faults).sum::<u64>()
        };
        self.split.0 += asked(stable);
        self.split.1 += asked(candidate);
        for (cell, metric) in self.cells.iter_mut().zip(plan.measured()) {
            cell.add(metric, stable, candidate);
        }
    }
}

/// Requests of subjects on stable, and on the candidate, since the weight is what it is now.
pub(super) fn asked_at(strata: &[Stratum], weight: Weight) -> (u64, u64) {
    let here = strata.iter().rev().take_while(|stratum| stratum.weight == weight);
    here.fold((0, 0), |sum, stratum| (sum.0 + stratum.split.0, sum.1 + stratum.split.1))
}

/// Whether nobody is on stable, `on` that rung: at full weight, or at the last rung where so few
/// subjects ask that none of them is held back.
pub(super) fn is_alone(plan: &Plan, on: usize, strata: &[Stratum]) -> bool {
    let Some(rung) = plan.rungs.get(on) else { return false };
    let (stable, candidate) = asked_at(strata, rung.weight);
    let is_last = on + 1 == plan.rungs.len() && on > 0;
    rung.weight == Weight::FULL || (is_last && stable == 0 && candidate >= NOBODY_AFTER)
}

/// The anchor of a tail, the lower edge of the bucket that holds the quantile, and the share of
/// values there or beyond; `None` where they are too few.
pub(super) fn tail_anchor(values: &Histogram, q: f64) -> Option<(u64, f64)> {
    let upper = values.quantile(q).filter(|_| values.count() >= TAIL_SAMPLES)?;
    let (mut anchor, mut below) = (0, 0);
    for (lower, edge, count) in values.buckets() {
        if edge >= upper {
            anchor = lower;
            break;
        }
        below += count;
    }
    let n = values.count() as f64;
    let share = (n - below as f64 + 0.5) / (n + 1.0);
    Some((anchor, share.clamp(1e-4, 1.0 - 1e-4)))
}

/// The anchor of a rate from these outcomes of the stable arm; `None` where they are too few.
pub(super) fn rate_anchor(sum: f64, n: f64) -> Option<f64> {
    let rate = (sum + 0.5) / (n + 1.0);
    (n >= RATE_SAMPLES).then_some(rate.clamp(1e-4, 1.0 - 1e-4))
}

/// How many requests of both arms end a stratum that began after `from`.
pub(super) fn doubles_at(from: u64) -> u64 {
    FIRST_ANCHORS.max(2 * from)
}

/// Whether a stratum is to be opened: the weight changes now (`rises`), the requests of both arms
/// have doubled, or stable's tail has left its anchor.
pub(super) fn is_due(
    plan: &Plan,
    strata: &[Stratum],
    rises: Option<Weight>,
    requests: u64,
) -> bool {
    let Some(last) = strata.last() else { return true };
    // At full weight nobody is on stable, so there is nothing to take an anchor from.
    let alone = last.weight == Weight::FULL;
    let doubled = requests >= doubles_at(last.from);
    let drifted = || {
        let mut cells = last.cells.iter().zip(plan.measured());
        cells.any(|(cell, metric)| cell.has_drifted(metric))
    };
    let room = |most: usize| strata.len() < plan.rungs.len() + most;
    // However often stable drifts, doublings find room: late harm is found from them.
    let opens =
        (room(DOUBLINGS_MAX) && doubled) || (room(DOUBLINGS_MAX - DOUBLINGS_KEPT) && drifted());
    rises.is_some() || (!alone && opens)
}
