//! Every bound of the data plane that is not in `limits` of the project, and how it was reached.

use crate::http::Bounds;
use std::time::Duration;

/// Most that is held of request bodies above [`BODY_FREE`] at a time, in KiB: 256 MiB.
pub(super) const BODY_BUDGET_KIB: usize = 256 * 1024;
/// Bodies up to here, bytes, need no share of the budget.
pub(super) const BODY_FREE: u64 = 64 * 1024;
/// Most bytes of a stream that are sent in one piece when several are waiting.
pub(super) const STREAM_PIECE: usize = 16 * 1024;
/// Longest `Idempotency-Key`, characters; as at Stripe.
pub(super) const REPEAT_KEY_MAX: usize = 255;
/// How long an answer is given again under its key: clients that try again do so within minutes.
pub(super) const REPEATS_KEPT: Duration = Duration::from_secs(600);
/// Most answers that are kept for that, of one service.
pub(super) const REPEATS_MAX: usize = 1_000;
/// Most bytes of them; the oldest go first.
pub(super) const REPEATS_BYTES: usize = 64 << 20;
/// Most bytes of a stream that wait until it is known which tool they call. Names have 64
/// characters, so this is only reached by a server that goes on without naming one.
pub(super) const HELD_MAX: usize = 64 * 1024;
/// How long a request waits for its admission to be on disk, where its tenant is audited: far
/// beyond a commit on a disk that works (1 to 50 ms), and short for a client that asks elsewhere
/// then.
pub(super) const ADMITTED_WITHIN: Duration = Duration::from_secs(1);
/// How often a request is admitted, because the route table changed while it waited.
pub(super) const PLACED_MAX: usize = 3;
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
/// Bounds on connections. Idle ones are kept longer than common clients keep them (60 s).
pub(super) const CONNECTIONS: Bounds = Bounds {
    max_connections: 8_192,
    // The least that RFC 9113 recommends, and what clients expect.
    streams: 100,
    // Agents send long paths and cookies, not longer ones.
    head_max: 64 * 1024,
    first_byte: Duration::from_secs(10),
    head: Duration::from_secs(10),
    idle: Some(Duration::from_secs(75)),
    body_total: Duration::from_secs(60),
    body_idle: Duration::from_secs(10),
    body_grace: Duration::from_secs(5),
    body_rate: 1024,
    write_stall: Duration::from_secs(60),
    connection: Duration::MAX,
    stop_notice: Duration::ZERO,
    drain: Duration::from_secs(30),
};
