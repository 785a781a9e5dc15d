//! Approving a version set, and the approvals that a release needs before it starts.

use super::Control;
use super::command::{Answer, ApproveRequest};
use super::error::{ControlError, Result, StartError};
use crate::gate::gate_file;
use crate::version_set::PackedSet;
use crate::view::Done;
use tidegate_core::ids::{ChangeId, VersionSetId};
use tidegate_core::journal::{ControlState, Event};

/// Longest reason, characters: a page.
const REASON_CHARS_MAX: usize = 2_000;

impl Control {
    pub(super) async fn approve(&mut self, request: ApproveRequest) -> Result<Answer> {
        let ApproveRequest { change, by, approver, reason, again } = request;
        let reason = reason.trim().to_owned();
        if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
            return Err(ControlError::NoReason { max: REASON_CHARS_MAX });
        }
        let set = meant(&self.state, &change)?;
        if let Some(block) = self.state.blocked.get(&set).filter(|_| !again) {
            let release = block.change_id.clone();
            return Err(ControlError::ApprovesBlocked { set, release });
        }
        let run_id = self.state.eval_runs.get(&set).map(|run| run.run_id.clone());
        let event = Event::Approved { set: set.clone(), by: by.clone(), approver, reason, run_id };
        self.append(vec![event]).await?;
        let done = Done::Approved { set: set.clone(), by };
        Ok(Answer { version_set: Some(set), ..Answer::of(done) })
    }

    /// What the gate's policy demands of approvals, for a release that `author` starts.
    pub(super) fn require_approvals(&self, packed: &PackedSet, author: &str) -> Result<()> {
        let Some(file) = gate_file(self.project()?)? else { return Ok(()) };
        let set = packed.set.id.clone();
        let approvals = self.state.approvals.get(&set).map(Vec::as_slice).unwrap_or_default();
        let mut missed = Vec::new();
        for approval in approvals {
            if let Some(why) = approval.does_not_count(author, file.people_only()) {
                missed.push(format!("`{}` {why}", approval.by));
            }
        }
        let (needed, counted) = (file.approvals, approvals.len() - missed.len());
        if counted >= needed as usize {
            return Ok(());
        }
        let label = packed.label.clone();
        Err(StartError::Approval { set, label, needed, counted, missed }.into())
    }
}

/// The set that is meant: by its id, or as the candidate of a release.
fn meant(state: &ControlState, change: &str) -> Result<VersionSetId> {
    let change = change.trim();
    let set = VersionSetId::parse(change).ok();
    let known =
        |set: &VersionSetId| state.sets.contains_key(set) || state.eval_runs.contains_key(set);
    let release = ChangeId::parse(change).ok().and_then(|id| state.releases.get(&id));
    let candidate = release.map(|release| release.plan.to.clone());
    let found = set.filter(known).or(candidate);
    found.ok_or_else(|| ControlError::NothingToApprove { given: change.chars().take(80).collect() })
}
