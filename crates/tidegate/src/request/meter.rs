//! Counts each request once, with how it ended.

use super::front::Picked;
use crate::observe::{Metrics, StatusClass};
use std::sync::Arc;
use std::time::Instant;

/// Counts one request at the door when it is dropped; until a status is set, as a client that left.
pub(super) struct Meter {
    /// Where it counts while its service is not known.
    metrics: Arc<Metrics>,
    picked: Picked,
    started: Instant,
    status: StatusClass,
}

impl Meter {
    /// Starts the clock.
    pub(super) fn start(metrics: Arc<Metrics>, picked: Picked, started: Instant) -> Meter {
        Meter { metrics, picked, started, status: StatusClass::ClientError }
    }

    /// Says how the request ended.
    pub(super) fn set(&mut self, status: StatusClass) {
        self.status = status;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let metrics = self.picked.get().map_or(&self.metrics, |gateway| &gateway.metrics);
        metrics.request(self.status, self.started.elapsed());
    }
}
