//! Before an order to roll back: does the version set answer that everyone would return to? The
//! core says whether it is asked and what its answer means.

use super::error::{ControlError, Result};
use super::resolve::target;
use crate::smoke::greet;
use crate::version_set::LiveSet;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::decide::{Order, Probe, asks_way_back};
use tidegate_core::ids::{ChangeId, VersionSetId};
use tidegate_core::journal::ControlState;

/// How long it may take: with the patience for the store, a rollback is in force within a second.
const WAIT: Duration = Duration::from_millis(500);

/// The version set that is asked before this order; `None` where none is.
pub(super) fn asked(
    state: &ControlState,
    order: &Order,
    named: Option<&ChangeId>,
    anyway: bool,
) -> Option<VersionSetId> {
    // What is wrong with the order is said by whoever carries it out.
    let target = target(state, order.kind, named.cloned()).ok()?;
    let plan = &state.releases.get(&target.change_id)?.plan;
    asks_way_back(plan, order.kind, anyway).then(|| plan.from.clone())
}

/// Asks the version set one question; without it in memory nothing is asked.
pub(super) async fn ask(set: VersionSetId, live: Option<Arc<LiveSet>>) -> Result<()> {
    let Some(live) = live else { return Ok(()) };
    let (probe, why) = match tokio::time::timeout(WAIT, greet(&live)).await {
        Ok(Ok(())) => (Probe::Answered, String::new()),
        Ok(Err(error)) => (error.failure.map_or(Probe::NotAsked, Probe::Failed), error.message),
        Err(_late) => (Probe::NotInTime, String::new()),
    };
    match probe.refuses() {
        true => Err(ControlError::WayBackFails { set, why }),
        false => Ok(()),
    }
}
