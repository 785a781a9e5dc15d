//! A call that an endpoint has, from its beginning to its end, however it ends.

use crate::log::{About, Event};
use crate::output;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tidegate_core::random::Random;
use tidegate_core::upstream::{Change, Ended, Failure, Pick, Pool, View};

/// What the calls of one upstream share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The upstream's name in the project.
    upstream: String,
    /// The endpoints' addresses, in the order of the pool.
    names: Vec<String>,
    pool: Mutex<(Pool, Random)>,
    started: Instant,
}

impl Shared {
    pub(super) fn new(upstream: &str, endpoints: Vec<(String, f64)>, seed: u64) -> Shared {
        let pool = Pool::new(endpoints.iter().map(|(_, weight)| *weight));
        Shared {
            upstream: upstream.to_owned(),
            names: endpoints.into_iter().map(|(name, _)| name).collect(),
            pool: Mutex::new((pool, Random::new(seed, "endpoints"))),
            started: Instant::now(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, (Pool, Random)> {
        // Each change is whole after its statement.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        micros(self.started)
    }

    /// Whether there is an endpoint that was not tried.
    pub(super) fn has_other(&self, tried: &[usize]) -> bool {
        (0..self.names.len()).any(|index| !tried.contains(&index))
    }

    /// The endpoints as they are shown.
    pub(super) fn views(&self) -> Vec<(String, View)> {
        let views = self.pool().0.views(self.now_us());
        self.names.iter().cloned().zip(views).collect()
    }

    /// Begins a call; `None` where there is no endpoint.
    pub(super) fn begin(self: &Arc<Self>, tried: &[usize], is_hurried: bool) -> Option<Flight> {
        let now_us = self.now_us();
        let mut pool = self.pool();
        let (pool, random) = &mut *pool;
        let pick = pool.pick(now_us, random, tried)?;
        let of = Arc::clone(self);
        Some(Flight { of, pick: Some(pick), begun: Instant::now(), first_us: None, is_hurried })
    }

    /// Notes what the health checks of an endpoint say.
    pub(super) fn checked(&self, index: usize, is_up: bool) {
        if self.pool().0.checked(index, is_up) {
            let change =
                if is_up { EndpointChange::CheckedUp } else { EndpointChange::CheckedDown };
            self.log(index, change);
        }
    }

    /// One endpoint is never left out, and what becomes of it is an outage's to say.
    fn log(&self, index: usize, change: EndpointChange) {
        if self.names.len() < 2 {
            return;
        }
        let Some(endpoint) = self.names.get(index) else { return };
        let event = Event::Endpoint { upstream: &self.upstream, endpoint, change };
        About::service(output::service()).log(&event);
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// What became of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointChange {
    /// Its calls failed: it gets none for so many ms.
    Opened {
        /// How long, ms.
        for_ms: u64,
        /// How the last call failed.
        failure: Failure,
    },
    /// Its trial calls were answered.
    Closed,
    /// Its health checks fail.
    CheckedDown,
    /// A health check was answered.
    CheckedUp,
}

impl EndpointChange {
    /// What follows the endpoint's name in a sentence.
    pub(crate) fn text(self) -> String {
        match self {
            EndpointChange::Opened { for_ms, failure } => {
                let (failure, seconds) = (failure.as_str(), for_ms as f64 / 1000.0);
                format!("gets no calls for {seconds} s: its calls failed ({failure})")
            }
            EndpointChange::Closed => "gets calls again: its trial calls were answered".to_owned(),
            EndpointChange::CheckedDown => "gets no calls: its health checks fail".to_owned(),
            EndpointChange::CheckedUp => "gets calls again: its health check passed".to_owned(),
        }
    }

    /// Why, in one word.
    pub(crate) fn why(self) -> &'static str {
        match self {
            EndpointChange::Opened { for_ms: _, failure } => failure.as_str(),
            EndpointChange::Closed => "answered",
            EndpointChange::CheckedDown => "check_failed",
            EndpointChange::CheckedUp => "check_passed",
        }
    }
}

/// A call that an endpoint has. Dropping it says that whoever asked has left.
#[derive(Debug)]
pub(crate) struct Flight {
    of: Arc<Shared>,
    pick: Option<Pick>,
    begun: Instant,
    /// When its first byte came, µs after it began.
    first_us: Option<u64>,
    /// Whether the client has less patience than the limits: that it runs out is not the endpoint's
    /// fault.
    is_hurried: bool,
}

impl Flight {
    /// The endpoint.
    pub(super) fn index(&self) -> usize {
        self.pick.map_or(0, |pick| pick.index)
    }

    /// The first of the answer is here.
    pub(super) fn answered_first(mut self) -> Flight {
        self.first_us = Some(micros(self.begun));
        self
    }

    /// All of the answer is here.
    pub(super) fn answered(mut self) {
        self.end(Ended::Answered);
    }

    /// There was none, or not all of it.
    pub(super) fn failed(mut self, failure: Failure) {
        let ended = match self.is_hurried && failure.is_timeout() {
            true => Ended::Left,
            false => Ended::Failed(failure),
        };
        self.end(ended);
    }

    fn end(&mut self, ended: Ended) {
        let Some(pick) = self.pick.take() else { return };
        let latency_us = self.first_us.unwrap_or_else(|| micros(self.begun));
        let now_us = self.of.now_us();
        let change = self.of.pool().0.end(pick, ended, latency_us, now_us);
        match (change, ended) {
            (Some(Change::Opened { for_us }), Ended::Failed(failure)) => {
                let for_ms = for_us / 1000;
                self.of.log(pick.index, EndpointChange::Opened { for_ms, failure });
            }
            (Some(Change::Closed), _) => self.of.log(pick.index, EndpointChange::Closed),
            // Only a failure opens.
            (Some(Change::Opened { .. }), Ended::Answered | Ended::Left) | (None, _) => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(Ended::Left);
    }
}
