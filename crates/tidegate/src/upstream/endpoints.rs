//! The endpoints of one upstream: several servers of the same model, one of which gets each call.
//!
//! Which one is decided in `tidegate_core::upstream::endpoints`. A call is made once; the caller
//! tries again with the endpoints that it has tried, and gets another while there is one.

use super::flight::Shared;
use super::{Call, Elapsed, Form, Reply, SetupError, Upstream, UpstreamError, bounds};
use crate::clock::Clock;
use crate::config;
use crate::secret;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tidegate_core::upstream::{Failure, View};

/// The clients of one upstream's endpoints.
#[derive(Debug)]
pub(crate) struct Endpoints {
    shared: Arc<Shared>,
    clients: Vec<Arc<Upstream>>,
    checks: Option<config::Health>,
    /// Whether the health checks run.
    is_watched: AtomicBool,
}

impl Endpoints {
    /// Makes the clients.
    ///
    /// # Errors
    /// The first of [`SetupError`]'s that holds for an endpoint.
    pub(crate) fn new(
        name: &str,
        config: &config::Upstream,
        root: &Path,
        clock: &Clock,
    ) -> Result<Endpoints, SetupError> {
        let (mut clients, mut names) = (Vec::new(), Vec::new());
        for endpoint in config.endpoints() {
            let client = Upstream::new(name, &endpoint.upstream, root, clock)?;
            let any_address = config.calls_any_address();
            SetupError::check_address(name, &endpoint.address, any_address)?;
            if any_address {
                client.call_any_address();
            }
            clients.push(Arc::new(client));
            names.push((endpoint.address, endpoint.weight));
        }
        // Without randomness each start draws alike, and no more.
        let seed = secret::random::<8>().map_or(0, u64::from_ne_bytes);
        let shared = Arc::new(Shared::new(name, names, seed));
        let checks = config.health().cloned();
        Ok(Endpoints { shared, clients, checks, is_watched: AtomicBool::new(false) })
    }

    /// Makes one call, once; retries are the caller's.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, with the endpoint that was called.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        self.watch();
        // The only one gets every call, whatever became of those before.
        if let [client] = self.clients.as_slice() {
            let called = client.call(call).await;
            return called.map_err(|error| UpstreamError { endpoint: Some(0), ..error });
        }
        let begun = self.shared.begin(&call.tried, call.is_hurried);
        let found = begun.and_then(|flight| Some((self.clients.get(flight.index())?, flight)));
        let Some((client, flight)) = found else {
            let message = "the upstream has no endpoint";
            return Err(UpstreamError::new(Failure::Internal, message, Elapsed::default()));
        };
        match client.call(call).await {
            Ok(Reply::Whole(answer)) => {
                flight.answered();
                Ok(Reply::Whole(answer))
            }
            Ok(Reply::Stream(pieces)) => Ok(Reply::Stream(pieces.of(flight.answered_first()))),
            Err(error) => {
                let endpoint = Some(flight.index());
                flight.failed(error.failure);
                Err(UpstreamError { endpoint, ..error })
            }
        }
    }

    /// Asks the first of them how many tokens a message has, once; `None` where it does not count.
    /// Nothing is answered with it, so it says nothing of how the endpoint is.
    pub(crate) async fn count(&self, call: Call) -> Option<Result<u64, UpstreamError>> {
        self.clients.first()?.count(call).await
    }

    /// Whether they take calls of this form.
    pub(crate) fn takes(&self, form: Form) -> bool {
        self.clients.iter().all(|client| client.takes(form))
    }

    /// Whether the times of the answer to this request are measured, or were recorded.
    pub(crate) fn is_timed(&self, body: &serde_json::Map<String, serde_json::Value>) -> bool {
        self.clients.iter().all(|client| client.is_timed(body))
    }

    /// Whether there is an endpoint beside those that were tried.
    pub(crate) fn has_other(&self, tried: &[usize]) -> bool {
        self.shared.has_other(tried)
    }

    /// Where there are several: the endpoints as they are shown, each with its address.
    pub(crate) fn views(&self) -> Vec<(String, View)> {
        match self.clients.len() {
            0 | 1 => Vec::new(),
            _ => self.shared.views(),
        }
    }

    /// Starts the health checks where there are any and they do not run. They end with the
    /// upstream.
    pub(crate) fn watch(&self) {
        let Some(checks) = &self.checks else { return };
        if self.is_watched.load(Ordering::Relaxed) {
            return;
        }
        // They outlive a worker's connection, and a runtime that is not there yet comes later.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        for (index, client) in self.clients.iter().enumerate() {
            let (client, shared) = (Arc::downgrade(client), Arc::downgrade(&self.shared));
            runtime.spawn(keep_checking(index, client, shared, checks.clone()));
        }
    }
}

/// Asks an endpoint until its upstream is gone. Two failures in a row take it out, one answer
/// brings it back: one alone may be a restart of what is between.
async fn keep_checking(
    index: usize,
    client: Weak<Upstream>,
    shared: Weak<Shared>,
    checks: config::Health,
) {
    let every = Duration::from_millis(checks.interval_ms);
    let within = every.min(bounds::CHECK_WAIT);
    let mut failed = 0_u32;
    while let (Some(client), Some(shared)) = (client.upgrade(), shared.upgrade()) {
        failed = match client.is_up(&checks.path, within).await {
            true => 0,
            false => failed.saturating_add(1),
        };
        if failed != 1 {
            shared.checked(index, failed == 0);
        }
        drop((client, shared));
        tokio::time::sleep(every).await;
    }
}
