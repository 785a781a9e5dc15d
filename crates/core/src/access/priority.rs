//! Whose requests wait and are let go first where there are too few places.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A request's priority; the higher is the greater.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Work that can be done later: batches, evaluations.
    Low,
    /// What has no other.
    #[default]
    Normal,
    /// People who wait.
    High,
}

impl Priority {
    /// All of them, the highest first.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// The name, as it is written and stored.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        }
    }

    /// The priority of this name.
    pub fn parse(name: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|priority| priority.name() == name)
    }

    /// How many are higher.
    pub(super) fn rank(self) -> usize {
        match self {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }

    /// A caller's: that of its key, and never above its tenant's. `tenant` is that of the tenant,
    /// absent for a caller without one. So who makes keys for a tenant gives none of them more.
    #[must_use]
    pub fn of_caller(tenant: Option<Priority>, key: Option<Priority>) -> Priority {
        match tenant {
            Some(tenant) => key.unwrap_or(tenant).min(tenant),
            None => key.unwrap_or_default(),
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Priority::{self, High, Low, Normal};

    fn check(tenant: Option<Priority>, key: Option<Priority>, expected: Priority) {
        assert_eq!(Priority::of_caller(tenant, key), expected, "{tenant:?} {key:?}");
    }

    #[test]
    fn a_key_is_never_above_its_tenant() {
        check(None, None, Normal);
        check(None, Some(High), High);
        check(None, Some(Low), Low);
        check(Some(High), None, High);
        check(Some(High), Some(Low), Low);
        check(Some(Normal), Some(High), Normal);
        check(Some(Low), Some(High), Low);
    }

    #[test]
    fn names_read_back_and_the_highest_is_first() {
        for (rank, priority) in Priority::ALL.into_iter().enumerate() {
            assert_eq!(Priority::parse(priority.name()), Some(priority));
            assert_eq!(priority.rank(), rank);
        }
        assert!(High > Normal && Normal > Low);
        assert_eq!(["", "High", "urgent"].map(Priority::parse), [None; 3]);
    }
}
