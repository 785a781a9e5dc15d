//! What makes a release an A/B test, what is a sound one, and what it can find.

use super::metric::Metric;
use crate::ids::UnixMs;
use crate::route::Weight;
use serde::{Deserialize, Serialize};

/// Longest name of an A/B test, in characters.
const AB_NAME_MAX: usize = 60;
/// Longest name of an arm, in characters.
const AB_ARM_MAX: usize = 20;
/// Most metrics: each has its share of alpha.
const AB_METRICS_MAX: usize = 8;
/// Longest time, ms: 31 days.
pub(super) const AB_LASTS_MAX_MS: u64 = 31 * 24 * 3_600_000;

/// What makes a release an A/B test; fixed when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbPlan {
    /// What people call it.
    pub name: String,
    /// What stable's arm is called.
    pub stable_arm: String,
    /// What the candidate's arm is called.
    pub candidate_arm: String,
    /// What is compared, the most important first; each once.
    pub metrics: Vec<Metric>,
    /// The chance of finding a difference of any metric where there is none; in (0, 0.5).
    pub alpha: f64,
    /// When it ends by itself.
    pub ends_at: UnixMs,
}

/// Why an A/B test cannot be, with what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AbPlanError {
    /// A name that cannot be shown on one line.
    #[error(
        "name `{}`: allowed are 1 to {AB_NAME_MAX} characters on one line", .0.escape_debug()
    )]
    Name(String),
    /// An arm's name.
    #[error(
        "arm `{}`: allowed are 1 to {AB_ARM_MAX} letters and digits of any script and `-_.`",
        .0.escape_debug()
    )]
    Arm(String),
    /// Two arms of one name.
    #[error("both arms are called `{0}`; they need different names")]
    SameArm(String),
    /// No metric, or too many.
    #[error("{0} metrics; allowed are 1 to {AB_METRICS_MAX}")]
    Metrics(usize),
    /// A metric twice.
    #[error("metric `{0}`: given twice")]
    Twice(&'static str),
    /// Alpha out of range.
    #[error("alpha: given {0}; it must lie between 0 and 0.5, both excluded")]
    Alpha(f64),
    /// A split that leaves one arm without subjects.
    #[error(
        "split: given {0} %; it must be above 0 % and below 100 %, so that both arms have users"
    )]
    Split(f64),
    /// It would end before it begins, or never.
    #[error("time: given {} s; allowed are 1 s to {} h", .0 / 1000, AB_LASTS_MAX_MS / 3_600_000)]
    Lasts(u64),
    /// It has rungs to climb.
    #[error("an A/B test has one rung; given {0}")]
    Rungs(usize),
}

/// What is known of the candidate on one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbVerdict {
    /// Proven better than stable.
    Better,
    /// Proven worse.
    Worse,
    /// Neither so far.
    Open,
}

/// A difference that was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbFound {
    /// Of what.
    pub metric: Metric,
    /// Which way; never [`AbVerdict::Open`].
    pub verdict: AbVerdict,
    /// The look that found it.
    pub at: UnixMs,
}

impl AbPlan {
    /// The share of alpha that each metric has.
    pub fn alpha_of_each(&self) -> f64 {
        self.alpha / self.metrics.len().max(1) as f64
    }

    /// Checks it, with when it starts.
    ///
    /// # Errors
    /// The first [`AbPlanError`] found.
    pub fn check(&self, starts_at: UnixMs) -> Result<(), AbPlanError> {
        let AbPlan { name, stable_arm, candidate_arm, metrics, alpha, ends_at } = self;
        let length = name.trim().chars().count();
        if length == 0 || name.chars().count() > AB_NAME_MAX || name.chars().any(char::is_control) {
            return Err(AbPlanError::Name(name.clone()));
        }
        let is_fine = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        for arm in [stable_arm, candidate_arm] {
            if !(1..=AB_ARM_MAX).contains(&arm.chars().count()) || !arm.chars().all(is_fine) {
                return Err(AbPlanError::Arm(arm.clone()));
            }
        }
        if stable_arm == candidate_arm {
            return Err(AbPlanError::SameArm(stable_arm.clone()));
        }
        if !(1..=AB_METRICS_MAX).contains(&metrics.len()) {
            return Err(AbPlanError::Metrics(metrics.len()));
        }
        for (i, metric) in metrics.iter().enumerate() {
            if metrics[..i].contains(metric) {
                return Err(AbPlanError::Twice(metric.as_str()));
            }
        }
        if !(*alpha > 0.0 && *alpha < 0.5) {
            return Err(AbPlanError::Alpha(*alpha));
        }
        let lasts_ms = ends_at.since(starts_at);
        match (1_000..=AB_LASTS_MAX_MS).contains(&lasts_ms) {
            true => Ok(()),
            false => Err(AbPlanError::Lasts(lasts_ms)),
        }
    }

    /// The candidate's share at a split of so many percent.
    ///
    /// # Errors
    /// [`AbPlanError::Split`] where an arm would have no user.
    pub fn split(pct: f64) -> Result<Weight, AbPlanError> {
        let weight = Weight::from_pct(pct);
        let weight = weight.filter(|weight| *weight > Weight::ZERO && *weight < Weight::FULL);
        weight.ok_or(AbPlanError::Split(pct))
    }

    /// Checks it with when it starts, and its rungs' weights.
    pub(super) fn check_with(
        &self,
        starts_at: UnixMs,
        mut weights: impl ExactSizeIterator<Item = Weight>,
    ) -> Result<(), AbPlanError> {
        self.check(starts_at)?;
        match (weights.len(), weights.next()) {
            (1, Some(weight)) => AbPlan::split(weight.pct()).map(|_| ()),
            (rungs, _) => Err(AbPlanError::Rungs(rungs)),
        }
    }
}
