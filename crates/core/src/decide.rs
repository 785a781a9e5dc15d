//! Decide: plan + state + observation + now → decision with reasons.
//!
//! The seed's rule is three-way: advance only on solid evidence, pause when uncertain, roll back
//! when a line is over. [`decide`] looks, in this order, at: an operator's order; red-line events;
//! whether the observation can be trusted (gap, counts gone backwards, shared fault); each line's
//! comparison; whether there is enough data; whether the rung has been looked at long enough.
//! The first that speaks decides; every decision carries its reasons with their numbers.

mod bets;
mod ceiling;
mod clusters;
pub mod defaults;
mod engine;
mod evidence;
mod fault;
mod finding;
mod harm;
mod harm_budget;
mod interval;
mod judge;
mod lines;
mod means;
mod metric;
mod multiple;
mod outlook;
pub(crate) mod pace;
mod pause;
mod plan;
mod reason;
mod split;
mod standing;
mod strata;
mod tally;
mod types;
mod watch;
mod yardstick;

pub use engine::decide;
pub use finding::Verdict;
pub use lines::{ADVANCE_ALPHA, measure, readings};
pub use metric::{Line, Metric};
pub use outlook::{Data, LineOutlook, Outlook, RungOutlook, Traffic, TrafficError, outlook};
pub use plan::{
    Band, BandUnit, Baseline, LineRule, Plan, PlanError, Preset, RUNGS_MAX, Rung, SharedFault,
};
pub use reason::{
    Beside, Cause, Comparison, Failures, FaultSeen, Gap, LargerShare, More, Numbers, OverBudget,
    PauseEnd, PauseLimit, PauseSoFar, Reason, ReasonCode, Reported, StoredReason, TooFew, Unit,
};
pub use standing::{Standing, standings};
pub use strata::{Cell, Stratum};
pub use tally::{Moments, Share};
pub use types::{
    Action, Decision, DecisionKind, Observation, Order, OrderKind, PausedBy, Phase, ReleaseState,
    Signal,
};
pub use watch::{DecisionDigest, Look, Watch};

pub use yardstick::Yardstick;

#[cfg(test)]
mod tests;
