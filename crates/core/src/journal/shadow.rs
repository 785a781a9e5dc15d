//! Shadows in the state: one at a time, and none beside a release, whose arms it would compare.

use super::replay_error::ReplayError;
use super::state::ControlState;
use crate::shadow::{PairCounts, Shadow, ShadowEnd, ShadowPlan, Used};
use std::sync::Arc;

impl ControlState {
    /// The shadow that runs.
    pub fn shadow(&self) -> Option<&Arc<Shadow>> {
        self.shadows.values().find(|shadow| shadow.runs())
    }

    pub(super) fn paired(
        &mut self,
        pairs: &PairCounts,
        used: Used,
        granted: Used,
    ) -> Result<(), ReplayError> {
        self.running_shadow()?.note(pairs, used, granted);
        Ok(())
    }

    pub(super) fn shadow_ended(&mut self, used: Used, end: &ShadowEnd) -> Result<(), ReplayError> {
        self.running_shadow()?.end(used, end.clone());
        Ok(())
    }

    fn running_shadow(&mut self) -> Result<&mut Shadow, ReplayError> {
        let running = self.shadows.values_mut().find(|shadow| shadow.runs());
        running.map(Arc::make_mut).ok_or(ReplayError::NoShadow)
    }

    pub(super) fn shadow_started(
        &mut self,
        plan: &ShadowPlan,
        by: &str,
    ) -> Result<(), ReplayError> {
        if let Some(active) = &self.active {
            return Err(ReplayError::ReleaseRunning(active.clone()));
        }
        self.require_no_shadow()?;
        plan.check()?;
        self.shadows.insert(plan.to.clone(), Arc::new(Shadow::begin(plan.clone(), by)));
        Ok(())
    }

    pub(super) fn require_no_shadow(&self) -> Result<(), ReplayError> {
        let running = self.shadow().map(|shadow| shadow.plan.to.clone());
        running.map_or(Ok(()), |set| Err(ReplayError::ShadowRunning(set)))
    }
}
