//! Headers that hyper lets through and that two servers in a row may read differently (E2). Each is
//! refused with 400 before anything else is looked at.

use super::code::Code;
use super::problem::{Next, Problem};
use http::request::Parts;
use http::{HeaderMap, Version, header};

/// Checks a request's head; `raw` is the head as it came over the wire.
pub(super) fn check(parts: &Parts, raw: &[u8]) -> Result<(), Problem> {
    let problem = if parts.headers.contains_key(header::TRANSFER_ENCODING) {
        length_and_encoding(parts, raw)
    } else {
        None
    };
    match problem.or_else(|| in_headers(parts.version, &parts.headers)) {
        Some(message) => Err(Problem::bad_request(Code::BadHeaders, message).next(Next::Close)),
        None => Ok(()),
    }
}

fn in_headers(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let count = |name| headers.get_all(name).iter().count();
    if count(header::HOST) > 1 {
        return Some("more than one `Host` header was given; one is allowed");
    }
    if version == Version::HTTP_11 && count(header::HOST) == 0 {
        return Some("no `Host` header was given; HTTP/1.1 needs one");
    }
    if count(header::AUTHORIZATION) > 1 {
        return Some("more than one `Authorization` header was given; one is allowed");
    }
    if headers.get(header::AUTHORIZATION).is_some_and(|value| !value.as_bytes().is_ascii()) {
        return Some("the `Authorization` header is not ASCII");
    }
    if count(header::CONTENT_LENGTH) > 1 {
        return Some("more than one `Content-Length` header was given; one is allowed");
    }
    None
}

/// hyper hides the length when there is an encoding, so the raw head is read. A head that was not
/// seen whole came in one read with the request before it; what is not seen is not let through.
fn length_and_encoding(parts: &Parts, raw: &[u8]) -> Option<&'static str> {
    let method = parts.method.as_str().as_bytes();
    let whole = raw.starts_with(method) && raw.get(method.len()) == Some(&b' ');
    let lines = raw.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let head: Vec<&[u8]> = lines.take_while(|line| !line.is_empty()).skip(1).collect();
    let has_length = head.iter().any(|line| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    });
    // What was kept may be the end of a head that only looks like the beginning of one; then it
    // has other lines than hyper read.
    if !whole || (!has_length && head.len() != parts.headers.len()) {
        return Some("`Transfer-Encoding` in a pipelined request is not supported");
    }
    has_length.then_some("both `Content-Length` and `Transfer-Encoding` were given; one is allowed")
}
