//! From a parsed head to an endpoint, and from every answer to its ids.

use super::arrival::Arrival;
use super::auth::Caller;
use super::body::Body;
use super::cache::Wanted;
use super::dialect::Dialect;
use super::endpoint::{Endpoint, OPENAPI, endpoint};
use super::front::{Admitted, Front, Picked};
use super::ids::Ids;
use super::incoming::{self, RequestBody};
use super::meter::Meter;
use super::priority::X_PRIORITY;
use super::problem::Problem;
use super::repeats::IDEMPOTENCY_KEY;
use super::{chat, cors, count, feedback, google, pages, respond, strict};
use crate::http::{Received, UnreadBody, aside};
use crate::observe::StatusClass;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tidegate_core::access::Priority;

/// The business id of a request.
pub(super) const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The id of one try.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request.
pub(super) async fn handle(front: &Arc<Front>, request: Received) -> Response<Body> {
    let started = Instant::now();
    let Received { head, raw_head, body, peer } = request;
    let ids = front.first().ids.of(&head.headers);
    let dialect = Endpoint::dialect(&head.uri, &head.headers);
    let page = cors::allowed(front, &head.headers);
    let checked =
        strict::check(&head, &raw_head).and_then(|()| front.check_site(&head, page.is_some()));
    if let (Ok(()), Some(response)) = (&checked, cors::preflight(page.as_ref(), &head)) {
        return response;
    }
    let endpoint = checked.and_then(|()| endpoint(&head.method, head.uri.path()));
    let endpoint = match dialect {
        Dialect::Google(_) => google::check(head.uri.query()).and(endpoint),
        _ => endpoint,
    };
    let endpoint = endpoint.map(|endpoint| endpoint.for_dialect(dialect));
    // What it says is of all services.
    let is_probe = endpoint.as_ref().is_ok_and(|endpoint| endpoint.is_probe());
    let counted = !is_probe && !matches!(&endpoint, Ok(Endpoint::Metrics));
    let picked = Picked::default();
    let mut meter =
        counted.then(|| Meter::start(Arc::clone(&front.first().metrics), picked.clone(), started));
    let response = match endpoint {
        Ok(endpoint) => {
            let at = front.first().parts.clock.now();
            let arrival = Arrival {
                dialect,
                model: endpoint.model(head.uri.path()),
                ids: ids.clone(),
                key: head.headers.get(IDEMPOTENCY_KEY).cloned(),
                betas: head.headers.get("anthropic-beta").cloned(),
                wish: head.headers.get(X_PRIORITY).cloned(),
                priority: Priority::Normal,
                cache: Wanted::of(&head.headers),
                caller: Caller::default(),
                at,
                started,
                reading: Duration::ZERO,
            };
            let from = (peer, page.as_ref().map(|page| &page.page));
            let request = Unread { headers: &head.headers, body, from };
            let answer = pin!(dispatch(front, endpoint, arrival, request, &picked));
            until_cut(front, answer).await
        }
        Err(problem) => Err(problem),
    };
    let mut response =
        response.unwrap_or_else(|problem| respond::problem(&problem, dialect, &ids.trace));
    let headers = response.headers_mut();
    dialect.put_ids(headers, &ids.trace);
    put_ids(headers, &ids);
    let page = page.filter(|page| !is_probe || front.services().all(|it| it.lists(&page.page)));
    cors::put(front, page.as_ref(), headers);
    if let Some(meter) = &mut meter {
        meter.set(StatusClass::of(response.status().as_u16()));
    }
    response.map(|body| body.metered(meter))
}

fn put_ids(headers: &mut HeaderMap, ids: &Ids) {
    for (name, id) in [(X_TRACE_ID, &ids.trace), (X_REQUEST_ID, &ids.request)] {
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(name, value);
        }
    }
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
    /// The address, and the origin of the page that a browser sent it for.
    from: (IpAddr, Option<&'a HeaderValue>),
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
        | Endpoint::PlainCompletions
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::CountTokens
        | Endpoint::Responses
        | Endpoint::Chat
        | Endpoint::Feedback
        | Endpoint::Models
        | Endpoint::Model
        | Endpoint::Generate
        | Endpoint::StreamGenerate
        | Endpoint::CountGenerate
        | Endpoint::GoogleModels
        | Endpoint::GoogleModel
        | Endpoint::OpenApi
        | Endpoint::Metrics => {}
    }
    let admitted = front.admit(request.from, request.headers)?.noting(picked);
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Models => Ok(pages::models(&admitted)),
        Endpoint::Model => pages::model(&admitted, arrival.model.unwrap_or_default()),
        Endpoint::GoogleModels => Ok(pages::google_models(&admitted)),
        Endpoint::GoogleModel => pages::google_model(&admitted, &arrival.model.unwrap_or_default()),
        Endpoint::OpenApi => Ok(respond::json_bytes(StatusCode::OK, OPENAPI)),
        Endpoint::Metrics => {
            let accept = request.headers.get(header::ACCEPT);
            let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
            Ok(pages::metrics(front, &admitted, accept))
        }
        Endpoint::CountTokens
        | Endpoint::CountGenerate
        | Endpoint::Completions
        | Endpoint::PlainCompletions
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::Responses
        | Endpoint::Generate
        | Endpoint::StreamGenerate
        | Endpoint::Chat
        | Endpoint::Feedback => {
            let body = read(front, &admitted, &mut arrival, request).await?;
            let is_large = body.is_large();
            let answer = answer(endpoint, admitted, arrival, body);
            apart(is_large, Box::pin(answer)).await
        }
    }
}

/// Answers a request whose body was read.
async fn answer(
    endpoint: Endpoint,
    admitted: Admitted,
    arrival: Arrival,
    body: RequestBody,
) -> Result<Response<Body>, Problem> {
    let body = body.weighed(arrival.dialect)?;
    match endpoint {
        Endpoint::CountTokens => count::tokens(&admitted, &arrival, body).await,
        Endpoint::CountGenerate => count::google(&admitted, &arrival, body),
        Endpoint::Chat => chat::seed(&admitted, arrival, body).await,
        Endpoint::Feedback => feedback::feedback(&admitted, arrival, &body.bytes).await,
        // Pages have no body.
        _ => chat::completions(&admitted, arrival, body).await,
    }
}

/// Answering one request: kilobytes of state, made where they stay.
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
    let read = incoming::read(request.body, max, admission, request.from.0).await?;
    arrival.reading = began.elapsed();
    Ok(read)
}
