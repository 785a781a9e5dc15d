//! What bounds a server's connections.

use std::time::Duration;

/// How long a closing connection is read on, so that the answer is not lost to a reset. Most
/// clients send their whole body before they look for an answer.
pub(super) const LINGER: Duration = Duration::from_secs(10);
/// Longest silence of the client in that time.
pub(super) const LINGER_IDLE: Duration = Duration::from_secs(1);
/// Most that is read in that time, bytes.
pub(super) const LINGER_MAX: usize = 128 * 1024 * 1024;
/// Connections over the cap that are answered at a time; more are closed without a word.
pub(super) const REFUSALS_MAX: usize = 64;
/// How long answers that are cut at the end of the service may take to say so.
pub(super) const CUT: Duration = Duration::from_secs(1);
/// Rest after a connection could not be accepted: out of file descriptors, the loop would spin.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(10);
/// How often that is said in the log, at most.
pub(super) const ACCEPT_SAID: Duration = Duration::from_secs(1);

/// Bounds on the connections of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time; more are answered 503. Each idle one costs about 20 KiB.
    pub(crate) max_connections: usize,
    /// Requests at a time on a connection of HTTP/2; 0 where only HTTP/1.1 is spoken.
    pub(crate) streams: u32,
    /// Longest request line and headers, bytes; hyper answers 431 to a longer one. At least 8 KiB.
    pub(crate) head_max: usize,
    /// From accepting a connection until its first byte.
    pub(crate) first_byte: Duration,
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// Between two requests; `None` where a connection is for one request.
    pub(crate) idle: Option<Duration>,
    /// For a request's whole body.
    pub(crate) body_total: Duration,
    /// Between two pieces of a request's body.
    pub(crate) body_idle: Duration,
    /// How long a body may come at any rate.
    pub(crate) body_grace: Duration,
    /// After that, how many bytes a second it must have come at, on average. Slow uploads would
    /// hold connections and memory as long as they like.
    pub(crate) body_rate: u32,
    /// Without the client taking a byte of its answer.
    pub(crate) write_stall: Duration,
    /// For all of a connection; [`Duration::MAX`] where answers may be streams.
    pub(crate) connection: Duration,
    /// After the order to stop, how long new requests are still taken: load balancers need a
    /// moment to look away (Kubernetes sends both at once).
    pub(crate) stop_notice: Duration,
    /// After that, how long requests in flight may take.
    pub(crate) drain: Duration,
}

/// Send buffer of a connection, bytes; Linux doubles it. Left alone it grows to 4 MB, all of it of
/// one reader that stalls; this is a second of the fastest stream there is, many times over.
pub(super) const SEND_BUFFER: u32 = 32 * 1024;
/// How much of that the system takes beyond what the client's window has room for, bytes.
#[cfg(target_os = "linux")]
pub(super) const SEND_UNSENT: u32 = 16 * 1024;
/// From how many bytes on, that the system has not taken yet, no more of an answer is made.
pub(super) const SEND_AHEAD: usize = 8 * 1024;
/// Connections that may wait to be taken, as in Tokio.
pub(super) const BACKLOG: u32 = 1024;
/// How much a client of HTTP/2 may send ahead of what is read, bytes: for all requests together,
/// and for one alone. A body that is read at once comes at so much a round trip.
pub(super) const AHEAD_WINDOW: u32 = 256 * 1024;
/// Most of an answer that is given to HTTP/2 at a time, bytes: one frame. What it has, it holds
/// until the client takes it, even where the answer has ended.
pub(super) const SEND_PIECE: usize = 16 * 1024;
