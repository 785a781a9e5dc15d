//! An order to degrade: in force in memory at once, then journalled; the release that runs is
//! paused with it.
//!
//! What answers say while the service is degraded is compared with nothing, so a release that went
//! on would climb on what was seen before, by the clock alone. It is paused as by an operator: red
//! lines still act, and who ends the degradation resumes it.

use super::Control;
use super::ahead::{Ahead, Relief};
use super::command::Answer;
use super::error::{ControlError, Result};
use super::run::ControlHandle;
use crate::view::Done;
use tidegate_core::decide::{Order, OrderKind, PausedBy, Phase};
use tidegate_core::degrade::{DegradeLevel, Has, Lack};
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::{ControlState, Event};

impl Relief {
    /// What is journalled of it.
    pub(super) fn event(&self) -> Event {
        let Relief { level, by, reason, at: _ } = self.clone();
        Event::Degraded { level, by, reason }
    }

    /// Whether the service is as it orders already, by the journal.
    pub(super) fn is_in(&self, state: &ControlState) -> bool {
        let Relief { level, by, reason, at: _ } = self;
        match (&state.degraded, level) {
            (None, None) => true,
            (Some(now), Some(level)) => (now.level, &now.by, &now.reason) == (*level, by, reason),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The order to pause that comes with it; `None` where no release has to be paused.
    pub(super) fn pause(&self, state: &ControlState) -> Option<Order> {
        let release = state.active_release()?;
        let phase = release.state.phase;
        // An A/B test climbs nothing.
        if release.plan.ab.is_some() {
            return None;
        }
        if self.level.is_none() || phase == Phase::Paused(PausedBy::Operator) {
            return None;
        }
        let (by, reason) = (self.by.clone(), self.reason.clone());
        Some(Order { kind: OrderKind::Pause, by, reason })
    }
}

/// What was done, as it is in force.
pub(super) fn answer(ahead: &Ahead, level: Option<DegradeLevel>, lacks: Vec<Lack>) -> Answer {
    let state = ahead.effective();
    let is_paused = |id: &ChangeId| {
        let release = state.releases.get(id);
        release.is_some_and(|it| it.state.phase == Phase::Paused(PausedBy::Operator))
    };
    let paused = state.active.clone().filter(is_paused);
    Answer::unwritten(Done::Degraded { level, lacks, paused }, ahead.not_written())
}

impl Control {
    /// Degrades the service, or ends that. It is in force when this returns, whether or not that
    /// is written.
    pub(super) async fn degrade(&mut self, relief: Relief) -> Result<Answer> {
        if self.state.table.is_none() {
            return Err(ControlError::NoService);
        }
        self.ahead.degrade(relief.clone());
        self.write_degraded(&relief).await
    }

    /// Writes an order to degrade that is in force already. Where a later one came meanwhile, that
    /// one is in force and is written.
    pub(super) async fn write_degraded(&mut self, relief: &Relief) -> Result<Answer> {
        let (level, pause) = (relief.level, relief.pause(&self.ahead.effective()));
        let is_served = self.plane.is_some();
        match self.settle().await {
            Err(error) if !is_served => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if let Some(order) = pause {
            match self.order(order, None).await {
                Err(error) if !is_served => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let lacks = level.map(|level| level.lacks(self.has())).unwrap_or_default();
        Ok(answer(&self.ahead, level, lacks))
    }

    /// Says in the server's log that the service is degraded, or no more.
    pub(super) fn log_degraded(&self, relief: &Relief) {
        let Relief { level, by, reason, at: _ } = relief;
        let text = match level {
            Some(level) => format!("degraded to level {level} by {by}: {reason}"),
            None => format!("degraded no more, by {by}"),
        };
        if self.plane.is_some() {
            crate::output::stderr(text);
        }
    }

    /// What the project has of what levels need; a file that cannot be read has nothing.
    fn has(&mut self) -> Has {
        let stable = self.state.table.as_ref().map(|table| table.stable.clone());
        let live = stable.and_then(|set| self.live_set(&set).ok());
        let degrade = self.loaded.as_ref().ok().map(|loaded| &loaded.project.degrade);
        Has {
            expensive_tools: live.as_ref().is_some_and(|live| !live.expensive_tools.is_empty()),
            retrieval: live.as_ref().is_some_and(|live| live.retrieves()),
            smaller_model: degrade.is_some_and(|degrade| degrade.model.is_some()),
            allow_list: degrade.is_some_and(|degrade| !degrade.allow.is_empty()),
        }
    }
}

impl ControlHandle {
    /// The same while the store does not answer: the command is in the loop's queue and is
    /// journalled once it does.
    pub(super) fn degraded_ahead(&self, relief: &Relief) -> Result<Answer> {
        let ahead = self.ahead();
        if let Some(order) = relief.pause(&ahead.effective()) {
            ahead.order(&order, None, relief.at)?;
        }
        Ok(answer(ahead, relief.level, Vec::new()))
    }
}
