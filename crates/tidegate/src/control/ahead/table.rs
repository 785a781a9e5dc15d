//! What serves now, for whoever shows it.

use super::Ahead;
use crate::route::LiveTable;
use std::sync::Arc;

impl Ahead {
    /// The route table in place; none without a data plane.
    pub(in crate::control) fn table(&self) -> Option<Arc<LiveTable>> {
        Some(self.inner().plane.as_ref()?.router.load())
    }
}
