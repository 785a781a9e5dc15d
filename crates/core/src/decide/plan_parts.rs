//! A plan is made of two parts: what the project says, and what is particular to one release. This
//! is the only place outside tests that puts them together, so a field cannot be forgotten in one
//! of several.

use super::ab_plan::AbPlan;
use super::defaults;
use super::plan::{Baseline, LineRule, Plan, PlanError, Rung, SharedFault};
use crate::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use crate::route::{Audience, Weight};

/// The parts of a plan that come from the project.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanParts {
    /// The ladder, rising, ending at 100 % less the hold-back.
    pub rungs: Vec<Rung>,
    /// What is compared; at least one rule, each metric once.
    pub rules: Vec<LineRule>,
    /// Which subjects may be on the candidate.
    pub audience: Audience,
    /// Probability of rolling back a release that is within every rollback line; in (0, 0.5).
    pub alpha: f64,
    /// Requests that a worse candidate may be expected to spoil on the next rung.
    pub bad_budget: u64,
    /// Share of subjects kept on stable at the last rung.
    pub hold_back: Weight,
    /// Answers each arm needs at a rung before it may advance.
    pub min_samples: u64,
    /// After so long without a new outcome the data counts as missing, ms.
    pub stale_after_ms: u64,
    /// Answers that may be spoilt beyond stable's; 0 for no limit.
    pub harm_budget: u64,
    /// How long a pause by lines lasts at most, ms; 0 for no limit.
    pub pause_max_ms: u64,
    /// Whether a black signal shuts the service's entrance.
    pub close_entrance: bool,
}

/// The parts of a plan that belong to one release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseParts {
    /// Unique among all releases of the service.
    pub change_id: ChangeId,
    /// The service whose traffic is split.
    pub service: ServiceName,
    /// The set that serves now.
    pub from: VersionSetId,
    /// The set it moves to; another one than `from`.
    pub to: VersionSetId,
    /// Salt of the split.
    pub salt: String,
    /// Whether both sets call the same model server.
    pub same_upstream: bool,
    /// What the stable set did before, where it is known.
    pub baseline: Option<Baseline>,
    /// When the plan is made.
    pub created_at: UnixMs,
}

impl PlanParts {
    /// A project that says nothing but its ladder and its rules: [`defaults`] for the rest.
    pub fn with_defaults(rungs: Vec<Rung>, rules: Vec<LineRule>) -> PlanParts {
        PlanParts {
            rungs,
            rules,
            audience: Audience::Users,
            alpha: defaults::ALPHA,
            bad_budget: defaults::BAD_BUDGET,
            hold_back: Weight::from_pct(defaults::HOLD_BACK_PCT).unwrap_or_default(),
            min_samples: defaults::MIN_SAMPLES,
            stale_after_ms: defaults::STALE_AFTER_S * 1_000,
            harm_budget: defaults::HARM_BUDGET,
            pause_max_ms: defaults::PAUSE_MAX_S * 1_000,
            close_entrance: true,
        }
    }

    /// The plan of this release, checked.
    ///
    /// # Errors
    /// What [`Plan::check`] finds.
    pub fn plan(self, release: ReleaseParts) -> Result<Plan, PlanError> {
        let plan = self.with(release);
        plan.check()?;
        Ok(plan)
    }

    /// The plan of this A/B test at this split, checked: its one rung lasts until its end.
    ///
    /// # Errors
    /// What [`Plan::check`] finds.
    pub fn ab_plan(
        self,
        release: ReleaseParts,
        ab: AbPlan,
        split: Weight,
    ) -> Result<Plan, PlanError> {
        let look_ms = ab.ends_at.since(release.created_at);
        let plan = Plan {
            rungs: vec![Rung { weight: split, look_ms }],
            hold_back: Weight::ZERO,
            ab: Some(Box::new(ab)),
            ..self.with(release)
        };
        plan.check()?;
        Ok(plan)
    }

    fn with(self, release: ReleaseParts) -> Plan {
        let PlanParts {
            rungs,
            rules,
            audience,
            alpha,
            bad_budget,
            hold_back,
            min_samples,
            stale_after_ms,
            harm_budget,
            pause_max_ms,
            close_entrance,
        } = self;
        let ReleaseParts {
            change_id,
            service,
            from,
            to,
            salt,
            same_upstream,
            baseline,
            created_at,
        } = release;
        Plan {
            change_id,
            service,
            from,
            to,
            salt,
            audience,
            rungs,
            rules,
            alpha,
            bad_budget,
            hold_back,
            min_samples,
            stale_after_ms,
            harm_budget,
            pause_max_ms,
            shared_fault: SharedFault::default(),
            same_upstream,
            close_entrance,
            baseline,
            ab: None,
            created_at,
        }
    }
}
