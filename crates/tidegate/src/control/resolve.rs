//! Which release an order is about.

use super::error::{ControlError, Result};
use std::sync::Arc;
use tidegate_core::decide::{OrderKind, Phase};
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::{ControlState, Release};

/// The release an order is about, and its phase before it.
pub(super) struct Target {
    pub(super) change_id: ChangeId,
    pub(super) before: Option<Phase>,
}

/// What was promoted is taken back only by its name: the same command typed twice must not take
/// back a second, good release.
pub(super) fn target(
    state: &ControlState,
    kind: OrderKind,
    named: Option<ChangeId>,
) -> Result<Target> {
    let promoted = promoted(state).filter(|_| kind == OrderKind::RollBack);
    let change_id = match (state.active.clone(), named, promoted) {
        (Some(active), None, _) => active,
        (Some(active), Some(named), _) if named == active => active,
        (Some(active), Some(named), _) => {
            return Err(ControlError::NotTheRunning { named, running: active });
        }
        (None, Some(named), Some(promoted)) if named == promoted => promoted,
        (None, _, _) if kind == OrderKind::End => {
            return Err(ControlError::NoAb { running: None });
        }
        (None, named, promoted) => {
            let phase = |id: &ChangeId| state.releases.get(id).map(|r| r.state.phase);
            return Err(nothing_runs(named.map(|id| (id.clone(), phase(&id))), promoted));
        }
    };
    let release = state.releases.get(&change_id);
    let is_ab = release.is_some_and(|release| release.plan.ab.is_some());
    match kind {
        OrderKind::End if !is_ab => return Err(ControlError::NoAb { running: Some(change_id) }),
        OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully
            if is_ab =>
        {
            return Err(ControlError::IsAb);
        }
        OrderKind::End | OrderKind::RollBack => {}
        OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {}
    }
    let before = release.map(|release| release.state.phase);
    Ok(Target { change_id, before })
}

/// The release whose candidate is stable now.
pub(super) fn promoted(state: &ControlState) -> Option<ChangeId> {
    let stable = &state.table.as_ref()?.stable;
    let made_stable = |release: &&Arc<Release>| {
        release.state.phase == Phase::Promoted && release.plan.to == *stable
    };
    let releases = state.releases.values().filter(made_stable);
    releases.max_by_key(|r| r.ended_at).map(|release| release.plan.change_id.clone())
}

fn nothing_runs(
    named: Option<(ChangeId, Option<Phase>)>,
    promoted: Option<ChangeId>,
) -> ControlError {
    match named {
        Some((named, Some(Phase::RolledBack | Phase::ShutOff))) => {
            ControlError::RolledBackAlready { named }
        }
        Some((named, _)) => ControlError::NotSteerable { named, promoted },
        None => ControlError::NoneRuns { promoted },
    }
}
