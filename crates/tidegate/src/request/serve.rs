//! From a parsed head to an endpoint, and from every answer to its ids.

use super::arrival::Arrival;
use super::auth::Caller;
use super::body::{AtEnd, Body};
use super::code::Code;
use super::conn::Watch;
use super::front::{Admitted, Front, Picked};
use super::incoming::{self, RequestBody};
use super::meter::Meter;
use super::problem::{Next, Problem};
use super::{chat, feedback, pages, respond, strict};
use crate::observe::StatusClass;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The business id of a request.
pub(super) const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The id of one try.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Completions,
    Chat,
    Feedback,
    Models,
    Metrics,
    Health,
    Ready,
}

impl Endpoint {
    const ALL: [Endpoint; 7] = [
        Endpoint::Completions,
        Endpoint::Chat,
        Endpoint::Feedback,
        Endpoint::Models,
        Endpoint::Metrics,
        Endpoint::Health,
        Endpoint::Ready,
    ];

    fn path(self) -> &'static str {
        match self {
            Endpoint::Completions => "/v1/chat/completions",
            Endpoint::Chat => "/chat",
            Endpoint::Feedback => "/v1/feedback",
            Endpoint::Models => "/v1/models",
            Endpoint::Metrics => "/metrics",
            Endpoint::Health => "/health",
            Endpoint::Ready => "/readyz",
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Endpoint::Completions | Endpoint::Chat | Endpoint::Feedback => "POST",
            Endpoint::Models | Endpoint::Metrics | Endpoint::Health | Endpoint::Ready => {
                "GET, HEAD"
            }
        }
    }

    /// Probes tell nothing that is worth a credential, and are not counted as requests.
    fn is_probe(self) -> bool {
        match self {
            Endpoint::Health | Endpoint::Ready => true,
            Endpoint::Completions
            | Endpoint::Chat
            | Endpoint::Feedback
            | Endpoint::Models
            | Endpoint::Metrics => false,
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Problem> {
    let Some(found) = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path) else {
        let known = Endpoint::ALL.map(Endpoint::path).join(", ");
        let message = format!("there is no such endpoint; there are {known}");
        return Err(Problem::client(StatusCode::NOT_FOUND, Code::UnknownEndpoint, message));
    };
    if !found.takes(method) {
        let message = format!("{path} takes {}", found.methods());
        return Err(Problem::client(StatusCode::METHOD_NOT_ALLOWED, Code::WrongMethod, message)
            .next(Next::Allow(found.methods())));
    }
    Ok(found)
}

/// Answers one request.
pub(super) async fn handle(
    front: Arc<Front>,
    watch: Watch,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let raw_head = watch.head_done();
    let in_work = watch.in_work();
    let (parts, incoming) = request.into_parts();
    if incoming.is_end_stream() {
        watch.body_done();
    }
    let ids = front.first().ids.of(&parts.headers);
    let endpoint =
        strict::check(&parts, &raw_head).and_then(|()| endpoint(&parts.method, parts.uri.path()));
    let counted = !matches!(&endpoint, Ok(e) if e.is_probe() || *e == Endpoint::Metrics);
    let picked = Picked::default();
    let mut meter =
        counted.then(|| Meter::start(Arc::clone(&front.first().metrics), picked.clone(), started));
    let response = match endpoint {
        Ok(endpoint) => {
            let at = front.first().parts.clock.now();
            let arrival = Arrival {
                ids: ids.clone(),
                caller: Caller::default(),
                at,
                started,
                reading: Duration::ZERO,
            };
            let request = Unread { parts: &parts, incoming, watch: &watch };
            dispatch(&front, endpoint, arrival, request, &picked).await
        }
        Err(problem) => Err(problem),
    };
    let mut response = response.unwrap_or_else(|problem| respond::problem(&problem, &ids.trace));
    let headers = response.headers_mut();
    for (name, id) in [(X_TRACE_ID, &ids.trace), (X_REQUEST_ID, &ids.request)] {
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(name, value);
        }
    }
    if let Some(meter) = &mut meter {
        meter.set(StatusClass::of(response.status().as_u16()));
    }
    response.map(|body| body.then(AtEnd { _in_work: in_work, meter }))
}

/// A request whose body is still to be read.
struct Unread<'a> {
    parts: &'a http::request::Parts,
    incoming: Incoming,
    watch: &'a Watch,
}

async fn dispatch(
    front: &Arc<Front>,
    endpoint: Endpoint,
    mut arrival: Arrival,
    request: Unread<'_>,
    picked: &Picked,
) -> Result<Response<Body>, Problem> {
    match endpoint {
        Endpoint::Health => return Ok(pages::health(front)),
        Endpoint::Ready => return Ok(pages::ready(front)),
        Endpoint::Completions
        | Endpoint::Chat
        | Endpoint::Feedback
        | Endpoint::Models
        | Endpoint::Metrics => {}
    }
    let admitted = front.admit(&request.parts.headers)?.noting(picked);
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Models => Ok(pages::models(&admitted)),
        Endpoint::Metrics => Ok(pages::metrics(front, &admitted)),
        Endpoint::Completions => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            chat::completions(&admitted, arrival, body).await
        }
        Endpoint::Chat => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            chat::seed(&admitted, arrival, body).await
        }
        Endpoint::Feedback => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            feedback::feedback(&admitted, arrival, &body.bytes).await
        }
    }
}

async fn read(
    front: &Front,
    admitted: &Admitted,
    arrival: &mut Arrival,
    request: Unread<'_>,
) -> Result<RequestBody, Problem> {
    let Unread { parts, incoming, watch } = request;
    let began = Instant::now();
    let empty = incoming.is_end_stream();
    let max = admitted.max_body_bytes();
    let (admission, bounds) = (&front.first().admission, &front.first().options.bounds);
    let body = incoming::read(incoming, &parts.headers, max, admission, bounds).await?;
    if !empty {
        watch.body_done();
    }
    arrival.reading = began.elapsed();
    Ok(body)
}
