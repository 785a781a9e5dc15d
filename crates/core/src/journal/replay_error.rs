//! Why an event does not fit the state.

use super::block::Block;
use super::event::JournalError;
use crate::access::KeyId;
use crate::ids::{ChangeId, Generation, IncidentId, VersionSetId};
use crate::shadow::ShadowPlanError;

/// Why an event does not fit the state. It is checked before an event is appended as well, so that
/// no journal holds one that cannot be replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// The journal itself is broken.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No release with this id was started.
    #[error("this project has no release `{0}`")]
    UnknownRelease(ChangeId),
    /// The release is over.
    #[error("release `{0}` is over; nothing moves it any more")]
    ReleaseOver(ChangeId),
    /// A release starts while another one runs.
    #[error("release `{0}` is still running; a service has one release at a time")]
    ReleaseRunning(ChangeId),
    /// The change id is taken.
    #[error("release `{0}` exists already")]
    ReleaseExists(ChangeId),
    /// A table is not the next one.
    #[error("route table generation {given} does not follow generation {current}; a stale writer")]
    StaleTable {
        /// What the event's table has.
        given: Generation,
        /// What the state's table has; the next one is one more.
        current: Generation,
    },
    /// The candidate rolled back before.
    #[error("version set `{set}` was rolled back by release `{}` and is blocked", .block.change_id)]
    Blocked {
        /// The candidate that was to be released.
        set: VersionSetId,
        /// By which release, when and why it was blocked.
        block: Box<Block>,
    },
    /// There is no such incident.
    #[error("there is no incident `{0}`")]
    NoIncident(IncidentId),
    /// The incident has no case in the regression set yet.
    #[error("incident `{0}` cannot be closed: it has no case yet")]
    CasesMissing(IncidentId),
    /// The service has no version set yet.
    #[error("the service has no version set yet")]
    NoService,
    /// The service is adopted already.
    #[error("the service has its first version set already")]
    Adopted,
    /// The key's name is taken.
    #[error("there is a key `{0}` already")]
    KeyExists(KeyId),
    /// No key has this name.
    #[error("there is no key `{0}`")]
    NoKey(KeyId),
    /// The set was neither packed nor evaluated here.
    #[error("this project has no version set `{0}`")]
    UnknownSet(VersionSetId),
    /// Nobody approves a set twice.
    #[error("`{by}` has approved version set `{set}` already")]
    ApprovedAlready {
        /// The set.
        set: VersionSetId,
        /// Who approved it.
        by: String,
    },
    /// A shadow runs, and nothing else may.
    #[error("a shadow of version set `{0}` is running")]
    ShadowRunning(VersionSetId),
    /// No shadow runs.
    #[error("no shadow is running")]
    NoShadow,
    /// A shadow's plan is not sound.
    #[error(transparent)]
    ShadowPlan(#[from] ShadowPlanError),
}
