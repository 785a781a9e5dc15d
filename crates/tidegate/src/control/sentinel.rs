//! Runs of the fixed cases: journalled as they come, an incident where something changed, and what
//! a person accepts.

use super::command::Answer;
use super::error::{ControlError, Result};
use super::{Control, PackOf};
use crate::sentinel::SentinelResult;
use crate::store::Evals as _;
use crate::view::Done;
use tidegate_core::drift::SentinelNote;
use tidegate_core::ids::IncidentId;
use tidegate_core::incident::{Incident, Subject, drift_incident};
use tidegate_core::journal::Event;

impl Control {
    /// Journals a run. It must be of the set that stable serves, beside the reference of now.
    pub(super) async fn keep_sentinel(&mut self, result: SentinelResult) -> Result<Answer> {
        let SentinelResult { run, drift, spent } = result;
        let stable = self.state.table.as_ref().map(|table| table.stable.clone());
        let stable = stable.ok_or(ControlError::NoService)?;
        let reference = self.state.sentinel.reference_of(&run.set);
        let fits = match (&drift, reference) {
            (Some(drift), Some(reference)) => drift.reference == reference.run_id,
            (None, None) => run.is_good(),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if run.set != stable || !fits {
            return Err(ControlError::SentinelMoved { set: run.set, stable });
        }
        let changed = drift.as_ref().is_some_and(|drift| drift.verdict.is_change());
        let report = match changed || drift.is_none() {
            true => Some(self.store.put_sentinel(&run).await?),
            false => None,
        };
        let is_taken = |id: &IncidentId| self.state.incidents.contains_key(id);
        let known = self.state.sentinel.changed.as_ref().and_then(|note| note.incident.clone());
        let opened = known.is_none() && changed;
        let incident = match opened {
            true => drift_incident(&run.set, &run.run_id, is_taken),
            false => known,
        };
        let note = SentinelNote {
            run_id: run.run_id,
            set: run.set,
            upstream: run.upstream,
            endpoint: run.endpoint,
            model: run.model,
            report,
            drift,
            spent,
            incident: incident.clone(),
        };
        let verdict = note.verdict();
        self.append(vec![Event::SentinelRan(Box::new(note.clone()))]).await?;
        if opened {
            self.log_drift(&note);
        }
        if let Some(id) = incident.clone() {
            self.post(PackOf::Incident(id)).await;
        }
        let is_open = |id: &IncidentId| self.state.incidents.get(id).is_some_and(Incident::is_open);
        let incident = incident.filter(is_open);
        Ok(Answer::of(Done::SentinelKept { verdict, incident }))
    }

    /// Makes the change that was found the reference, and closes its incident.
    pub(super) async fn accept_sentinel(&mut self, by: String, reason: String) -> Result<Answer> {
        let changed = self.state.sentinel.changed.clone().ok_or(ControlError::NothingChanged)?;
        let reference = self.state.sentinel.reference.clone();
        let (Some(report), Some(reference)) = (changed.report, reference) else {
            return Err(ControlError::NothingChanged);
        };
        let (run, before) =
            (self.store.sentinel(&report)?, self.store.sentinel(&reference.report)?);
        let run = run.accepted_after(&before);
        let report = self.store.put_sentinel(&run).await?;
        let (run_id, incident) = (changed.run_id, changed.incident);
        let event = Event::SentinelAccepted {
            run_id: run_id.clone(),
            report,
            incident: incident.clone(),
            by,
            reason,
        };
        self.append(vec![event]).await?;
        if let Some(id) = incident.clone() {
            self.post(PackOf::Incident(id)).await;
        }
        Ok(Answer::of(Done::SentinelAccepted { run_id, incident }))
    }

    /// An incident of a change is closed by accepting it: closed by itself, the change would go on
    /// holding releases and nobody would see why.
    pub(super) fn refuse_to_close(&self, id: &IncidentId, incident: &Incident) -> Result<()> {
        let is_drift = matches!(incident.subject, Subject::Drift { .. });
        match is_drift && incident.is_open() {
            true => Err(ControlError::ClosedByAccepting { incident: id.clone() }),
            false => Ok(()),
        }
    }
}
