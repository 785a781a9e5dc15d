//! How much is taken on at a time: requests, large bodies, retries.
//!
//! Each service has its own bounds, so that a flooded service does not starve another.

use super::bounds::{BODY_BUDGET_KIB, BODY_FREE, RETRY_RESERVE_MILLI, RETRY_SHARE_MILLI};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tidegate_core::access::{Priority, Turns};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
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
    places: Arc<Places>,
    queue: Duration,
    bodies: Arc<Bodies>,
    retry_reserve_milli: AtomicI64,
    /// Requests that got no place, by priority, the highest first.
    shed: [AtomicU64; Priority::ALL.len()],
    crowded: Notify,
}

impl Admission {
    /// So many requests at a time, each waiting not longer than `queue` for its turn.
    pub(super) fn new(max_concurrent: usize, queue: Duration) -> Admission {
        Admission {
            // A longer line than may run only makes everyone's answer late.
            places: Arc::new(Places {
                turns: Mutex::new(Turns::new(max_concurrent, max_concurrent)),
                tickets: AtomicU64::new(0),
            }),
            queue,
            bodies: Arc::new(Bodies {
                budget: Arc::new(Semaphore::new(BODY_BUDGET_KIB)),
                held_kib: Mutex::default(),
            }),
            retry_reserve_milli: AtomicI64::new(RETRY_RESERVE_MILLI),
            shed: Default::default(),
            crowded: Notify::new(),
        }
    }

    /// Ready when a request has to wait for its place, and when the service stops: what can be
    /// given up makes way then.
    pub(super) fn crowded(&self) -> Notified<'_> {
        self.crowded.notified()
    }

    /// Whether a request waits for its place.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.turns().waiting() > 0
    }

    /// What can be given up makes way.
    pub(super) fn make_way(&self) {
        self.crowded.notify_waiters();
    }

    /// A place for one request, held as long as the request runs. Where all are taken, those who
    /// wait get one by priority, and in turn within one: a tenant, or a key without one, that sends
    /// more only waits longer.
    pub(super) async fn place(
        &self,
        of: (Priority, Who),
        patience: Duration,
    ) -> Result<Place, Overload> {
        let priority = of.0;
        let place = self.place_in_turn(of, patience).await;
        if place.is_err() {
            let mut shed = Priority::ALL.iter().zip(&self.shed);
            if let Some((_, shed)) = shed.find(|(of, _)| **of == priority) {
                shed.fetch_add(1, Ordering::Relaxed);
            }
        }
        place
    }

    async fn place_in_turn(
        &self,
        (priority, who): (Priority, Who),
        patience: Duration,
    ) -> Result<Place, Overload> {
        let (places, wait) = (&self.places, self.queue.min(patience));
        let (in_line, given) = {
            let mut turns = places.turns();
            if turns.take() {
                return Ok(Place(Arc::clone(places)));
            }
            let (give, given) = oneshot::channel();
            let number = places.tickets.fetch_add(1, Ordering::Relaxed);
            // Who makes way sees that its ticket is gone.
            let ticket = Ticket { number, give };
            turns.wait((priority, &who), ticket).map_err(|_| Overload::Waiting)?;
            (InLine { places, of: (priority, &who), number }, given)
        };
        self.make_way();
        let given = timeout(wait, given).await;
        drop(in_line);
        match given {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Overload::Waiting),
            Err(_) => Err(Overload::InWork),
        }
    }

    /// Requests that got no place since the start, and those that wait for one, by priority, the
    /// highest first.
    pub(super) fn shed_and_waiting(&self) -> [(u64, usize); Priority::ALL.len()] {
        let mut waiting = self.places.turns().waiting_by_priority().into_iter();
        let shed = self.shed.each_ref().map(|shed| shed.load(Ordering::Relaxed));
        shed.map(|shed| (shed, waiting.next().unwrap_or_default()))
    }

    /// An empty share of the memory for bodies, of a client at this address.
    pub(super) fn body_share(&self, peer: IpAddr) -> Share {
        Share { bodies: Arc::clone(&self.bodies), peer, permit: None }
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

/// The memory for large bodies, and who holds how much of it.
struct Bodies {
    budget: Arc<Semaphore>,
    held_kib: Mutex<HashMap<IpAddr, usize>>,
}

impl Bodies {
    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held_kib.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much is held less by an address.
    fn give_back(&self, peer: IpAddr, kib: usize) {
        if kib == 0 {
            return;
        }
        let mut held = self.held();
        if let Some(mine) = held.get_mut(&peer) {
            *mine -= kib;
            if *mine == 0 {
                held.remove(&peer);
            }
        }
    }
}

/// A body's share of the memory for bodies: it grows as the body comes, and is given back when it
/// is dropped. Small bodies need none.
pub(super) struct Share {
    bodies: Arc<Bodies>,
    peer: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// The part that every address leaves to the others once it holds as much itself, KiB.
    const LEFT_KIB: usize = BODY_BUDGET_KIB / 4;

    /// Makes it large enough for so many bytes.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Overload> {
        if bytes as u64 <= BODY_FREE {
            return Ok(());
        }
        let needed = bytes.div_ceil(1024).min(BODY_BUDGET_KIB - Self::LEFT_KIB);
        let more = needed.saturating_sub(self.kib());
        let mut held = self.bodies.held();
        let mine = held.get(&self.peer).copied().unwrap_or_default() + more;
        let left = self.bodies.budget.available_permits().saturating_sub(more);
        if mine > Self::LEFT_KIB && left < Self::LEFT_KIB {
            return Err(Overload::LargeBodies);
        }
        let budget = Arc::clone(&self.bodies.budget);
        let taken = budget.try_acquire_many_owned(more as u32);
        let taken = taken.map_err(|_| Overload::LargeBodies)?;
        held.insert(self.peer, mine);
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        Ok(())
    }

    /// Gives back what is more than so many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let needed = if bytes as u64 <= BODY_FREE { 0 } else { bytes.div_ceil(1024) };
        let less = self.kib().saturating_sub(needed);
        if let Some(given_back) = self.permit.as_mut().and_then(|permit| permit.split(less)) {
            self.bodies.give_back(self.peer, given_back.num_permits());
        }
    }

    fn kib(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.give_back(self.peer, self.kib());
    }
}

/// Who waits in one line: a tenant, or a key without one; all together where no key is shown.
pub(super) type Who = Option<Arc<str>>;

/// The places for requests.
struct Places {
    turns: Mutex<Turns<Who, Ticket>>,
    /// How many have waited.
    tickets: AtomicU64,
}

impl Places {
    fn turns(&self) -> MutexGuard<'_, Turns<Who, Ticket>> {
        // Nothing panics in between.
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a place.
struct Ticket {
    number: u64,
    give: oneshot::Sender<Place>,
}

/// A place, until it is dropped: then it goes to who waits next.
pub(super) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        let next = self.0.turns().done();
        if let Some(ticket) = next {
            // Where the waiting request is gone, it comes back, and is dropped again.
            let _ = ticket.give.send(Place(Arc::clone(&self.0)));
        }
    }
}

/// A ticket that leaves its line when this is dropped, also when its client leaves.
struct InLine<'a> {
    places: &'a Places,
    of: (Priority, &'a Who),
    number: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.places.turns().leave(self.of, |ticket| ticket.number == self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANYONE: (Priority, Who) = (Priority::Normal, None);

    #[tokio::test]
    async fn a_place_is_waited_for_by_no_more_than_may_work() {
        let admission = Arc::new(Admission::new(1, Duration::from_secs(60)));
        let held = admission.place(ANYONE, Duration::ZERO).await.ok().unwrap();
        let of = Arc::clone(&admission);
        let second = tokio::spawn(async move { of.place(ANYONE, Duration::MAX).await.map(drop) });
        while admission.places.turns().waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let third = admission.place(ANYONE, Duration::MAX).await.err();
        assert_eq!(third, Some(Overload::Waiting));
        drop(held);
        assert_eq!(second.await.unwrap(), Ok(()), "the one that waited has its turn");
        assert!(admission.place(ANYONE, Duration::ZERO).await.is_ok(), "all is given back");
    }

    #[tokio::test]
    async fn a_higher_priority_takes_the_place_of_who_waits() {
        let admission = Arc::new(Admission::new(1, Duration::from_secs(60)));
        let held = admission.place(ANYONE, Duration::ZERO).await.ok().unwrap();
        let wait = |priority: Priority| {
            let of = Arc::clone(&admission);
            tokio::spawn(async move {
                let who = Some(Arc::from(priority.name()));
                of.place((priority, who), Duration::MAX).await.map(drop)
            })
        };
        let low = wait(Priority::Low);
        while admission.places.turns().waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let high = wait(Priority::High);
        assert_eq!(low.await.unwrap(), Err(Overload::Waiting), "it made way at once");
        let late = admission.place((Priority::Low, None), Duration::MAX).await.err();
        assert_eq!(late, Some(Overload::Waiting));
        assert_eq!(admission.shed_and_waiting(), [(0, 1), (0, 0), (2, 0)]);
        drop(held);
        assert_eq!(high.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn patience_ends_the_wait() {
        let admission = Admission::new(1, Duration::from_secs(60));
        let _held = admission.place(ANYONE, Duration::ZERO).await.ok().unwrap();
        let late = admission.place(ANYONE, Duration::from_millis(1)).await.err();
        assert_eq!(late, Some(Overload::InWork));
        assert_eq!(admission.places.turns().waiting(), 0);
    }

    /// Two workers hand one place on and on, to callers half of which give up: none is lost.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_place_is_never_lost() {
        let admission = Arc::new(Admission::new(2, Duration::from_millis(2)));
        let tasks: Vec<_> = (0..400_u64)
            .map(|i| {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move {
                    let who = Some(Arc::from(format!("tenant-{}", i % 3)));
                    let patience = Duration::from_micros(if i % 2 == 0 { 300 } else { 2_000 });
                    let place = admission.place((Priority::Normal, who), patience).await;
                    tokio::time::sleep(Duration::from_micros(200)).await;
                    drop(place);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut turns = admission.places.turns();
        assert_eq!(
            (turns.waiting(), turns.take(), turns.take(), turns.take()),
            (0, true, true, false)
        );
    }

    const MIB: usize = 1024 * 1024;

    fn share(admission: &Admission, last: u8, bytes: usize) -> Result<Share, Overload> {
        let mut share = admission.body_share(IpAddr::from([127, 0, 0, last]));
        share.grow(bytes).map(|()| share)
    }

    #[test]
    fn large_bodies_share_a_budget_and_give_it_back() {
        let admission = Admission::new(1, Duration::ZERO);
        assert_eq!(share(&admission, 1, BODY_FREE as usize).unwrap().kib(), 0);
        let mut one = share(&admission, 1, MIB).unwrap();
        one.grow(MIB / 2).unwrap();
        assert_eq!(one.kib(), 1024, "it does not shrink");
        one.grow(3 * MIB).unwrap();
        assert_eq!((one.kib(), admission.bodies.held().len()), (3072, 1));
        one.shrink(4 * MIB);
        assert_eq!(one.kib(), 3072, "it does not grow by that");
        one.shrink(MIB);
        let held = admission.bodies.held().values().sum::<usize>();
        let left = admission.bodies.budget.available_permits();
        assert_eq!((one.kib(), held, BODY_BUDGET_KIB - left), (1024, 1024, 1024));
        one.shrink(7);
        assert!(admission.bodies.held().is_empty());
        one.grow(3 * MIB).unwrap();
        drop(one);
        assert_eq!(admission.bodies.budget.available_permits(), BODY_BUDGET_KIB);
        assert!(admission.bodies.held().is_empty());
    }

    #[test]
    fn one_address_leaves_room_for_the_others() {
        let admission = Admission::new(1, Duration::ZERO);
        let mut flood = Vec::new();
        while let Ok(more) = share(&admission, 1, 2 * MIB) {
            flood.push(more);
        }
        assert_eq!(flood.len() * 2, 192, "three quarters of 256 MiB");
        let mut second = share(&admission, 2, 60 * MIB).unwrap();
        let full = share(&admission, 2, 8 * MIB).err();
        assert_eq!(full, Some(Overload::LargeBodies));
        assert_eq!(second.grow(70 * MIB), Err(Overload::LargeBodies));
        second.grow(62 * MIB).unwrap();
        flood.clear();
        assert!(share(&admission, 3, usize::MAX / 2).is_err(), "62 MiB are held");
        drop(second);
        assert!(share(&admission, 3, usize::MAX / 2).is_ok(), "as much as one may have");
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
