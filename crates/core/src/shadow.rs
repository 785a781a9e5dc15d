//! Shadow: the candidate answers a share of stable's requests once more, and nobody gets its
//! answers. Both answers of a request are a pair, and [`crate::pairs`] says what pairs prove.
//!
//! - [`ShadowPlan`] is fixed at the start: the two sets, the share, the caps, the end. A shadow
//!   always ends.
//! - [`Side`] is what is compared of an answer; [`PairCounts`] are the pairs so far.
//! - [`Ledger`] holds the caps while requests are mirrored at once.
//! - [`Shadow`] is what the journal's replay knows of it.
//!
//! The caps hold through a kill as well: a server may mirror only as much as was granted in the
//! journal before, and what was granted and not accounted for counts as used after a restart.

mod compare;
mod ledger;
mod outlook;
mod plan;
mod run;

pub use compare::{PairCounts, ShadowVerdict, Side};
pub use ledger::{Full, Held, Ledger, Missed};
pub use outlook::{USUALLY_DIFFER, pairs_needed};
pub use plan::{
    Recorded, SHADOW_HOURS_MAX, SHADOW_REQUESTS_MAX, ShadowPlan, ShadowPlanError, Used,
};
pub use run::{EndReason, Shadow, ShadowEnd};

#[cfg(test)]
mod tests;
