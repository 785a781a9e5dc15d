//! What serves now, for whoever shows it.

use super::Ahead;
use crate::route::LiveTable;
use crate::view::ShadowAnswer;
use std::sync::Arc;
use tidegate_core::shadow::{Missed, Shadow};

impl Ahead {
    /// The route table in place; none without a data plane.
    pub(in crate::control) fn table(&self) -> Option<Arc<LiveTable>> {
        Some(self.inner().plane.as_ref()?.router.load())
    }

    /// The shadows, with what is not in the journal yet of the one that runs.
    pub(in crate::control) fn shadows(&self) -> Vec<ShadowAnswer> {
        let state = self.effective();
        let mirroring = self.inner().plane.as_ref().and_then(|plane| plane.router.shadow());
        let shown = |shadow: &Arc<Shadow>| match mirroring.as_ref().filter(|_| shadow.runs()) {
            Some(mirroring) => {
                let (seen, missed) = mirroring.seen(shadow);
                ShadowAnswer::of(&seen, missed)
            }
            None => ShadowAnswer::of(shadow, Missed::default()),
        };
        state.shadows.values().map(shown).collect()
    }
}
