//! What can be asked of the records.

use tidegate_core::ids::{ChangeId, UnixMs};
use tidegate_core::route::Arm;

/// Which records to give.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// Of this release.
    pub change_id: Option<ChangeId>,
    /// Of this arm.
    pub arm: Option<Arm>,
    /// That came in at this moment or later.
    pub since: Option<UnixMs>,
    /// That came in before this moment.
    pub until: Option<UnixMs>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this user, by the name that is kept.
    pub user: Option<String>,
    /// Only those worth a regression case ([`tidegate_core::evidence::Record::is_failing`]).
    pub failing_only: bool,
    /// Newest first; else oldest first.
    pub newest_first: bool,
    /// At most so many.
    pub limit: usize,
}
