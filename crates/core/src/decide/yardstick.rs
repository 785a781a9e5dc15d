//! By which yardstick tokens and cost are compared: like with like, or not at all.
//!
//! Tokens that an upstream reports and tokens that we estimate are numbers of different things: the
//! one counts the chat template and hidden reasoning, the other counts characters. An upstream that
//! reports usage beside one that does not would look dearer by that alone. So both arms are
//! compared by what was reported, leaving out the few answers that came without; else by our own
//! estimate of both; else not. Nor is cost compared where one arm's model has no price: it would
//! look free.

use super::metric::Metric;
use crate::observe::Window;
use serde::{Deserialize, Serialize};

/// Share of answers without usage that are left out; with more, those that are left might be of
/// another kind than the rest.
const LEFT_OUT_MAX: f64 = 0.1;

/// What two arms are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Yardstick {
    /// What the upstreams reported.
    Reported,
    /// Our own estimate of both arms' answers, since an upstream reports no usage.
    Estimated,
    /// None: the one arm's numbers are reported, the other's are estimated.
    Unlike,
    /// None: an arm's model has no price.
    Unpriced,
}

impl Yardstick {
    /// The one that fits these arms. What is neither tokens nor cost is counted by us on both.
    pub(super) fn of(metric: Metric, stable: &Window, candidate: &Window) -> Yardstick {
        let arms = [stable, candidate];
        if is_cost(metric) && arms.iter().any(|arm| arm.usage.unpriced > 0) {
            return Yardstick::Unpriced;
        }
        let share = |of: u64, arm: &Window| of as f64 / arm.answered().max(1) as f64;
        let has_usage = |arm: &&Window| share(arm.usage.unreported.answers, arm) <= LEFT_OUT_MAX;
        let has_estimate =
            |arm: &&Window| share(arm.usage.estimated.answers, arm) >= 1.0 - LEFT_OUT_MAX;
        let counts_tokens = is_cost(metric) || metric == Metric::TokensPerRequest;
        if !counts_tokens || arms.iter().all(has_usage) {
            Yardstick::Reported
        } else if arms.iter().all(has_estimate) {
            Yardstick::Estimated
        } else {
            Yardstick::Unlike
        }
    }

    /// Whether it compares anything.
    pub(super) fn compares(self) -> bool {
        match self {
            Yardstick::Reported | Yardstick::Estimated => true,
            Yardstick::Unlike | Yardstick::Unpriced => false,
        }
    }
}

fn is_cost(metric: Metric) -> bool {
    matches!(metric, Metric::CostPerRequest | Metric::CostPerSuccess)
}

/// The share of an arm's answers that came with the upstream's own usage, for people.
pub(super) fn reported_share(window: &Window) -> f64 {
    let answered = window.answered().max(1);
    1.0 - window.usage.unreported.answers.min(answered) as f64 / answered as f64
}

#[cfg(test)]
mod tests;
