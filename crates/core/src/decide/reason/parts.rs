//! The fields of reasons that have more than one or two.

use super::super::metric::{Line, Metric};
use super::super::plan::BandUnit;
use super::super::yardstick::Yardstick;
use crate::route::Weight;
use crate::upstream::Failure;
use serde::{Deserialize, Serialize};

/// Why numbers may be incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// No server is running, so nothing is measured.
    NoServer,
    /// No metrics come in.
    NoMetrics,
    /// A count went down, so the numbers are not of this release alone.
    CountFell,
}

/// What is seen of a fault of the upstream that both arms share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSeen {
    /// Since when it has lasted, s.
    pub for_s: u64,
    /// Whether it is over.
    pub is_over: bool,
    /// Whether nobody asks stable, so that the candidate shows what the shared upstream does.
    pub is_alone: bool,
    /// New requests of stable and of the candidate, with how many the upstream failed; none when
    /// nothing new came.
    pub stable: Failures,
    /// The same of the candidate.
    pub candidate: Failures,
}

/// How many of an arm's requests failed by its upstream's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failures {
    /// Requests.
    pub requests: u64,
    /// Those that the upstream failed.
    pub errors: u64,
}

impl Failures {
    /// The share that failed, 0 to 1; 0 without requests.
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }
}

/// Too few answers at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TooFew {
    /// Answers of the candidate at this rung.
    pub samples_candidate: u64,
    /// How many are needed.
    pub needed_candidate: u64,
    /// Answers of stable at this rung.
    pub samples_stable: u64,
    /// How many are needed; 0 where nobody is left on stable.
    pub needed_stable: u64,
    /// Requests of the candidate since the release began.
    pub candidate_requests: u64,
    /// Seconds until there are enough at the present traffic, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_s: Option<u64>,
}

/// More answers spoilt than the harm budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverBudget {
    /// How many answers may be spoilt.
    pub budget: u64,
    /// How many are, beyond those that stable would have spoilt; an estimate.
    pub spoilt: f64,
    /// The line on which they are.
    #[serde(flatten)]
    pub shown: Box<Comparison>,
}

/// A pause by lines that ends in a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PauseLimit {
    /// How long it was paused, s.
    pub lasted_s: u64,
    /// How long a pause lasts at most, s.
    pub limit_s: u64,
    /// The line that is proven worse.
    #[serde(flatten)]
    pub shown: Box<Comparison>,
}

/// A model server that fails, with or without a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutage {
    /// The upstream's name in the project.
    pub upstream: String,
    /// How most of the requests failed.
    pub failure: Failure,
    /// Requests that ended since the first of the failures.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
}

/// A model behind stable that changed without a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelDrift {
    /// The upstream's name in the project.
    pub upstream: String,
    /// Where it is, without a key; empty where it has no address.
    pub endpoint: String,
    /// The model that is asked for.
    pub model: String,
    /// What changed.
    #[serde(flatten)]
    pub changed: Changed,
}

/// What changed of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "changed", rename_all = "snake_case")]
pub enum Changed {
    /// The model's name, as its server gives it.
    Model {
        /// The names before.
        before: String,
        /// The names now.
        now: String,
    },
    /// Its fingerprint.
    Fingerprint {
        /// Those before.
        before: String,
        /// Those now.
        now: String,
    },
    /// Its answers to the fixed cases.
    Answers {
        /// What differs most surely: `accuracy`, `score` or `likeness`.
        measure: String,
        /// Its mean before.
        mean_before: f64,
        /// Its mean now.
        mean_now: f64,
        /// How often chance alone makes such a difference, after Holm's correction.
        p: f64,
        /// Cases in both runs.
        cases: u64,
    },
}

/// A pause by lines that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseSoFar {
    /// How long it has been paused, s.
    pub lasted_s: u64,
    /// How long a pause lasts at most, s.
    pub limit_s: u64,
    /// What the limit leads to.
    pub leads_to: PauseEnd,
}

/// What the limit of a pause leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseEnd {
    /// It rolls back at the limit: a line is proven worse than stable.
    GoesBack,
    /// It rolls back at the limit if a line is proven worse than stable by then.
    GoesBackIfWorse,
    /// The limit is over and no line is proven worse than stable: it stays paused.
    Stays,
}

/// One rule's comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The line that the metric belongs to.
    pub line: Line,
    /// What is compared.
    pub metric: Metric,
    /// What the threshold and the estimate are measured in.
    pub unit: Unit,
    /// What the candidate is compared with.
    #[serde(default, skip_serializing_if = "Beside::is_stable")]
    pub beside: Beside,
    /// What tokens and cost are compared by, where it is not what the upstreams reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yardstick: Option<Yardstick>,
    /// Where the arms have no common yardstick: how many answers came with usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Reported>,
    /// Where it is over a multiple of stable's rate: the multiple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple: Option<f64>,
    /// Of a line that passes its band and has a ceiling as well: the value, in the metric's own
    /// unit, that it is proven within with 99 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// What more samples like those so far lead to, where it is not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<More>,
    /// The next share of traffic at which that would not take so long, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger: Option<LargerShare>,
    /// What both arms showed, and what was proven.
    #[serde(flatten)]
    pub numbers: Numbers,
}

impl Comparison {
    /// A comparison with stable in the same hours, by what upstreams reported.
    pub fn new(metric: Metric, unit: Unit, numbers: Numbers) -> Comparison {
        Comparison {
            line: metric.line(),
            metric,
            unit,
            beside: Beside::Stable,
            yardstick: None,
            reported: None,
            multiple: None,
            within: None,
            more: None,
            larger: None,
            numbers,
        }
    }
}

/// The share of each arm's answers that came with the upstream's own usage, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// Of stable's.
    pub stable: f64,
    /// Of the candidate's.
    pub candidate: f64,
}

/// What a threshold is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A fraction of stable's value (for a rate, of its good share).
    Relative,
    /// Percentage points of a rate, as a fraction.
    Points,
    /// A ceiling, in the metric's own unit.
    Ceiling,
}

impl Unit {
    /// The unit of a band.
    pub(crate) fn of_band(unit: BandUnit) -> Unit {
        match unit {
            BandUnit::Relative => Unit::Relative,
            BandUnit::Points => Unit::Points,
        }
    }
}

/// What a candidate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// The stable arm in the same hours.
    #[default]
    Stable,
    /// The stable arm before everyone left it.
    StableBefore,
    /// The stored days of stable.
    Baseline {
        /// How many days.
        days: u32,
    },
}

impl Beside {
    fn is_stable(&self) -> bool {
        *self == Beside::Stable
    }
}

/// A larger share of traffic, and how long as many samples would take there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargerShare {
    /// The next rung with at least twice the traffic.
    pub weight_pct: Weight,
    /// How long, s.
    pub more_s: u64,
}

/// What more samples like those so far would lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// It would be rolled back.
    RollsBack,
    /// The line would pass.
    Passes,
    /// Nothing: only a larger difference or less noise would.
    SettlesNothing,
}

/// The numbers of a comparison. JSON has no infinity and no NaN; what is not known is left out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// Value of the stable arm, in the metric's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<f64>,
    /// Value of the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<f64>,
    /// Estimated harm, a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// Lower end of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// The threshold that was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The odds for it, x : 1; for a hold, the odds for what would end it. In JSON and in journals
    /// the name is `evidence`.
    #[serde(default, rename = "evidence", skip_serializing_if = "Option::is_none")]
    pub odds: Option<f64>,
    /// The odds that are enough: 1 / alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<f64>,
    /// The chance of a false verdict that this test may spend over the whole release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How many requests of a subject are worth one independent one, where more than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_effect: Option<f64>,
    /// Users behind the candidate's samples, where there are few enough to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Candidate samples like those so far that would change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_samples: Option<u64>,
    /// Seconds until then at the present traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_s: Option<u64>,
    /// Samples on the stable arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_stable: Option<u64>,
    /// Samples on the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_candidate: Option<u64>,
}
