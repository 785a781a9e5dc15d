//! Bodies: the client's, read in time and within bounds; ours, with what must happen at their end.

use super::bounds::{BODY_BUDGET_KIB, BODY_FREE, Bounds};
use super::code::Code;
use super::conn::InWork;
use super::front::Picked;
use super::problem::{Next, Problem};
use super::stream::Events;
use crate::observe::{Metrics, StatusClass};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A client's body with its share of the memory budget, held as long as the body is.
pub(super) struct RequestBody {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The share; small bodies need none.
    pub(super) share: Option<OwnedSemaphorePermit>,
}

/// Reads a request's body: not more than `max` bytes, not slower than the bounds say.
pub(super) async fn read(
    mut body: Incoming,
    headers: &HeaderMap,
    max: u64,
    budget: &Arc<Semaphore>,
    bounds: &Bounds,
) -> Result<RequestBody, Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        let message = "compressed request bodies are not supported; send plain JSON".to_owned();
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::client(status, Code::UnsupportedEncoding, message).next(Next::Close));
    }
    let size = body.size_hint();
    if size.lower() > max {
        return Err(too_large(max));
    }
    let share = take_share(budget, size.upper().unwrap_or(max))?;
    let until = Instant::now() + bounds.body_total;
    let mut whole: Option<Bytes> = None;
    let mut parts = BytesMut::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let frame = match timeout(bounds.body_idle.min(left), body.frame()).await {
            Err(_elapsed) => return Err(too_slow(bounds)),
            Ok(None) => break,
            Ok(Some(Err(_broken))) => {
                let message = "the request's body could not be read to its end";
                return Err(Problem::bad_request(Code::BadBody, message).next(Next::Close));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if (parts.len() + whole.as_ref().map_or(0, Bytes::len) + data.len()) as u64 > max {
            return Err(too_large(max));
        }
        // Most bodies come in one frame and are not copied.
        if whole.is_none() && parts.is_empty() {
            whole = Some(data);
            continue;
        }
        if let Some(first) = whole.take() {
            parts.reserve(size.lower() as usize);
            parts.extend_from_slice(&first);
        }
        parts.extend_from_slice(&data);
    }
    Ok(RequestBody { bytes: whole.unwrap_or_else(|| parts.freeze()), share })
}

fn take_share(
    budget: &Arc<Semaphore>,
    bytes: u64,
) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    if bytes <= BODY_FREE {
        return Ok(None);
    }
    let kib = bytes.div_ceil(1024).min(BODY_BUDGET_KIB as u64) as u32;
    match Arc::clone(budget).try_acquire_many_owned(kib) {
        Ok(share) => Ok(Some(share)),
        Err(_) => Err(Problem::overloaded("too many large requests are in work")),
    }
}

/// 413 for a body that a service's limit does not allow.
pub(super) fn too_large(max: u64) -> Problem {
    let message = format!("the request's body is larger than {max} bytes, which is the limit");
    Problem::client(StatusCode::PAYLOAD_TOO_LARGE, Code::RequestTooLarge, message).next(Next::Close)
}

fn too_slow(bounds: &Bounds) -> Problem {
    let (idle, total) = (bounds.body_idle.as_secs_f64(), bounds.body_total.as_secs_f64());
    let message = format!("the request's body came too slowly: {idle} s a piece, {total} s in all");
    Problem::client(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, message).next(Next::Close)
}

/// A response's body.
pub(super) struct Body {
    content: Content,
    at_end: Option<AtEnd>,
}

enum Content {
    Full(Option<Bytes>),
    Events(Box<Events>),
}

/// What is dropped with the body: the connection waits again, the request is counted.
pub(super) struct AtEnd {
    /// The request is in work until the body ends.
    pub(super) _in_work: InWork,
    /// Counts the request; probes are not counted.
    pub(super) meter: Option<Meter>,
}

/// Counts one request at the door when it is dropped; until a status is set, as a client that left.
pub(super) struct Meter {
    /// Where it counts while its service is not known.
    metrics: Arc<Metrics>,
    picked: Picked,
    started: Instant,
    status: StatusClass,
}

impl Meter {
    /// Starts the clock.
    pub(super) fn start(metrics: Arc<Metrics>, picked: Picked, started: Instant) -> Meter {
        Meter { metrics, picked, started, status: StatusClass::ClientError }
    }

    /// Says how the request ended.
    pub(super) fn set(&mut self, status: StatusClass) {
        self.status = status;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let metrics = self.picked.get().map_or(&self.metrics, |gateway| &gateway.metrics);
        metrics.request(self.status, self.started.elapsed());
    }
}

impl Body {
    /// A body that is there.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
        Body { content: Content::Full(Some(bytes.into())), at_end: None }
    }

    /// A stream of events.
    pub(super) fn events(events: Events) -> Body {
        Body { content: Content::Events(Box::new(events)), at_end: None }
    }

    /// The same, with what must happen at its end.
    pub(super) fn then(mut self, at_end: AtEnd) -> Body {
        self.at_end = Some(at_end);
        self
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Content::Events(events) = &self.content
            && let Some(AtEnd { _in_work: _, meter: Some(meter) }) = &mut self.at_end
        {
            meter.set(events.status());
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Events(events) => {
                events.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Events(events) => events.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Events(_) => SizeHint::default(),
        }
    }
}
