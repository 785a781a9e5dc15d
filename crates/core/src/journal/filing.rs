//! Where red lines belong that no release decides on: which incident they open or join.

use super::state::ControlState;
use crate::decide::Phase;
use crate::guard::Sighting;
use crate::ids::{IncidentId, VersionSetId};
use crate::incident::{RedLines, Subject, service_incident};
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
