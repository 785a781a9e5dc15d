//! What is expected of one metric: how many samples a request gives, and what they look like. From
//! the baseline where there is one, else assumed; a given value is put in its place.
//!
//! Expected samples are put into the same cells that a release fills with real ones, so the same
//! tests read them. Counts are kept [`FINE`] times finer than whole samples and all evidence is
//! divided by it: evidence of shares and tails is linear in counts, so nothing else changes.

use super::{Data, Traffic};
use crate::decide::clusters::design_effect;
use crate::decide::harm::value_of;
use crate::decide::interval::{self, Interval};
use crate::decide::means::{Sums, normal_log};
use crate::decide::metric::Metric;
use crate::decide::plan::{BandUnit, LineRule, Plan};
use crate::decide::strata::{Cell, TAIL_FROM, TAIL_SAMPLES, rate_anchor};
use crate::decide::tally::{MetricKind, Moments, Share};
use crate::observe::{Histogram, WideSum, Window};
use crate::route::Weight;

/// Parts that a sample of a share or tail is counted in.
const FINE: f64 = 100.0;
/// Values that a curve's quantile is read from.
const CURVE_VALUES: f64 = 1e6;
/// Samples a request where nothing is known of users' feedback: one in twenty gives it.
const FEEDBACK: f64 = 0.05;

/// A stretch of a release: so many requests of both arms at one weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExpectedStretch {
    pub(super) weight: Weight,
    /// Requests before it.
    pub(super) from: f64,
    /// Requests in it.
    pub(super) requests: f64,
}

/// One metric of a service.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// Samples a request.
    pub(super) per_request: f64,
    pub(super) data: Data,
    /// What stable does.
    pub(super) shape: Shape,
    /// What a sample is worth less than an independent one, at least 1.
    pub(super) effect: f64,
    kind: MetricKind,
    /// The baseline's samples and the sum of those that are bad.
    known: (f64, f64),
    /// The stable arm's value in the metric's own unit.
    pub(super) value: f64,
}

/// What samples look like.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A share, 0 to 1.
    Rate(f64),
    /// Times, this many times those of the curve.
    Tail(Curve, f64),
    /// Sums of one sample in the metric's whole-number unit.
    Mean(Sums),
}

/// A distribution of times, µs.
#[derive(Debug, Clone)]
pub(super) enum Curve {
    /// Median and the standard deviation of the logarithm.
    Lognormal { median_us: f64, sigma: f64 },
    /// Upper edges with the share of values above each.
    Seen(Vec<(f64, f64)>),
}

impl Curve {
    fn seen(values: &Histogram) -> Curve {
        let n = values.count() as f64;
        let edge = |(_, upper, seen): (u64, u64, u64)| (upper as f64 + 1.0, 1.0 - seen as f64 / n);
        Curve::Seen(values.cumulative().map(edge).collect())
    }

    /// The share of values above `us`; between edges it falls evenly.
    fn above(&self, us: f64) -> f64 {
        match self {
            Curve::Lognormal { median_us, sigma } => {
                normal_log((median_us / us.max(1e-9)).ln() / sigma).exp()
            }
            Curve::Seen(edges) => {
                let after = edges.partition_point(|(edge, _)| *edge <= us);
                let Some((high, share_high)) = edges.get(after) else { return 0.0 };
                let (low, share_low) = match after.checked_sub(1).and_then(|i| edges.get(i)) {
                    Some(before) => *before,
                    None => (high * 63.0 / 64.0, 1.0),
                };
                // Buckets are at most 1/64 wide; below the one that holds values there are none.
                let low = low.max(high * 63.0 / 64.0);
                let part = ((us - low) / (high - low)).clamp(0.0, 1.0);
                share_low + (share_high - share_low) * part
            }
        }
    }
}

impl Expected {
    /// Of one rule's metric.
    pub(super) fn new(plan: &Plan, traffic: &Traffic, rule: &LineRule) -> Expected {
        let metric = rule.metric;
        let kind = metric.kind();
        let baseline = plan.baseline.as_ref().map(|baseline| &baseline.window);
        let seen = baseline.filter(|window| metric.samples(window) > 0);
        let given = traffic.expected.get(&metric).copied();
        let sampled = rule.required || is_sampled(metric, traffic.contract);
        let data = match (seen, given) {
            (_, Some(_)) => Data::Given,
            (Some(_), None) => Data::Baseline,
            (None, None) if baseline.is_none() && sampled => Data::Assumed,
            (None, None) => Data::Nothing,
        };
        let (per_request, shape) = match seen {
            Some(window) => of(metric, window),
            None => assumed(metric),
        };
        let effect = match (traffic.design_effect, seen) {
            (Some(effect), _) => effect,
            (None, Some(window)) => design_effect(metric, window, &Window::default()),
            (None, None) => 1.0,
        };
        let known = seen.map_or((0.0, 0.0), |window| match kind {
            MetricKind::Rate(share) => {
                let share = share(&window.counts);
                (share.n as f64, share.sum())
            }
            MetricKind::Quantile { .. } | MetricKind::Mean { .. } => {
                (metric.samples(window) as f64, 0.0)
            }
        });
        let per_request = if data == Data::Nothing { 0.0 } else { per_request };
        let shape = match given {
            Some(value) => shape.moved(value, kind),
            None => shape,
        };
        let value = shape.value(kind);
        Expected { per_request, data, shape, effect, kind, known, value }
    }

    /// What a candidate looks like that does so much harm, in the rule's unit.
    pub(super) fn harmed(&self, rule: &LineRule, harm: f64) -> Shape {
        let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
        self.shape.moved(value_of(rule, unit, self.value, harm), self.kind)
    }

    /// What evidence of these cells is divided by.
    pub(super) fn divisor(&self) -> f64 {
        match self.shape {
            Shape::Rate(_) | Shape::Tail(..) => self.effect * FINE,
            Shape::Mean(_) => self.effect,
        }
    }

    /// Cells of these stretches; from `turn` on the candidate is of shape `turned`.
    pub(super) fn cells(
        &self,
        stretches: &[ExpectedStretch],
        turn: usize,
        turned: &Shape,
    ) -> Vec<(Cell, Weight)> {
        let mut stable_before = 0.0;
        let cells = stretches.iter().enumerate().map(|(at, stretch)| {
            let samples = stretch.requests * self.per_request;
            let candidate = samples * stretch.weight.fraction();
            let stable = samples - candidate;
            let before = if at == 0 { self.known } else { self.seen(stable_before) };
            stable_before += stable;
            let shape = if at >= turn { turned } else { &self.shape };
            (self.cell(before, stable, candidate, shape), stretch.weight)
        });
        cells.collect()
    }

    /// So many samples of stable and the sum of those that are bad.
    fn seen(&self, n: f64) -> (f64, f64) {
        match self.shape {
            Shape::Rate(rate) => (n, n * rate),
            Shape::Tail(..) | Shape::Mean(_) => (n, 0.0),
        }
    }

    fn cell(&self, before: (f64, f64), stable: f64, candidate: f64, new: &Shape) -> Cell {
        match (&self.shape, new) {
            (Shape::Rate(old), Shape::Rate(new)) => Cell::Rate {
                anchor: rate_anchor(before.1, before.0),
                stable: share(stable, *old),
                candidate: share(candidate, *new),
            },
            (Shape::Mean(old), Shape::Mean(new)) => {
                let (stable, candidate) = (moments(stable, old), moments(candidate, new));
                Cell::Mean { stable, candidate, estimated: None }
            }
            (old, new) => {
                // About where stable's quantile lies.
                let anchor = (self.value * 1000.0).round() as u64;
                let least = (anchor as f64 * TAIL_FROM) as u64;
                let beyond = Histogram::spread(candidate * FINE, least, |us| new.above(us));
                Cell::Tail {
                    anchor_us: (before.0 >= TAIL_SAMPLES as f64).then_some(anchor),
                    share: old.above(anchor as f64 + 1.0).clamp(1e-4, 1.0 - 1e-4),
                    stable: share(stable, old.above(anchor as f64 + 1.0)),
                    candidate: (candidate * FINE).round() as u64,
                    beyond,
                }
            }
        }
    }

    /// Whether so many samples like stable's are proven within a ceiling.
    pub(super) fn is_within(&self, n: f64, bound: f64, alpha: f64) -> bool {
        match &self.shape {
            Shape::Rate(rate) => {
                let n = n / self.effect;
                interval::is_rate_within(n * rate, n, bound, alpha)
            }
            Shape::Mean(_) | Shape::Tail(..) => {
                self.absolute(n, (0.0, &self.shape), alpha).high <= bound
            }
        }
    }

    /// The interval that is compared with a ceiling, for these samples of the candidate: so many
    /// like stable's, and so many of shape `turned`.
    pub(super) fn absolute(
        &self,
        same: f64,
        (other, turned): (f64, &Shape),
        alpha: f64,
    ) -> Interval {
        let n = same + other;
        match (&self.shape, turned, self.kind) {
            (Shape::Rate(old), Shape::Rate(new), _) => {
                let sum = same * old + other * new;
                interval::rate(sum / self.effect, n / self.effect, alpha)
            }
            (Shape::Mean(old), Shape::Mean(new), MetricKind::Mean { scale, .. }) => {
                let mut all = moments(same, old);
                all.add(&moments(other, new));
                interval::mean(&all.sums(scale), alpha, self.effect)
            }
            (old, new, MetricKind::Quantile { q, .. }) => {
                let share = other / n.max(1e-9);
                let above = |us: f64| old.above(us) * (1.0 - share) + new.above(us) * share;
                let values = Histogram::spread(n * FINE, 0, above);
                let Interval { low, high } = interval::quantile(&values, q, alpha, self.divisor());
                Interval { low: low / 1000.0, high: high / 1000.0 }
            }
            // A shape is of its metric's kind.
            (_, _, MetricKind::Rate(_) | MetricKind::Mean { .. }) => {
                Interval { low: 0.0, high: f64::INFINITY }
            }
        }
    }
}

impl Shape {
    /// The metric's value in its own unit.
    fn value(&self, kind: MetricKind) -> f64 {
        match (self, kind) {
            (Shape::Rate(rate), _) => *rate,
            (Shape::Mean(sums), MetricKind::Mean { scale, .. }) => sums.mean() / scale,
            (Shape::Tail(..), MetricKind::Quantile { q, .. }) => {
                let curve = Histogram::spread(CURVE_VALUES, 0, |us| self.above(us));
                curve.quantile(q).unwrap_or(0) as f64 / 1000.0
            }
            // A shape is of its metric's kind.
            (Shape::Mean(_) | Shape::Tail(..), _) => f64::NAN,
        }
    }

    /// The same with another value: times and sums so many times as large.
    fn moved(&self, value: f64, kind: MetricKind) -> Shape {
        // Nothing is a multiple of 0, and what costs nothing is not compared.
        let factor = if self.value(kind) > 0.0 { value / self.value(kind) } else { 1.0 };
        match self {
            Shape::Rate(_) => Shape::Rate(value.clamp(0.0, 1.0)),
            Shape::Tail(curve, before) => Shape::Tail(curve.clone(), before * factor),
            Shape::Mean(sums) => Shape::Mean(Sums {
                n: sums.n,
                sum: sums.sum * factor,
                squares: sums.squares * factor * factor,
                by: sums.by,
                cross: sums.cross * factor,
            }),
        }
    }

    /// The share of times above `us`; 0 for what is no tail.
    fn above(&self, us: f64) -> f64 {
        match self {
            Shape::Tail(curve, factor) => curve.above(us / factor),
            Shape::Rate(_) | Shape::Mean(_) => 0.0,
        }
    }
}

fn share(n: f64, rate: f64) -> Share {
    let n = n * FINE;
    Share { n: n.round() as u64, milli: (n * rate * 1000.0).round() as u64 }
}

fn moments(n: f64, one: &Sums) -> Moments {
    Moments {
        n: n.round() as u64,
        sum: (n * one.sum).round() as u64,
        squares: WideSum((n * one.squares).round() as u128),
        by: (n * one.by).round() as u64,
        cross: (n * one.cross).round() as u64,
    }
}

/// Samples a request and their shape, as the baseline has them.
fn of(metric: Metric, window: &Window) -> (f64, Shape) {
    let requests = window.requests.max(1) as f64;
    let per_request = metric.samples(window) as f64 / requests;
    match metric.kind() {
        MetricKind::Rate(share) => (per_request, Shape::Rate(share(&window.counts).rate())),
        MetricKind::Quantile { histogram, .. } => {
            (per_request, Shape::Tail(Curve::seen(histogram(window)), 1.0))
        }
        MetricKind::Mean { moments, .. } => {
            let all = moments(window).sums(1.0);
            let one = Sums {
                n: 1.0,
                sum: all.sum / all.n,
                squares: all.squares / all.n,
                by: all.by / all.n,
                cross: all.cross / all.n,
            };
            (all.n / requests, Shape::Mean(one))
        }
    }
}

/// Whether requests give samples of it by themselves: feedback comes or does not, a contract must
/// be there to be checked, and not everything is streamed.
fn is_sampled(metric: Metric, contract: bool) -> bool {
    match metric {
        Metric::ContractBrokenRate => contract,
        Metric::DislikeRate
        | Metric::NotAdoptedRate
        | Metric::TaskFailedRate
        | Metric::Dissatisfaction
        | Metric::FirstTokenP95
        | Metric::UncitedRate
        | Metric::UngroundedRate => false,
        Metric::ErrorRate
        | Metric::RejectedRate
        | Metric::RefusalRate
        | Metric::LatencyP95
        | Metric::LatencyP99
        | Metric::TimeoutRate
        | Metric::TokensPerRequest
        | Metric::CostPerRequest
        | Metric::CostPerSuccess
        | Metric::PiiRate
        | Metric::PromptEchoRate => true,
    }
}

/// What is taken without a baseline: guesses at what a service that works does, so that there is a
/// first answer at all. Each can be given instead.
fn assumed(metric: Metric) -> (f64, Shape) {
    let lognormal = |median_us| Shape::Tail(Curve::Lognormal { median_us, sigma: 0.7 }, 1.0);
    let mean = |value: f64, by: f64| {
        let squares = value * value * (0.7_f64 * 0.7).exp();
        let useful = Sums { n: 1.0, sum: value, squares, by, cross: value * by };
        Shape::Mean(useful)
    };
    match metric {
        Metric::ErrorRate => (1.0, Shape::Rate(0.01)),
        Metric::RejectedRate | Metric::TimeoutRate => (1.0, Shape::Rate(0.002)),
        Metric::ContractBrokenRate | Metric::RefusalRate => (1.0, Shape::Rate(0.02)),
        Metric::PiiRate | Metric::PromptEchoRate => (1.0, Shape::Rate(0.001)),
        Metric::UncitedRate | Metric::UngroundedRate => (1.0, Shape::Rate(0.2)),
        Metric::DislikeRate | Metric::TaskFailedRate => (FEEDBACK, Shape::Rate(0.1)),
        Metric::NotAdoptedRate => (FEEDBACK, Shape::Rate(0.3)),
        Metric::Dissatisfaction => (FEEDBACK, Shape::Rate(0.2)),
        Metric::LatencyP95 | Metric::LatencyP99 => (1.0, lognormal(1e6)),
        Metric::FirstTokenP95 => (1.0, lognormal(3e5)),
        Metric::TokensPerRequest => (1.0, mean(800.0, 1.0)),
        Metric::CostPerRequest => (1.0, mean(1000.0, 1.0)),
        Metric::CostPerSuccess => (1.0, mean(1000.0, 0.97)),
    }
}
