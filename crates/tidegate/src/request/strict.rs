//! Headers that hyper lets through and that two servers in a row may read differently. Each is
//! refused with 400 before anything else is looked at.

use super::code::Code;
use super::problem::{Next, Problem};
use http::request::Parts;
use http::{HeaderMap, Version, header};

/// Checks a request's head; `raw` is the head as it came over the wire.
pub(super) fn check(parts: &Parts, raw: &[u8]) -> Result<(), Problem> {
    let refused = match parts.version {
        Version::HTTP_2 => in_http2(parts),
        _ => framing(parts, raw),
    };
    match refused.or_else(|| in_headers(parts.version, &parts.headers)) {
        Some(message) => Err(Problem::bad_request(Code::BadHeaders, message).next(Next::Close)),
        None => Ok(()),
    }
}

fn in_headers(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let count = |name| headers.get_all(name).iter().count();
    if count(header::HOST) > 1 {
        return Some("more than one `Host` header was given; one is allowed");
    }
    match headers.get(header::HOST) {
        None if version == Version::HTTP_11 => {
            return Some("no `Host` header was given; HTTP/1.1 needs one");
        }
        Some(host) if !is_host(host.as_bytes()) => {
            return Some("the `Host` header is not a name or an address, with or without a port");
        }
        Some(_) | None => {}
    }
    if count(header::AUTHORIZATION) > 1 {
        return Some("more than one `Authorization` header was given; one is allowed");
    }
    if headers.get(header::AUTHORIZATION).is_some_and(|value| !value.as_bytes().is_ascii()) {
        return Some("the `Authorization` header is not ASCII");
    }
    let encodings = headers.get_all(header::TRANSFER_ENCODING);
    let mut encodings = encodings.iter().map(http::HeaderValue::as_bytes);
    if encodings.any(|encoding| !encoding.trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Some("a `Transfer-Encoding` other than `chunked` was given");
    }
    None
}

/// What HTTP/2 says twice where HTTP/1.1 does once, or says apart.
fn in_http2(parts: &Parts) -> Option<&'static str> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = parts.headers.get(header::HOST);
    match (authority, host) {
        (None, None) => return Some("neither `:authority` nor a `Host` header was given"),
        (Some(authority), _) if !is_host(authority.as_bytes()) => {
            return Some("`:authority` is not a name or an address, with or without a port");
        }
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            return Some("`:authority` and the `Host` header name different hosts");
        }
        (_, _) => {}
    }
    let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter().count();
    (lengths > 1).then_some("more than one `Content-Length` header was given; one is allowed")
}

/// Whether it is `name`, `1.2.3.4` or `[::1]`, with or without a port.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if !host.ends_with(b"]") => (&host[..at], &host[at + 1..]),
        _ => (host, &b""[..]),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let is_address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
    let is_named = match name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")) {
        Some(address) => !address.is_empty() && address.iter().all(is_address),
        None => !name.is_empty() && !name.starts_with(b".") && name.iter().all(is_name),
    };
    is_named && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// How the body's length is said. hyper hides a length when there is an encoding, and a second
/// length of the same number, so the raw head is read.
fn framing(parts: &Parts, raw: &[u8]) -> Option<&'static str> {
    let method = parts.method.as_str().as_bytes();
    let raw = raw.trim_ascii_start();
    let lines = raw.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let head: Vec<&[u8]> = lines.take_while(|line| !line.is_empty()).skip(1).collect();
    let count = |name: &[u8]| {
        let named = |line: &&&[u8]| {
            let found = line.split(|b| *b == b':').next().unwrap_or_default();
            found.trim_ascii().eq_ignore_ascii_case(name)
        };
        head.iter().filter(named).count()
    };
    match (count(b"content-length"), count(b"transfer-encoding")) {
        (1.., 1..) => {
            return Some(
                "both `Content-Length` and `Transfer-Encoding` were given; one is allowed",
            );
        }
        (2.., 0) => return Some("more than one `Content-Length` header was given; one is allowed"),
        (0, 2..) => return Some("more than one `Transfer-Encoding` header was given"),
        (_, _) => {}
    }
    // What was kept may be the end of a head that only looks like the beginning of one; then it
    // has other lines than hyper read. What is not seen is not let through.
    let is_whole = raw.starts_with(method)
        && raw.get(method.len()) == Some(&b' ')
        && head.len() == parts.headers.len();
    let has_chunks = parts.headers.contains_key(header::TRANSFER_ENCODING);
    (has_chunks && !is_whole)
        .then_some("`Transfer-Encoding` in a request that is pipelined after chunks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["t", "localhost:8080", "1.2.3.4:80", "[::1]", "[::1]:80", "a-b.example", "a:"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        let odd = [
            "", ":80", "a b", "a/b", "a@b", "a:b", "a:80:80", "[::1", "::1", "[]", "[x]", "a,b",
            ".a", "a:123456", "ä", "a%00", "a?b", "a#b",
        ];
        for host in odd {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
