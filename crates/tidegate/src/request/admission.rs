//! How much is taken on at a time: requests, large bodies, retries.
//!
//! Each service has its own bounds, so that a flooded service does not starve another.

use super::bounds::{BODY_BUDGET_KIB, BODY_FREE, RETRY_RESERVE_MILLI, RETRY_SHARE_MILLI};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Why a request is not taken on. Each passes soon by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Overload {
    /// As many wait for a permit as may.
    #[error("too many requests are waiting")]
    Waiting,
    /// No permit came free in time.
    #[error("too many requests are in progress")]
    InWork,
    /// The memory for large bodies is used up.
    #[error("too many large requests are in progress")]
    LargeBodies,
}

/// The bounds of one service, with what is used of each.
pub(super) struct Admission {
    permits: Arc<Semaphore>,
    max_concurrent: usize,
    queue: Duration,
    waiting: AtomicUsize,
    body_budget: Arc<Semaphore>,
    retry_reserve_milli: AtomicI64,
}

impl Admission {
    /// So many requests at a time, each waiting not longer than `queue` for its turn.
    pub(super) fn new(max_concurrent: usize, queue: Duration) -> Admission {
        Admission {
            permits: Arc::new(Semaphore::new(max_concurrent)),
            max_concurrent,
            queue,
            waiting: AtomicUsize::new(0),
            body_budget: Arc::new(Semaphore::new(BODY_BUDGET_KIB)),
            retry_reserve_milli: AtomicI64::new(RETRY_RESERVE_MILLI),
        }
    }

    /// A permit for one request, held as long as the request runs. No more may wait than may
    /// work: a longer queue only makes everyone's answer late.
    pub(super) async fn permit(
        &self,
        patience: Duration,
    ) -> Result<OwnedSemaphorePermit, Overload> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::enter(&self.waiting);
        if waiting.before >= self.max_concurrent {
            return Err(Overload::Waiting);
        }
        let wait = self.queue.min(patience);
        match timeout(wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Overload::InWork),
        }
    }

    /// The share of the memory budget that a body of so many bytes needs; `None` for a small one.
    pub(super) fn body_share(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>, Overload> {
        if bytes <= BODY_FREE {
            return Ok(None);
        }
        let kib = bytes.div_ceil(1024).min(BODY_BUDGET_KIB as u64) as u32;
        let share = Arc::clone(&self.body_budget).try_acquire_many_owned(kib);
        share.map(Some).map_err(|_| Overload::LargeBodies)
    }

    /// A request adds its share to the retry reserve.
    pub(super) fn earn_retry(&self) {
        let earn = |reserve: i64| Some((reserve + RETRY_SHARE_MILLI).min(RETRY_RESERVE_MILLI));
        // The closure always gives a value.
        let _ = self.retry_reserve_milli.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Takes one retry out of the reserve; false when it is used up.
    pub(super) fn take_retry(&self) -> bool {
        let take = |reserve: i64| (reserve >= 1000).then_some(reserve - 1000);
        self.retry_reserve_milli.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// One more request is waiting until this is dropped, also when its client leaves.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl Waiting<'_> {
    fn enter(count: &AtomicUsize) -> Waiting<'_> {
        Waiting { before: count.fetch_add(1, Ordering::Relaxed), count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_permit_is_waited_for_by_no_more_than_may_work() {
        let admission = Arc::new(Admission::new(1, Duration::from_secs(60)));
        let held = admission.permit(Duration::ZERO).await.unwrap();
        let of = Arc::clone(&admission);
        let second = tokio::spawn(async move { of.permit(Duration::MAX).await.map(drop) });
        while admission.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.permit(Duration::MAX).await.unwrap_err(), Overload::Waiting);
        drop(held);
        assert_eq!(second.await.unwrap(), Ok(()), "the one that waited has its turn");
        assert!(admission.permit(Duration::ZERO).await.is_ok(), "all is given back");
    }

    #[tokio::test]
    async fn patience_ends_the_wait() {
        let admission = Admission::new(1, Duration::from_secs(60));
        let _held = admission.permit(Duration::ZERO).await.unwrap();
        let late = admission.permit(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(late, Overload::InWork);
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn large_bodies_share_a_budget_and_give_it_back() {
        let admission = Admission::new(1, Duration::ZERO);
        assert!(admission.body_share(BODY_FREE).unwrap().is_none());
        let all = admission.body_share(u64::MAX).unwrap();
        assert_eq!(admission.body_share(BODY_FREE + 1).unwrap_err(), Overload::LargeBodies);
        drop(all);
        assert!(admission.body_share(BODY_FREE + 1).unwrap().is_some());
    }

    proptest! {
        /// Whatever the order of requests and faults, retries are at most a tenth of the requests
        /// beyond the reserve of ten.
        #[test]
        fn retries_never_multiply_an_outage(
            faults in prop::collection::vec(any::<bool>(), 0..600),
        ) {
            let admission = Admission::new(1, Duration::ZERO);
            let (mut requests, mut retries) = (0, 0);
            for fault in faults {
                admission.earn_retry();
                requests += 1;
                retries += i64::from(fault && admission.take_retry());
                prop_assert!(retries * 1000 <= RETRY_RESERVE_MILLI + requests * RETRY_SHARE_MILLI);
            }
        }
    }
}
