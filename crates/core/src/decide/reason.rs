//! Reasons: a code with its own numbers. No sentence is made here; [`crate::say`] makes it, in the
//! reader's language, where it is shown.
//!
//! In JSON a reason is one flat object: `code`, then its fields. Journals written before reasons
//! had fields hold a sentence (`text`) instead; such a reason is read as [`Reason::Stored`].

mod code;
mod parts;

use super::metric::{Line, Metric};
use super::state::{Order, Phase};
use crate::guard::RiskEvent;
use crate::route::Weight;
pub use code::ReasonCode;
pub use parts::{
    Beside, Changed, Comparison, Failures, FaultSeen, Gap, LargerShare, ModelDrift, ModelOutage,
    More, Numbers, OverBudget, PauseEnd, PauseLimit, PauseSoFar, Reported, TooFew, Unit,
};
use serde::{Deserialize, Serialize};

/// One reason, with its numbers (invariant 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// An operator ordered it.
    Order(Order),
    /// Red-line events on the candidate.
    RedLine {
        /// What was seen, at least one.
        events: Vec<RiskEvent>,
    },
    /// The numbers may be incomplete.
    Gap {
        /// What is missing.
        gap: Gap,
    },
    /// The upstream fails for both arms.
    SharedFault(FaultSeen),
    /// A line is proven over its rollback threshold.
    OverRollback(Box<Comparison>),
    /// A line is proven over its ceiling.
    OverCeiling(Box<Comparison>),
    /// More answers than the harm budget are proven to be spoilt.
    OverBudget(Box<OverBudget>),
    /// A line is worse than pass and its estimate is over the pause threshold, or it is proven
    /// worse than the stored baseline.
    OverPause(Box<Comparison>),
    /// A pause by lines has reached its limit, and this line is proven worse than stable.
    PauseLimit(Box<PauseLimit>),
    /// A line is worse than pass and not over pause.
    BetweenPassAndPause(Box<Comparison>),
    /// A line is not decided yet.
    Uncertain(Box<Comparison>),
    /// A line has no samples on one arm.
    Skipped(Box<Comparison>),
    /// A line passes.
    Pass(Box<Comparison>),
    /// A line is worse than the stored baseline on both arms.
    BaselineDrift(Box<Comparison>),
    /// Every line passes, on enough data and for long enough.
    AllPass {
        /// How long the rung was looked at, s.
        looked_s: u64,
    },
    /// Every line passes; the rung's time is not over.
    Looking {
        /// How long the rung was looked at, s.
        looked_s: u64,
        /// How long it is looked at, s.
        look_s: u64,
    },
    /// An A/B test goes on until its end.
    AbRuns {
        /// How long it goes on at most, s.
        left_s: u64,
    },
    /// An A/B test has lasted as long as it may.
    AbOver {
        /// How long it lasted, s.
        lasted_s: u64,
    },
    /// Too few answers at this rung.
    TooFewSamples(TooFew),
    /// No request ended for too long.
    NoData {
        /// For how long, s.
        silent_s: u64,
        /// Requests of the candidate since the release began.
        candidate_requests: u64,
    },
    /// The split does not send what the weight says.
    SampleRatio {
        /// The candidate's share of requests, 0 to 1.
        share: f64,
        /// What it should be.
        weight_pct: Weight,
        /// Requests of the candidate at this weight.
        samples_candidate: u64,
        /// Requests of stable at this weight.
        samples_stable: u64,
    },
    /// No red-line event so far.
    Clean {
        /// Answers of the candidate.
        samples_candidate: u64,
        /// The highest rate of red-line events that fits, 0 to 1, with 95 % confidence.
        high: f64,
    },
    /// No days of stable are stored to compare with as well.
    ColdStart,
    /// It was decided at this very moment already.
    Decided,
    /// The release is over.
    Final {
        /// How it ended.
        #[serde(flatten)]
        phase: Phase,
    },
    /// An operator paused it.
    Paused,
    /// How long a pause by lines has lasted.
    PausedByLines(PauseSoFar),
    /// Stable's model server fails. It is the reason of an incident and of no decision.
    Outage(ModelOutage),
    /// The model behind stable changed without a release, so numbers from here on compare something
    /// else.
    Drift(Box<ModelDrift>),
    /// A reason of a journal that was written before reasons had fields.
    #[serde(untagged)]
    Stored(Box<StoredReason>),
}

impl Reason {
    /// What it is about.
    pub fn code(&self) -> ReasonCode {
        match self {
            Reason::Order(_) => ReasonCode::Order,
            Reason::RedLine { .. } => ReasonCode::RedLine,
            Reason::Gap { .. } => ReasonCode::Gap,
            Reason::SharedFault(_) => ReasonCode::SharedFault,
            Reason::OverRollback(_) => ReasonCode::OverRollback,
            Reason::OverCeiling(_) => ReasonCode::OverCeiling,
            Reason::OverBudget(_) => ReasonCode::OverBudget,
            Reason::OverPause(_) => ReasonCode::OverPause,
            Reason::PauseLimit(_) => ReasonCode::PauseLimit,
            Reason::BetweenPassAndPause(_) => ReasonCode::BetweenPassAndPause,
            Reason::Uncertain(_) => ReasonCode::Uncertain,
            Reason::Skipped(_) => ReasonCode::Skipped,
            Reason::Pass(_) => ReasonCode::Pass,
            Reason::BaselineDrift(_) => ReasonCode::BaselineDrift,
            Reason::AllPass { .. } => ReasonCode::AllPass,
            Reason::Looking { .. } => ReasonCode::Looking,
            Reason::AbRuns { .. } => ReasonCode::AbRuns,
            Reason::AbOver { .. } => ReasonCode::AbOver,
            Reason::TooFewSamples(_) => ReasonCode::TooFewSamples,
            Reason::NoData { .. } => ReasonCode::NoData,
            Reason::SampleRatio { .. } => ReasonCode::SampleRatio,
            Reason::Clean { .. } => ReasonCode::Clean,
            Reason::ColdStart => ReasonCode::ColdStart,
            Reason::Decided => ReasonCode::Decided,
            Reason::Final { .. } => ReasonCode::Final,
            Reason::Paused => ReasonCode::Paused,
            Reason::PausedByLines(_) => ReasonCode::PausedByLines,
            Reason::Outage(_) => ReasonCode::Outage,
            Reason::Drift(_) => ReasonCode::Drift,
            Reason::Stored(stored) => stored.code,
        }
    }

    /// The comparison of one rule, where it is about one.
    pub fn comparison(&self) -> Option<&Comparison> {
        match self {
            Reason::OverRollback(comparison)
            | Reason::OverCeiling(comparison)
            | Reason::OverPause(comparison)
            | Reason::BetweenPassAndPause(comparison)
            | Reason::Uncertain(comparison)
            | Reason::Skipped(comparison)
            | Reason::Pass(comparison)
            | Reason::BaselineDrift(comparison) => Some(comparison),
            Reason::OverBudget(budget) => Some(&budget.shown),
            Reason::PauseLimit(limit) => Some(&limit.shown),
            Reason::Order(_)
            | Reason::RedLine { .. }
            | Reason::Gap { .. }
            | Reason::SharedFault(_)
            | Reason::AllPass { .. }
            | Reason::Looking { .. }
            | Reason::AbRuns { .. }
            | Reason::AbOver { .. }
            | Reason::TooFewSamples(_)
            | Reason::NoData { .. }
            | Reason::SampleRatio { .. }
            | Reason::Clean { .. }
            | Reason::ColdStart
            | Reason::Decided
            | Reason::Final { .. }
            | Reason::Paused
            | Reason::PausedByLines(_)
            | Reason::Outage(_)
            | Reason::Drift(_)
            | Reason::Stored(_) => None,
        }
    }

    fn stored(&self) -> Option<&StoredReason> {
        if let Reason::Stored(stored) = self { Some(stored) } else { None }
    }

    /// The metric, where it is about one.
    pub fn metric(&self) -> Option<Metric> {
        let stored = || self.stored().and_then(|stored| stored.metric);
        self.comparison().map(|comparison| comparison.metric).or_else(stored)
    }

    /// The line, where it is about one.
    pub fn line(&self) -> Option<Line> {
        let stored = || self.stored().and_then(|stored| stored.line);
        self.comparison().map(|comparison| comparison.line).or_else(stored)
    }

    /// The numbers of a comparison, where it is about a metric.
    pub fn numbers(&self) -> Option<&Numbers> {
        let stored = || self.stored().filter(|s| s.metric.is_some()).map(|s| &s.numbers);
        self.comparison().map(|comparison| &comparison.numbers).or_else(stored)
    }
}

/// A reason as older journals hold it: its sentence was made when it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredReason {
    /// What it is about.
    pub code: ReasonCode,
    /// The line, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
    /// The metric, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// The numbers that it came with then.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// The sentence, in English.
    pub text: String,
}

/// Why something was done: a reason, or words (an older journal's sentence, or a person's).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cause {
    /// A reason.
    Reason(Box<Reason>),
    /// Words.
    Words(String),
}

impl Cause {
    /// The reason's code; `None` for words.
    pub fn code(&self) -> Option<ReasonCode> {
        match self {
            Cause::Reason(reason) => Some(reason.code()),
            Cause::Words(_) => None,
        }
    }

    /// The reason's code, or the words.
    pub fn as_str(&self) -> &str {
        match self {
            Cause::Reason(reason) => reason.code().as_str(),
            Cause::Words(words) => words,
        }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Cause {
        Cause::Reason(Box::new(reason))
    }
}

#[cfg(test)]
mod tests;
