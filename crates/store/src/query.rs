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

/// Whose records a deletion is about: all that is given has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// Of this tenant; left out, of every one.
    pub tenant: Option<String>,
    /// Of the user that has one of these names in records; none for every user.
    pub users: Vec<String>,
    /// That came in before this moment.
    pub before: UnixMs,
}

impl Whose {
    /// Whether a record is meant.
    pub(crate) fn is_of(&self, tenant: Option<&str>, user: Option<&str>, at: u64) -> bool {
        let is_named = |user: &str| self.users.iter().any(|name| name == user);
        at < self.before.0
            && self.tenant.as_deref().is_none_or(|meant| tenant == Some(meant))
            && (self.users.is_empty() || user.is_some_and(is_named))
    }
}
