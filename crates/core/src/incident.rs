//! Incidents: what went wrong, what it is about, and what it is closed with.
//!
//! An incident is about one release (a pause by lines, a rollback, a shut-off, whoever ordered it),
//! or about the service outside any release: a red line in an answer that no release decides on, an
//! outage of the model server behind stable, or a change of the model there. It closes only when
//! its failures are regression cases; an outage and a changed model leave none: their incident
//! closes by itself when it is over, and that of a change when a person accepts it.

use crate::decide::{Cause, Decision, Metric, ModelDrift, ModelOutage, Reason, ReasonCode, Signal};
use crate::evidence::PackRef;
use crate::guard::{RiskKind, RiskSeverity, Sighting};
use crate::ids::{ChangeId, Digest, IncidentId, TraceId, UnixMs, VersionSetId};
use crate::observe::OutageRun;
use serde::{Deserialize, Serialize};

/// Traces that an incident names, at most: enough for its cases and samples.
pub const TRACES_MAX: usize = 20;
/// Events that its reason quotes, at most.
const QUOTED_MAX: usize = 3;

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
pub enum Subject {
    /// A release.
    Release {
        /// The release that was paused or ended.
        change_id: ChangeId,
    },
    /// The service, outside any release.
    Service {
        /// The version set that gave the answers.
        set: VersionSetId,
        /// What they held.
        kind: RiskKind,
    },
    /// The model behind stable changed without a release.
    Drift {
        /// The version set that was asked.
        set: VersionSetId,
        /// The upstream's name in the project.
        upstream: String,
        /// The model that was asked for.
        model: String,
    },
    /// The model server that stable asks, whether or not a release ran.
    Outage {
        /// The version set that was served when it began.
        set: VersionSetId,
        /// The upstream's name in the project.
        upstream: String,
    },
}

impl Subject {
    /// The release, where it is one.
    pub fn change_id(&self) -> Option<&ChangeId> {
        match self {
            Subject::Release { change_id } => Some(change_id),
            Subject::Service { .. } | Subject::Outage { .. } | Subject::Drift { .. } => None,
        }
    }
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// Yellow for a pause by lines, else red or black.
    pub signal: Signal,
    /// When it began.
    pub opened_at: UnixMs,
    /// Why it was opened; of a release's incident that became worse, why it did.
    pub reason: Cause,
    /// Red-line events filed under it that no release decided on.
    #[serde(default)]
    pub red_lines: u64,
    /// How many of their answers reached a client.
    #[serde(default)]
    pub went_out: u64,
    /// Their requests, the first [`TRACES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceId>,
    /// The regression cases written for it.
    pub case_ids: Vec<String>,
    /// The outage that it is about, as it was journalled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Box<OutageRun>>,
    /// Its evidence pack; a release's incident is in that release's pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackRef>,
    /// When it was closed and with what conclusion; an empty one where the outage that it is about
    /// ended and nobody had closed it.
    pub closed: Option<(UnixMs, String)>,
}

impl Incident {
    /// A new incident.
    pub fn open(subject: Subject, signal: Signal, reason: Cause, at: UnixMs) -> Incident {
        Incident {
            subject,
            signal,
            opened_at: at,
            reason,
            red_lines: 0,
            went_out: 0,
            traces: Vec::new(),
            case_ids: Vec::new(),
            outage: None,
            pack: None,
            closed: None,
        }
    }

    /// Takes a worse signal with its reason, and is open again then; the same or a lesser one
    /// changes nothing.
    pub fn worsen(&mut self, signal: Signal, reason: Cause) {
        if self.signal < signal {
            self.signal = signal;
            self.reason = reason;
            self.closed = None;
        }
    }

    /// Whether it is about the service and no release.
    pub fn is_of_service(&self) -> bool {
        match self.subject {
            Subject::Release { .. } => false,
            Subject::Service { .. } | Subject::Outage { .. } | Subject::Drift { .. } => true,
        }
    }

    /// Whether it must have a regression case before it is closed. No case would prevent the next
    /// outage of the model server, or the next change of it, which cases have found.
    pub fn needs_cases(&self) -> bool {
        match self.subject {
            Subject::Release { .. } | Subject::Service { .. } => true,
            Subject::Outage { .. } | Subject::Drift { .. } => false,
        }
    }

    /// Takes what is known of the outage now. Its end closes the incident, and a return opens it
    /// again; what a person has closed stays closed.
    pub fn note_outage(&mut self, outage: &OutageRun, at: UnixMs) {
        let by_itself = self.closed.as_ref().is_none_or(|(_, conclusion)| conclusion.is_empty());
        if by_itself {
            self.closed = outage.ended_at.map(|_| (at, String::new()));
        }
        self.reason = outage_reason(outage);
        self.traces = outage.traces.clone();
        self.outage = Some(Box::new(outage.clone()));
    }

    /// Takes what a run of the fixed cases says. A change opens it again, the end of it closes it.
    pub fn note_drift(&mut self, change: Option<ModelDrift>, at: UnixMs) {
        match change {
            Some(drift) => {
                self.closed = None;
                self.reason = Reason::Drift(Box::new(drift)).into();
            }
            None if self.closed.is_none() => self.closed = Some((at, String::new())),
            None => {}
        }
    }

    /// Whether somebody still has to close it.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

/// Red-line events of one incident, journalled together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedLines {
    /// The incident they are filed under.
    pub incident: IncidentId,
    /// The version set that gave the answers.
    pub set: VersionSetId,
    /// What they held.
    pub kind: RiskKind,
    /// The first [`TRACES_MAX`] of them.
    pub sightings: Vec<Sighting>,
    /// How many there were.
    pub count: u64,
    /// How many of the answers reached a client.
    pub went_out: u64,
}

impl RedLines {
    /// Those of one kind and set, filed under `incident`; `sightings` holds at least one.
    pub fn of(incident: IncidentId, set: VersionSetId, sightings: &[Sighting]) -> Option<RedLines> {
        let kind = sightings.first()?.event.kind;
        let went_out = sightings.iter().filter(|sighting| !sighting.blocked).count() as u64;
        let count = sightings.len() as u64;
        let sightings = sightings.iter().take(TRACES_MAX).cloned().collect();
        Some(RedLines { incident, set, kind, sightings, count, went_out })
    }

    /// How grave they are.
    pub fn signal(&self) -> Signal {
        match self.kind.severity() {
            RiskSeverity::Black => Signal::Black,
            RiskSeverity::Red | RiskSeverity::Counted => Signal::Red,
        }
    }

    /// Why the incident that they open was opened.
    pub fn reason(&self) -> Cause {
        let events = self.sightings.iter().take(QUOTED_MAX).map(|s| s.event.clone()).collect();
        Reason::RedLine { events }.into()
    }
}

/// The metrics that an incident is made of: those that a decision acted on or, where a person did,
/// those that did not pass. The worst first, each once.
pub fn blamed(decision: &Decision) -> Vec<Metric> {
    let of = |codes: &[ReasonCode]| -> Vec<Metric> {
        let mut found: Vec<Metric> = Vec::new();
        for reason in decision.reasons.iter().filter(|reason| codes.contains(&reason.code())) {
            found.extend(reason.metric().filter(|metric| !found.contains(metric)));
        }
        found
    };
    let over = of(&[
        ReasonCode::OverRollback,
        ReasonCode::OverCeiling,
        ReasonCode::OverBudget,
        ReasonCode::PauseLimit,
        ReasonCode::OverPause,
    ]);
    if !over.is_empty() {
        return over;
    }
    of(&[ReasonCode::BetweenPassAndPause, ReasonCode::Uncertain])
}

/// The id of an incident of the service: `inc-<kind>-<hash>`, with as much of the hash as makes it
/// new.
pub fn service_incident(
    set: &VersionSetId,
    first: &Sighting,
    is_taken: impl Fn(&IncidentId) -> bool,
) -> Option<IncidentId> {
    let at = first.at.0.to_le_bytes();
    let parts = [set.as_str().as_bytes(), first.trace_id.as_str().as_bytes(), &at];
    let hash = Digest::of_parts(&parts);
    let kind = first.event.kind.as_str().replace('_', "-");
    let named = |length| IncidentId::parse(&format!("inc-{kind}-{}", hash.short(length))).ok();
    (5..=hash.as_str().len()).filter_map(named).find(|id| !is_taken(id))
}

/// The id of an incident of an outage: `inc-outage-<hash>`, with as much of the hash as makes it
/// new.
pub fn outage_incident(
    outage: &OutageRun,
    is_taken: impl Fn(&IncidentId) -> bool,
) -> Option<IncidentId> {
    let since = outage.since.0.to_le_bytes();
    let hash =
        Digest::of_parts(&[outage.set.as_str().as_bytes(), outage.upstream.as_bytes(), &since]);
    let named = |length| IncidentId::parse(&format!("inc-outage-{}", hash.short(length))).ok();
    (5..=hash.as_str().len()).filter_map(named).find(|id| !is_taken(id))
}

/// The id of an incident of a changed model: `inc-drift-<hash>`, with as much of the hash as makes
/// it new.
pub fn drift_incident(
    set: &VersionSetId,
    run_id: &str,
    is_taken: impl Fn(&IncidentId) -> bool,
) -> Option<IncidentId> {
    let hash = Digest::of_parts(&[set.as_str().as_bytes(), run_id.as_bytes()]);
    let named = |length| IncidentId::parse(&format!("inc-drift-{}", hash.short(length))).ok();
    (5..=hash.as_str().len()).filter_map(named).find(|id| !is_taken(id))
}

/// Why an incident of this outage was opened.
pub fn outage_reason(outage: &OutageRun) -> Cause {
    let (upstream, failure) = (outage.upstream.clone(), outage.failure());
    let (requests, failed) = (outage.requests, outage.failed());
    Reason::Outage(ModelOutage { upstream, failure, requests, failed }).into()
}
