//! The names of events.

use crate::journal::Event;

/// A match without `_`: a new event does not compile before the example above has it.
pub(super) fn name(event: &Event) -> &'static str {
    match event {
        Event::ServiceAdopted { .. } => "service_adopted",
        Event::ServiceReleased { .. } => "service_released",
        Event::SetPacked { .. } => "set_packed",
        Event::EvalRun { .. } => "eval_run",
        Event::Approved { .. } => "approved",
        Event::ReleaseStarted { .. } => "release_started",
        Event::Decided { .. } => "decided",
        Event::Applied { .. } => "applied",
        Event::EntranceOpened { .. } => "entrance_opened",
        Event::IncidentOpened { .. } => "incident_opened",
        Event::RedLinesSeen(_) => "red_lines_seen",
        Event::OutageSeen { .. } => "outage_seen",
        Event::SentinelRan(_) => "sentinel_ran",
        Event::SentinelAccepted { .. } => "sentinel_accepted",
        Event::CasesWritten { .. } => "cases_written",
        Event::SamplesWritten { .. } => "samples_written",
        Event::IncidentClosed { .. } => "incident_closed",
        Event::PackWritten { .. } => "pack_written",
        Event::KeyMade { .. } => "key_made",
        Event::Degraded { .. } => "degraded",
        Event::KeyRevoked { .. } => "key_revoked",
        Event::RecordsDeleted { .. } => "records_deleted",
        Event::Repriced { .. } => "repriced",
        Event::ShadowStarted { .. } => "shadow_started",
        Event::ShadowSeen { .. } => "shadow_seen",
        Event::ShadowEnded { .. } => "shadow_ended",
    }
}
