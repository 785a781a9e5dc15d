//! The connection: where it goes, how it is made, and what went wrong with it.

use super::resolver::Resolver;
use super::reused::Marking;
use crate::config::endpoint_below;
use crate::upstream::{SetupError, bounds};
use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::upstream::Failure;

/// A pooled client. It follows no redirect.
pub(super) type HttpClient = Client<Connector, Full<Bytes>>;
pub(super) type Connector = Marking<HttpsConnector<HttpConnector<Resolver>>>;

/// Checks a base URL and joins it with a path.
pub(in crate::upstream) fn endpoint(
    name: &str,
    base_url: &str,
    path: &'static str,
) -> Result<Uri, SetupError> {
    endpoint_below(base_url, path).map_err(|problem| {
        // A URL with credentials is not repeated, nor one that may hide some behind a slip.
        let shown = if base_url.contains('@') { "…" } else { base_url }.to_owned();
        SetupError::BaseUrl { name: name.to_owned(), shown, problem }
    })
}

/// A name as one segment of a path.
pub(in crate::upstream) fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            // Writing into a text cannot fail.
            _ => drop(write!(segment, "%{byte:02X}")),
        }
    }
    segment
}

/// The header with the key that an environment variable holds, after a word.
pub(in crate::upstream) fn key(
    name: &str,
    variable: &str,
    word: &str,
) -> Result<HeaderValue, SetupError> {
    let named = || (name.to_owned(), variable.to_owned());
    let key = std::env::var(variable).ok().filter(|key| !key.trim().is_empty());
    let key = key.ok_or_else(|| {
        let (name, variable) = named();
        SetupError::KeyNotSet { name, variable }
    })?;
    let mut value = HeaderValue::from_str(&format!("{word}{}", key.trim())).map_err(|_| {
        let (name, variable) = named();
        SetupError::KeyNotAHeader { name, variable }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What makes connections; the system's certificates are only read for `https`.
pub(super) fn connector(
    name: &str,
    endpoint: &Uri,
    resolver: Resolver,
    http2: bool,
    connect_within: Duration,
) -> Result<Connector, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| SetupError::Tls { name: name.to_owned(), source })?;
    let config = if endpoint.scheme_str() == Some("https") {
        config
            .with_native_roots()
            .map_err(|source| SetupError::Certificates { name: name.to_owned(), source })?
    } else {
        config.with_root_certificates(rustls::RootCertStore::empty())
    };
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_within));
    http.set_recv_buffer_size(Some(bounds::RECEIVE_BUFFER));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1();
    Ok(Marking(match http2 {
        true => https.enable_http2().wrap_connector(http),
        false => https.wrap_connector(http),
    }))
}

/// Makes a client with its own connections, of which so many are kept for the next request.
pub(super) fn http_client(connector: Connector, kept: usize) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(bounds::POOL_IDLE)
        .pool_max_idle_per_host(kept)
        .http1_max_buf_size(bounds::READ_BUFFER_MAX)
        .timer(TokioTimer::new())
        .http2_max_header_list_size(bounds::READ_BUFFER_MAX as u32)
        .http2_initial_stream_window_size(bounds::STREAM_WINDOW)
        .http2_initial_connection_window_size(
            2 * bounds::STREAM_WINDOW * bounds::STREAMS_MAX as u32,
        )
        .http2_keep_alive_interval(bounds::PING_AFTER)
        .http2_keep_alive_timeout(bounds::CONNECT_WAIT)
        .build(connector)
}

/// What it means that no answer came. A connection that ends before the first byte counts as never
/// made, so that it is tried again: servers close idle connections just as we use them.
pub(super) fn no_answer(error: &Error) -> (Failure, String) {
    if error.is_connect() {
        let (why, is_late) = reason(error);
        // It has had its time: another try would only take that once more.
        let failure = if is_late { Failure::FirstByteTimeout } else { Failure::Unreachable };
        return (failure, format!("the upstream could not be reached: {why}"));
    }
    if is_unprocessed(error) {
        let message = "the upstream refused the request before it looked at it";
        return (Failure::Unreachable, message.to_owned());
    }
    if http2_error(error).is_some_and(h2::Error::is_reset) {
        let message = "the upstream reset the request without an answer";
        return (Failure::Unreachable, message.to_owned());
    }
    match http_error(error) {
        Some(error) if error.is_parse_too_large() => {
            (Failure::TooLarge, "the headers of the upstream's answer are too large".to_owned())
        }
        Some(error) if error.is_parse() => {
            (Failure::Malformed, "the upstream answered with something other than HTTP".to_owned())
        }
        Some(_) | None => (
            Failure::Unreachable,
            "the upstream closed the connection without an answer".to_owned(),
        ),
    }
}

/// Whether the connection was closed before anything of an answer came.
pub(super) fn is_closed(error: &Error) -> bool {
    let is_other = |error: &hyper::Error| error.is_parse();
    !error.is_connect()
        && !http_error(error).is_some_and(is_other)
        && http2_error(error).is_none_or(h2::Error::is_io)
}

/// Whether the server says that it has not looked at the request: it was refused, or came after the
/// last one that a connection takes (RFC 9113, section 8.7).
pub(super) fn is_unprocessed(error: &Error) -> bool {
    http2_error(error).is_some_and(|error| {
        let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || is_refused)
    })
}

fn http2_error(error: &Error) -> Option<&h2::Error> {
    std::error::Error::source(http_error(error)?)?.downcast_ref()
}

fn http_error(error: &Error) -> Option<&hyper::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// What is said of a name that leads where no model server is.
const REFUSED: &str = "its name resolves to an address that is link-local, multicast or a metadata \
                       service's, and is not called (`any_address`)";

/// Why a connection failed, in words of ours, and whether its time was over.
fn reason(error: &Error) -> (&'static str, bool) {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.to_string() == "dns error" {
            let why = error.source().and_then(|why| why.downcast_ref::<std::io::Error>());
            return match why.map(std::io::Error::kind) {
                Some(std::io::ErrorKind::TimedOut) => {
                    ("its name could not be looked up within 2 s", true)
                }
                Some(std::io::ErrorKind::PermissionDenied) => (REFUSED, false),
                Some(_) | None => ("its name cannot be resolved", false),
            };
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return (tls_reason(tls), false);
        }
        let io = error.downcast_ref::<std::io::Error>();
        match io.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::ConnectionRefused) => return ("connection refused", false),
            Some(std::io::ErrorKind::TimedOut) => return ("no connection within 2 s", true),
            Some(std::io::ErrorKind::ConnectionReset) => return ("connection reset", false),
            // The kinds are not ours to list; what is inside may say more.
            Some(_) | None => {}
        }
        // An I/O error's source is not the error that it wraps, but that one's source.
        source = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    ("no connection could be made", false)
}

fn tls_reason(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => "its certificate is not valid here",
        // The kinds are not ours to list.
        _ => "the TLS handshake failed",
    }
}
