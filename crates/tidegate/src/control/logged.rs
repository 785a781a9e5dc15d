//! What control writes to the server's log. A command's answer is its own words: without a server
//! there is no log.

use super::Control;
use crate::log::{About, Event};
use crate::store::Sets as _;
use crate::version_set::LiveSet;
use std::sync::Arc;
use tidegate_core::decide::Decision;
use tidegate_core::drift::SentinelNote;
use tidegate_core::ids::{ChangeId, IncidentId, ServiceName, VersionSetId};
use tidegate_core::incident::RedLines;
use tidegate_core::journal::ControlState;
use tidegate_core::observe::OutageRun;
use tidegate_core::route::Table;
use tidegate_core::version_set::NamedSet;

/// The service's name, for the log; empty before its first set.
pub(super) fn service_of(state: &ControlState) -> &str {
    state.service.as_ref().map_or("", ServiceName::as_str)
}

impl Control {
    /// Says that a release began.
    pub(super) fn log_start(&self, change_id: &ChangeId, table: &Table) {
        if self.plane.is_some() {
            let weight = table.split.as_ref().map(|split| split.weight).unwrap_or_default();
            self.log(Some(change_id), &Event::ReleaseStarted { change_id, weight });
        }
    }

    /// Says what was decided on a release.
    pub(super) fn log_move(&self, change_id: &ChangeId, decision: &Decision) {
        if self.plane.is_some() {
            let weight = self.state.split().map(|split| split.weight);
            self.log(Some(change_id), &Event::ReleaseMoved { change_id, decision, weight });
        }
    }

    /// Calls for a person: an incident is open that no release will end.
    pub(super) fn log_incident(&self, lines: &RedLines) {
        let service = service_of(&self.state);
        let trace_id = lines.sightings.first().map(|sighting| &sighting.trace_id);
        let set = self.named(&lines.set);
        About { trace_id, set: set.as_ref(), ..About::service(service) }
            .log(&Event::IncidentOpened(lines));
    }

    /// The same of an outage of stable's model server.
    pub(super) fn log_outage(&self, incident: &IncidentId, outage: &OutageRun) {
        let set = self.named(&outage.set);
        About { set: set.as_ref(), ..About::service(service_of(&self.state)) }
            .log(&Event::OutageIncident { incident, outage });
    }

    /// The same of a model that changed without a release.
    pub(super) fn log_drift(&self, note: &SentinelNote) {
        let set = self.named(&note.set);
        About { set: set.as_ref(), ..About::service(service_of(&self.state)) }
            .log(&Event::ModelChanged(note));
    }

    /// Says that a part of the work was not done.
    pub(super) fn log_failed(&self, change_id: Option<&ChangeId>, what: &str, why: &impl ToString) {
        self.log(change_id, &Event::WorkFailed { what, why: why.to_string() });
    }

    /// Logs an event; one of a release with the candidate's version set.
    fn log(&self, change_id: Option<&ChangeId>, event: &Event<'_>) {
        let release = change_id.and_then(|id| self.state.releases.get(id));
        let set = release.and_then(|release| self.named(&release.plan.to));
        let service = service_of(&self.state);
        About { change_id, set: set.as_ref(), ..About::service(service) }.log(event);
    }

    fn named(&self, id: &VersionSetId) -> Option<NamedSet> {
        let live = self.live.get(id).map(Arc::as_ref).map(LiveSet::named);
        live.or_else(|| {
            let packed = self.store.set(id).ok()?;
            Some(NamedSet { id: id.clone(), keys: packed.set.keys() })
        })
    }
}
