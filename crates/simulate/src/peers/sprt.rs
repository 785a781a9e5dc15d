//! The oracle: Wald's sequential probability ratio test between what is true and the nearest state
//! on the line (Wald 1945; `information.rs` says which one is nearest). Nobody can run it, for it
//! knows the answer; it is the floor of how many requests a decision takes.
//!
//! The nearest state follows the candidate's share of each interval, known before its outcomes. It
//! is the projection of the truth on the line's other side, which is convex, so the ratio is also
//! valid against every other state there.

use super::reading::{above, share};
use crate::information::{
    Arms, Known, Over, ReadAs, lognormal_sd, nearest_means, nearest_rates, over,
};
use crate::judge::{IntervalCounts, Judge, Judgement, ValueSums, Watched};
use tidegate_core::decide::Metric;

/// How often it may call a candidate over the line good.
const BETA: f64 = 0.01;

/// What it weighs.
#[derive(Debug)]
enum Model {
    /// Failed ones among requests or labels; the line is so far above stable.
    Share {
        /// The true shares.
        truth: Arms,
        /// Candidate − stable on the line.
        margin: f64,
    },
    /// The candidate's answers over the line, stable's quantile being known.
    Over(Over),
    /// Means of tokens with known spread; the line is a multiple of stable.
    Mean {
        /// The true means.
        truth: Arms,
        /// The standard deviation of single values.
        sd: Arms,
        /// Candidate / stable on the line.
        ratio: f64,
    },
    /// Nothing is simulated of this metric.
    Blind,
}

/// The test of one release.
#[derive(Debug)]
pub(super) struct Sprt {
    metric: Metric,
    model: Model,
    /// Whether the truth is the bad side; else the line is.
    is_truth_bad: bool,
    /// ln of how much likelier the truth is than the line.
    log_ratio: f64,
    /// Where it calls bad, on ln(bad : good).
    bad_at: f64,
    /// Where it calls good.
    good_at: f64,
    last: Judgement,
}

impl Sprt {
    /// A test that calls a candidate on the good side bad with probability at most `alpha`.
    pub(super) fn new(watched: &Watched, truth: &Known, alpha: f64) -> Sprt {
        let arms = Arms { candidate: truth.candidate, stable: truth.stable };
        let model = match ReadAs::of(watched.metric) {
            ReadAs::Share => Model::Share { truth: arms, margin: watched.limit - watched.stable },
            ReadAs::Quantile(q) => {
                Model::Over(over(q, truth.candidate, watched.limit, truth.sigma))
            }
            ReadAs::Mean => Model::Mean {
                truth: arms,
                sd: lognormal_sd(arms, truth.sigma),
                ratio: watched.limit / watched.stable,
            },
            ReadAs::Absent => Model::Blind,
        };
        Sprt {
            metric: watched.metric,
            model,
            is_truth_bad: truth.candidate > watched.limit,
            log_ratio: 0.0,
            bad_at: ((1.0 - BETA) / alpha).ln(),
            good_at: (BETA / (1.0 - alpha)).ln(),
            last: Judgement::Unsure,
        }
    }

    /// ln of how much likelier the truth makes this interval than the line does.
    fn weigh(&self, stable: &IntervalCounts, candidate: &IntervalCounts) -> f64 {
        match &self.model {
            Model::Share { truth, margin } => {
                let (bad, n) = share(self.metric, candidate);
                let (stable_bad, m) = share(self.metric, stable);
                let Some(weight) = weight(n, m) else { return 0.0 };
                let line = nearest_rates(*truth, *margin, weight);
                coins(bad, n, truth.candidate, line.candidate)
                    + coins(stable_bad, m, truth.stable, line.stable)
            }
            Model::Over(over) => {
                let values = &candidate.latency_us;
                coins(above(values, over.edge_us), values.count(), over.truth, over.line)
            }
            Model::Mean { truth, sd, ratio } => {
                let Some(weight) = weight(candidate.tokens.n, stable.tokens.n) else { return 0.0 };
                let line = nearest_means(*truth, *sd, *ratio, weight);
                normals(&candidate.tokens, truth.candidate, line.candidate, sd.candidate)
                    + normals(&stable.tokens, truth.stable, line.stable, sd.stable)
            }
            Model::Blind => 0.0,
        }
    }
}

/// The candidate's share of the observations; `None` when there are none.
fn weight(candidate: u64, stable: u64) -> Option<f64> {
    let all = candidate + stable;
    (all > 0).then(|| candidate as f64 / all as f64)
}

/// ln of the likelihood ratio of `bad` in `n` throws of coins of rates `p` and `q`.
fn coins(bad: u64, n: u64, p: f64, q: f64) -> f64 {
    let term = |count: u64, x: f64, y: f64| {
        if count > 0 { count as f64 * (x / y).ln() } else { 0.0 }
    };
    term(bad, p, q) + term(n - bad.min(n), 1.0 - p, 1.0 - q)
}

/// ln of the likelihood ratio of values with mean `p` and with mean `q`, normal with the same `sd`.
fn normals(values: &ValueSums, p: f64, q: f64, sd: f64) -> f64 {
    (p - q) * (values.sum - values.n as f64 * f64::midpoint(p, q)) / (sd * sd)
}

impl Judge for Sprt {
    fn look(&mut self, stable: &IntervalCounts, candidate: &IntervalCounts) -> Judgement {
        if self.last != Judgement::Unsure {
            return self.last;
        }
        self.log_ratio += self.weigh(stable, candidate);
        let bad = if self.is_truth_bad { self.log_ratio } else { -self.log_ratio };
        if bad >= self.bad_at {
            self.last = Judgement::Bad;
        } else if bad <= self.good_at {
            self.last = Judgement::Good;
        }
        self.last
    }
}
