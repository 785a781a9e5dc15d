//! The route table in memory: swapped whole, by generation, never under a request's feet.
//!
//! A request loads the table once and keeps it to its end, so a swap never mixes two version sets in
//! one answer. The swap itself does not wait: requests on the old table finish on the old table,
//! and [`drained`] says how long that took.

mod shadow;

use crate::version_set::LiveSet;
use arc_swap::{ArcSwap, ArcSwapOption};
pub(crate) use shadow::{MIRRORS_MAX, Shadowing};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::ids::{Generation, VersionSetId};
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

/// What is in force in memory and not in the journal yet; every table put in place meanwhile is
/// bent to it, so that a decision journalled late cannot bring back what was taken out.
#[derive(Clone, Default)]
struct Held {
    /// The version set that must not serve, and the live set that serves in its place.
    back: Option<(VersionSetId, Option<Arc<LiveSet>>)>,
    entrance: Option<Entrance>,
}

impl Held {
    fn bend(&self, mut next: LiveTable) -> LiveTable {
        if let Some((away, back)) = &self.back {
            if next.table.split.as_ref().is_some_and(|split| split.candidate == *away) {
                next.table.split = None;
                next.candidate = None;
            }
            if let (true, Some(back)) = (next.table.stable == *away, back) {
                next.table.stable = back.set.id.clone();
                next.stable = Arc::clone(back);
            }
        }
        if let Some(entrance) = &self.entrance {
            next.table.entrance = entrance.clone();
        }
        next
    }
}

/// The service's route table.
pub(crate) struct Router {
    current: ArcSwap<LiveTable>,
    // Only writers take it; requests never wait.
    held: Mutex<Held>,
    experimental: AtomicBool,
    /// The number of the level that the service is degraded to; 0 for none.
    degraded: AtomicU8,
    shadow: ArcSwapOption<Shadowing>,
}

impl Router {
    /// Starts with a table.
    pub(crate) fn new(first: LiveTable) -> Router {
        Router {
            current: ArcSwap::from_pointee(first),
            held: Mutex::default(),
            experimental: AtomicBool::new(false),
            degraded: AtomicU8::new(0),
            shadow: ArcSwapOption::empty(),
        }
    }

    /// The shadow that runs.
    pub(crate) fn shadow(&self) -> Option<Arc<Shadowing>> {
        self.shadow.load_full()
    }

    /// Begins a shadow, or ends the one that runs.
    pub(crate) fn set_shadow(&self, next: Option<Arc<Shadowing>>) {
        if let Some(before) = self.shadow.swap(next) {
            before.end();
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

    /// How much of the service is switched off.
    pub(crate) fn degraded(&self) -> Option<DegradeLevel> {
        DegradeLevel::of(self.degraded.load(Ordering::Relaxed))
    }

    /// Switches off as much as this level says, at once; requests in flight end as they began.
    pub(crate) fn degrade(&self, level: Option<DegradeLevel>) {
        self.degraded.store(level.map_or(0, DegradeLevel::number), Ordering::Relaxed);
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
        let held = self.held();
        let in_place = self.current.load().table.generation;
        let offered = next.table.generation;
        if offered <= in_place {
            return Err(StaleTable { offered, in_place });
        }
        Ok(self.current.swap(Arc::new(held.bend(next))))
    }

    /// Takes a version set out at once, under the generation in place: the way back, which waits
    /// for no journal. It only ever goes to stable, or, where `away` was promoted, to `back`. With
    /// `closed` the entrance is shut as well. It holds until [`Router::settled`].
    pub(crate) fn retreat(
        &self,
        away: &VersionSetId,
        back: Option<Arc<LiveSet>>,
        closed: Option<&str>,
    ) {
        let mut held = self.held();
        held.back = Some((away.clone(), back));
        if let Some(reason) = closed {
            held.entrance = Some(Entrance::Closed { reason: reason.to_owned() });
        }
        self.bend_in_place(&held);
    }

    /// Opens the entrance at once, before the journal says so. It holds until
    /// [`Router::settled`].
    pub(crate) fn open_entrance(&self) {
        let mut held = self.held();
        held.entrance = Some(Entrance::Open);
        self.bend_in_place(&held);
    }

    /// The journal holds what was done in memory: the next table is taken as it is.
    pub(crate) fn settled(&self) {
        *self.held() = Held::default();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bend_in_place(&self, held: &Held) {
        let in_place = self.current.load_full();
        let copy = LiveTable {
            table: in_place.table.clone(),
            stable: Arc::clone(&in_place.stable),
            candidate: in_place.candidate.clone(),
        };
        self.current.store(Arc::new(held.bend(copy)));
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

#[cfg(test)]
mod tests;
