//! Orders of an operator that are in force and may not be in the journal yet: to degrade, and to
//! open the entrance.

use super::Ahead;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::ids::UnixMs;

/// Who opened the entrance, why and when.
#[derive(Debug, Clone)]
pub(in crate::control) struct Opened {
    pub(in crate::control) by: String,
    pub(in crate::control) reason: String,
    pub(in crate::control) at: UnixMs,
}

/// Who degraded the service, or ended that, why and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) struct Relief {
    pub(in crate::control) level: Option<DegradeLevel>,
    pub(in crate::control) by: String,
    pub(in crate::control) reason: String,
    pub(in crate::control) at: UnixMs,
}

impl Ahead {
    /// The order that is not journalled yet.
    pub(in crate::control) fn relief(&self) -> Option<Relief> {
        self.inner().relief.clone()
    }

    /// Degrades the service in memory, at once.
    pub(in crate::control) fn degrade(&self, relief: Relief) {
        let mut inner = self.inner();
        if let Some(plane) = &inner.plane {
            plane.router.degrade(relief.level);
        }
        inner.relief = Some(relief);
    }

    /// The journal holds this relief; a later one stays owed.
    pub(in crate::control) fn relieved(&self, written: &Relief) {
        let mut inner = self.inner();
        inner.relief = inner.relief.take().filter(|it| it != written);
    }

    /// The opening that is not journalled yet.
    pub(in crate::control) fn opened(&self) -> Option<Opened> {
        self.inner().opened.clone()
    }

    /// Opens the entrance in memory.
    pub(in crate::control) fn open_entrance(&self, opened: Opened) {
        let mut inner = self.inner();
        if let Some(plane) = &inner.plane {
            plane.router.open_entrance();
        }
        inner.opened = Some(opened);
    }
}
