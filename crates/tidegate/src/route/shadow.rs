//! The shadow that runs, as the data plane sees it: what requests are mirrored to, within which
//! caps.

use crate::gate::Comparer;
use crate::spending::Spending;
use crate::version_set::LiveSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_core::ids::VersionSetId;
use tidegate_core::pairs::PairMetric;
use tidegate_core::shadow::{Ledger, Missed, Shadow, ShadowPlan};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Mirrored requests at a time. Each may hold an answer of 32 MiB, and a candidate that hangs holds
/// its place until its time is over; at 1 s an answer that is 8 pairs a second.
pub(crate) const MIRRORS_MAX: usize = 8;

/// A shadow that runs.
pub(crate) struct Shadowing {
    /// What it does.
    pub(crate) plan: ShadowPlan,
    /// The set that is mirrored to.
    pub(crate) candidate: Arc<LiveSet>,
    /// What it costs, until it is in the books.
    pub(crate) spending: Arc<Spending>,
    /// What compares answers beside the answers themselves.
    pub(crate) comparer: Option<Comparer>,
    ledger: Mutex<Ledger>,
    compared: AtomicU64,
    requests: AtomicU64,
    places: Arc<Semaphore>,
    ended: Notify,
}

impl Shadowing {
    /// One that mirrors from now on.
    pub(crate) fn new(
        plan: ShadowPlan,
        candidate: Arc<LiveSet>,
        ledger: Ledger,
        (spending, comparer): (Spending, Option<Comparer>),
    ) -> Shadowing {
        Shadowing {
            plan,
            candidate,
            spending: Arc::new(spending),
            comparer,
            ledger: Mutex::new(ledger),
            compared: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(MIRRORS_MAX)),
            ended: Notify::new(),
        }
    }

    /// Its caps and its pairs.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next pair is compared by beside its answers.
    pub(crate) fn draws(&self) -> Vec<PairMetric> {
        let Some(comparer) = &self.comparer else { return Vec::new() };
        comparer.draws(self.plan.created_at.0, self.compared.fetch_add(1, Ordering::Relaxed))
    }

    /// A place for the next request of a set, where it is drawn and a place is free.
    pub(crate) fn place(&self, set: &VersionSetId) -> Option<OwnedSemaphorePermit> {
        if *set != self.plan.from || !self.plan.takes(self.requests.fetch_add(1, Ordering::Relaxed))
        {
            return None;
        }
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A shadow with what the journal does not have of it yet, and what is no pair.
    pub(crate) fn seen(&self, shadow: &Shadow) -> (Shadow, Missed) {
        let ledger = self.ledger();
        let (fresh, used, missed) = (ledger.fresh().clone(), ledger.taken(), ledger.missed());
        // Requests do not wait while the odds are worked out.
        drop(ledger);
        (shadow.with(&fresh, used), missed)
    }

    /// Ends it: nothing more is mirrored, and what is on its way is given up.
    pub(crate) fn end(&self) {
        self.places.close();
        self.ended.notify_waiters();
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.places.is_closed()
    }

    /// Ready when it ends.
    pub(crate) fn ending(&self) -> Notified<'_> {
        self.ended.notified()
    }
}
