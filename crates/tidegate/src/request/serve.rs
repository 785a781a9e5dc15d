//! From a parsed head to an endpoint, and from every answer to its ids.

use super::arrival::Arrival;
use super::auth::Caller;
use super::body::Body;
use super::code::Code;
use super::dialect::Dialect;
use super::front::{Admitted, Front, Picked};
use super::incoming::{self, RequestBody};
use super::meter::Meter;
use super::problem::{Next, Problem};
use super::repeats::IDEMPOTENCY_KEY;
use super::{chat, feedback, pages, respond, strict};
use crate::http::{Received, UnreadBody, aside};
use crate::observe::StatusClass;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The business id of a request.
pub(super) const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The id of one try.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Completions,
    Messages,
    Responses,
    Chat,
    Feedback,
    Models,
    Metrics,
    Health,
    Ready,
}

impl Endpoint {
    const ALL: [Endpoint; 9] = [
        Endpoint::Completions,
        Endpoint::Messages,
        Endpoint::Responses,
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
            Endpoint::Messages => "/v1/messages",
            Endpoint::Responses => "/v1/responses",
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
            Endpoint::Completions
            | Endpoint::Messages
            | Endpoint::Responses
            | Endpoint::Chat
            | Endpoint::Feedback => "POST",
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
            | Endpoint::Messages
            | Endpoint::Responses
            | Endpoint::Chat
            | Endpoint::Feedback
            | Endpoint::Models
            | Endpoint::Metrics => false,
        }
    }

    /// The API that its clients speak, also where they ask in a wrong way.
    fn dialect(path: &str) -> Dialect {
        if path.starts_with(Endpoint::Messages.path()) {
            Dialect::Anthropic
        } else if path.starts_with(Endpoint::Responses.path()) {
            Dialect::Responses
        } else {
            Dialect::OpenAi
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
pub(super) async fn handle(front: &Arc<Front>, request: Received) -> Response<Body> {
    let started = Instant::now();
    let Received { head, raw_head, body, peer } = request;
    let ids = front.first().ids.of(&head.headers);
    let dialect = Endpoint::dialect(head.uri.path());
    let endpoint = strict::check(&head, &raw_head)
        .and_then(|()| front.check_site(&head))
        .and_then(|()| endpoint(&head.method, head.uri.path()));
    let counted = !matches!(&endpoint, Ok(e) if e.is_probe() || *e == Endpoint::Metrics);
    let picked = Picked::default();
    let mut meter =
        counted.then(|| Meter::start(Arc::clone(&front.first().metrics), picked.clone(), started));
    let response = match endpoint {
        Ok(endpoint) => {
            let at = front.first().parts.clock.now();
            let arrival = Arrival {
                dialect,
                ids: ids.clone(),
                key: head.headers.get(IDEMPOTENCY_KEY).cloned(),
                caller: Caller::default(),
                at,
                started,
                reading: Duration::ZERO,
            };
            let request = Unread { headers: &head.headers, body, peer };
            let answer = pin!(dispatch(front, endpoint, arrival, request, &picked));
            until_cut(front, answer).await
        }
        Err(problem) => Err(problem),
    };
    let mut response =
        response.unwrap_or_else(|problem| respond::problem(&problem, dialect, &ids.trace));
    let headers = response.headers_mut();
    dialect.put_ids(headers, &ids.trace);
    for (name, id) in [(X_TRACE_ID, &ids.trace), (X_REQUEST_ID, &ids.request)] {
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(name, value);
        }
    }
    if let Some(meter) = &mut meter {
        meter.set(StatusClass::of(response.status().as_u16()));
    }
    response.map(|body| body.metered(meter))
}

/// The answer, or an error where the time for requests in flight is over before there is one. What
/// was begun is dropped then, and recorded as it is. Every connection is polled once more at that
/// time.
async fn until_cut(
    front: &Front,
    mut answer: Pin<&mut impl Future<Output = Result<Response<Body>, Problem>>>,
) -> Result<Response<Body>, Problem> {
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending if front.is_cutting() => Poll::Ready(Err(Problem::stopping())),
        polled => polled,
    })
    .await
}

/// A request whose body is still to be read.
struct Unread<'a> {
    headers: &'a HeaderMap,
    body: UnreadBody,
    peer: IpAddr,
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
        | Endpoint::Messages
        | Endpoint::Responses
        | Endpoint::Chat
        | Endpoint::Feedback
        | Endpoint::Models
        | Endpoint::Metrics => {}
    }
    let admitted = front.admit(request.peer, request.headers)?.noting(picked);
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Models => Ok(pages::models(&admitted)),
        Endpoint::Metrics => {
            let accept = request.headers.get(header::ACCEPT);
            let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
            Ok(pages::metrics(front, &admitted, accept))
        }
        Endpoint::Completions | Endpoint::Messages | Endpoint::Responses => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            let is_large = body.is_large();
            let answer =
                async move { chat::completions(&admitted, arrival, body.weighed()?).await };
            apart(is_large, Box::pin(answer)).await
        }
        Endpoint::Chat => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            let is_large = body.is_large();
            let answer = async move { chat::seed(&admitted, arrival, body.weighed()?).await };
            apart(is_large, Box::pin(answer)).await
        }
        Endpoint::Feedback => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            let is_large = body.is_large();
            let answer =
                async move { feedback::feedback(&admitted, arrival, &body.weighed()?.bytes).await };
            apart(is_large, Box::pin(answer)).await
        }
    }
}

/// Answering one request: kilobytes of state, so that it is made where it stays.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send>>;

/// Answers a large request where no other one waits for it.
async fn apart(is_large: bool, answer: Answering) -> Result<Response<Body>, Problem> {
    match is_large {
        false => answer.await,
        true => aside(answer).await.unwrap_or_else(|_panicked| Err(Problem::internal())),
    }
}

async fn read(
    front: &Front,
    admitted: &Admitted,
    arrival: &mut Arrival,
    request: Unread<'_>,
) -> Result<RequestBody, Problem> {
    let began = Instant::now();
    let (max, admission) = (admitted.max_body_bytes(), &front.first().admission);
    let read = incoming::read(request.body, max, admission, request.peer).await?;
    arrival.reading = began.elapsed();
    Ok(read)
}
