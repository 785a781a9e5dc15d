//! One arm's outcomes, counted.

use super::counts::Counts;
use super::histogram::{Histogram, bucket_of};
use super::outcome::{Feedback, Outcome};
use super::usage::ArmUsage;
use super::wide_sum::WideSum;
use crate::ids::UnixMs;
use crate::route::Cohort;
use serde::{Deserialize, Serialize};

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// One arm's outcomes over some time. Everything in it only grows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// The counts of all requests.
    pub counts: Counts,
    /// The same by cohort of subjects, one for each or none at all: users stay on their arm, so
    /// what one of them does is not independent, and how much the cohorts differ shows how far.
    /// They are most of a window, and every look keeps one, so copies share them.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "super::counts::compact")]
    pub cohorts: Arc<Vec<Counts>>,
    /// Sum of squares of each request's tokens.
    pub tokens_squared: WideSum,
    /// Sum of squares of each request's cost.
    pub cost_squared: WideSum,
    /// Sum of squares of what [`Counts::latency_log`] sums.
    pub latency_log_squared: WideSum,
    /// Sum of squares of what [`Counts::first_token_log`] sums.
    pub first_token_log_squared: WideSum,
    /// How the tokens are known.
    #[serde(skip_serializing_if = "ArmUsage::is_empty")]
    pub usage: ArmUsage,
    /// End-to-end time of answered requests, µs. Failures are left out, so that a fast error
    /// never looks like a good latency.
    pub latency_us: Histogram,
    /// Time to first token of answered streams, µs.
    pub first_token_us: Histogram,
    /// When the last outcome came in; 0 when none did.
    pub last_at: UnixMs,
}

/// A window is its counts and what cannot be counted: `window.requests` reads as one would say it.
impl Deref for Window {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

impl DerefMut for Window {
    fn deref_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }
}

impl Outcome {
    /// Whether the answer neither refused nor broke the contract.
    pub(super) fn is_useful(&self) -> bool {
        !self.refused && self.contract_ok != Some(false)
    }
}

impl Window {
    /// Counts one request.
    pub fn add(&mut self, outcome: &Outcome, at: UnixMs) {
        self.last_at = self.last_at.max(at);
        self.counts.add(outcome);
        if let Some(cohort) = outcome.cohort {
            self.cohort(cohort).add(outcome);
        }
        if outcome.failure.is_some() {
            return;
        }
        let square = |value: u64| u128::from(value).pow(2);
        self.tokens_squared.0 += square(outcome.tokens_in + outcome.tokens_out);
        self.cost_squared.0 += square(outcome.cost_micro_usd);
        self.usage.add(outcome, outcome.is_useful());
        self.latency_us.add(outcome.timing.total_us);
        self.latency_log_squared.0 += square(bucket_of(outcome.timing.total_us).into());
        if outcome.streamed {
            self.first_token_us.add(outcome.timing.first_token_us);
            self.first_token_log_squared.0 +=
                square(bucket_of(outcome.timing.first_token_us).into());
        }
    }

    /// Counts what a user said of an answer.
    pub fn add_feedback(&mut self, feedback: Feedback, cohort: Option<Cohort>, at: UnixMs) {
        self.last_at = self.last_at.max(at);
        self.counts.add_feedback(feedback);
        if let Some(cohort) = cohort {
            self.cohort(cohort).add_feedback(feedback);
        }
    }

    fn cohort(&mut self, cohort: Cohort) -> &mut Counts {
        // All or none, so that equal windows are equal bytes.
        let cohorts = Arc::make_mut(&mut self.cohorts);
        cohorts.resize(Cohort::COUNT, Counts::default());
        &mut cohorts[cohort.index()]
    }

    /// The same without cohorts: they belong to one release, and another salt makes others.
    #[must_use]
    pub fn without_cohorts(self) -> Window {
        Window { cohorts: Arc::default(), ..self }
    }

    /// Adds the other's counts.
    pub fn merge(&mut self, other: &Window) {
        self.combine(other, u64::overflowing_add, u128::overflowing_add);
        self.latency_us.merge(&other.latency_us);
        self.first_token_us.merge(&other.first_token_us);
        self.last_at = self.last_at.max(other.last_at);
    }

    /// What is here and was not in `earlier`; `None` when any count went backwards.
    pub fn since(&self, earlier: &Window) -> Option<Window> {
        let mut rest = self.clone();
        let fits = rest.combine(earlier, u64::overflowing_sub, u128::overflowing_sub);
        if rest.cohorts.iter().all(|counts| *counts == Counts::default()) {
            rest.cohorts = Arc::default();
        }
        rest.latency_us = self.latency_us.since(&earlier.latency_us)?;
        rest.first_token_us = self.first_token_us.since(&earlier.first_token_us)?;
        fits.then_some(rest)
    }

    /// Combines every count with the other's; false when one of the results does not exist.
    fn combine(
        &mut self,
        other: &Window,
        narrow: impl Fn(u64, u64) -> (u64, bool) + Copy,
        wide: fn(u128, u128) -> (u128, bool),
    ) -> bool {
        // Full destructuring: a new sum that is forgotten here does not compile.
        let Window {
            counts,
            cohorts,
            tokens_squared,
            cost_squared,
            latency_log_squared,
            first_token_log_squared,
            usage,
            latency_us: _,
            first_token_us: _,
            last_at: _,
        } = other;
        let mut fits = self.counts.combine(counts, narrow);
        if !cohorts.is_empty() {
            let mine = Arc::make_mut(&mut self.cohorts);
            mine.resize(mine.len().max(cohorts.len()), Counts::default());
            for (mine, theirs) in mine.iter_mut().zip(cohorts.iter()) {
                fits &= mine.combine(theirs, narrow);
            }
        }
        fits &= self.usage.combine(usage, narrow, wide);
        let mut square = |mine: &mut WideSum, theirs: &WideSum| {
            let (value, over) = wide(mine.0, theirs.0);
            mine.0 = value;
            fits &= !over;
        };
        square(&mut self.tokens_squared, tokens_squared);
        square(&mut self.cost_squared, cost_squared);
        square(&mut self.latency_log_squared, latency_log_squared);
        square(&mut self.first_token_log_squared, first_token_log_squared);
        fits
    }
}
