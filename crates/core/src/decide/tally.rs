//! What a metric reads from counts: a share, a tail or a mean.

use super::means::Sums;
use super::metric::Metric;
use super::yardstick::Yardstick;
use crate::observe::{Counts, Histogram, Spending, WideSum, Window};
use serde::{Deserialize, Serialize};

/// Outcomes in [0, 1] and their sum, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Outcomes.
    pub n: u64,
    /// Their sum, in thousandths.
    pub milli: u64,
}

impl Share {
    fn of(bad: u64, n: u64) -> Share {
        Share { n, milli: bad * 1000 }
    }

    pub(super) fn add(&mut self, other: Share) {
        self.n += other.n;
        self.milli += other.milli;
    }

    pub(super) fn sum(self) -> f64 {
        self.milli as f64 / 1000.0
    }

    pub(super) fn rate(self) -> f64 {
        self.sum() / self.n as f64
    }
}

/// Sums of a value, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Outcomes.
    pub n: u64,
    /// Their sum, in the metric's whole-number unit (tokens, millionths of a dollar).
    pub sum: u64,
    /// Sum of squares.
    pub squares: WideSum,
    /// What the sum is divided by: all outcomes, or the useful ones.
    pub by: u64,
    /// Sum of those that are divided by.
    pub cross: u64,
}

impl Moments {
    pub(super) fn add(&mut self, other: &Moments) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares.0 += other.squares.0;
        self.by += other.by;
        self.cross += other.cross;
    }

    /// As numbers in the metric's unit; `scale` is that unit in whole numbers.
    pub(super) fn sums(&self, scale: f64) -> Sums {
        Sums {
            n: self.n as f64,
            sum: self.sum as f64 / scale,
            squares: self.squares.0 as f64 / (scale * scale),
            by: self.by as f64,
            cross: self.cross as f64 / scale,
        }
    }
}

/// How a metric is computed from counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum MetricKind {
    /// A share of outcomes.
    Rate(fn(&Counts) -> Share),
    /// A quantile of a histogram of microseconds.
    Quantile { histogram: fn(&Window) -> &Histogram, q: f64 },
    /// A mean, with its whole-number unit.
    Mean { moments: fn(&Window) -> Moments, scale: f64 },
}

impl Metric {
    pub(super) fn kind(self) -> MetricKind {
        match self {
            Metric::ErrorRate => MetricKind::Rate(|c| Share::of(c.errors(), c.requests)),
            Metric::RejectedRate => {
                MetricKind::Rate(|c| Share::of(c.rejected, c.requests + c.rejected))
            }
            Metric::ContractBrokenRate => {
                MetricKind::Rate(|c| Share::of(c.contract_broken, c.contract_checked))
            }
            Metric::RefusalRate => MetricKind::Rate(|c| Share::of(c.refusals, c.answered())),
            Metric::DislikeRate => {
                MetricKind::Rate(|c| Share::of(c.dislikes, c.likes + c.dislikes))
            }
            Metric::NotAdoptedRate => {
                MetricKind::Rate(|c| Share::of(c.not_adopted, c.adopted + c.not_adopted))
            }
            Metric::TaskFailedRate => {
                MetricKind::Rate(|c| Share::of(c.tasks_failed, c.tasks_done + c.tasks_failed))
            }
            Metric::Dissatisfaction => MetricKind::Rate(|c| Share {
                n: c.satisfaction_count,
                milli: (c.satisfaction_count * 1000).saturating_sub(c.satisfaction_milli),
            }),
            Metric::TimeoutRate => {
                MetricKind::Rate(|c| Share::of(c.timeouts + c.abandoned, c.requests + c.abandoned))
            }
            Metric::PiiRate => MetricKind::Rate(|c| Share::of(c.pii, c.answered())),
            Metric::PromptEchoRate => {
                MetricKind::Rate(|c| Share::of(c.prompt_echoes, c.answered()))
            }
            Metric::UncitedRate => {
                MetricKind::Rate(|c| Share { n: c.claims_checked, milli: c.uncited_milli })
            }
            Metric::UngroundedRate => {
                MetricKind::Rate(|c| Share { n: c.claims_checked, milli: c.ungrounded_milli })
            }
            Metric::LatencyP95 => MetricKind::Quantile { histogram: |w| &w.latency_us, q: 0.95 },
            Metric::LatencyP99 => MetricKind::Quantile { histogram: |w| &w.latency_us, q: 0.99 },
            Metric::FirstTokenP95 => {
                MetricKind::Quantile { histogram: |w| &w.first_token_us, q: 0.95 }
            }
            Metric::TokensPerRequest => MetricKind::Mean {
                moments: |w| {
                    let sum = w.tokens_in + w.tokens_out;
                    mean_of_all(w.answered(), sum, w.tokens_squared)
                },
                scale: 1.0,
            },
            Metric::CostPerRequest => MetricKind::Mean {
                moments: |w| mean_of_all(w.answered(), w.cost_micro_usd, w.cost_squared),
                scale: 1e6,
            },
            Metric::CostPerSuccess => MetricKind::Mean {
                moments: |w| Moments {
                    n: w.answered(),
                    sum: w.cost_micro_usd,
                    squares: w.cost_squared,
                    by: w.useful,
                    cross: w.useful_cost_micro_usd,
                },
                scale: 1e6,
            },
        }
    }

    /// A mean's sums in a window, by this yardstick.
    pub(super) fn moments(self, window: &Window, by: Yardstick) -> Moments {
        match (self.kind(), by) {
            (MetricKind::Mean { .. }, Yardstick::Estimated) => {
                of_spending(self, &window.usage.estimated)
            }
            (MetricKind::Mean { moments, .. }, _) => reported(self, &moments(window), window),
            (MetricKind::Rate(_) | MetricKind::Quantile { .. }, _) => Moments::default(),
        }
    }

    /// The samples behind the metric in a window, by this yardstick.
    pub(super) fn samples_by(self, window: &Window, by: Yardstick) -> u64 {
        match self.kind() {
            MetricKind::Mean { .. } => self.moments(window, by).by,
            MetricKind::Rate(_) | MetricKind::Quantile { .. } => self.samples(window),
        }
    }

    /// The samples behind the metric in a window, of all answers, however their tokens are known.
    pub(super) fn samples(self, window: &Window) -> u64 {
        match self.kind() {
            MetricKind::Rate(share) => share(&window.counts).n,
            MetricKind::Quantile { histogram, .. } => histogram(window).count(),
            MetricKind::Mean { moments, .. } => moments(window).by,
        }
    }

    /// The metric's value by this yardstick, in its own unit (share, ms, tokens, dollars); NaN
    /// without samples.
    pub(super) fn value_by(self, window: &Window, by: Yardstick) -> f64 {
        match self.kind() {
            MetricKind::Mean { scale, .. } => self.moments(window, by).sums(scale).mean(),
            MetricKind::Rate(_) | MetricKind::Quantile { .. } => self.value(window),
        }
    }

    /// The metric's value in its own unit (share, ms, tokens, dollars), of all answers, however
    /// their tokens are known; NaN without samples.
    pub(super) fn value(self, window: &Window) -> f64 {
        match self.kind() {
            MetricKind::Rate(share) => share(&window.counts).rate(),
            MetricKind::Quantile { histogram, q } => {
                histogram(window).quantile(q).map_or(f64::NAN, |us| us as f64 / 1000.0)
            }
            MetricKind::Mean { moments, scale } => moments(window).sums(scale).mean(),
        }
    }
}

fn mean_of_all(n: u64, sum: u64, squares: WideSum) -> Moments {
    Moments { n, sum, squares, by: n, cross: sum }
}

/// What a metric of tokens or cost reads from these answers' sums.
fn of_spending(metric: Metric, spending: &Spending) -> Moments {
    let Spending {
        answers,
        tokens,
        tokens_squared,
        cost_micro_usd,
        cost_squared,
        useful,
        useful_cost_micro_usd,
    } = *spending;
    match metric {
        Metric::TokensPerRequest => {
            Moments { n: answers, sum: tokens, squares: tokens_squared, by: answers, cross: tokens }
        }
        Metric::CostPerSuccess => Moments {
            n: answers,
            sum: cost_micro_usd,
            squares: cost_squared,
            by: useful,
            cross: useful_cost_micro_usd,
        },
        // No other metric is a mean.
        _ => Moments {
            n: answers,
            sum: cost_micro_usd,
            squares: cost_squared,
            by: answers,
            cross: cost_micro_usd,
        },
    }
}

/// The answers that came with usage: all of them, less those that did not.
fn reported(metric: Metric, all: &Moments, window: &Window) -> Moments {
    let without = of_spending(metric, &window.usage.unreported);
    Moments {
        n: all.n.saturating_sub(without.n),
        sum: all.sum.saturating_sub(without.sum),
        squares: WideSum(all.squares.0.saturating_sub(without.squares.0)),
        by: all.by.saturating_sub(without.by),
        cross: all.cross.saturating_sub(without.cross),
    }
}
