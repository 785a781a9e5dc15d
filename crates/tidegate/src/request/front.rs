//! The services behind one listener, and which of them a request is for.
//!
//! Every service has its own credentials, limits and metrics. A caller is let in by the services
//! that know its key; among those the request's `model` picks one. What a caller may not call looks
//! the same to it as what does not exist.

use super::auth::{Caller, given};
use super::code::Code;
use super::gateway::Gateway;
use super::guesses::Guesses;
use super::problem::Problem;
use crate::http::{Bounds, Foreign, check_site};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Longest name of a model that an error repeats, characters.
const SHOWN_MAX: usize = 80;

/// The services of one listener, at least one.
pub(crate) struct Front {
    first: Arc<Gateway>,
    others: Vec<Arc<Gateway>>,
    hurry: Notify,
    is_interrupted: AtomicBool,
    guesses: Arc<Guesses>,
}

impl Front {
    /// A listener of one service.
    pub(crate) fn one(gateway: Arc<Gateway>) -> Arc<Front> {
        Front::new(gateway, Vec::new())
    }

    /// A listener of several services, whose names differ; `None` for none.
    pub(crate) fn of(services: Vec<Arc<Gateway>>) -> Option<Arc<Front>> {
        let mut services = services.into_iter();
        let first = services.next()?;
        Some(Front::new(first, services.collect()))
    }

    fn new(first: Arc<Gateway>, others: Vec<Arc<Gateway>>) -> Arc<Front> {
        let (hurry, is_interrupted, guesses) = Default::default();
        Arc::new(Front { first, others, hurry, is_interrupted, guesses })
    }

    /// Refuses what a page of another site made a browser send, where no credential would. Such a
    /// listener is reached from this machine only. A page whose origin is allowed may send.
    pub(super) fn check_site(&self, head: &Parts, is_allowed: bool) -> Result<(), Problem> {
        match check_site(head) {
            Ok(()) => Ok(()),
            Err(_) if self.asks() => Ok(()),
            Err(Foreign::Origin) if is_allowed => Ok(()),
            Err(foreign) => Err(foreign.into()),
        }
    }

    /// Origins of pages that may call from a browser, of all services: before a request is read
    /// it is not known which one it is for.
    pub(super) fn origins(&self) -> impl Iterator<Item = &str> {
        self.services().flat_map(|gateway| gateway.origins.iter().map(String::as_str))
    }

    /// The service that answers for the listener as a whole: its bounds hold for connections, and
    /// requests that reach no service count as its own.
    pub(super) fn first(&self) -> &Arc<Gateway> {
        &self.first
    }

    /// All services.
    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Whether there is only one.
    pub(super) fn is_one(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether every service asks for a credential.
    pub(super) fn asks(&self) -> bool {
        self.services().all(|gateway| gateway.authenticator.asks())
    }

    /// Bounds on the listener's connections.
    pub(crate) fn bounds(&self) -> Bounds {
        self.first.options.bounds
    }

    /// Says that no new requests should come.
    pub(super) fn stop(&self) {
        self.services().for_each(|gateway| gateway.stop());
    }

    /// Says that the time for requests in flight is over.
    pub(super) fn cut(&self) {
        self.services().for_each(|gateway| gateway.cut());
    }

    /// Whether [`Self::cut`] was called.
    pub(super) fn is_cutting(&self) -> bool {
        self.first.is_cutting()
    }

    /// The order to stop came from a person at the terminal: no load balancer has to look away.
    pub(crate) fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether something may have to look away before the end.
    pub(super) fn is_watched(&self) -> bool {
        !self.is_interrupted.load(Ordering::Relaxed)
    }

    /// Ends the time for requests in flight now, once the order to stop was given.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Ready after [`Self::hurry`].
    pub(super) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// The services that let this caller in; an error when none does. A page of another site,
    /// where it may call at all, sees those that list its origin, and no other.
    pub(super) fn admit(
        &self,
        (peer, page): (IpAddr, Option<&HeaderValue>),
        headers: &HeaderMap,
    ) -> Result<Admitted, Problem> {
        let mut services = Vec::new();
        let mut refused = None;
        // Each of them is asked, so that the time taken does not reveal which one knew the key.
        for gateway in self.services().filter(|it| page.is_none_or(|page| it.lists(page))) {
            match gateway.authenticator.admit(headers, gateway.parts.clock.now()) {
                Ok(caller) => services.push((Arc::clone(gateway), caller)),
                Err(problem) => refused = refused.or(Some(problem)),
            }
        }
        match (services.is_empty(), refused) {
            (true, Some(problem)) => {
                let limited = given(headers).and_then(|key| self.guesses.wrong(peer, key));
                Err(limited.map_or(problem, Problem::wrong_keys))
            }
            (_, _) => Ok(Admitted { services, picked: Picked::default() }),
        }
    }
}

/// The service that a request turned out to be for, once that is known.
#[derive(Clone, Default)]
pub(super) struct Picked(Arc<OnceLock<Arc<Gateway>>>);

impl Picked {
    /// The service, when it is known.
    pub(super) fn get(&self) -> Option<&Arc<Gateway>> {
        self.0.get()
    }

    fn set(&self, gateway: &Arc<Gateway>) {
        // A request is for one service; the first choice stays.
        let _ = self.0.set(Arc::clone(gateway));
    }
}

/// The services that let a caller in, with who it is to each.
pub(super) struct Admitted {
    services: Vec<(Arc<Gateway>, Caller)>,
    picked: Picked,
}

impl Admitted {
    /// Says in `picked` what is picked here.
    pub(super) fn noting(self, picked: &Picked) -> Admitted {
        Admitted { picked: picked.clone(), ..self }
    }

    /// Their gateways.
    pub(super) fn gateways(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        self.services.iter().map(|(gateway, _)| gateway)
    }

    /// Largest body that any of them takes, bytes.
    pub(super) fn max_body_bytes(&self) -> u64 {
        self.gateways().map(|gateway| gateway.limits.max_body_bytes).max().unwrap_or(0)
    }

    /// The service of this name. Without a name there must be only one to choose from.
    pub(super) fn pick(&self, model: Option<&str>) -> Result<(Arc<Gateway>, Caller), Problem> {
        let found = match (model, self.services.as_slice()) {
            (None, [only]) if only.1.may_ask(&only.0.service) => only,
            (None, _) => return Err(self.which()),
            (Some(model), services) => {
                let called = services
                    .iter()
                    .find(|(gateway, caller)| gateway.is_called(model) && caller.may_ask(model));
                called.ok_or_else(|| self.unknown(model))?
            }
        };
        Ok(self.take(found))
    }

    /// The first service for which `is_it` gives something.
    pub(super) async fn find<T, F: Future<Output = Result<Option<T>, Problem>>>(
        &self,
        mut is_it: impl FnMut(Arc<Gateway>, Caller) -> F,
    ) -> Result<Option<(Arc<Gateway>, T)>, Problem> {
        for found in &self.services {
            if let Some(thing) = is_it(Arc::clone(&found.0), found.1.clone()).await? {
                return Ok(Some((self.take(found).0, thing)));
            }
        }
        Ok(None)
    }

    fn take(&self, (gateway, caller): &(Arc<Gateway>, Caller)) -> (Arc<Gateway>, Caller) {
        self.picked.set(gateway);
        (Arc::clone(gateway), caller.clone())
    }

    /// What the caller may ask for: the names of its services, and their aliases.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.services
            .iter()
            .flat_map(|(gateway, caller)| gateway.names().filter(|name| caller.may_ask(name)))
    }

    /// What an error says of that: of a service that the caller may call by any name, its own one.
    fn names(&self) -> String {
        let is_own = |name: &&str| self.gateways().any(|gateway| gateway.service == *name);
        let is_bound = self.services.iter().any(|(_, caller)| caller.is_bound_to_models());
        let names = self.models().filter(|name| is_bound || is_own(name));
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn which(&self) -> Problem {
        let message = match self.services.as_slice() {
            [_] => format!("name a model that the key may ask for in `model`: {}", self.names()),
            _ => format!("name the service in `model`; there are {}", self.names()),
        };
        Problem::bad_request(Code::ModelRequired, message).param(Some("model"))
    }

    fn unknown(&self, model: &str) -> Problem {
        let shown: String = model.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
        let there = match self.services.as_slice() {
            [(_, caller)] if caller.is_bound_to_models() => match self.names() {
                none if none.is_empty() => {
                    "no name that the key may ask for is the service's any more".to_owned()
                }
                names => format!("the key may ask for {names}"),
            },
            [(only, _)] => format!("this service is `{}`", only.service),
            _ => format!("there are {}", self.names()),
        };
        let message = format!("the model `{shown}` does not exist; {there}");
        Problem::client(StatusCode::NOT_FOUND, Code::ModelNotFound, message).param(Some("model"))
    }
}
