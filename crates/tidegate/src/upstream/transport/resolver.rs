//! Names to addresses, within bounds: one lookup of a name at a time, on a few separate threads,
//! within a deadline. The system's resolver blocks its thread, and one that never answers blocks
//! one for every request.

use crate::config::reserved;
use crate::upstream::bounds::{LOOKUP_KEPT, LOOKUP_NAMES, LOOKUP_THREADS, LOOKUP_WAIT};
use hyper_util::client::legacy::connect::dns::Name;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::watch;
use tower_service::Service;

/// What a lookup came to: the kind and words of an error can be given to everyone who waits.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The process's resolver, for one upstream. A name that leads to an address that no model server
/// has is refused as a whole, each time that a connection is made: whoever answers for the name may
/// answer otherwise later.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolver {
    allows_all: Arc<AtomicBool>,
}

impl Resolver {
    /// Refuses no address from now on.
    pub(super) fn allow_all(&self) {
        self.allows_all.store(true, Ordering::Relaxed);
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        static LOOKUPS: OnceLock<Lookups> = OnceLock::new();
        let lookups = LOOKUPS.get_or_init(|| Lookups::new(of_the_system));
        let allows_all = self.allows_all.load(Ordering::Relaxed);
        Box::pin(async move {
            let found = lookups.find(name.as_str()).await?;
            match found.iter().find_map(|address| reserved(address.ip())) {
                Some(what) if !allows_all => {
                    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
                }
                Some(_) | None => Ok(found.into_iter()),
            }
        })
    }
}

fn of_the_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    (name, 0).to_socket_addrs().map(Iterator::collect)
}

/// Lookups that run, wait or are remembered.
struct Lookups {
    state: Mutex<State>,
    look_up: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Lookup>,
    waiting: VecDeque<(String, watch::Sender<Option<Found>>)>,
    threads: usize,
}

struct Lookup {
    result: watch::Receiver<Option<Found>>,
    /// When it was done; `None` while it runs.
    done: Option<Instant>,
}

impl Lookups {
    fn new(look_up: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Lookups {
        Lookups { state: Mutex::default(), look_up }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole after its statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&'static self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut result = self.lookup_of(name)?;
        let found = tokio::time::timeout(LOOKUP_WAIT, result.wait_for(Option::is_some)).await;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the resolver does not answer");
        let found = found.map_err(|_| late())?;
        // The thread broke off.
        let found = found.map_err(|_| io::Error::other("the lookup ended without a result"))?;
        match found.as_ref() {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            Some(Err((kind, why))) => Err(io::Error::new(*kind, why.clone())),
            None => Err(late()),
        }
    }

    /// The lookup of a name that runs or is fresh, else a new one.
    fn lookup_of(&'static self, name: &str) -> io::Result<watch::Receiver<Option<Found>>> {
        let mut state = self.state();
        if let Some(known) = state.names.get(name)
            && known.done.is_none_or(|done| done.elapsed() < LOOKUP_KEPT)
        {
            return Ok(known.result.clone());
        }
        if state.names.len() >= LOOKUP_NAMES {
            state.names.retain(|_, known| known.done.is_none());
        }
        if state.names.len() >= LOOKUP_NAMES {
            return Err(io::Error::other("too many names wait for the resolver"));
        }
        let (sender, result) = watch::channel(None);
        state.names.insert(name.to_owned(), Lookup { result: result.clone(), done: None });
        state.waiting.push_back((name.to_owned(), sender));
        if state.threads < LOOKUP_THREADS {
            let thread = std::thread::Builder::new().name("names".to_owned());
            match thread.spawn(|| self.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.waiting.clear();
                    state.names.remove(name);
                    return Err(error);
                }
                // Those there are take it.
                Err(_) => {}
            }
        }
        Ok(result)
    }

    /// Looks names up until none waits.
    fn work(&self) {
        loop {
            let mut state = self.state();
            let Some((name, sender)) = state.waiting.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            let found = (self.look_up)(&name).map_err(|error| (error.kind(), error.to_string()));
            let is_found = found.is_ok();
            let mut state = self.state();
            match state.names.get_mut(&name) {
                Some(lookup) if is_found => lookup.done = Some(Instant::now()),
                // What failed is looked up again by the next request.
                Some(_) | None => drop(state.names.remove(&name)),
            }
            // Nobody may wait any more.
            let _ = sender.send(Some(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn leak(look_up: fn(&str) -> io::Result<Vec<SocketAddr>>) -> &'static Lookups {
        Box::leak(Box::new(Lookups::new(look_up)))
    }

    #[tokio::test]
    async fn one_name_is_looked_up_once_for_all_who_ask() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookups = leak(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        for _ in 0..50 {
            assert_eq!(lookups.find("model.example").await.unwrap().len(), 1);
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_fails_is_said_at_once_and_looked_up_again() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookups = leak(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Err(io::Error::other("no such name"))
        });
        for _ in 0..2 {
            let error = lookups.find("none.example").await.unwrap_err();
            assert_eq!(error.to_string(), "no such name");
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_resolver_that_never_answers_has_a_few_threads_and_a_deadline() {
        static BLOCKED: AtomicUsize = AtomicUsize::new(0);
        let lookups = leak(|_| {
            BLOCKED.fetch_add(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        });
        let asked = (0..100).map(|n| async move { lookups.find(&format!("n{}.x", n % 10)).await });
        for error in futures_util::future::join_all(asked).await {
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert!(BLOCKED.load(Ordering::SeqCst) <= LOOKUP_THREADS);
        assert_eq!(lookups.state().threads, LOOKUP_THREADS);
    }
}
