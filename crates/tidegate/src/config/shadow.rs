//! What `release.shadow:` in `tidegate.yaml` may say.

use super::money::money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidegate_core::money::Money;
use tidegate_core::pairs::{Limit, PairMetric, PairUnit};

/// How a candidate is compared before any user gets its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShadowConfig {
    /// Whether a release starts only after a shadow of its set has passed.
    pub(crate) gate: bool,
    /// Share of stable's requests that is mirrored, percent.
    pub(crate) sample_pct: f64,
    /// Most requests that are mirrored.
    pub(crate) max_requests: u64,
    /// Most money that mirrored requests may cost, US dollars.
    pub(crate) max_cost_usd: f64,
    /// How long a shadow lasts at most, hours.
    pub(crate) max_hours: u64,
    /// Share of the pairs of which the judge is asked which answer is better, percent.
    pub(crate) judge_pct: f64,
    /// Share of the pairs whose answers are compared by embeddings, percent.
    pub(crate) distance_pct: f64,
    /// Limits of your own by metric: rates as a difference of shares, such as `failed: 0.02`; the
    /// others as how many times stable's, such as `latency: 1.5`. `null`: shown, decides nothing.
    pub(crate) lines: BTreeMap<String, Option<f64>>,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        ShadowConfig {
            gate: false,
            sample_pct: 20.0,
            max_requests: 2_000,
            max_cost_usd: 10.0,
            max_hours: 24,
            judge_pct: 0.0,
            distance_pct: 0.0,
            lines: BTreeMap::new(),
        }
    }
}

impl ShadowConfig {
    /// The cap on money.
    pub(crate) fn max_cost(&self) -> Money {
        money(self.max_cost_usd)
    }

    /// The limits of what decides.
    pub(crate) fn limits(&self) -> BTreeMap<PairMetric, Limit> {
        let of = |metric: &PairMetric| match self.lines.get(metric.as_str()) {
            Some(given) => given.and_then(|given| limit(*metric, given)),
            None => metric.default_limit(),
        };
        self.compared().filter_map(|metric| Some((metric, of(&metric)?))).collect()
    }

    /// What is compared: what a judge or embeddings say only where they are asked.
    pub(super) fn compared(&self) -> impl Iterator<Item = PairMetric> + use<> {
        let (judge, distance) = (self.judge_pct > 0.0, self.distance_pct > 0.0);
        let is_compared = move |metric: &PairMetric| match metric {
            PairMetric::Judge => judge,
            PairMetric::Distance => distance,
            PairMetric::Failed
            | PairMetric::ContractBroken
            | PairMetric::Refused
            | PairMetric::ToolsDiffer
            | PairMetric::Length
            | PairMetric::Tokens
            | PairMetric::Cost
            | PairMetric::Latency => true,
        };
        PairMetric::ALL.into_iter().filter(is_compared)
    }
}

/// A limit as it is given; `None` where it is none.
pub(super) fn limit(metric: PairMetric, given: f64) -> Option<Limit> {
    match metric.unit() {
        PairUnit::Points => Limit::new(given),
        PairUnit::Times => (given > 0.0 && given.is_finite()).then(|| Limit::of_times(given)),
    }
}
