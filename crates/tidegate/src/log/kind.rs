//! The closed list of events.

/// What happened; the closed list that `event_type` is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventType {
    /// The process serves the service.
    ServiceStarted,
    /// The process was asked to stop.
    Stopping,
    /// Connections were cut at the drain deadline.
    ConnectionsCut,
    /// Requests came with keys that are not known.
    WrongKeys,
    /// A request ended.
    Request,
    /// A release began.
    ReleaseStarted,
    /// A release moved, or was ordered to.
    ReleaseMoved,
    /// A release was taken back in memory, before the journal has it.
    ReleaseTakenBack,
    /// The last request on a route table ended.
    TableDrained,
    /// An arm's requests fail.
    OutageBegan,
    /// They are answered again.
    OutageEnded,
    /// An outage of stable has its incident.
    OutageIncident,
    /// The model behind stable changed without a release.
    ModelChanged,
    /// A red line in an answer that no release decides on opened an incident.
    IncidentOpened,
    /// An endpoint of an upstream gets no calls for a while.
    EndpointOut,
    /// It gets its share again.
    EndpointBack,
    /// The journal cannot be written.
    JournalUnwritten,
    /// It can be written again.
    JournalWritten,
    /// The process before this one was killed, and requests have no record.
    RecordsLost,
    /// Somebody read records over the admin plane.
    RecordsRead,
    /// A part of Tidegate's own work failed; traffic goes on.
    WorkFailed,
    /// The process ends with an error.
    ProcessFailed,
    /// A sentence without numbers.
    Note,
}

impl EventType {
    /// All of them.
    pub(crate) const ALL: [EventType; 23] = [
        EventType::ServiceStarted,
        EventType::Stopping,
        EventType::ConnectionsCut,
        EventType::WrongKeys,
        EventType::Request,
        EventType::ReleaseStarted,
        EventType::ReleaseMoved,
        EventType::ReleaseTakenBack,
        EventType::TableDrained,
        EventType::OutageBegan,
        EventType::OutageEnded,
        EventType::OutageIncident,
        EventType::ModelChanged,
        EventType::IncidentOpened,
        EventType::EndpointOut,
        EventType::EndpointBack,
        EventType::JournalUnwritten,
        EventType::JournalWritten,
        EventType::RecordsLost,
        EventType::RecordsRead,
        EventType::WorkFailed,
        EventType::ProcessFailed,
        EventType::Note,
    ];

    /// Its name in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EventType::ServiceStarted => "service_started",
            EventType::Stopping => "stopping",
            EventType::ConnectionsCut => "connections_cut",
            EventType::WrongKeys => "wrong_keys",
            EventType::Request => "request",
            EventType::ReleaseStarted => "release_started",
            EventType::ReleaseMoved => "release_moved",
            EventType::ReleaseTakenBack => "release_taken_back",
            EventType::TableDrained => "table_drained",
            EventType::OutageBegan => "outage_began",
            EventType::OutageEnded => "outage_ended",
            EventType::OutageIncident => "outage_incident",
            EventType::ModelChanged => "model_changed",
            EventType::IncidentOpened => "incident_opened",
            EventType::EndpointOut => "endpoint_out",
            EventType::EndpointBack => "endpoint_back",
            EventType::JournalUnwritten => "journal_unwritten",
            EventType::JournalWritten => "journal_written",
            EventType::RecordsLost => "records_lost",
            EventType::RecordsRead => "records_read",
            EventType::WorkFailed => "work_failed",
            EventType::ProcessFailed => "process_failed",
            EventType::Note => "note",
        }
    }

    /// Whether the demo shows it by itself, as part of its story.
    pub(crate) fn is_story(self) -> bool {
        match self {
            EventType::Request
            | EventType::ReleaseStarted
            | EventType::ReleaseMoved
            | EventType::TableDrained
            | EventType::OutageBegan
            | EventType::OutageEnded
            | EventType::OutageIncident => true,
            EventType::ServiceStarted
            | EventType::Stopping
            | EventType::ConnectionsCut
            | EventType::WrongKeys
            | EventType::ReleaseTakenBack
            | EventType::ModelChanged
            | EventType::IncidentOpened
            | EventType::EndpointOut
            | EventType::EndpointBack
            | EventType::JournalUnwritten
            | EventType::JournalWritten
            | EventType::RecordsLost
            | EventType::RecordsRead
            | EventType::WorkFailed
            | EventType::ProcessFailed
            | EventType::Note => false,
        }
    }
}
