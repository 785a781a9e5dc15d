//! The ids of a request: given by the client where they are sane, else made here.

use http::HeaderMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_core::ids::{TraceId, hex};
use tidegate_core::text::redact;

/// The ids of one request.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    /// `x-trace-id`.
    pub(super) trace: TraceId,
    /// `x-request-id`; the same characters are allowed as in a trace id.
    pub(super) request: TraceId,
    /// Whether the request id was made here, and so says nothing of anybody.
    pub(super) made_request: bool,
    /// W3C trace context to record and pass on.
    pub(super) traceparent: Option<String>,
}

/// The request's id as it is kept; a client may have put a name or a number into it.
pub(super) fn kept_request_id(ids: &Ids) -> String {
    let id = ids.request.as_str();
    if ids.made_request { id.to_owned() } else { redact(id) }
}

/// Makes ids that do not repeat and cannot be guessed from one another: a counter through two
/// hashes whose keys the operating system gave at random. They are names, not secrets.
pub(super) struct IdMaker {
    keys: (RandomState, RandomState),
    next: AtomicU64,
}

impl IdMaker {
    /// With fresh random keys.
    pub(super) fn new() -> IdMaker {
        IdMaker { keys: (RandomState::new(), RandomState::new()), next: AtomicU64::new(0) }
    }

    fn bits(&self) -> (u64, u64) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (self.keys.0.hash_one(n), self.keys.1.hash_one(n))
    }

    fn made(&self) -> TraceId {
        let (high, low) = self.bits();
        match TraceId::parse(&hex(&[high.to_be_bytes(), low.to_be_bytes()].concat())) {
            Ok(id) => id,
            Err(_) => unreachable!("32 hex digits are always a trace id"),
        }
    }

    /// The ids of a request with these headers. A trace id is taken from `x-trace-id`, else from
    /// `traceparent`, else made; one that is not allowed is as good as none.
    pub(super) fn of(&self, headers: &HeaderMap) -> Ids {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = |name: &str| text(name).and_then(|t| TraceId::parse(t).ok());
        let given = text("traceparent").filter(|t| is_traceparent(t));
        let trace = id("x-trace-id")
            .or_else(|| given.and_then(|t| TraceId::parse(&t[3..35]).ok()))
            .unwrap_or_else(|| self.made());
        let traceparent = match given {
            Some(given) => Some(given.to_owned()),
            None if is_hex(trace.as_str(), 32) => {
                // A span id of zeros is not valid in W3C trace context.
                let span = hex(&(self.bits().0 | 1).to_be_bytes());
                Some(["00-", trace.as_str(), "-", &span, "-01"].concat())
            }
            None => None,
        };
        let request = id("x-request-id");
        let made_request = request.is_none();
        let request = request.unwrap_or_else(|| self.made());
        Ids { trace, request, made_request, traceparent }
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && text.bytes().any(|b| b != b'0')
}

/// Whether this is a W3C `traceparent` of version 00: the only one whose length is fixed.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (part(), part(), part(), part());
    text.len() == 55
        && version == "00"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && flags.len() == 2
        && flags.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(pairs: &[(&'static str, &str)]) -> Ids {
        let headers = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().unwrap())
        });
        IdMaker::new().of(&headers.collect())
    }

    #[test]
    fn a_free_form_trace_id_is_used() {
        let ids = of(&[("x-trace-id", "canary-test-001"), ("x-request-id", "r.1")]);
        assert_eq!((ids.trace.as_str(), ids.request.as_str()), ("canary-test-001", "r.1"));
        assert_eq!(ids.traceparent, None);
    }

    #[test]
    fn what_is_not_allowed_is_replaced() {
        let long = "x".repeat(129);
        for bad in ["a b", "<script>", "追踪", "", long.as_str()] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-trace-id"),
                http::HeaderValue::from_bytes(bad.as_bytes()).unwrap(),
            )]);
            let ids = IdMaker::new().of(&headers);
            assert!(is_hex(ids.trace.as_str(), 32), "{bad:?} gave {}", ids.trace);
        }
    }

    #[test]
    fn traceparent_maps_both_ways() {
        let ids = of(&[("traceparent", PARENT)]);
        assert_eq!(ids.trace.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(ids.traceparent.as_deref(), Some(PARENT));
        let ids = of(&[("x-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")]);
        assert!(is_traceparent(ids.traceparent.as_deref().unwrap()));
        let ids = of(&[("x-trace-id", "mine"), ("traceparent", PARENT)]);
        assert_eq!(ids.trace.as_str(), "mine");
    }

    #[test]
    fn traceparents_are_checked() {
        let check = |text: &str, ok| assert_eq!(is_traceparent(text), ok, "{text}");
        check(PARENT, true);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false);
        check("", false);
    }

    #[test]
    fn made_ids_do_not_repeat() {
        let maker = IdMaker::new();
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| maker.made()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
