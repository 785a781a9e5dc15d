//! One connection's bytes: deadlines that hyper does not keep, and a look at the raw head.
//!
//! hyper 1.12 has a deadline for the head only, none for a write that stalls; it drops
//! `Content-Length` without a word when `Transfer-Encoding` is there too, and a second one of the
//! same number; and it does not see a client leave that sent more than its request.
//! So the socket is wrapped: the wrapper keeps time, the head's bytes, and what comes early.

use super::bounds::{Bounds, LINGER, LINGER_IDLE, LINGER_MAX, SEND_AHEAD};
use super::halves::{self, Reads, Writes};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

/// Most that is read while a request runs, bytes: of the next one, or of nothing that is one.
const EARLY_MAX: usize = 64 * 1024;
/// What a client of HTTP/2 sends first; no request of HTTP/1.1 begins like it.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection waits for, shared by its socket and its requests.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<Waits>>);

struct Waits {
    read: Reads,
    /// What came while a request ran and hyper did not read.
    early: Vec<u8>,
    /// Until when the next byte of a head must come; `None` while a request runs.
    deadline: Option<Instant>,
    /// Whether the head's first byte is here, which fixes the deadline.
    begun: bool,
    /// What hyper was given from the beginning of the next head on.
    head: Vec<u8>,
    /// How much of the running request's body is still to come before the next head;
    /// [`u64::MAX`] where its chunks say.
    body_left: u64,
    /// Whether the running request is here to its end.
    is_asked: bool,
    /// Bytes of the answer that were given to hyper and are not all with the system yet.
    ahead: usize,
    /// Who wants to give more of it.
    sender: Option<Waker>,
    bounds: Bounds,
}

impl Watch {
    fn new(read: Reads, bounds: Bounds) -> Watch {
        Watch(Arc::new(Mutex::new(Waits {
            read,
            early: Vec::new(),
            deadline: Some(Instant::now() + bounds.first_byte),
            begun: false,
            head: Vec::with_capacity(1024),
            body_left: 0,
            is_asked: false,
            ahead: 0,
            sender: None,
            bounds,
        })))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper has parsed a head whose body has so many bytes, `None` for chunks: the clock stops.
    /// Gives the head as it came; empty where its beginning came together with chunks before it.
    pub(super) fn head_done(&self, body: Option<u64>) -> Vec<u8> {
        let mut waits = self.waits();
        waits.deadline = None;
        let mut head = std::mem::take(&mut waits.head);
        let (end, Some(body)) = (head_end(&head), body) else {
            waits.body_left = u64::MAX;
            head.truncate(head_end(&head).unwrap_or(0));
            return head;
        };
        let Some(end) = end else {
            waits.body_left = u64::MAX;
            return Vec::new();
        };
        let here = usize::try_from(body).unwrap_or(usize::MAX).min(head.len() - end);
        waits.body_left = body - here as u64;
        waits.head.extend_from_slice(&head[end + here..]);
        head.truncate(end);
        head
    }

    /// The request's body is read to its end: what comes from now on is the next head.
    pub(super) fn body_done(&self) {
        let mut waits = self.waits();
        waits.is_asked = true;
        if waits.body_left == u64::MAX {
            waits.body_left = 0;
        }
    }

    /// The answer is sent: the next head is awaited.
    fn answered(&self) {
        let mut waits = self.waits();
        (waits.begun, waits.is_asked) = (false, false);
        waits.deadline = Some(Instant::now() + waits.pause());
    }

    /// Ready while the client takes its answer: hyper would hold as much of it as of a head.
    pub(super) fn poll_flowing(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waits = self.waits();
        if waits.ahead >= SEND_AHEAD {
            waits.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// So many bytes of the answer are hyper's now.
    pub(super) fn gave(&self, bytes: usize) {
        let mut waits = self.waits();
        waits.ahead = waits.ahead.saturating_add(bytes);
    }

    /// Whatever hyper had is with the system.
    fn flushed(&self) {
        let mut waits = self.waits();
        waits.ahead = 0;
        if let Some(sender) = waits.sender.take() {
            sender.wake();
        }
    }

    /// A guard for the time a request runs.
    pub(super) fn in_work(&self) -> InWork {
        InWork(self.clone())
    }

    /// Ready once the client has left while its request runs. hyper sees that by itself only where
    /// nothing came after the request.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waits = self.waits();
        if waits.deadline.is_some() || !waits.is_asked {
            return Poll::Pending;
        }
        let Waits { read, early, .. } = &mut *waits;
        while early.len() < EARLY_MAX {
            let mut bytes = [0; 1024];
            let mut bytes = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut *read).poll_read(cx, &mut bytes));
            if read.is_err() || bytes.filled().is_empty() {
                return Poll::Ready(());
            }
            early.extend_from_slice(bytes.filled());
            // hyper may be waiting for it.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Where a head ends: behind its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut is_begun = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let is_empty = line == b"\r\n" || line == b"\n";
        if is_empty && is_begun {
            return Some(at);
        }
        // Empty lines before a request are nothing.
        is_begun |= !is_empty;
    }
    None
}

/// A request runs until this is dropped.
pub(super) struct InWork(Watch);

impl InWork {
    /// The connection it runs on.
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl Waits {
    /// How long the next request may take to begin. Where there is none to come, hyper closes the
    /// connection, and the short wait is for the close.
    fn pause(&self) -> Duration {
        self.bounds.idle.unwrap_or(self.bounds.first_byte)
    }

    fn saw(&mut self, bytes: &[u8]) {
        if self.deadline.is_some() && !self.begun && !bytes.is_empty() {
            self.begun = true;
            self.deadline = Some(Instant::now() + self.bounds.head);
        }
        let body = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(bytes.len());
        if self.body_left < u64::MAX {
            self.body_left -= body as u64;
        }
        // hyper looks at its bound after a read, and may read as much again at a time.
        let room = (2 * self.bounds.head_max).saturating_sub(self.head.len());
        let bytes = &bytes[body..];
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.read).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..count]);
        self.early.drain(..count);
        Poll::Ready(Ok(()))
    }
}

/// How HTTP/2 is found where TLS does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    /// So many bytes came, and all are the preface's; hyper has seen none.
    Open(usize),
    /// Another one, or only HTTP/1.1 is spoken.
    Http1,
    /// The preface. It waits with what came after it.
    Http2,
}

/// A socket with deadlines.
pub(super) struct Socket {
    write: Writes,
    watch: Watch,
    greeting: Greeting,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    write_stall: Duration,
}

impl Socket {
    /// Wraps a fresh connection; the first byte's deadline runs from here.
    pub(super) fn new(stream: TcpStream, bounds: Bounds) -> Socket {
        let greeting = if bounds.streams > 0 { Greeting::Open(0) } else { Greeting::Http1 };
        Socket { greeting, ..Socket::of(halves::plain(stream), bounds) }
    }

    /// The same behind TLS, where the handshake says what is spoken.
    pub(super) fn over_tls(stream: TlsStream<TcpStream>, bounds: Bounds) -> Socket {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2") && bounds.streams > 0;
        let greeting = if is_http2 { Greeting::Http2 } else { Greeting::Http1 };
        Socket { greeting, ..Socket::of(halves::tls(stream), bounds) }
    }

    fn of((read, write): (Reads, Writes), bounds: Bounds) -> Socket {
        let write_stall = bounds.write_stall;
        let watch = Watch::new(read, bounds);
        let greeting = Greeting::Http1;
        Socket { write, watch, greeting, read_timer: None, write_timer: None, write_stall }
    }

    /// Whether the client speaks HTTP/2: said by TLS, or by the preface that is here.
    pub(super) fn is_http2(&self) -> bool {
        self.greeting == Greeting::Http2
    }

    /// Reads the first bytes of a connection, of which hyper gets none before it is clear that they
    /// are not the preface. They are read once: what is no preface is where hyper reads it.
    fn poll_greeting(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut matched: usize,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        let mut waits = self.watch.waits();
        loop {
            let polled = Pin::new(&mut waits.read).poll_read(cx, buf);
            let Poll::Ready(result) = polled else {
                drop(waits);
                self.greeting = Greeting::Open(matched);
                return match self.late(cx) {
                    true => Poll::Ready(Err(timed_out("no request came in time"))),
                    false => Poll::Pending,
                };
            };
            let came = &buf.filled()[start..];
            let same = came.len().min(PREFACE.len() - matched);
            let is_preface = came[..same] == PREFACE[matched..matched + same];
            if result.is_ok() && is_preface && !came.is_empty() {
                matched += same;
                if matched < PREFACE.len() {
                    buf.set_filled(start);
                    continue;
                }
                waits.early = [PREFACE, &came[same..]].concat();
                self.greeting = Greeting::Http2;
                // It ends the reading of HTTP/1.1, which has answered nothing.
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            }
            self.greeting = Greeting::Http1;
            if matched > 0 {
                waits.early = [&PREFACE[..matched], came].concat();
                buf.set_filled(start);
                drop(waits);
                return Pin::new(self).poll_read(cx, buf);
            }
            waits.saw(&buf.filled()[start..]);
            return Poll::Ready(result);
        }
    }

    /// The next bytes as they come, without the deadlines of HTTP/1.1.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.watch.waits().poll_read(cx, buf)
    }

    /// What the connection's requests see of it.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Says goodbye and reads on for a moment: closing a socket with unread bytes resets it, and
    /// the reset can overtake the answer (a 413, say) on its way to the client.
    pub(super) async fn close(mut self) {
        if self.write.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut waste = vec![0; 64 * 1024];
            let mut seen = 0;
            while let Ok(Ok(read @ 1..)) = timeout(LINGER_IDLE, self.read(&mut waste)).await {
                seen += read;
                if seen > LINGER_MAX {
                    break;
                }
            }
        };
        // Either way the socket is closed now.
        let _ = timeout(LINGER, drain).await;
    }

    /// Whether the deadline of a head is over. While a request runs there is none, and the timer
    /// goes on: the answer may end without hyper reading again, and then the timer is what looks.
    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let waits = self.watch.waits();
            let (deadline, pause) = (waits.deadline, waits.pause());
            drop(waits);
            let now = Instant::now();
            if deadline.is_some_and(|at| at <= now) {
                return true;
            }
            let look_at = deadline.unwrap_or(now + pause);
            let timer = self.read_timer.get_or_insert_with(|| Box::pin(sleep_until(look_at)));
            // Looking early costs less than setting it for each request.
            if timer.is_elapsed() || timer.deadline() > look_at {
                timer.as_mut().reset(look_at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }

    fn stalled<T>(&mut self, cx: &mut Context<'_>, poll: Poll<T>) -> Poll<io::Result<T>> {
        if let Poll::Ready(value) = poll {
            self.write_timer = None;
            return Poll::Ready(Ok(value));
        }
        let deadline = Instant::now() + self.write_stall;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("the client does not read its answer"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Greeting::Open(matched) = self.greeting {
            return self.poll_greeting(cx, buf, matched);
        }
        let before = buf.filled().len();
        let mut waits = self.watch.waits();
        if let Poll::Ready(result) = waits.poll_read(cx, buf) {
            waits.saw(&buf.filled()[before..]);
            // A dribble of bytes is always ready; the deadline holds for it too.
            let late = waits.begun && waits.deadline.is_some_and(|at| at <= Instant::now());
            return Poll::Ready(match late {
                true => Err(timed_out("the request's head took too long")),
                false => result,
            });
        }
        drop(waits);
        match self.late(cx) {
            true => Poll::Ready(Err(timed_out("no request came in time"))),
            false => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.write).poll_write(cx, buf);
        self.stalled(cx, poll).map(|result| result.and_then(|inner| inner))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.write).poll_write_vectored(cx, bufs);
        self.stalled(cx, poll).map(|result| result.and_then(|inner| inner))
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper asks for this once it has nothing left to write.
        let flushed = ready!(Pin::new(&mut self.write).poll_flush(cx));
        self.watch.flushed();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        let head = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";
        assert_eq!(head_end(head), Some(head.len()));
        let early = [b"\r\n\r\n", &head[..], b"GET"].concat();
        assert_eq!(head_end(&early), Some(head.len() + 4));
        assert_eq!(head_end(b"GET / HTTP/1.1\nhost: t\n\nbody"), Some(24));
        for short in [&head[..head.len() - 1], b"", b"\r\n\r\n", b"GET /\r\n"] {
            assert_eq!(head_end(short), None);
        }
    }
}
