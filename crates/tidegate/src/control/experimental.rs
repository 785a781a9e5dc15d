//! A service is an experiment until what stable serves has passed the gate of every release: the
//! contract's five answers, and an eval run of exactly this set on exactly the cases of now.
//!
//! A candidate passes it before its release starts, so a promotion ends the experiment too. The
//! first set was taken as the project had it; it passes by `tidegate eval` or `tidegate gate`.

use super::error::Result;
use super::{Control, eval_problem, require_contract};
use crate::config::load;
use crate::store::Sets as _;
use tidegate_core::journal::Event;

impl Control {
    /// Journals that stable's set passed the gate, where it has and that is new; gives the
    /// sentence to say.
    ///
    /// # Errors
    /// The store cannot be read, or the journal cannot be written.
    pub(crate) async fn leave_experiment(&mut self) -> Result<Option<String>> {
        if !self.state.is_experimental() {
            return Ok(None);
        }
        let Some(set) = self.state.table.as_ref().map(|table| table.stable.clone()) else {
            return Ok(None);
        };
        // The files of now, not those of the start. A project that cannot be read, or whose cases
        // cannot, has not passed; its own commands say what is wrong with it.
        let Ok(loaded) = load(&self.config_path) else { return Ok(None) };
        let packed = self.store.set(&set)?;
        let Ok(Ok(run_id)) = eval_problem(&self.state, &loaded, &packed) else { return Ok(None) };
        if require_contract(&loaded.project.contract).is_err() {
            return Ok(None);
        }
        let note = format!("{} ({}) passed the gate in {run_id}", packed.label, set);
        let event = Event::ServiceReleased { set, run_id, note: note.clone() };
        self.append(vec![event]).await?;
        Ok(Some(format!("the service is no longer experimental: {note}")))
    }
}
