//! Calls of web pages of other sites, as browsers ask for them (the Fetch standard, "CORS
//! protocol").
//!
//! A browser asks first, by `OPTIONS` (a preflight), and shows an answer to the page only where the
//! answer names the page's origin. No answer ever allows cookies: keys come in a header that the
//! page itself sets.

use super::body::Body;
use super::endpoint::endpoint;
use super::front::Front;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

/// The headers of answers that pages may read.
const EXPOSED: &str = "x-request-id, x-trace-id, request-id, retry-after, x-should-retry, \
    idempotent-replayed, \
    x-tidegate-version-set, x-tidegate-arm, x-tidegate-status, x-tidegate-fallback, \
    x-tidegate-repaired, x-tidegate-degraded, x-tidegate-cache, x-tidegate-warning, \
    x-ratelimit-limit-requests, \
    x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
    x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";
/// How long a browser may remember the answer to a preflight, s: two hours is what Chrome takes.
const MAX_AGE: &str = "7200";
/// What the answer to a preflight depends on.
const VARY: &str = "origin, access-control-request-method, access-control-request-headers";

/// What a page's origin is allowed.
pub(super) struct Allowed {
    /// The page's origin.
    pub(super) page: HeaderValue,
    /// The value of `Access-Control-Allow-Origin`.
    origin: HeaderValue,
}

/// What the origin of a request is allowed; `None` where there is none, or no service lists it.
/// Before a request is read it is not known which service it is for: those that do not list the
/// origin are left out when the caller is let in.
pub(super) fn allowed(front: &Front, headers: &HeaderMap) -> Option<Allowed> {
    let page = headers.get(header::ORIGIN)?;
    front.services().find(|gateway| gateway.lists(page))?;
    let is_any = front.origins().any(|listed| listed == "*");
    let origin = if is_any { HeaderValue::from_static("*") } else { page.clone() };
    Some(Allowed { page: page.clone(), origin })
}

/// The answer to a preflight of a page that may call; `None` for another request, and where the
/// path or the method is none of ours.
pub(super) fn preflight(page: Option<&Allowed>, head: &Parts) -> Option<Response<Body>> {
    let page = page.filter(|_| head.method == Method::OPTIONS)?;
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let asked = Method::from_bytes(asked.as_bytes()).ok()?;
    let methods = endpoint(&asked, head.uri.path()).ok()?.methods();
    let mut response = Response::new(Body::full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page.origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    // `*` would not mean `authorization`.
    if let Some(asked) = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    Some(response)
}

/// Says on an answer which page may read it. Where any page may, the answer depends on none.
pub(super) fn put(front: &Front, page: Option<&Allowed>, headers: &mut HeaderMap) {
    if let Some(Allowed { page: _, origin }) = page {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let exposed = HeaderValue::from_static(EXPOSED);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    let mut listed = front.origins().peekable();
    if listed.peek().is_some() && listed.all(|listed| listed != "*") {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}
