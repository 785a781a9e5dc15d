//! The route table in memory: swapped whole, by generation, never under a request's feet.
//!
//! A request loads the table once and keeps it to its end, so a swap never mixes two version sets in
//! one answer. The swap itself waits for nobody: requests on the old table finish on the old table,
//! and [`drained`] tells how long that took.

use crate::version_set::LiveSet;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::ids::Generation;
use tidegate_core::route::{Arm, Entrance, Table};

/// A route table with the version sets it names, ready to serve.
pub(crate) struct LiveTable {
    /// The table.
    pub(crate) table: Table,
    /// The version set behind the stable arm.
    pub(crate) stable: Arc<LiveSet>,
    /// The version set behind the candidate arm, while a release runs.
    pub(crate) candidate: Option<Arc<LiveSet>>,
}

impl LiveTable {
    /// The arm and version set that serve. An arm without a live set behind it is served, and
    /// counted, as stable: a broken table never costs a request.
    pub(crate) fn set(&self, arm: Arm) -> (Arm, &Arc<LiveSet>) {
        match (arm, &self.candidate) {
            (Arm::Candidate, Some(candidate)) => (Arm::Candidate, candidate),
            (Arm::Candidate, None) | (Arm::Stable, _) => (Arm::Stable, &self.stable),
        }
    }
}

/// A table that did not follow the one in place: somebody decided on an older one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route table {offered} does not follow table {in_place}, which is in place")]
pub(crate) struct StaleTable {
    /// The generation that was offered.
    pub(crate) offered: Generation,
    /// The generation in place, which stays.
    pub(crate) in_place: Generation,
}

/// The service's route table.
pub(crate) struct Router {
    current: ArcSwap<LiveTable>,
    // Only writers take it; requests never wait.
    swapping: Mutex<()>,
    experimental: AtomicBool,
}

impl Router {
    /// Starts with a table.
    pub(crate) fn new(first: LiveTable) -> Router {
        Router {
            current: ArcSwap::from_pointee(first),
            swapping: Mutex::new(()),
            experimental: AtomicBool::new(false),
        }
    }

    /// Whether what stable serves has not passed the gate of a release.
    pub(crate) fn is_experimental(&self) -> bool {
        self.experimental.load(Ordering::Relaxed)
    }

    /// Says whether the service is an experiment; control does, from the journal's state.
    pub(crate) fn set_experimental(&self, experimental: bool) {
        self.experimental.store(experimental, Ordering::Relaxed);
    }

    /// The table in place; a request holds it to its end.
    pub(crate) fn load(&self) -> Arc<LiveTable> {
        self.current.load_full()
    }

    /// Puts the next table in place at once and gives the old one, which what is in flight stays
    /// on; see [`drained`].
    ///
    /// # Errors
    /// [`StaleTable`] when the generation is not higher than the one in place.
    pub(crate) fn swap(&self, next: LiveTable) -> Result<Arc<LiveTable>, StaleTable> {
        let _one_writer = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let in_place = self.current.load().table.generation;
        let offered = next.table.generation;
        if offered <= in_place {
            return Err(StaleTable { offered, in_place });
        }
        Ok(self.current.swap(Arc::new(next)))
    }

    /// Takes the candidate out at once, under the generation in place: the way back when the
    /// journal cannot be written. It is the one switch that is not journalled first; it only ever
    /// goes to stable, and the next journalled table follows as if it had not been. With `closed`
    /// the entrance is shut as well.
    pub(crate) fn retreat(&self, closed: Option<&str>) {
        let _one_writer = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let in_place = self.current.load_full();
        let mut table = in_place.table.clone();
        table.split = None;
        if let Some(reason) = closed {
            table.entrance = Entrance::Closed { reason: reason.to_owned() };
        }
        let stable = Arc::clone(&in_place.stable);
        self.current.store(Arc::new(LiveTable { table, stable, candidate: None }));
    }
}

/// Waits until the last request on a replaced table has ended; gives how long that took.
///
/// It looks at the count of holders, every millisecond at first and every 50 later: requests pay
/// nothing for being waited for, and the answer is that exact.
pub(crate) async fn drained(old: Arc<LiveTable>) -> Duration {
    let started = Instant::now();
    let waited_for = Arc::downgrade(&old);
    drop(old);
    let mut pause = Duration::from_millis(1);
    while waited_for.strong_count() > 0 {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    started.elapsed()
}
