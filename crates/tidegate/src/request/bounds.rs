//! Every bound of the data plane that is not in `limits` of the project, and how it was reached.

use std::time::Duration;

/// Longest request line and headers, bytes; agents send long paths and cookies, not longer ones.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// Most that is held of request bodies above [`BODY_FREE`] at a time, in KiB: 256 MiB.
pub(super) const BODY_BUDGET_KIB: usize = 256 * 1024;
/// Bodies up to here, bytes, need no share of the budget.
pub(super) const BODY_FREE: u64 = 64 * 1024;
/// Most bytes of a stream that are sent in one piece when several are waiting.
pub(super) const STREAM_PIECE: usize = 16 * 1024;
/// Most of an input or output that a record keeps, characters; the lengths are always exact.
pub(super) const RECORD_TEXT_MAX: usize = 64 * 1024;
/// Longest wait before a retry.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// First wait before a retry; it doubles.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Retries that may be taken at once, in thousandths, before the share below limits them.
pub(super) const RETRY_RESERVE_MILLI: i64 = 10_000;
/// What each request adds to the reserve: one retry for ten requests (Google SRE, "Handling
/// overload"), so that retries never multiply an outage.
pub(super) const RETRY_SHARE_MILLI: i64 = 100;
/// How long a closing connection is read on, so that the answer is not lost to a reset.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Most that is read while lingering, bytes.
pub(super) const LINGER_MAX: usize = 4 * 1024 * 1024;
/// Connections over the cap that are told so at a time; more are closed without a word.
pub(super) const REFUSALS_MAX: usize = 64;

/// Bounds on connections; the defaults are for production, tests make them small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time; more are answered 503. Each idle one costs about 20 KiB.
    pub(crate) max_connections: usize,
    /// From accepting a connection until its first byte.
    pub(crate) first_byte: Duration,
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// Between two requests; longer than common clients keep an idle connection (60 s).
    pub(crate) idle: Duration,
    /// For a request's whole body.
    pub(crate) body_total: Duration,
    /// Between two pieces of a request's body.
    pub(crate) body_idle: Duration,
    /// Without the client taking a byte of its answer.
    pub(crate) write_stall: Duration,
    /// After the order to stop, how long new requests are still taken while `/readyz` says no:
    /// load balancers need a moment to look away (Kubernetes sends both at once).
    pub(crate) stop_notice: Duration,
    /// After that, how long requests in flight may take.
    pub(crate) drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            max_connections: 8_192,
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_total: Duration::from_secs(60),
            body_idle: Duration::from_secs(10),
            write_stall: Duration::from_secs(60),
            stop_notice: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
