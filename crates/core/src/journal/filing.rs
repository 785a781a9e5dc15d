//! Where red lines that no release decides on, outages and changed models belong: which incident
//! they open, join or close.

use super::event::Event;
use super::state::ControlState;
use crate::decide::{Phase, Reason, Signal};
use crate::drift::{DriftVerdict, SentinelNote};
use crate::guard::Sighting;
use crate::ids::{IncidentId, UnixMs, VersionSetId};
use crate::incident::{
    Incident, RedLines, Subject, outage_incident, outage_reason, service_incident,
};
use crate::observe::OutageRun;
use crate::route::Arm;
use std::collections::BTreeMap;

impl ControlState {
    /// Files red lines under incidents.
    ///
    /// What a candidate answered after it was rolled back belongs to its release's incident while
    /// that is open. All else is the service's: one open incident for each version set and kind,
    /// so that a flood of one attack is one incident.
    pub fn file(&self, sightings: &[Sighting]) -> Vec<RedLines> {
        let mut filed: BTreeMap<(Option<IncidentId>, VersionSetId, _), Vec<Sighting>> =
            BTreeMap::new();
        for sighting in sightings {
            let Some(set) = self.answered_by(sighting) else { continue };
            let incident = self.joined(sighting, &set);
            filed.entry((incident, set, sighting.event.kind)).or_default().push(sighting.clone());
        }
        let of = |((joined, set, _), sightings): ((Option<IncidentId>, _, _), Vec<Sighting>)| {
            let is_taken = |id: &IncidentId| self.incidents.contains_key(id);
            let first = sightings.first()?;
            let incident = joined.or_else(|| service_incident(&set, first, is_taken))?;
            RedLines::of(incident, set, &sightings)
        };
        filed.into_iter().filter_map(of).collect()
    }

    /// The outage that was journalled last.
    pub fn last_outage(&self) -> Option<&OutageRun> {
        let outages = self.incidents.values().filter_map(|incident| incident.outage.as_deref());
        outages.max_by_key(|outage| outage.since)
    }

    /// What is to be journalled of the last outage that was seen. Its begin and its end are, and
    /// when it came again; not what it adds up to meanwhile, but at the process's end (`is_last`),
    /// for the next one goes on from there. One that is open and not this one has ended unseen.
    pub fn file_outage(&self, seen: &OutageRun, now: UnixMs, is_last: bool) -> Vec<Event> {
        let is_same = |of: &OutageRun| of.since == seen.since && of.upstream == seen.upstream;
        let filed = || self.incidents.iter().filter_map(|(id, i)| Some((id, i.outage.as_deref()?)));
        let left_open = filed().filter(|(_, of)| of.ended_at.is_none() && !is_same(of));
        let mut events: Vec<Event> = left_open
            .map(|(id, of)| {
                let ended_at = Some(of.last_failed_at);
                let outage = Box::new(OutageRun { ended_at, ..of.clone() });
                Event::OutageSeen { incident: id.clone(), outage }
            })
            .collect();
        let is_over = seen.is_over(now);
        let outage = OutageRun { ended_at: seen.ended_at.filter(|_| is_over), ..seen.clone() };
        let known = filed().find(|(_, of)| is_same(of));
        let is_due = known
            .is_none_or(|(_, of)| of.ended_at.is_some() != is_over || (is_last && *of != outage));
        let is_taken = |id: &IncidentId| self.incidents.contains_key(id);
        let id = known.map(|(id, _)| id.clone()).or_else(|| outage_incident(seen, is_taken));
        events.extend(id.filter(|_| is_due).map(|incident| {
            let outage = Box::new(outage);
            Event::OutageSeen { incident, outage }
        }));
        events
    }

    /// Notes an outage at its incident, which it opens where it is new.
    pub(super) fn outage(&mut self, at: UnixMs, id: &IncidentId, outage: &OutageRun) {
        let (set, upstream) = (outage.set.clone(), outage.upstream.clone());
        let subject = Subject::Outage { set, upstream };
        let new = || Incident::open(subject, Signal::Red, outage_reason(outage), at);
        let incident = self.incidents.entry(id.clone()).or_insert_with(new);
        incident.note_outage(outage, at);
    }

    /// Takes a run of the fixed cases, and opens or closes the incident of a change.
    pub(super) fn sentinel_ran(&mut self, at: UnixMs, note: &SentinelNote) {
        self.sentinel.ran(at, note);
        let (Some(id), change) = (&note.incident, note.change()) else { return };
        if let Some(change) = &change {
            let (set, upstream) = (note.set.clone(), note.upstream.clone());
            let subject = Subject::Drift { set, upstream, model: note.model.clone() };
            let reason = Reason::Drift(Box::new(change.clone())).into();
            let new = || Incident::open(subject, Signal::Yellow, reason, at);
            self.incidents.entry(id.clone()).or_insert_with(new);
        }
        let is_known = note.verdict() != Some(DriftVerdict::CannotTell);
        if let Some(incident) = self.incidents.get_mut(id).filter(|_| is_known) {
            incident.note_drift(change, at);
        }
    }

    /// The version set that gave the answer, as far as the state says; `None` without a service.
    fn answered_by(&self, sighting: &Sighting) -> Option<VersionSetId> {
        let release = sighting.change_id.as_ref().and_then(|id| self.releases.get(id));
        match (release, sighting.arm) {
            (Some(release), Arm::Candidate) => Some(release.plan.to.clone()),
            (Some(release), Arm::Stable) => Some(release.plan.from.clone()),
            (None, _) => self.table.as_ref().map(|table| table.stable.clone()),
        }
    }

    /// The open incident that it joins.
    fn joined(&self, sighting: &Sighting, set: &VersionSetId) -> Option<IncidentId> {
        let kind = sighting.event.kind;
        let rolled_back = sighting.change_id.as_ref().filter(|id| {
            let phase = self.releases.get(*id).map(|release| release.state.phase);
            matches!(phase, Some(Phase::RolledBack | Phase::ShutOff))
        });
        let own =
            rolled_back.filter(|_| sighting.arm == Arm::Candidate).map(IncidentId::of_release);
        let is_open = |id: &IncidentId| self.incidents.get(id).is_some_and(|i| i.is_open());
        let service = Subject::Service { set: set.clone(), kind };
        own.filter(is_open).or_else(|| {
            let mut open = self.incidents.iter().filter(|(_, incident)| incident.is_open());
            open.find(|(_, incident)| incident.subject == service).map(|(id, _)| id.clone())
        })
    }
}

#[cfg(test)]
mod tests;
