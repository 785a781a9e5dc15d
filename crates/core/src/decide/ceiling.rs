//! Ceilings: the candidate against a number.
//!
//! Over is proven at the rule's share of the error budget, within at [`ADVANCE_ALPHA`]; what is
//! neither waits. On the risk line two things are added, since a leak is harm at any rate:
//!
//! - Before a rung is passed, the candidate must be proven within what the next rung can bear: the
//!   rate at which its answers would use up the budget of spoilt requests, or the ceiling where
//!   that is more. Small rungs need little proof; no candidate is promoted whose rate is not
//!   proven to be at most the ceiling.
//! - What stable surely has itself is no leak of the candidate's: an address that every answer ends
//!   with. The ceiling is then [`ALIKE`] times that, and the band, which compares with stable, is
//!   the closer of the two.

use super::interval::{self, Interval};
use super::levels::ADVANCE_ALPHA;
use super::metric::Line;
use super::plan::{LineRule, Plan};
use super::rule_look::RuleLook;
use super::tally::{MetricKind, Share};

/// A rate of up to this many times what stable surely has counts as stable's. A smaller factor
/// would take more than some thousand answers to prove.
const ALIKE: f64 = 3.0;
/// Most that any rung may be passed with, whatever the traffic: one answer in 33.
const LOOSEST: f64 = 0.03;

/// What a ceiling says of the candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CeilingCheck {
    /// The ceiling, or what stable has where that is more.
    pub(super) limit: f64,
    /// What must be proven before the next rung.
    pub(super) bound: f64,
    /// Whether the candidate is proven over the limit.
    pub(super) is_over: bool,
    /// Whether it is proven within the bound.
    pub(super) is_within: bool,
}

impl Plan {
    /// What a risk line's rate must be proven within before the next rung, at so many requests a
    /// ms; 0 for other lines, and where only the ceiling itself will do.
    pub(super) fn bearable(&self, rule: &LineRule, rung: usize, per_ms: Option<f64>) -> f64 {
        let next = self.rungs.get(rung + 1).filter(|_| rule.metric.line() == Line::Risk);
        let (Some(next), Some(per_ms)) = (next, per_ms) else { return 0.0 };
        let expected = per_ms * next.look_ms as f64 * next.weight.fraction();
        (self.bad_budget as f64 / expected.max(1.0)).min(LOOSEST)
    }
}

impl LineRule {
    /// The ceiling beside a rate that stable surely has.
    pub(super) fn limit(&self, ceiling: f64, stable_has: f64) -> f64 {
        match self.metric.line() {
            Line::Risk => ceiling.max(ALIKE * stable_has),
            Line::Quality | Line::Latency | Line::Cost => ceiling,
        }
    }
}

impl RuleLook<'_> {
    /// The rule's ceiling beside what was seen; `None` where it has none.
    pub(super) fn held(&self) -> Option<CeilingCheck> {
        let limit = self.rule.limit(self.rule.ceiling?, self.stable_has());
        let bound = limit.max(self.bearable);
        let is_within = match self.rule.metric.kind() {
            MetricKind::Rate(share) => {
                let (sum, n) = self.shrunk(share(&self.candidate.counts));
                interval::is_rate_within(sum, n, bound, ADVANCE_ALPHA)
            }
            MetricKind::Quantile { .. } | MetricKind::Mean { .. } => {
                self.absolute(ADVANCE_ALPHA).high <= bound
            }
        };
        Some(CeilingCheck {
            limit,
            bound,
            is_over: self.absolute(self.alpha).low > limit,
            is_within,
        })
    }

    /// How many times the candidate's samples so far it takes to prove a rate within the bound, if
    /// they go on as they are; `None` where more of the same proves nothing.
    pub(super) fn times_needed(&self, held: CeilingCheck) -> Option<f64> {
        let MetricKind::Rate(share) = self.rule.metric.kind() else { return None };
        let (sum, n) = self.shrunk(share(&self.candidate.counts));
        let is_within = |times: f64| {
            interval::is_rate_within(sum * times, n * times, held.bound, ADVANCE_ALPHA)
        };
        let enough = (0..40).map(|power| 2f64.powi(power)).find(|times| is_within(*times))?;
        let (mut low, mut high) = (enough / 2.0, enough);
        for _ in 0..20 {
            let middle = f64::midpoint(low, high);
            if is_within(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    /// The rate that stable has at least, with 99 % confidence.
    fn stable_has(&self) -> f64 {
        match self.rule.metric.kind() {
            MetricKind::Rate(share) if self.rule.metric.line() == Line::Risk => {
                let (sum, n) = self.shrunk(share(&self.stable.counts));
                if sum > 0.0 { interval::rate(sum, n, ADVANCE_ALPHA).low } else { 0.0 }
            }
            MetricKind::Rate(_) | MetricKind::Quantile { .. } | MetricKind::Mean { .. } => 0.0,
        }
    }

    fn shrunk(&self, share: Share) -> (f64, f64) {
        (share.sum() / self.e_process.effect, share.n as f64 / self.e_process.effect)
    }

    fn absolute(&self, alpha: f64) -> Interval {
        let effect = self.e_process.effect;
        match self.rule.metric.kind() {
            MetricKind::Rate(share) => {
                let (sum, n) = self.shrunk(share(&self.candidate.counts));
                interval::rate(sum, n, alpha)
            }
            MetricKind::Quantile { histogram, q } => {
                let (values, scale) = (histogram(self.candidate), 1000.0);
                let Interval { low, high } = interval::quantile(values, q, alpha, effect);
                Interval { low: low / scale, high: high / scale }
            }
            MetricKind::Mean { moments, scale } => {
                interval::mean(&moments(self.candidate).sums(scale), alpha, effect)
            }
        }
    }
}

#[cfg(test)]
mod tests;
