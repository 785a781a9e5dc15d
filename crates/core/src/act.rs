//! Act: a decision's actions → the next route table, under the generation rule.
//!
//! A table is never changed, it is followed: whatever the actions, the next table has the next
//! generation, so a writer that decided on an older table is seen and refused.

use crate::decide::{Action, Decision, Plan};
use crate::route::{Entrance, Split, Table, Weight};

/// The table of a release's first rung.
pub fn first_table(current: &Table, plan: &Plan) -> Table {
    let mut next = follow(current);
    next.split = Some(Split {
        change_id: plan.change_id.clone(),
        candidate: plan.to.clone(),
        weight: plan.rungs.first().map_or(Weight::ZERO, |rung| rung.weight),
        salt: plan.salt.clone(),
        audience: plan.audience.clone(),
    });
    next
}

/// The table a decision intends; `None` when nothing is switched.
pub fn next_table(current: &Table, plan: &Plan, decision: &Decision) -> Option<Table> {
    let mut next = follow(current);
    for action in &decision.actions {
        match action {
            Action::SetWeight { weight } => {
                if let Some(split) = &mut next.split {
                    split.weight = *weight;
                }
            }
            Action::Promote => {
                next.stable = plan.to.clone();
                next.split = None;
            }
            Action::End | Action::RollBack => {
                next.stable = plan.from.clone();
                next.split = None;
            }
            Action::CloseEntrance { reason } => {
                next.entrance = Entrance::Closed { reason: reason.as_str().to_owned() };
            }
            Action::OpenIncident { .. } => {}
        }
    }
    let changed = next.split != current.split
        || next.stable != current.stable
        || next.entrance != current.entrance;
    changed.then_some(next)
}

/// The table with the entrance open again.
pub fn reopened(current: &Table) -> Table {
    let mut next = follow(current);
    next.entrance = Entrance::Open;
    next
}

fn follow(current: &Table) -> Table {
    let mut next = current.clone();
    next.generation = current.generation.next();
    next
}
