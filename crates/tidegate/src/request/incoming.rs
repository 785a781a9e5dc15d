//! A client's body, read in time and within bounds.

use super::admission::Admission;
use super::bounds::Bounds;
use super::code::Code;
use super::problem::{Next, Problem};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
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
    admission: &Admission,
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
    let share = admission.body_share(size.upper().unwrap_or(max))?;
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
