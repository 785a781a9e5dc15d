//! The state of control: what replaying the journal gives (invariant 7).

use super::block::Block;
use super::event::{Entry, Event, verify_chain};
use super::replay_error::ReplayError;
use crate::access::{Grant, HeldKey, KeyId};
use crate::approval::{Approval, is_same};
use crate::decide::{
    Action, Cause, Decision, DecisionKind, Order, OrderKind, Phase, Plan, ReleaseState, Signal,
};
use crate::degrade::Degraded;
use crate::drift::Sentinel;
use crate::evidence::PackRef;
use crate::ids::{ChangeId, Digest, Generation, IncidentId, ServiceName, UnixMs, VersionSetId};
use crate::incident::{Incident, RedLines, Subject, TRACES_MAX};
use crate::route::{Split, Table};
use crate::shadow::Shadow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A packed version set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRef {
    /// What people call it; that of the first packing.
    pub label: String,
    /// When it was first packed.
    pub at: UnixMs,
}

/// The latest eval run on a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalRunRef {
    /// Finds its report in the store.
    pub run_id: String,
    /// Digest over all cases it ran; a run on other cases than those of now does not count.
    pub cases: Digest,
    /// Whether its gate passed.
    pub passed: bool,
    /// When it was journalled, at its end.
    pub at: UnixMs,
    /// Digest of what its gate demanded; absent where an earlier version journalled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
}

/// A release, running or over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Ladder, rules and error budget, fixed at its start.
    pub plan: Plan,
    /// The name of the person who started it.
    pub by: String,
    /// When it was journalled; the rungs are timed from [`Plan::created_at`].
    pub started_at: UnixMs,
    /// Rung, phase and evidence so far: what the next decision starts from.
    pub state: ReleaseState,
    /// The last one that was journalled: what `release status` and the reports show.
    pub last_decision: Option<Decision>,
    /// When its last decision made it final; absent while it runs.
    pub ended_at: Option<UnixMs>,
    /// The latest pack that proves it; absent until one is written after its end or a pause.
    pub pack: Option<PackRef>,
    /// The ordinary cases made of its answers, once it was promoted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample_ids: Vec<String>,
    /// Rungs that it left by an operator's order and not on evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ordered_rungs: Vec<usize>,
    /// Whether it was promoted and taken back after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_back: bool,
    /// Who had approved its candidate when it was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

/// Everything control knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ControlState {
    /// The service's name; absent before its first set.
    pub service: Option<ServiceName>,
    /// The route table in force or intended.
    pub table: Option<Table>,
    /// The highest generation known to have been in force.
    pub applied: Generation,
    /// All sets that were packed, also those that no release served.
    pub sets: BTreeMap<VersionSetId, SetRef>,
    /// The latest eval run by set.
    pub eval_runs: BTreeMap<VersionSetId, EvalRunRef>,
    /// Sets that passed the gate of a release, and when: the first one by itself, every later one
    /// by being promoted.
    #[serde(default)]
    pub released: BTreeMap<VersionSetId, UnixMs>,
    /// All releases; shared, so that trying an event on a copy of the state costs the same
    /// however many there were.
    pub releases: BTreeMap<ChangeId, Arc<Release>>,
    /// The release that is not over, if one.
    pub active: Option<ChangeId>,
    /// Sets that rolled back (invariant 4).
    pub blocked: BTreeMap<VersionSetId, Block>,
    /// Incidents by id, open and closed.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// The keys of the service, those that open no more as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<KeyId, HeldKey>,
    /// Who approved which set; a rollback voids those of its candidate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<VersionSetId, Vec<Approval>>,
    /// How much of the service is switched off; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Degraded>,
    /// The last shadow of each set that had one, by that set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadows: BTreeMap<VersionSetId, Arc<Shadow>>,
    /// What is known of the model behind stable.
    #[serde(default, skip_serializing_if = "Sentinel::is_empty")]
    pub sentinel: Sentinel,
    /// The number of the entry applied last; 0 before the first.
    pub seq: u64,
}

impl ControlState {
    /// Replays a whole journal.
    ///
    /// # Errors
    /// [`ReplayError`] when the chain is broken or an event does not fit.
    pub fn replay(entries: &[Entry]) -> Result<ControlState, ReplayError> {
        verify_chain(entries)?;
        let mut state = ControlState::default();
        for entry in entries {
            state.apply(entry.at, &entry.event()?)?;
            state.seq = entry.seq;
        }
        Ok(state)
    }

    /// The release that is not over.
    pub fn active_release(&self) -> Option<&Release> {
        self.active.as_ref().and_then(|id| self.releases.get(id)).map(Arc::as_ref)
    }

    /// The release that was started last, running or over.
    pub fn last_release(&self) -> Option<&Release> {
        self.releases.values().map(Arc::as_ref).max_by_key(|release| release.started_at)
    }

    /// Whether what stable serves has not passed the gate of a release.
    pub fn is_experimental(&self) -> bool {
        self.table.as_ref().is_none_or(|table| !self.released.contains_key(&table.stable))
    }

    /// The candidate's side of the table, while a release runs.
    pub fn split(&self) -> Option<&Split> {
        self.table.as_ref().and_then(|table| table.split.as_ref())
    }

    /// Changes the state by one event. On an error nothing is changed.
    ///
    /// # Errors
    /// [`ReplayError`] when the event does not fit the state.
    pub fn apply(&mut self, at: UnixMs, event: &Event) -> Result<(), ReplayError> {
        match event {
            Event::ServiceAdopted { service, set, label, table, by: _ } => {
                if self.service.is_some() {
                    return Err(ReplayError::Adopted);
                }
                self.service = Some(service.clone());
                self.know_set(set, label, at);
                self.table = Some(table.clone());
            }
            Event::ServiceReleased { set, run_id: _, note: _ } => {
                self.released.entry(set.clone()).or_insert(at);
            }
            Event::SetPacked { set, label } => self.know_set(set, label, at),
            Event::EvalRun { run_id, set, cases, passed, report: _, policy } => {
                let (run_id, cases, policy) = (run_id.clone(), cases.clone(), policy.clone());
                let run = EvalRunRef { run_id, cases, passed: *passed, at, policy };
                self.eval_runs.insert(set.clone(), run);
            }
            Event::Approved { set, by, approver, reason, run_id } => {
                let (by, approver) = (by.clone(), *approver);
                let (reason, run_id) = (reason.clone(), run_id.clone());
                self.approve(set, Approval { by, approver, reason, at, run_id })?;
            }
            Event::ReleaseStarted { plan, table, by, override_reason, smoke: _, written: _ } => {
                self.start(at, plan, table, by, override_reason.as_deref())?;
            }
            Event::Decided { change_id, decision, order, table } => {
                let from = self.releases.get(change_id).map_or(0, |release| release.state.rung);
                self.decided(at, change_id, decision, table.as_ref())?;
                self.note_order(change_id, decision, order.as_ref(), from);
            }
            Event::Applied { generation, took_us: _ } => {
                self.applied = self.applied.max(*generation);
            }
            Event::EntranceOpened { table, by: _, reason: _ } => self.set_table(table)?,
            Event::Degraded { level, by, reason } => {
                self.degraded = level.map(|level| Degraded::new(level, by, reason, at));
            }
            Event::IncidentOpened { change_id, signal, reason } => {
                self.incident_opened(at, change_id, *signal, reason)?;
            }
            Event::RedLinesSeen(seen) => self.red_lines(at, seen),
            Event::OutageSeen { incident, outage } => self.outage(at, incident, outage),
            Event::SentinelRan(note) => self.sentinel_ran(at, note),
            Event::SentinelAccepted { run_id, report, incident, by, reason } => {
                self.sentinel_accepted(at, incident.as_ref(), reason)?;
                self.sentinel.accepted(at, run_id, report, by);
            }
            Event::CasesWritten { incident, case_ids } => {
                self.incident(incident)?.case_ids.extend(case_ids.iter().cloned());
            }
            Event::SamplesWritten { change_id, case_ids } => self.sampled(change_id, case_ids)?,
            Event::IncidentClosed { incident: id, by: _, conclusion } => {
                self.incident_closed(at, id, conclusion)?;
            }
            Event::KeyMade { grant, by } => self.key_made(at, grant, by)?,
            Event::KeyRevoked { key, at, by } => self.key_revoked(key, *at, by)?,
            Event::ShadowStarted { plan, by } => self.shadow_started(plan, by)?,
            Event::ShadowSeen { pairs, used, granted } => self.paired(pairs, *used, *granted)?,
            Event::ShadowEnded { used, end } => self.shadow_ended(*used, end)?,
            // They are in the chain, and change nothing that control knows.
            Event::RecordsDeleted { .. } | Event::Repriced { .. } => {}
            Event::PackWritten { change_id, path, manifest } => {
                self.packed(change_id, path, manifest)?;
            }
        }
        Ok(())
    }

    fn approve(&mut self, set: &VersionSetId, approval: Approval) -> Result<(), ReplayError> {
        if !self.sets.contains_key(set) && !self.eval_runs.contains_key(set) {
            return Err(ReplayError::UnknownSet(set.clone()));
        }
        let approvals = self.approvals.entry(set.clone()).or_default();
        if approvals.iter().any(|earlier| is_same(&earlier.by, &approval.by)) {
            return Err(ReplayError::ApprovedAlready { set: set.clone(), by: approval.by });
        }
        approvals.push(approval);
        Ok(())
    }

    fn sampled(&mut self, change_id: &ChangeId, case_ids: &[String]) -> Result<(), ReplayError> {
        self.known(change_id)?;
        if let Some(release) = self.releases.get_mut(change_id).map(Arc::make_mut) {
            release.sample_ids.extend(case_ids.iter().cloned());
        }
        Ok(())
    }

    fn incident_opened(
        &mut self,
        at: UnixMs,
        change_id: &ChangeId,
        signal: Signal,
        reason: &str,
    ) -> Result<(), ReplayError> {
        self.known(change_id)?;
        self.open_incident(at, change_id, signal, Cause::Words(reason.to_owned()));
        Ok(())
    }

    fn incident_closed(
        &mut self,
        at: UnixMs,
        id: &IncidentId,
        conclusion: &str,
    ) -> Result<(), ReplayError> {
        let incident = self.incident(id)?;
        if incident.needs_cases() && incident.case_ids.is_empty() {
            return Err(ReplayError::CasesMissing(id.clone()));
        }
        incident.closed = Some((at, conclusion.to_owned()));
        Ok(())
    }

    /// The incident of a change that somebody has accepted is over.
    fn sentinel_accepted(
        &mut self,
        at: UnixMs,
        incident: Option<&IncidentId>,
        reason: &str,
    ) -> Result<(), ReplayError> {
        if let Some(id) = incident {
            self.incident(id)?.closed = Some((at, reason.to_owned()));
        }
        Ok(())
    }

    fn key_made(&mut self, at: UnixMs, grant: &Grant, by: &str) -> Result<(), ReplayError> {
        let key = grant.key.clone();
        if self.keys.contains_key(&key) {
            return Err(ReplayError::KeyExists(key));
        }
        self.keys.insert(key, HeldKey::new(grant.clone(), at, by));
        Ok(())
    }

    fn key_revoked(&mut self, key: &KeyId, at: UnixMs, by: &str) -> Result<(), ReplayError> {
        let held = self.keys.get_mut(key).ok_or_else(|| ReplayError::NoKey(key.clone()))?;
        held.revoke(at, by);
        Ok(())
    }

    fn start(
        &mut self,
        at: UnixMs,
        plan: &Plan,
        table: &Table,
        by: &str,
        override_reason: Option<&str>,
    ) -> Result<(), ReplayError> {
        if let Some(active) = &self.active {
            return Err(ReplayError::ReleaseRunning(active.clone()));
        }
        self.require_no_shadow()?;
        if self.releases.contains_key(&plan.change_id) {
            return Err(ReplayError::ReleaseExists(plan.change_id.clone()));
        }
        if let Some(block) = self.blocked.get(&plan.to)
            && override_reason.is_none()
        {
            let block = Box::new(block.clone());
            return Err(ReplayError::Blocked { set: plan.to.clone(), block });
        }
        self.set_table(table)?;
        self.blocked.remove(&plan.to);
        self.active = Some(plan.change_id.clone());
        let release = Release {
            plan: plan.clone(),
            by: by.to_owned(),
            started_at: at,
            state: ReleaseState::start(plan.created_at),
            last_decision: None,
            ended_at: None,
            pack: None,
            sample_ids: Vec::new(),
            ordered_rungs: Vec::new(),
            taken_back: false,
            approvals: self.approvals.get(&plan.to).cloned().unwrap_or_default(),
        };
        self.releases.insert(plan.change_id.clone(), Arc::new(release));
        Ok(())
    }

    fn decided(
        &mut self,
        at: UnixMs,
        change_id: &ChangeId,
        decision: &Decision,
        table: Option<&Table>,
    ) -> Result<(), ReplayError> {
        let release = self.known(change_id)?;
        let taken_back = release.state.phase == Phase::Promoted
            && decision.state.phase == Phase::RolledBack
            && self.active.is_none();
        // A red line in an answer that was on its way as the rollback was written.
        let worse = release.state.phase.went_back() > 0
            && decision.state.phase.went_back() > release.state.phase.went_back()
            && self.active.is_none()
            && self.table.as_ref().is_some_and(|table| table.stable == release.plan.from);
        if release.state.phase.is_final() && !taken_back && !worse {
            return Err(ReplayError::ReleaseOver(change_id.clone()));
        }
        let candidate = release.plan.to.clone();
        if let Some(table) = table {
            self.set_table(table)?;
        }
        if decision.state.phase == Phase::Promoted {
            self.released.entry(candidate.clone()).or_insert(at);
        }
        let goes_back = matches!(decision.state.phase, Phase::RolledBack | Phase::ShutOff);
        if goes_back {
            let reason = decision.reasons.first().cloned().map(Cause::from);
            let block = Block { change_id: change_id.clone(), at, reason };
            self.approvals.remove(&candidate);
            self.blocked.insert(candidate, block);
        }
        if decision.state.phase.is_final() {
            self.active = None;
        }
        if let Some(release) = self.releases.get_mut(change_id).map(Arc::make_mut) {
            release.taken_back |= taken_back;
            release.state = decision.state.clone();
            if decision.state.phase.is_final() {
                release.ended_at = Some(at);
            }
            release.last_decision = Some(decision.clone());
        }
        for action in &decision.actions {
            if let Action::OpenIncident { signal, reason } = action {
                self.open_incident(at, change_id, *signal, reason.clone());
            }
        }
        Ok(())
    }

    /// Notes the rungs that an order led over.
    fn note_order(
        &mut self,
        change_id: &ChangeId,
        decision: &Decision,
        order: Option<&Order>,
        from: usize,
    ) {
        let rises = matches!(
            order.map(|order| order.kind),
            Some(OrderKind::Promote | OrderKind::PromoteFully)
        ) && decision.kind == DecisionKind::Advance;
        let Some(release) = self.releases.get_mut(change_id).filter(|_| rises) else { return };
        let release = Arc::make_mut(release);
        let passed = match decision.state.phase {
            Phase::Promoted => release.plan.rungs.len(),
            Phase::Running | Phase::Paused(_) | Phase::Ended => decision.state.rung,
            Phase::RolledBack | Phase::ShutOff => decision.state.rung,
        };
        release.ordered_rungs.extend(from..passed);
    }

    fn set_table(&mut self, table: &Table) -> Result<(), ReplayError> {
        let current = self.table.as_ref().ok_or(ReplayError::NoService)?.generation;
        if table.generation != current.next() {
            return Err(ReplayError::StaleTable { given: table.generation, current });
        }
        self.table = Some(table.clone());
        Ok(())
    }

    fn know_set(&mut self, set: &VersionSetId, label: &str, at: UnixMs) {
        let fresh = SetRef { label: label.to_owned(), at };
        self.sets.entry(set.clone()).or_insert(fresh);
    }

    /// The incident of a release, if it had one.
    pub fn incident_of(&self, change_id: &ChangeId) -> Option<&Incident> {
        self.incidents.get(&IncidentId::of_release(change_id))
    }

    /// Opens the release's incident. One that is there keeps its first reason, unless it becomes
    /// worse: a pause that ends in a rollback is that rollback's incident.
    fn open_incident(&mut self, at: UnixMs, change_id: &ChangeId, signal: Signal, reason: Cause) {
        let id = IncidentId::of_release(change_id);
        let subject = Subject::Release { change_id: change_id.clone() };
        let new = || Incident::open(subject, signal, reason.clone(), at);
        let incident = self.incidents.entry(id).or_insert_with(new);
        incident.worsen(signal, reason);
    }

    /// Files red lines under their incident, which they open where it is new.
    fn red_lines(&mut self, at: UnixMs, seen: &RedLines) {
        let subject = Subject::Service { set: seen.set.clone(), kind: seen.kind };
        let new = || Incident::open(subject, seen.signal(), seen.reason(), at);
        let incident = self.incidents.entry(seen.incident.clone()).or_insert_with(new);
        incident.worsen(seen.signal(), seen.reason());
        incident.red_lines = incident.red_lines.saturating_add(seen.count);
        incident.went_out = incident.went_out.saturating_add(seen.went_out);
        let room = TRACES_MAX.saturating_sub(incident.traces.len());
        let traces = seen.sightings.iter().map(|sighting| sighting.trace_id.clone());
        incident.traces.extend(traces.take(room));
    }

    /// Notes the pack of a release, or of an incident of the service.
    fn packed(&mut self, of: &ChangeId, path: &str, manifest: &Digest) -> Result<(), ReplayError> {
        let pack = PackRef { path: path.to_owned(), manifest: manifest.clone() };
        if let Some(release) = self.releases.get_mut(of).map(Arc::make_mut) {
            release.pack = Some(pack);
            return Ok(());
        }
        let unknown = || ReplayError::UnknownRelease(of.clone());
        let id = IncidentId::parse(of.as_str()).map_err(|_| unknown())?;
        let incident = self.incidents.get_mut(&id).ok_or_else(unknown)?;
        incident.pack = Some(pack);
        Ok(())
    }

    fn known(&self, change_id: &ChangeId) -> Result<&Release, ReplayError> {
        let release = self.releases.get(change_id).map(Arc::as_ref);
        release.ok_or_else(|| ReplayError::UnknownRelease(change_id.clone()))
    }

    fn incident(&mut self, id: &IncidentId) -> Result<&mut Incident, ReplayError> {
        self.incidents.get_mut(id).ok_or_else(|| ReplayError::NoIncident(id.clone()))
    }
}
