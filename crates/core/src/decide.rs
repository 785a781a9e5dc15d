//! Decide: plan + state + observation + now → decision with reasons.
//!
//! The rule is three-way: advance only on solid evidence, pause when uncertain, roll back
//! when a line is over. [`decide`] looks, in this order, at: an operator's order; red-line events;
//! whether the observation can be trusted (gap, counts gone backwards, shared fault); each line's
//! comparison; whether there is enough data; whether the rung has been looked at long enough.
//! The first that speaks decides; every decision carries its reasons with their numbers.

mod ab;
mod ab_plan;
mod bets;
mod ceiling;
mod clusters;
mod comparison;
mod decision;
pub mod defaults;
mod e_process;
mod engine;
mod fault;
mod finding;
mod harm;
mod harm_budget;
mod interval;
mod judge;
mod levels;
mod lines;
mod means;
mod metric;
mod multiple;
mod outlook;
pub(crate) mod pace;
mod pause;
mod plan;
mod plan_parts;
mod reason;
mod rule_look;
mod split;
mod standing;
mod starts;
mod state;
mod strata;
mod tally;
mod watch;
mod way_back;
mod yardstick;

pub use ab::{AbArm, AbLine, ab_arms, ab_lines};
pub use ab_plan::{AbFound, AbPlan, AbPlanError, AbVerdict};
pub(crate) use bets::mean_stake;
pub use decision::{Action, Decision, DecisionKind, Observation, Signal};
pub use engine::decide;
pub use finding::Verdict;
pub(crate) use interval::ln_gamma;
pub use levels::ADVANCE_ALPHA;
pub(crate) use levels::{LN_ODDS_MAX, level};
pub use lines::{measure, readings};
pub use metric::{Line, Metric, MetricUnit};
pub use outlook::{Data, LineOutlook, Outlook, RungOutlook, Traffic, TrafficError, outlook};
pub use plan::{
    Band, BandUnit, Baseline, LineRule, Plan, PlanError, Preset, RUNGS_MAX, Rung, SharedFault,
};
pub use plan_parts::{PlanParts, ReleaseParts};
pub use reason::{
    Beside, Cause, Changed, Comparison, Failures, FaultSeen, Gap, LargerShare, ModelDrift,
    ModelOutage, More, Numbers, OverBudget, PauseEnd, PauseLimit, PauseSoFar, Reason, ReasonCode,
    Reported, StoredReason, TooFew, Unit,
};
pub use standing::{Standing, standings};
pub use state::{Order, OrderKind, PausedBy, Phase, ReleaseState};
pub use strata::{Cell, Stratum};
pub use tally::{Moments, Share};
pub use watch::{DecisionDigest, Look, Watch};
pub use way_back::{Probe, asks_way_back};
pub use yardstick::Yardstick;

#[cfg(test)]
mod tests;
