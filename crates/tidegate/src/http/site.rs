//! Requests that a web page made a browser send. A page of another site may send to this machine:
//! by a name that it lets point here (DNS rebinding), or as a form (CSRF). Where nobody is asked
//! for a credential, such a request must not be answered.

use crate::config::is_this_machine;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use std::net::{IpAddr, Ipv6Addr};
use thiserror::Error;

/// What gives away that a request is another site's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Foreign {
    /// A name that is not this machine's.
    #[error(
        "the `Host` header names another host: call it by its IP address or as `localhost`, or \
         give the service credentials"
    )]
    Host,
    /// A page of another site.
    #[error(
        "the `Origin` header names another site, and the service has no credentials: a page that \
         calls it must be served from this machine, or its origin be in `cors.allow_origins`"
    )]
    Origin,
    /// A form, which browsers send without asking.
    #[error("the body's `Content-Type` is not `application/json`")]
    ContentType,
}

impl Foreign {
    /// The HTTP status that says so.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Foreign::Host => StatusCode::MISDIRECTED_REQUEST,
            Foreign::Origin => StatusCode::FORBIDDEN,
            Foreign::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Checks that a request is not another site's.
pub(crate) fn check(head: &Parts) -> Result<(), Foreign> {
    let text =
        |name| head.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(text(header::HOST));
    if host.is_some_and(|host| !matches!(place(host), Place::Address(_) | Place::Local)) {
        return Err(Foreign::Host);
    }
    if let Some(origin) = text(header::ORIGIN) {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let is_here = match place(host) {
            Place::Local => true,
            Place::Address(address) => is_this_machine(address),
            Place::Elsewhere => false,
        };
        if !is_here {
            return Err(Foreign::Origin);
        }
    }
    match text(header::CONTENT_TYPE) {
        Some(kind) if head.method == Method::POST && !is_json(kind) => Err(Foreign::ContentType),
        _ => Ok(()),
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

enum Place {
    Address(IpAddr),
    Local,
    Elsewhere,
}

/// What `host` or `host:port` names.
fn place(host: &str) -> Place {
    if let Some((address, _port)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        return address.parse::<Ipv6Addr>().map_or(Place::Elsewhere, |address| {
            Place::Address(IpAddr::from(address).to_canonical())
        });
    }
    let name = host.split(':').next().unwrap_or_default();
    match name.parse::<IpAddr>() {
        Ok(address) => Place::Address(address),
        Err(_) if name.eq_ignore_ascii_case("localhost") => Place::Local,
        Err(_) => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(headers: &[(&str, &str)], found: Result<(), Foreign>) {
        let mut request = http::Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(check(&head), found, "{headers:?}");
    }

    #[test]
    fn only_this_machine_and_its_pages_may_call() {
        for host in ["127.0.0.1:80", "localhost", "LOCALHOST:80", "[::1]:80", "10.0.0.1", "[::1]"] {
            expect(&[("host", host)], Ok(()));
        }
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io", "[x]", "a:80"]
        {
            expect(&[("host", host)], Err(Foreign::Host));
        }
        expect(&[], Ok(()));
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"] {
            expect(&[("host", "localhost"), ("origin", origin)], Ok(()));
        }
        for origin in ["https://evil.example", "null", "http://10.0.0.1", "file://", "localhost"] {
            expect(&[("host", "localhost"), ("origin", origin)], Err(Foreign::Origin));
        }
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            expect(&[("content-type", kind)], Ok(()));
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
            expect(&[("content-type", kind)], Err(Foreign::ContentType));
        }
    }
}
