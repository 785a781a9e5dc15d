//! Every kind of event that the log has, with its numbers and its sentence.

use super::kind::EventType;
use crate::clock::rfc3339;
use crate::observe;
use crate::store::Lost;
use crate::upstream::EndpointChange;
use serde_json::{Value, json};
use tidegate_core::decide::{Decision, Phase, Reason, ReasonCode};
use tidegate_core::drift::SentinelNote;
use tidegate_core::evidence::Record;
use tidegate_core::ids::{ChangeId, Generation, IncidentId, VersionSetId};
use tidegate_core::incident::RedLines;
use tidegate_core::observe::{Outage, OutageChange, OutageRun};
use tidegate_core::route::{Arm, Weight};
use tidegate_core::say::Lang;
use tidegate_core::upstream::Failure;
use tracing::Level;

/// A set that stable serves, and how it came there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Serving<'a> {
    /// Its label.
    pub(crate) label: &'a str,
    /// Whether it was just taken from the project as the first set.
    pub(crate) is_fresh: bool,
    /// Whether it has not passed the gate.
    pub(crate) is_experimental: bool,
    /// Whether its answers are made by rule.
    pub(crate) is_simulated: bool,
    /// The candidate's share, while a release runs.
    pub(crate) candidate: Option<(&'a VersionSetId, Weight)>,
}

/// One event with its numbers.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// [`EventType::ServiceStarted`].
    ServiceStarted(Serving<'a>),
    /// [`EventType::Stopping`].
    Stopping,
    /// [`EventType::ConnectionsCut`].
    ConnectionsCut {
        /// How many.
        count: usize,
    },
    /// [`EventType::WrongKeys`].
    WrongKeys {
        /// How many, since the last such line.
        requests: u64,
        /// From how many addresses.
        addresses: usize,
    },
    /// [`EventType::Request`].
    Request(&'a Record),
    /// [`EventType::ReleaseStarted`].
    ReleaseStarted {
        /// The release.
        change_id: &'a ChangeId,
        /// The candidate's share.
        weight: Weight,
    },
    /// [`EventType::ReleaseMoved`].
    ReleaseMoved {
        /// The release.
        change_id: &'a ChangeId,
        /// What was decided.
        decision: &'a Decision,
        /// The candidate's share after it; `None` when it has none any more.
        weight: Option<Weight>,
    },
    /// [`EventType::ReleaseTakenBack`].
    ReleaseTakenBack {
        /// The release.
        change_id: &'a ChangeId,
        /// What was decided.
        decision: &'a Decision,
    },
    /// [`EventType::TableDrained`].
    TableDrained {
        /// The table.
        generation: Generation,
        /// From the decision until its last request ended, ms.
        after_ms: u128,
    },
    /// [`EventType::OutageBegan`] and [`EventType::OutageEnded`].
    Outage {
        /// The arm.
        arm: Arm,
        /// Its upstream's name in the project.
        upstream: &'a str,
        /// Which of both.
        change: OutageChange,
    },
    /// [`EventType::IncidentOpened`].
    IncidentOpened(&'a RedLines),
    /// [`EventType::OutageIncident`].
    OutageIncident {
        /// The incident.
        incident: &'a IncidentId,
        /// The outage so far.
        outage: &'a OutageRun,
    },
    /// [`EventType::ModelChanged`].
    ModelChanged(&'a SentinelNote),
    /// [`EventType::EndpointOut`] and [`EventType::EndpointBack`].
    Endpoint {
        /// The upstream's name in the project.
        upstream: &'a str,
        /// Its base URL.
        endpoint: &'a str,
        /// What became of it.
        change: EndpointChange,
    },
    /// [`EventType::JournalUnwritten`].
    JournalUnwritten {
        /// Why.
        why: &'a str,
    },
    /// [`EventType::JournalWritten`].
    JournalWritten,
    /// [`EventType::ProcessFailed`].
    ProcessFailed {
        /// Why.
        message: &'a str,
        /// What to do.
        hints: &'a [String],
    },
    /// [`EventType::RecordsLost`].
    RecordsLost(Lost),
    /// [`EventType::RecordsRead`].
    RecordsRead {
        /// Who read: the name of a key, or the server's own token.
        by: &'a str,
        /// What was asked for: a trace, or several.
        what: &'static str,
        /// How many were given.
        records: usize,
    },
    /// [`EventType::WorkFailed`].
    WorkFailed {
        /// What was not done: the sentence before the colon.
        what: &'a str,
        /// Why.
        why: String,
    },
}

impl Event<'_> {
    /// Its kind.
    pub(crate) fn event_type(&self) -> EventType {
        match self {
            Event::ServiceStarted(_) => EventType::ServiceStarted,
            Event::Stopping => EventType::Stopping,
            Event::ConnectionsCut { .. } => EventType::ConnectionsCut,
            Event::WrongKeys { .. } => EventType::WrongKeys,
            Event::Request(_) => EventType::Request,
            Event::ReleaseStarted { .. } => EventType::ReleaseStarted,
            Event::ReleaseMoved { .. } => EventType::ReleaseMoved,
            Event::ReleaseTakenBack { .. } => EventType::ReleaseTakenBack,
            Event::TableDrained { .. } => EventType::TableDrained,
            Event::Outage { change: OutageChange::Began(_), .. } => EventType::OutageBegan,
            Event::Outage { change: OutageChange::Ended(_), .. } => EventType::OutageEnded,
            Event::IncidentOpened(_) => EventType::IncidentOpened,
            Event::OutageIncident { .. } => EventType::OutageIncident,
            Event::ModelChanged(_) => EventType::ModelChanged,
            Event::Endpoint { change, .. } => match change {
                EndpointChange::Opened { .. } | EndpointChange::CheckedDown => {
                    EventType::EndpointOut
                }
                EndpointChange::Closed | EndpointChange::CheckedUp => EventType::EndpointBack,
            },
            Event::JournalUnwritten { .. } => EventType::JournalUnwritten,
            Event::JournalWritten => EventType::JournalWritten,
            Event::RecordsLost(_) => EventType::RecordsLost,
            Event::RecordsRead { .. } => EventType::RecordsRead,
            Event::WorkFailed { .. } => EventType::WorkFailed,
            Event::ProcessFailed { .. } => EventType::ProcessFailed,
        }
    }

    /// An error needs a person now; a warning says that something was taken out or lost.
    pub(crate) fn level(&self) -> Level {
        match self.event_type() {
            EventType::OutageBegan
            | EventType::OutageIncident
            | EventType::ModelChanged
            | EventType::IncidentOpened
            | EventType::JournalUnwritten
            | EventType::ProcessFailed => Level::ERROR,
            // Where it cannot be written at all, that is an error with a separate line.
            EventType::ReleaseTakenBack
            | EventType::ConnectionsCut
            | EventType::WrongKeys
            | EventType::EndpointOut
            | EventType::RecordsLost
            | EventType::WorkFailed => Level::WARN,
            EventType::ReleaseMoved => match self {
                Event::ReleaseMoved { decision, .. } => match decision.state.phase {
                    Phase::Running | Phase::Ended | Phase::Promoted => Level::INFO,
                    Phase::Paused(_) | Phase::RolledBack | Phase::ShutOff => Level::WARN,
                },
                _ => Level::INFO,
            },
            EventType::ServiceStarted
            | EventType::Stopping
            | EventType::Request
            | EventType::ReleaseStarted
            | EventType::TableDrained
            | EventType::OutageEnded
            | EventType::EndpointBack
            | EventType::JournalWritten
            | EventType::Note
            | EventType::RecordsRead => Level::INFO,
        }
    }

    /// Its sentence.
    pub(crate) fn text(&self) -> String {
        match self {
            Event::ServiceStarted(serving) => format!("serving {}", serving.label),
            Event::Stopping => "stopping: waiting for in-flight requests".to_owned(),
            Event::ConnectionsCut { count } => {
                format!("{count} connections were cut at the drain deadline")
            }
            Event::WrongKeys { requests, addresses } => {
                format!("requests with wrong keys: {requests}, from {addresses} addresses")
            }
            Event::Request(record) => {
                let (arm, ms) = (record.arm.as_str(), record.timing.total_us / 1000);
                format!("{arm} answered {} in {ms} ms", record.status)
            }
            Event::ReleaseStarted { change_id, weight } => {
                format!("release {change_id}: started, now at {weight}")
            }
            Event::ReleaseMoved { change_id, decision, weight } => {
                let phase = decision.state.phase.as_str();
                let at = weight.map_or(phase.to_owned(), |weight| format!("at {weight}"));
                let kind = decision.kind.as_str();
                format!("release {change_id}: {kind}, now {at}: {}", why(decision))
            }
            Event::ReleaseTakenBack { change_id, decision } => {
                let why = why(decision);
                format!(
                    "release {change_id}: everyone is on stable; not yet written to disk: {why}"
                )
            }
            Event::TableDrained { generation, after_ms } => {
                format!(
                    "route table {generation} is replaced; its last request ended {after_ms} ms \
                     after the decision"
                )
            }
            Event::Outage { arm, upstream, change: OutageChange::Began(outage) } => {
                observe::began(*arm, upstream, outage)
            }
            Event::Outage { arm, upstream, change: OutageChange::Ended(outage) } => {
                observe::ended(*arm, upstream, outage)
            }
            Event::IncidentOpened(lines) => red_line(lines),
            Event::OutageIncident { incident, outage } => observe::filed(incident, outage),
            Event::ModelChanged(note) => changed(note),
            Event::JournalUnwritten { why } => {
                format!("control: {why}; it is tried again at every look")
            }
            Event::JournalWritten => "control: the journal can be written again".to_owned(),
            Event::Endpoint { upstream, endpoint, change } => {
                format!("endpoint {endpoint} of upstream `{upstream}` {}", change.text())
            }
            Event::RecordsLost(Lost { at_least, at_most }) => format!(
                "requests have no record: the process before this one was killed: at least \
                 {at_least}, at most {at_most}; with `records.audit: strict` an admission is \
                 written before a request is answered"
            ),
            Event::RecordsRead { by, what, records } => {
                format!("{records} records were read over the admin plane, by {what}: {by}")
            }
            Event::WorkFailed { what, why } => format!("{what}: {why}"),
            Event::ProcessFailed { message, hints: _ } => (*message).to_owned(),
        }
    }

    /// The line of the text log where it is not a time and a sentence: a request's is JSON there
    /// too.
    pub(super) fn text_line(&self) -> Option<String> {
        match self {
            Event::Request(record) => Some(request(record).to_string()),
            _ => None,
        }
    }

    /// Its numbers.
    pub(crate) fn details(&self) -> Value {
        match self {
            Event::ServiceStarted(serving) => started(serving),
            Event::Stopping | Event::JournalWritten => json!({}),
            Event::ConnectionsCut { count } => json!({ "connections": count }),
            Event::WrongKeys { requests, addresses } => {
                json!({ "requests": requests, "addresses": addresses })
            }
            Event::Request(record) => request_details(record),
            Event::ReleaseStarted { change_id: _, weight } => {
                json!({ "weight_pct": weight.pct() })
            }
            Event::ReleaseMoved { change_id: _, decision, weight } => {
                let mut details = decided(decision);
                details["weight_pct"] = json!(weight.map(Weight::pct));
                details
            }
            Event::ReleaseTakenBack { change_id: _, decision } => decided(decision),
            Event::TableDrained { generation, after_ms } => {
                json!({ "generation": generation, "after_ms": after_ms })
            }
            Event::Outage { arm, upstream, change } => {
                let (OutageChange::Began(outage) | OutageChange::Ended(outage)) = change;
                outage_details(*arm, upstream, outage)
            }
            Event::IncidentOpened(lines) => json!({
                "incident": lines.incident, "kind": lines.kind, "red_lines": lines.count,
                "sent": lines.went_out, "banned_s": banned_s(lines),
            }),
            Event::OutageIncident { incident, outage } => json!({
                "incident": incident, "upstream": outage.upstream,
                "failure": outage.failure(), "requests": outage.requests, "failed": outage.failed(),
            }),
            Event::ModelChanged(note) => json!({
                "incident": note.incident, "upstream": note.upstream, "endpoint": note.endpoint,
                "model": note.model, "run_id": note.run_id, "verdict": note.verdict(),
            }),
            Event::Endpoint { upstream, endpoint, change } => {
                json!({ "upstream": upstream, "endpoint": endpoint, "why": change.why() })
            }
            Event::JournalUnwritten { why } => json!({ "why": why }),
            Event::RecordsLost(Lost { at_least, at_most }) => {
                json!({ "at_least": at_least, "at_most": at_most })
            }
            Event::RecordsRead { by, what, records } => {
                json!({ "by": by, "what": what, "records": records })
            }
            Event::WorkFailed { what, why } => json!({ "what": what, "why": why }),
            Event::ProcessFailed { message: _, hints } => json!({ "hints": hints }),
        }
    }
}

fn red_line(lines: &RedLines) -> String {
    let Some(first) = lines.sightings.first() else { return lines.incident.to_string() };
    let banned = match banned_s(lines) {
        0 => String::new(),
        seconds => format!("; the caller is refused for {seconds} s"),
    };
    format!(
        "RED LINE: incident {} is open: {} ({}) in {} answers of {}, {} withheld, {} sent{banned}; \
         look at it now: `tidegate trace {}`",
        lines.incident,
        lines.kind.as_str(),
        first.event.detail,
        lines.count,
        lines.set,
        lines.count.saturating_sub(lines.went_out),
        lines.went_out,
        first.trace_id.as_str(),
    )
}

/// For how long a caller is refused because of them, at most, s.
fn banned_s(lines: &RedLines) -> u64 {
    lines.sightings.iter().map(|sighting| sighting.banned_s).max().unwrap_or(0)
}

fn started(serving: &Serving<'_>) -> Value {
    let Serving { label, is_fresh, is_experimental, is_simulated, candidate } = serving;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "label": label,
        "first_version_set": is_fresh,
        "experimental": is_experimental,
        "simulated": is_simulated,
        "candidate": candidate.map(|(set, _)| set),
        "weight_pct": candidate.map(|(_, weight)| weight.pct()),
    })
}

/// An order's own words say more than what the lines said when it came.
fn why(decision: &Decision) -> String {
    let order = decision.reasons.iter().find(|reason| reason.code() == ReasonCode::Order);
    let reason = order.or(decision.reasons.first());
    reason.map(|reason| Lang::En.sentence(reason)).unwrap_or_default()
}

fn decided(decision: &Decision) -> Value {
    json!({
        "decision": decision.kind,
        "signal": decision.signal,
        "phase": decision.state.phase.as_str(),
        "rung": decision.state.rung,
        "reason": decision.reasons.first(),
    })
}

fn outage_details(arm: Arm, upstream: &str, outage: &Outage) -> Value {
    let Outage { since, requests, failed, failure, last_at } = outage;
    json!({
        "arm": arm.as_str(), "upstream": upstream, "failure": failure.as_str(),
        "requests": requests, "failed": failed, "since": rfc3339(*since),
        "lasted_s": last_at.since(*since) / 1000,
    })
}

fn request_details(record: &Record) -> Value {
    json!({
        "request_id": record.request_id,
        "arm": record.arm.as_str(),
        "model_version": record.set.keys.model,
        "status": record.status,
        "failure": record.failure.map(Failure::as_str),
        "fallback": record.fallback.as_ref().map(|fallback| &fallback.model),
        "prompt_length": record.prompt_length,
        "response_length": record.response_length,
        "metrics": metrics(record),
    })
}

/// The incident of a changed model, and why it is open.
fn changed(note: &SentinelNote) -> String {
    let why = note.change().map(|change| Lang::En.sentence(&Reason::Drift(Box::new(change))));
    let incident = note.incident.as_ref().map_or("", IncidentId::as_str);
    format!("incident {incident} is open: {}", why.unwrap_or_default())
}

/// A request's own line: lengths and names, never content.
fn request(record: &Record) -> Value {
    json!({
        "timestamp": rfc3339(record.at),
        "request_id": record.request_id,
        "trace_id": record.trace_id.as_str(),
        "arm": record.arm.as_str(),
        "version_set": record.set,
        "prompt_version": record.set.keys.prompt,
        "model_version": record.set.keys.model,
        "status": record.status,
        "failure": record.failure.map(Failure::as_str),
        "fallback": record.fallback.as_ref().map(|fallback| &fallback.model),
        "prompt_length": record.prompt_length,
        "response_length": record.response_length,
        "metrics": metrics(record),
    })
}

fn metrics(record: &Record) -> Value {
    json!({
        "tokens_in": record.tokens_in,
        "tokens_out": record.tokens_out,
        "cost_micro_usd": record.cost_micro_usd,
        "latency_ms": record.timing.total_us / 1000,
        "first_token_ms": record.timing.first_token_us / 1000,
        "generation_ms": record.timing.generation_us / 1000,
        "queue_ms": record.timing.queue_us / 1000,
    })
}
