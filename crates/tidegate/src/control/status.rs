//! What the admin plane says of the service: what is in force, and whether it is written.

use super::ahead::Ahead;
use crate::clock::Clock;
use crate::http::certificate_ends_at;
use crate::route::LiveTable;
use crate::view::{
    EndpointAnswer, IncidentAnswer, KeyAnswer, ReleaseAnswer, SetAnswer, ShadowAnswer, TableAnswer,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_core::access::KeyId;
use tidegate_core::approval::Approval;
use tidegate_core::degrade::Degraded;
use tidegate_core::drift::Sentinel;
use tidegate_core::ids::{ChangeId, Digest, IncidentId, ServiceName, UnixMs, VersionSetId};
use tidegate_core::journal::ControlState;
use tidegate_core::route::Arm;

/// `GET /admin/v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The process that serves.
    pub(crate) pid: u32,
    /// The folder it serves.
    pub(crate) root: PathBuf,
    /// The journal's last entry.
    pub(crate) seq: u64,
    /// Digest of the whole state that the journal replays to, as JSON.
    pub(crate) state_digest: Digest,
    /// Why what is in force is not in the journal yet; absent when it is.
    pub(crate) not_written: Option<String>,
    /// Why the journal could not be written at the last try.
    pub(crate) journal_problem: Option<String>,
    service: Option<ServiceName>,
    table: Option<TableAnswer>,
    active: Option<ChangeId>,
    sets: BTreeMap<VersionSetId, SetAnswer>,
    releases: BTreeMap<ChangeId, ReleaseAnswer>,
    incidents: BTreeMap<IncidentId, IncidentAnswer>,
    /// Sets that passed the gate of a release.
    released: BTreeMap<VersionSetId, UnixMs>,
    /// Who approved which set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    approvals: BTreeMap<VersionSetId, Vec<Approval>>,
    /// How much of the service is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    degraded: Option<Degraded>,
    /// What is known of the model behind stable.
    #[serde(default, skip_serializing_if = "Sentinel::is_empty")]
    sentinel: Sentinel,
    /// The keys; what they are hashed to is not shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) keys: BTreeMap<KeyId, KeyAnswer>,
    /// The endpoints of the arms' upstreams, where an upstream has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<EndpointAnswer>,
    /// When the certificate of the server's listener ends; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_ends_at: Option<UnixMs>,
    /// The last shadow of each set that had one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shadows: Vec<ShadowAnswer>,
}

impl Status {
    pub(super) fn of(ahead: &Ahead, root: &Path) -> Status {
        let journalled = ahead.journalled();
        let body = serde_json::to_vec(&*journalled).unwrap_or_default();
        let ControlState {
            service,
            table,
            applied: _,
            sets,
            eval_runs: _,
            releases,
            active,
            blocked: _,
            incidents,
            released,
            keys,
            approvals,
            degraded,
            shadows: _,
            sentinel,
            seq,
        } = ahead.effective();
        let now = Clock::Real.now();
        let ledgers = ahead.keys().map(|keys| keys.ledgers(now)).unwrap_or_default();
        Status {
            pid: std::process::id(),
            root: root.to_owned(),
            seq,
            state_digest: Digest::of(&body),
            not_written: ahead.not_written(),
            journal_problem: ahead.journal_problem(),
            service,
            table: table.map(Into::into),
            active,
            sets: each(sets),
            releases: each(releases.into_iter().map(|(id, it)| (id, Arc::unwrap_or_clone(it)))),
            incidents: each(incidents),
            released,
            approvals,
            degraded,
            sentinel,
            keys: keys
                .into_iter()
                .map(|(id, held)| {
                    let ledgers = ledgers.get(&id).map(Vec::as_slice).unwrap_or_default();
                    (id, KeyAnswer::from(held).spent(ledgers))
                })
                .collect(),
            endpoints: ahead.table().map(|table| endpoints(&table)).unwrap_or_default(),
            certificate_ends_at: certificate_ends_at(),
            shadows: ahead.shadows(),
        }
    }

    /// What a key that is bound to a tenant sees: that tenant's keys. Releases and incidents are of
    /// all tenants.
    pub(super) fn of_tenant(mut self, tenant: &str) -> Status {
        self.keys.retain(|_, key| key.tenant() == Some(tenant));
        Status {
            table: None,
            active: None,
            sets: BTreeMap::new(),
            releases: BTreeMap::new(),
            incidents: BTreeMap::new(),
            released: BTreeMap::new(),
            approvals: BTreeMap::new(),
            degraded: None,
            sentinel: Sentinel::default(),
            endpoints: Vec::new(),
            certificate_ends_at: None,
            shadows: Vec::new(),
            ..self
        }
    }

    /// As much of the state as is shown.
    pub(crate) fn into_state(self) -> ControlState {
        let Status {
            pid: _,
            root: _,
            seq,
            state_digest: _,
            not_written: _,
            journal_problem: _,
            service,
            table,
            active,
            sets,
            releases,
            incidents,
            released,
            approvals,
            degraded,
            sentinel,
            keys: _,
            endpoints: _,
            certificate_ends_at: _,
            shadows: _,
        } = self;
        ControlState {
            service,
            table: table.map(Into::into),
            sets: each(sets),
            releases: releases.into_iter().map(|(id, it)| (id, Arc::new(it.into()))).collect(),
            active,
            incidents: each(incidents),
            released,
            approvals,
            degraded,
            sentinel,
            seq,
            ..ControlState::default()
        }
    }
}

/// The endpoints of the arms' upstreams, where an upstream has several.
fn endpoints(table: &LiveTable) -> Vec<EndpointAnswer> {
    let mut all = Vec::new();
    for (arm, set) in
        [(Arm::Stable, Some(&table.stable)), (Arm::Candidate, table.candidate.as_ref())]
    {
        let Some(set) = set else { continue };
        let views = set.upstream.views().into_iter();
        all.extend(views.map(|(url, view)| EndpointAnswer::of(arm, &set.upstream_name, url, view)));
    }
    all
}

/// The same by each key, in the other form.
fn each<K: Ord, A, B: From<A>>(from: impl IntoIterator<Item = (K, A)>) -> BTreeMap<K, B> {
    from.into_iter().map(|(key, value)| (key, value.into())).collect()
}

#[cfg(test)]
mod tests;
