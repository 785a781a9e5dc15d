//! After a release, and after anything else that leaves evidence: records become cases, and the
//! pack is written.
//!
//! Traffic has been switched before any of this runs, and nothing here can undo that. A step that
//! fails is said, and tried again until it is done.

use super::Control;
use super::command::Answer;
use super::error::{ControlError, Result};
use crate::evidence::{PackInputs, write_incident_pack, write_pack};
use crate::store::Records as _;
use crate::view::Done;
use std::collections::BTreeMap;
use tidegate_core::ids::{ChangeId, IncidentId, UnixMs};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::Event;

/// How long after a failure the work is tried again, ms.
const RETRY_MS: u64 = 30_000;

/// What a pack is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PackOf {
    /// A release.
    Release(ChangeId),
    /// An incident of the service.
    Incident(IncidentId),
}

impl std::fmt::Display for PackOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PackOf::Release(id) => write!(f, "release {id}"),
            PackOf::Incident(id) => write!(f, "incident {id}"),
        }
    }
}

/// Work that failed: what of it, when it is tried again, and what was said of it.
#[derive(Debug)]
pub(super) struct Undone {
    cases: bool,
    pack: bool,
    at: UnixMs,
    said: String,
}

impl Control {
    /// Finds the work that an earlier process, or an entry of the journal that was met by a replay,
    /// left to be done, and does it.
    pub(super) async fn finish_post_release(&mut self) {
        let releases = self.state.releases.iter().filter(|(id, release)| {
            let has_cases = self.state.incident_of(id).is_none_or(is_settled);
            release.state.phase.is_final() && (release.pack.is_none() || !has_cases)
        });
        let releases = releases.map(|(id, _)| PackOf::Release(id.clone()));
        let incidents = self.state.incidents.iter().filter(|(_, incident)| {
            incident.is_of_service() && (incident.pack.is_none() || !is_settled(incident))
        });
        let incidents = incidents.map(|(id, _)| PackOf::Incident(id.clone()));
        let undone: Vec<PackOf> = releases.chain(incidents).collect();
        for of in undone {
            self.post(of).await;
        }
    }

    /// Tries again what failed, where it is time; after a replay, all that is not done.
    pub(super) async fn retry_post_release(&mut self) {
        if std::mem::take(&mut self.was_replayed) {
            return self.finish_post_release().await;
        }
        let now = self.clock.now();
        let due = self.undone.iter().filter(|(_, undone)| undone.at <= now);
        let due: Vec<(PackOf, bool, bool)> =
            due.map(|(of, undone)| (of.clone(), undone.cases, undone.pack)).collect();
        for (of, cases, pack) in due {
            self.post_parts(of, cases, pack).await;
        }
    }

    /// Writes cases and the pack; what fails is said once, and noted to be tried again.
    pub(super) async fn post(&mut self, of: PackOf) {
        self.post_parts(of, true, true).await;
    }

    async fn post_parts(&mut self, of: PackOf, cases: bool, pack: bool) {
        let incident = match &of {
            PackOf::Release(change_id) => IncidentId::of_release(change_id),
            PackOf::Incident(id) => id.clone(),
        };
        // Once for the cases and the pack.
        let flushed = self.store.flush().await;
        let cases = match (cases, &flushed) {
            (true, Ok(())) => self.write_tests(&of, &incident).await.map(|()| true),
            (true, Err(error)) => Err(error.clone().into()),
            (false, _) => Ok(false),
        };
        // The pack names the cases: those written just now are a new pack.
        let pack = match (pack || matches!(cases, Ok(true)), flushed) {
            (true, Ok(())) => self.pack_flushed(&of, None).await.map(|_| ()),
            (true, Err(error)) => Err(error.into()),
            (false, _) => Ok(()),
        };
        let (no_cases, no_pack) = (cases.is_err(), pack.is_err());
        let cases = cases.err().map(|error| format!("its cases were not written: {error}"));
        let pack = pack.err().map(|error| format!("its evidence pack was not written: {error}"));
        let failed: Vec<String> = [cases, pack].into_iter().flatten().collect();
        if failed.is_empty() {
            self.undone.remove(&of);
            return;
        }
        let said = failed.join("; ");
        let at = UnixMs(self.clock.now().0.saturating_add(RETRY_MS));
        let undone = Undone { cases: no_cases, pack: no_pack, at, said: said.clone() };
        let before = self.undone.insert(of.clone(), undone);
        if before.is_none_or(|before| before.said != said) {
            let change_id = match &of {
                PackOf::Release(change_id) => Some(change_id),
                PackOf::Incident(_) => None,
            };
            let what = format!("{of}: tried again every {} s", RETRY_MS / 1000);
            self.log_failed(change_id, &what, &said);
        }
    }

    /// Writes the cases of the incident, and the samples of a release that was promoted.
    async fn write_tests(&mut self, of: &PackOf, incident: &IncidentId) -> Result<()> {
        self.write_cases(incident).await?;
        match of {
            PackOf::Release(change_id) => self.write_positive(change_id).await,
            PackOf::Incident(_) => Ok(()),
        }
    }

    /// What a pack can be asked for by: a release, or an incident.
    pub(super) fn pack_of(&self, name: &ChangeId) -> Result<PackOf> {
        if self.state.releases.contains_key(name) {
            return Ok(PackOf::Release(name.clone()));
        }
        let incident = IncidentId::parse(name.as_str()).ok();
        let found = incident.and_then(|id| Some((self.state.incidents.get(&id)?, id)));
        match found.map(|(incident, id)| (&incident.subject, id)) {
            Some((Subject::Release { change_id }, _)) => Ok(PackOf::Release(change_id.clone())),
            Some((
                Subject::Service { .. } | Subject::Outage { .. } | Subject::Drift { .. },
                id,
            )) => Ok(PackOf::Incident(id)),
            None => Err(ControlError::NoSuchRelease { name: name.clone() }),
        }
    }

    /// Writes a pack because somebody asks for it: with gaps, where the latest records cannot be
    /// written.
    pub(super) async fn write_pack(&mut self, of: &PackOf) -> Result<Answer> {
        let unwritten = self.store.flush().await.err();
        let gap = unwritten.map(|error| format!("the latest records may be missing: {error}"));
        self.pack_flushed(of, gap).await
    }

    async fn pack_flushed(&mut self, of: &PackOf, gap: Option<String>) -> Result<Answer> {
        let listen = self.project().map_or("127.0.0.1:8787", |loaded| &loaded.project.listen);
        let base_url = format!("http://{listen}");
        let gap = gap.as_deref();
        let inputs = |change_id| PackInputs {
            store: &self.store,
            state: &self.state,
            change_id,
            root: &self.root,
            clock: &self.clock,
            base_url: &base_url,
            gap,
        };
        let (name, pack) = match of {
            PackOf::Release(change_id) => {
                (change_id.clone(), write_pack(&inputs(change_id)).await?)
            }
            PackOf::Incident(id) => {
                let name = ChangeId::parse(id.as_str()).map_err(ControlError::PackName)?;
                let pack = write_incident_pack(&inputs(&name), id).await?;
                (name, pack)
            }
        };
        let done = Done::PackWritten { path: pack.path.clone() };
        let (path, manifest) = (pack.path, pack.manifest);
        let event = Event::PackWritten { change_id: name.clone(), path, manifest };
        self.append(vec![event]).await?;
        Ok(Answer { change_id: Some(name), ..Answer::of(done) })
    }
}

/// Whether it has cases, or is closed and needs none.
fn is_settled(incident: &Incident) -> bool {
    !incident.case_ids.is_empty() || !incident.is_open() || !incident.needs_cases()
}

/// Work that failed, by what it is about.
pub(super) type UndoneWork = BTreeMap<PackOf, Undone>;
