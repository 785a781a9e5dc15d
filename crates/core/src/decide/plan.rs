//! The plan of a release: its ladder, its lines with their thresholds, and its error budget.

use super::ab_plan::{AbPlan, AbPlanError};
use super::metric::Metric;
use super::tally::MetricKind;
use crate::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use crate::observe::Window;
use crate::route::{Audience, Weight};
use serde::{Deserialize, Serialize};

/// Most answers that may give away personal data or repeat the prompt, as a share: 4 in 1,000.
/// Good models put an address into 1 to 3 of 1,000 answers (`bob@example.com` in code, a hotline):
/// a ceiling of 3 could never be proven for those. Proven with 99 % confidence in 1,319 answers
/// that have none.
const LEAK_CEILING: f64 = 0.004;

/// Most rungs of a ladder: each keeps strata, some kilobytes.
pub const RUNGS_MAX: usize = 32;

/// How a band is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BandUnit {
    /// Relative to the stable arm: for a rate, of its good share (1 − rate), so −3 % of a task
    /// success of 0.90 is 0.873; for time, tokens and cost, of the value.
    Relative,
    /// Percentage points of the rate; for rates only.
    Points,
}

/// The three thresholds of a rule, as fractions: 0.10 is 10 % or points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Up to here it passes.
    pub pass: f64,
    /// Beyond here it pauses; between pass and here it holds.
    pub pause: f64,
    /// Beyond here it rolls back.
    pub rollback: f64,
    /// How the three are read.
    pub unit: BandUnit,
}

/// One thing that is compared between the arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineRule {
    /// What is measured.
    pub metric: Metric,
    /// Thresholds against the stable arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
    /// An absolute ceiling in the metric's own unit (share, ms, tokens, dollars); proven above it
    /// the release rolls back whatever stable does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
    /// For a rate: proven more than so many times stable's, and the floor, it rolls back as well;
    /// 2 is "doubled".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple: Option<f64>,
    /// Differences up to this, in the metric's own unit, do not count as harm: 20 ms more are not
    /// a regression of a 40 ms service.
    #[serde(default)]
    pub floor: f64,
    /// Whether advancing needs a proof on this metric. What a rule that is not required has shown
    /// so far can hold, pause and roll back; that it proves nothing yet does not stop a climb
    /// (feedback that few users give).
    #[serde(default)]
    pub required: bool,
}

/// One step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Share of subjects.
    pub weight: Weight,
    /// How long to look at least, ms.
    pub look_ms: u64,
}

/// Named ladders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// 1 % for 24 h, then everyone.
    Careful,
    /// 5, 10, 25, 50, 75, 100 %, 300 s each.
    Ladder,
    /// 10 % for 300 s, then everyone.
    Simple,
}

impl Preset {
    /// The rungs of the preset. The last rung, 100 %, is looked at as long as the one before it.
    pub fn rungs(self) -> Vec<Rung> {
        let (pcts, look_ms): (&[f64], u64) = match self {
            Preset::Careful => (&[1.0, 100.0], 24 * 3_600_000),
            Preset::Ladder => (&[5.0, 10.0, 25.0, 50.0, 75.0, 100.0], 300_000),
            Preset::Simple => (&[10.0, 100.0], 300_000),
        };
        pcts.iter()
            .filter_map(|pct| Some(Rung { weight: Weight::from_pct(*pct)?, look_ms }))
            .collect()
    }
}

/// When both arms suffer together there is no verdict on the candidate (invariant 9).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SharedFault {
    /// Share of upstream failures on the stable arm, in one observation, from which the upstream
    /// itself is taken to be down; 0 to 1.
    pub stable_error_rate: f64,
    /// Stable requests an observation needs before that is believed.
    pub min_requests: u64,
}

impl Default for SharedFault {
    fn default() -> Self {
        SharedFault { stable_error_rate: 0.2, min_requests: 10 }
    }
}

/// What the stable set did over the last days, stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The service it was taken from.
    pub service: ServiceName,
    /// The version set it was taken from.
    pub set: VersionSetId,
    /// Days merged into it, 1 to 7.
    pub days: u32,
    /// The merged counts.
    pub window: Window,
}

/// Everything a release is decided by; fixed when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Unique among all releases of the service.
    pub change_id: ChangeId,
    /// The service whose traffic is split.
    pub service: ServiceName,
    /// The set it starts from and rolls back to.
    pub from: VersionSetId,
    /// The set it goes to.
    pub to: VersionSetId,
    /// Salt of the split.
    pub salt: String,
    /// Which subjects may be on the candidate.
    pub audience: Audience,
    /// The ladder, rising, ending at 100 % less the hold-back.
    pub rungs: Vec<Rung>,
    /// What is compared.
    pub rules: Vec<LineRule>,
    /// Probability of rolling back a release that is within every rollback line, over the whole
    /// release; within (0, 0.5). Split evenly over the rules.
    pub alpha: f64,
    /// Expected requests that a worse candidate may spoil on the next rung: what is not yet proven
    /// harmless is only given so much. Harm that would spoil less need not be excluded first, as
    /// long as the rollback line is.
    pub bad_budget: u64,
    /// Share of subjects kept on stable at the last rung, so that it has a control; 0 for none.
    #[serde(default)]
    pub hold_back: Weight,
    /// Answers each arm needs at a rung before it may advance.
    pub min_samples: u64,
    /// Without any new outcome for so long, the data is taken to be missing, ms.
    pub stale_after_ms: u64,
    /// Answers that the candidate may spoil which stable would not have spoilt, over the whole
    /// release, as far as is proven of one rate line; then it rolls back. 0 for no such limit.
    #[serde(default)]
    pub harm_budget: u64,
    /// How long a pause by lines lasts at most, ms; 0 for no limit. After it the release rolls back
    /// where the candidate is proven worse than stable, however much worse.
    #[serde(default)]
    pub pause_max_ms: u64,
    /// When a fault counts as shared.
    pub shared_fault: SharedFault,
    /// Whether both sets call the same model server, so that its faults cannot be distinguished
    /// from the candidate's once nobody is on stable any more.
    pub same_upstream: bool,
    /// Whether a black signal shuts the service's entrance, beside rolling back.
    pub close_entrance: bool,
    /// What the stable set did before, where it is known; absent at a cold start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What makes it an A/B test, which stays on its one rung; absent of other releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ab: Option<Box<AbPlan>>,
    /// When it was made.
    pub created_at: UnixMs,
}

/// Why a plan is refused, with what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No rungs.
    #[error("release `{0}`: the ladder has no rungs; at least one is needed, the last at 100 %")]
    NoRungs(ChangeId),
    /// A rung is not above the one before.
    #[error("release `{change}`: rung {rung} is not above the rung before it, {before}")]
    NotRising {
        /// The release that the plan is for.
        change: ChangeId,
        /// The weight of the rung that is too low.
        rung: Weight,
        /// The one before it.
        before: Weight,
    },
    /// The last rung is not 100 %.
    #[error("release `{change}`: the last rung is {last}; a ladder ends at {full}")]
    NotFull {
        /// The release that the plan is for.
        change: ChangeId,
        /// The last rung.
        last: Weight,
        /// 100 % less the hold-back.
        full: Weight,
    },
    /// More rungs than are kept apart.
    #[error("release `{change}`: {given} rungs; at most {RUNGS_MAX} are allowed")]
    TooManyRungs {
        /// The release that the plan is for.
        change: ChangeId,
        /// How many were given.
        given: usize,
    },
    /// A hold-back that leaves too little.
    #[error("release `{change}`: a hold-back of {given}; it must be below 50 %")]
    HoldBack {
        /// The release that the plan is for.
        change: ChangeId,
        /// What was given.
        given: Weight,
    },
    /// Thresholds out of order or not finite.
    #[error(
        "line rule `{metric}`: thresholds must be finite and rise, pass ≤ pause ≤ rollback; given {pass}, {pause}, {rollback}"
    )]
    Thresholds {
        /// The rule's metric.
        metric: &'static str,
        /// Pass.
        pass: f64,
        /// Pause.
        pause: f64,
        /// Rollback.
        rollback: f64,
    },
    /// A threshold that nothing can pass, most often a percentage where a fraction belongs.
    #[error(
        "line rule `{metric}`: {key} is {given}; thresholds are fractions, {allowed}; 0.05 is 5 %"
    )]
    Fraction {
        /// The rule's metric.
        metric: &'static str,
        /// `pass`, `pause` or `rollback`.
        key: &'static str,
        /// What was given.
        given: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Points on something that is not a rate.
    #[error("line rule `{0}`: unit `points` is for rates only; use `relative`")]
    PointsOnValue(&'static str),
    /// A multiple of something that is not a rate.
    #[error("line rule `{0}`: `multiple` is for rates only; a band is relative already")]
    MultipleOfValue(&'static str),
    /// A ceiling or floor that is not a finite number of the right size.
    #[error(
        "line rule `{metric}`: {key} must be a finite number of at least 0{and}; given {given}"
    )]
    Limit {
        /// The rule's metric.
        metric: &'static str,
        /// `ceiling` or `floor`.
        key: &'static str,
        /// A further bound, or nothing.
        and: &'static str,
        /// What was given.
        given: f64,
    },
    /// Neither band nor ceiling.
    #[error("line rule `{0}`: needs a band (pass, pause, rollback) or a ceiling")]
    NoThreshold(&'static str),
    /// The same metric twice.
    #[error("line rule `{0}`: given twice")]
    Twice(&'static str),
    /// No rules at all.
    #[error("release `{0}`: no line is watched; at least one rule is needed")]
    NoRules(ChangeId),
    /// Alpha out of range.
    #[error("release `{change}`: alpha is {given}; it must lie between 0 and 0.5, both excluded")]
    Alpha {
        /// The release that the plan is for.
        change: ChangeId,
        /// What was given.
        given: f64,
    },
    /// It is no sound A/B test.
    #[error("A/B test: {0}")]
    Ab(#[from] AbPlanError),
    /// The two sets are one.
    #[error("release `{0}`: the candidate is the version set that is stable already")]
    NothingChanges(ChangeId),
    /// The baseline is of another service.
    #[error("release `{change}`: the baseline is of service `{given}`, not of `{service}`")]
    ForeignBaseline {
        /// The release that the plan is for.
        change: ChangeId,
        /// The baseline's service.
        given: ServiceName,
        /// The service of the plan.
        service: ServiceName,
    },
}

impl Plan {
    /// Checks everything that [`super::decide`] relies on.
    ///
    /// # Errors
    /// The first [`PlanError`] found.
    pub fn check(&self) -> Result<(), PlanError> {
        match &self.ab {
            Some(ab) => ab.check_with(self.created_at, self.rungs.iter().map(|r| r.weight))?,
            None => self.check_ladder()?,
        }
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            return Err(PlanError::Alpha { change: self.change_id.clone(), given: self.alpha });
        }
        if self.from == self.to {
            return Err(PlanError::NothingChanges(self.change_id.clone()));
        }
        if self.rules.is_empty() {
            return Err(PlanError::NoRules(self.change_id.clone()));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            rule.check()?;
            if self.rules[..i].iter().any(|other| other.metric == rule.metric) {
                return Err(PlanError::Twice(rule.metric.as_str()));
            }
        }
        match &self.baseline {
            Some(baseline) if baseline.service != self.service => Err(PlanError::ForeignBaseline {
                change: self.change_id.clone(),
                given: baseline.service.clone(),
                service: self.service.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The error budget of one test of a rule: alpha over the rules, and over band, ceiling and
    /// multiple where the rule has several.
    pub fn alpha_of(&self, rule: &LineRule) -> f64 {
        let tests = [rule.band.is_some(), rule.ceiling.is_some(), rule.multiple.is_some()];
        let tests = tests.into_iter().filter(|is_there| *is_there).count().max(1);
        self.alpha / self.rules.len().max(1) as f64 / tests as f64
    }

    /// The harm to exclude before the rung after this one: what would spoil more than the budget
    /// there, at so many requests a ms; at least the pause line, and for what is no share of
    /// requests, or at traffic not known yet, just that.
    pub(super) fn margin(&self, rule: &LineRule, rung: usize, per_ms: Option<f64>) -> f64 {
        let Some(band) = rule.band else { return 0.0 };
        let next = self.rungs.get(rung + 1).filter(|_| rule.metric.is_rate());
        let (Some(next), Some(per_ms)) = (next, per_ms) else { return band.pause };
        let expected = per_ms * next.look_ms as f64 * next.weight.fraction();
        let most = band.rollback.max(band.pause);
        (self.bad_budget as f64 / expected.max(1.0)).clamp(band.pause, most)
    }

    fn check_ladder(&self) -> Result<(), PlanError> {
        let change = self.change_id.clone();
        let Some(last) = self.rungs.last() else { return Err(PlanError::NoRungs(change)) };
        let mut before = Weight::ZERO;
        for rung in &self.rungs {
            if rung.weight <= before {
                return Err(PlanError::NotRising { change, rung: rung.weight, before });
            }
            before = rung.weight;
        }
        let full = self.hold_back.rest();
        if self.hold_back >= full {
            return Err(PlanError::HoldBack { change, given: self.hold_back });
        }
        if last.weight != full {
            return Err(PlanError::NotFull { change, last: last.weight, full });
        }
        if self.rungs.len() > RUNGS_MAX {
            return Err(PlanError::TooManyRungs { change, given: self.rungs.len() });
        }
        Ok(())
    }
}

impl LineRule {
    /// Checks the rule by itself.
    ///
    /// # Errors
    /// The first [`PlanError`] found.
    pub fn check(&self) -> Result<(), PlanError> {
        let metric = self.metric.as_str();
        if let Some(Band { pass, pause, rollback, unit }) = self.band {
            let rises = pass <= pause && pause <= rollback;
            if !rises || ![pass, pause, rollback].iter().all(|t| t.is_finite()) {
                return Err(PlanError::Thresholds { metric, pass, pause, rollback });
            }
            let (least, most, allowed) = match self.metric.kind() {
                MetricKind::Rate(_) => (-1.0, 1.0, "from -1 to 1 for a rate"),
                // The tail is not kept any nearer to stable's than this.
                MetricKind::Quantile { .. } => (-0.25, 10.0, "from -0.25 to 10 for a time"),
                MetricKind::Mean { .. } => (-0.9, 10.0, "from -0.9 to 10 for a value"),
            };
            for (key, given) in [("pass", pass), ("pause", pause), ("rollback", rollback)] {
                if !(least..=most).contains(&given) {
                    return Err(PlanError::Fraction { metric, key, given, allowed });
                }
            }
            if unit == BandUnit::Points && !self.metric.is_rate() {
                return Err(PlanError::PointsOnValue(metric));
            }
        } else if self.ceiling.is_none() {
            return Err(PlanError::NoThreshold(metric));
        }
        if let Some(ceiling) = self.ceiling {
            let small_enough = !self.metric.is_rate() || ceiling <= 1.0;
            if !(ceiling.is_finite() && ceiling >= 0.0 && small_enough) {
                let and = if self.metric.is_rate() { " and at most 1" } else { "" };
                return Err(PlanError::Limit { metric, key: "ceiling", and, given: ceiling });
            }
        }
        if let Some(given) = self.multiple {
            if !self.metric.is_rate() {
                return Err(PlanError::MultipleOfValue(metric));
            }
            if !(given.is_finite() && given > 1.0) {
                let and = ", over 1";
                return Err(PlanError::Limit { metric, key: "multiple", and, given });
            }
        }
        if !(self.floor.is_finite() && self.floor >= 0.0) {
            return Err(PlanError::Limit { metric, key: "floor", and: "", given: self.floor });
        }
        Ok(())
    }

    /// The default threshold table, for a service that sets none.
    ///
    /// The band of errors, contract violations and refusals is in points, since relative to a good
    /// share near 1 it is the same to three digits and easier to read.
    pub fn defaults() -> Vec<LineRule> {
        let quality = |metric, required| LineRule {
            metric,
            band: Some(Band { pass: 0.0, pause: 0.03, rollback: 0.05, unit: BandUnit::Points }),
            ceiling: None,
            multiple: None,
            floor: 0.0,
            required,
        };
        let leak = |metric| LineRule { ceiling: Some(LEAK_CEILING), ..quality(metric, true) };
        let relative = |metric, floor, required| LineRule {
            metric,
            band: Some(Band { pass: 0.10, pause: 0.15, rollback: 0.25, unit: BandUnit::Relative }),
            ceiling: None,
            multiple: None,
            floor,
            required,
        };
        // What users say is relative to the good share, and never waited for: it may not come.
        let feedback = |metric| {
            let band = Band { pass: 0.0, pause: 0.03, rollback: 0.05, unit: BandUnit::Relative };
            LineRule { band: Some(band), ..quality(metric, false) }
        };
        let timeouts = quality(Metric::TimeoutRate, true);
        vec![
            quality(Metric::ErrorRate, true),
            quality(Metric::RejectedRate, true),
            quality(Metric::ContractBrokenRate, false),
            quality(Metric::RefusalRate, true),
            feedback(Metric::DislikeRate),
            relative(Metric::LatencyP95, 20.0, true),
            LineRule { multiple: Some(2.0), floor: 0.001, ..timeouts },
            relative(Metric::TokensPerRequest, 0.0, true),
            leak(Metric::PiiRate),
            leak(Metric::PromptEchoRate),
            feedback(Metric::NotAdoptedRate),
            feedback(Metric::TaskFailedRate),
        ]
    }
}
