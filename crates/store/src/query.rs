//! What can be asked of the records.

use tidegate_core::ids::ChangeId;
use tidegate_core::route::Arm;

/// Which records to give.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// Of this release.
    pub change_id: Option<ChangeId>,
    /// Of this arm.
    pub arm: Option<Arm>,
    /// Only those worth a regression case ([`tidegate_core::evidence::Record::is_failing`]).
    pub failing_only: bool,
    /// Newest first; else oldest first.
    pub newest_first: bool,
    /// At most so many.
    pub limit: usize,
}
