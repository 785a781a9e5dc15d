//! One connection's bytes: deadlines that hyper does not keep, and a look at the raw head.
//!
//! hyper 1.12 has a deadline for the head only, none for a write that stalls, and it drops
//! `Content-Length` without a word when `Transfer-Encoding` is there too.
//! So the socket is wrapped: while a head is awaited the wrapper keeps time and keeps the bytes.

use super::bounds::{Bounds, LINGER, LINGER_MAX};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// What a connection waits for, shared by its socket and its requests.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<Waits>>);

struct Waits {
    /// Until when the next byte of a head must come; `None` while a request runs.
    deadline: Option<Instant>,
    /// Whether the head's first byte is here, which fixes the deadline.
    begun: bool,
    /// The head's bytes; `None` while what comes is body.
    head: Option<Vec<u8>>,
    bounds: Bounds,
}

impl Watch {
    fn new(bounds: Bounds) -> Watch {
        let deadline = Some(Instant::now() + bounds.first_byte);
        let head = Some(Vec::with_capacity(1024));
        Watch(Arc::new(Mutex::new(Waits { deadline, begun: false, head, bounds })))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper has parsed a head: the clock stops. Gives the head as it came; empty where it came
    /// together with the request before it.
    pub(super) fn head_done(&self) -> Vec<u8> {
        let mut waits = self.waits();
        waits.deadline = None;
        waits.head.take().unwrap_or_default()
    }

    /// The request's body is read to its end: what comes from now on is the next head.
    pub(super) fn body_done(&self) {
        self.waits().head = Some(Vec::with_capacity(1024));
    }

    /// The answer is sent: the next head is awaited.
    fn answered(&self) {
        let mut waits = self.waits();
        waits.begun = false;
        // Without a next request, hyper closes the connection; the short wait is for the close.
        let idle = waits.bounds.idle.unwrap_or(waits.bounds.first_byte);
        waits.deadline = Some(Instant::now() + idle);
    }

    /// A guard for the time a request runs.
    pub(super) fn in_work(&self) -> InWork {
        InWork(self.clone())
    }
}

/// A request runs until this is dropped.
pub(super) struct InWork(Watch);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.answered();
    }
}

impl Waits {
    fn saw(&mut self, bytes: &[u8]) {
        if self.deadline.is_some() && !self.begun && !bytes.is_empty() {
            self.begun = true;
            self.deadline = Some(Instant::now() + self.bounds.head);
        }
        if let Some(head) = &mut self.head {
            let room = self.bounds.head_max.saturating_sub(head.len());
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// A socket with deadlines.
pub(super) struct Socket {
    stream: TcpStream,
    watch: Watch,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    write_stall: Duration,
}

impl Socket {
    /// Wraps a fresh connection; the first byte's deadline runs from here.
    pub(super) fn new(stream: TcpStream, bounds: Bounds) -> Socket {
        let write_stall = bounds.write_stall;
        let watch = Watch::new(bounds);
        Socket { stream, watch, read_timer: None, write_timer: None, write_stall }
    }

    /// What the connection's requests see of it.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Says goodbye and reads on for a moment: closing a socket with unread bytes resets it, and
    /// the reset can overtake the answer (a 413, say) on its way to the client.
    pub(super) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut waste = [0u8; 4096];
            let mut seen = 0;
            while let Ok(read @ 1..) = self.stream.read(&mut waste).await {
                seen += read;
                if seen > LINGER_MAX {
                    break;
                }
            }
        };
        // Either way the socket is closed now.
        let _ = timeout(LINGER, drain).await;
    }

    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.watch.waits().deadline;
        is_late(&mut self.read_timer, deadline, cx)
    }

    fn stalled<T>(&mut self, cx: &mut Context<'_>, poll: Poll<T>) -> Poll<io::Result<T>> {
        if let Poll::Ready(value) = poll {
            self.write_timer = None;
            return Poll::Ready(Ok(value));
        }
        let deadline = match &self.write_timer {
            Some(timer) => timer.deadline(),
            None => Instant::now() + self.write_stall,
        };
        if is_late(&mut self.write_timer, Some(deadline), cx) {
            return Poll::Ready(Err(timed_out("the client does not read its answer")));
        }
        Poll::Pending
    }
}

fn is_late(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(deadline) = deadline else {
        *timer = None;
        return false;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.as_mut().poll(cx).is_ready()
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
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                let mut waits = self.watch.waits();
                waits.saw(&buf.filled()[before..]);
                let late = waits.begun && waits.deadline.is_some_and(|at| at <= Instant::now());
                drop(waits);
                // A dribble of bytes is always ready; the deadline holds for it too.
                if late {
                    return Poll::Ready(Err(timed_out("the request's head took too long")));
                }
                Poll::Ready(result)
            }
            Poll::Pending if self.late(cx) => {
                Poll::Ready(Err(timed_out("no request came in time")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stalled(cx, poll).map(|result| result.and_then(|inner| inner))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.stalled(cx, poll).map(|result| result.and_then(|inner| inner))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
