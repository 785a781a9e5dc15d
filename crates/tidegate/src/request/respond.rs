//! What makes responses: JSON, and errors with what the client can do next.

use super::body::Body;
use super::dialect::Dialect;
use super::levels;
use super::problem::{Next, Problem};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;
use tidegate_core::ids::TraceId;

/// The OpenAI SDKs obey it: with `false` they do not try again.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A JSON response.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    json_bytes(status, value.to_string())
}

/// A JSON response that is written already.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An error; the headers with its ids are added at the edge.
pub(super) fn problem(problem: &Problem, dialect: Dialect, trace_id: &TraceId) -> Response<Body> {
    let mut response = json_bytes(problem.status, dialect.error(problem, Some(trace_id)));
    let headers = response.headers_mut();
    match &problem.next {
        Next::Nothing => {}
        Next::Bounded(after_s, levels) => {
            levels::put(levels, headers);
            match after_s {
                Some(seconds) => headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds)),
                None => headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false")),
            };
        }
        Next::RetryAfter(seconds) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        Next::DoNotRetry => {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        Next::Allow(methods) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        Next::Authenticate => {
            let challenge = HeaderValue::from_static("Bearer realm=\"tidegate\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        Next::Close => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}
