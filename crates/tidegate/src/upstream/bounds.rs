//! The bounds of this stage, each with how the number was reached.

use std::time::Duration;

/// Largest whole answer, bytes. The longest answers of today's models are about 128 k tokens, below
/// 1 MiB of text; logprobs make that up to thirty times as much.
pub(super) const BODY_MAX: usize = 32 * 1024 * 1024;
/// Whole answers up to here, bytes, are read where they came; larger ones would hold up others.
pub(crate) const BODY_SMALL: usize = 64 * 1024;
/// How much of an error answer is read to find its code, bytes. Envelopes are below 2 KiB.
pub(super) const ERROR_BODY_MAX: usize = 64 * 1024;
/// How long the body of an error answer is waited for: the status already says most.
pub(super) const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);
/// Pieces that wait for a slow reader, and their bytes. With usual chunks (300 bytes) that is next
/// to nothing; a larger event waits alone.
pub(super) const PIECES: usize = 8;
/// As above; what a piece says is held beside its bytes.
pub(super) const PIECES_BYTES: u32 = 4 * 1024;
/// How much of what was read is split into events at a time, bytes.
pub(super) const SPLIT_BYTES: usize = 4 * 1024;
/// Receive buffer of a connection, bytes; Linux doubles it. Without it, the system takes up to 6 MB
/// of an answer that nobody reads.
pub(super) const RECEIVE_BUFFER: usize = 64 * 1024;
/// Read buffer of a connection, bytes; it also bounds the answer's headers.
pub(super) const READ_BUFFER_MAX: usize = 32 * 1024;
/// From when on a reader that takes nothing is said to stall; shorter waits are those of a busy
/// machine.
pub(super) const READER_STALL: Duration = Duration::from_secs(1);
/// Longest `Retry-After` that is kept to and passed on: five minutes. A client that was sent away
/// for longer would not notice that the limit was raised, or that a release changed the model.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// For making a connection (U2).
pub(super) const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// For looking up a name; a system that knows that there is none says so at once.
pub(super) const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// How long a name's addresses are used without looking it up again.
pub(super) const LOOKUP_KEPT: Duration = Duration::from_secs(5);
/// Threads that look names up, of all upstreams together: a resolver that never answers takes no
/// more. Lookups of one name are one.
pub(super) const LOOKUP_THREADS: usize = 4;
/// Names whose addresses are remembered, or are waited for.
pub(super) const LOOKUP_NAMES: usize = 256;
/// How long an idle connection is kept. Uvicorn (vLLM) and cpp-httplib (llama.cpp) close theirs
/// after 5 s, and a request sent into a closing connection is lost.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept for one upstream: as many as requests may run at a time by default.
pub(super) const POOL_MAX: usize = 1024;
/// Requests at a time on one connection of HTTP/2. Fewer than servers allow (nginx 128, Envoy 100),
/// so that none waits for another's end, and little enough to lose with one connection.
pub(super) const STREAMS_MAX: usize = 64;
/// Connections of HTTP/2 that a worker has before they take more than that.
pub(super) const LANES: usize = 8;
/// How much a server may send ahead on one stream, bytes. A connection has as much for each of its
/// streams: a reader that stalls holds up no other.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
/// How long nothing may come on a connection with requests before it is asked whether it lives.
pub(super) const PING_AFTER: Duration = Duration::from_secs(2);
/// How long a stream is read on after `[DONE]`, so that its connection can be used again.
pub(super) const DRAIN_WAIT: Duration = Duration::from_millis(200);
/// For the answer to a health check.
pub(super) const CHECK_WAIT: Duration = Duration::from_secs(2);
/// Longest line of a replay file, bytes; a longer one is a mistake in the file.
pub(super) const REPLAY_LINE_MAX: usize = 4 * 1024 * 1024;
