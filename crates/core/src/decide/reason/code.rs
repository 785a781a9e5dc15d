//! The codes of reasons.

use serde::{Deserialize, Serialize};

/// What a reason is about; a closed list, so that dashboards and tests need not read prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// An operator ordered it.
    Order,
    /// A red-line event.
    RedLine,
    /// The metrics have a gap, or a count went backwards.
    Gap,
    /// Both arms suffer: the upstream, not the candidate.
    SharedFault,
    /// A line is proven over its rollback threshold.
    OverRollback,
    /// A line is proven over its absolute ceiling.
    OverCeiling,
    /// More answers than the harm budget are proven to be spoilt.
    OverBudget,
    /// A line's estimate is over its pause threshold.
    OverPause,
    /// A pause by lines has reached its limit, and a line is proven worse than stable.
    PauseLimit,
    /// A line is worse than pass and not over pause.
    BetweenPassAndPause,
    /// The difference is not known well enough yet.
    Uncertain,
    /// Too few answers.
    TooFewSamples,
    /// No outcome for too long.
    NoData,
    /// The rung has not been looked at long enough.
    Looking,
    /// An A/B test goes on.
    AbRuns,
    /// An A/B test has lasted as long as it may.
    AbOver,
    /// A rule has no data on one arm.
    Skipped,
    /// The line passes.
    Pass,
    /// Every line passes, on enough data and for long enough.
    AllPass,
    /// Worse than the stored baseline, but so is stable: drift that both share.
    BaselineDrift,
    /// It was decided at this very moment already.
    Decided,
    /// The split does not send what the weight says: the router, not the candidate, is in question.
    SampleRatio,
    /// No red-line event so far, and what that proves.
    Clean,
    /// Nothing is known of the days before.
    ColdStart,
    /// The release is over.
    Final,
    /// Paused by an operator.
    Paused,
    /// How long a pause by lines has lasted, and what its limit makes of it.
    PausedByLines,
    /// Stable's model server fails; of an incident, never of a decision.
    Outage,
    /// The model behind stable changed without a release.
    Drift,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [ReasonCode; 29] = [
        ReasonCode::Order,
        ReasonCode::RedLine,
        ReasonCode::Gap,
        ReasonCode::SharedFault,
        ReasonCode::OverRollback,
        ReasonCode::OverCeiling,
        ReasonCode::OverBudget,
        ReasonCode::OverPause,
        ReasonCode::PauseLimit,
        ReasonCode::BetweenPassAndPause,
        ReasonCode::Uncertain,
        ReasonCode::TooFewSamples,
        ReasonCode::NoData,
        ReasonCode::Looking,
        ReasonCode::AbRuns,
        ReasonCode::AbOver,
        ReasonCode::Skipped,
        ReasonCode::Pass,
        ReasonCode::AllPass,
        ReasonCode::BaselineDrift,
        ReasonCode::Decided,
        ReasonCode::SampleRatio,
        ReasonCode::Clean,
        ReasonCode::ColdStart,
        ReasonCode::Final,
        ReasonCode::Paused,
        ReasonCode::PausedByLines,
        ReasonCode::Outage,
        ReasonCode::Drift,
    ];

    /// The code as it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonCode::Order => "order",
            ReasonCode::RedLine => "red_line",
            ReasonCode::Gap => "gap",
            ReasonCode::SharedFault => "shared_fault",
            ReasonCode::OverRollback => "over_rollback",
            ReasonCode::OverCeiling => "over_ceiling",
            ReasonCode::OverBudget => "over_budget",
            ReasonCode::OverPause => "over_pause",
            ReasonCode::PauseLimit => "pause_limit",
            ReasonCode::BetweenPassAndPause => "between_pass_and_pause",
            ReasonCode::Uncertain => "uncertain",
            ReasonCode::TooFewSamples => "too_few_samples",
            ReasonCode::NoData => "no_data",
            ReasonCode::Looking => "looking",
            ReasonCode::AbRuns => "ab_runs",
            ReasonCode::AbOver => "ab_over",
            ReasonCode::Skipped => "skipped",
            ReasonCode::Pass => "pass",
            ReasonCode::AllPass => "all_pass",
            ReasonCode::BaselineDrift => "baseline_drift",
            ReasonCode::Decided => "decided",
            ReasonCode::SampleRatio => "sample_ratio",
            ReasonCode::Clean => "clean",
            ReasonCode::ColdStart => "cold_start",
            ReasonCode::Final => "final",
            ReasonCode::Paused => "paused",
            ReasonCode::PausedByLines => "paused_by_lines",
            ReasonCode::Outage => "outage",
            ReasonCode::Drift => "drift",
        }
    }
}
