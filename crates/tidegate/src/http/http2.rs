//! A connection of HTTP/2: several requests at a time, under the caps and deadlines of HTTP/1.1.
//!
//! | HTTP/1.1 | here |
//! |---|---|
//! | first byte | the same, until the first request |
//! | head | each frame but data; headers that come in several, as a whole |
//! | between two requests | the connection is closed where no request is in flight |
//! | the client takes nothing | the request is reset; where the socket takes nothing, all end |
//! | connections at a time | so many requests as well, over all connections of HTTP/2 |
//!
//! Bodies are read by the same code. Frames that bring nothing further are [`Frames`]' to bound.

use super::body::UnreadBody;
use super::bounds::{AHEAD_WINDOW, Bounds, LINGER, SEND_PIECE};
use super::conn::Socket;
use super::frames::Frames;
use super::service::{Phase, Received, Service, next_phase};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

tokio::task_local! {
    /// How the answer of the request that this task serves gets on.
    static FLOW: Arc<Flow>;
}

/// Serves a connection until it ends.
pub(super) async fn serve<S: Service>(
    service: Arc<S>,
    socket: Socket,
    peer: IpAddr,
    bounds: Bounds,
    mut phase: watch::Receiver<Phase>,
    requests: Arc<Semaphore>,
) {
    let open = Arc::new(Open::new());
    let spawner = Spawner { open: Arc::clone(&open), phase: phase.clone(), bounds };
    let service = service_fn(move |request| {
        Box::pin(answer(Arc::clone(&service), peer, bounds, Arc::clone(&requests), request))
    });
    let mut http = hyper::server::conn::http2::Builder::new(spawner);
    let head_max = u32::try_from(bounds.head_max).unwrap_or(u32::MAX);
    http.timer(hyper_util::rt::TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(head_max)
        .initial_stream_window_size(AHEAD_WINDOW)
        .initial_connection_window_size(AHEAD_WINDOW)
        .max_send_buf_size(SEND_PIECE)
        // A client that is gone without a word is noticed while its answers are made.
        .keep_alive_interval(bounds.idle)
        .keep_alive_timeout(bounds.head);
    let mut connection =
        pin!(http.serve_connection(TokioIo::new(Framed::new(socket, bounds)), service));
    let (mut after, mut is_ending) = (Phase::Open, false);
    let serving = async {
        let mut look = pin!(sleep_until(Instant::now() + bounds.first_byte));
        loop {
            tokio::select! {
                // A connection that broke has no client left to answer.
                _ended = &mut connection => break,
                Ok(now) = next_phase(&mut phase, after), if after < Phase::Cutting => {
                    after = now;
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                    look.as_mut().reset(Instant::now() + LINGER);
                }
                () = &mut look => {
                    let next = open.look(bounds, is_ending);
                    if next > Instant::now() {
                        look.as_mut().reset(next);
                    } else if is_ending {
                        break;
                    } else {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + LINGER);
                    }
                }
            }
        }
    };
    // The time for all of a connection is over either way.
    let _ = timeout(bounds.connection, serving).await;
}

/// The requests in flight of one connection.
struct Open(Mutex<Requests>);

struct Requests {
    in_flight: usize,
    had_any: bool,
    /// Since when there are none.
    none_since: Instant,
}

impl Open {
    fn new() -> Open {
        Open(Mutex::new(Requests { in_flight: 0, had_any: false, none_since: Instant::now() }))
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look again; a time that is over where the connection has had its time.
    fn look(&self, bounds: Bounds, is_ending: bool) -> Instant {
        let requests = self.requests();
        let pause = match (is_ending, requests.had_any) {
            (true, _) => LINGER,
            (false, false) => bounds.first_byte,
            (false, true) => bounds.idle.unwrap_or(bounds.first_byte),
        };
        match requests.in_flight {
            0 => requests.none_since + pause,
            _ => Instant::now() + pause,
        }
    }
}

/// A request is in flight until this is dropped.
struct InFlight(Arc<Open>);

impl InFlight {
    fn begin(open: &Arc<Open>) -> InFlight {
        let mut requests = open.requests();
        requests.in_flight += 1;
        requests.had_any = true;
        InFlight(Arc::clone(open))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut requests = self.0.requests();
        requests.in_flight -= 1;
        requests.none_since = Instant::now();
    }
}

/// Runs each request as its own task, which ends where the client does not take its answer.
#[derive(Clone)]
struct Spawner {
    open: Arc<Open>,
    phase: watch::Receiver<Phase>,
    bounds: Bounds,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, request: F) {
        let in_flight = InFlight::begin(&self.open);
        let (mut phase, stall) = (self.phase.clone(), self.bounds.write_stall);
        tokio::spawn(async move {
            let flow = Arc::new(Flow::default());
            let mut request = pin!(FLOW.scope(Arc::clone(&flow), request));
            let mut stalled = pin!(flow.stalled(stall));
            let mut after = Phase::Open;
            loop {
                tokio::select! {
                    biased;
                    () = &mut request => break,
                    () = &mut stalled => break,
                    // The request is polled again, and ends itself in order.
                    Ok(now) = next_phase(&mut phase, after), if after < Phase::Cutting => {
                        after = now;
                    }
                }
            }
            drop(in_flight);
        });
    }
}

/// Since when a piece of an answer waits to be taken.
#[derive(Default)]
struct Flow(Mutex<Option<Instant>>);

impl Flow {
    fn waits(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready once one has waited for so long.
    async fn stalled(&self, stall: std::time::Duration) {
        loop {
            let now = Instant::now();
            let until = self.waits().unwrap_or(now) + stall;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

async fn answer<S: Service>(
    service: Arc<S>,
    peer: IpAddr,
    bounds: Bounds,
    requests: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Result<Response<Pieces<S::Body>>, Infallible> {
    let (head, incoming) = request.into_parts();
    let flow = FLOW.try_with(Arc::clone).unwrap_or_default();
    let Ok(permit) = requests.try_acquire_owned() else {
        let left = Bytes::from(service.full());
        let mut full = Response::new(Pieces { body: None, left, flow, _permit: None });
        *full.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let json = header::HeaderValue::from_static("application/json");
        full.headers_mut().insert(header::CONTENT_TYPE, json);
        full.headers_mut().insert(header::RETRY_AFTER, 1.into());
        return Ok(full);
    };
    let body = UnreadBody::new(incoming, &head.headers, None, bounds);
    let response = service.answer(Received { head, raw_head: Vec::new(), body, peer }).await;
    Ok(response.map(|body| Pieces {
        body: Some(body),
        left: Bytes::new(),
        flow,
        _permit: Some(permit),
    }))
}

/// An answer's body in pieces that fit a frame: the next one is made when the client has taken
/// those before.
struct Pieces<B> {
    body: Option<B>,
    left: Bytes,
    flow: Arc<Flow>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Whoever asks has got rid of the piece before.
        *self.flow.waits() = None;
        while self.left.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            let Some(Ok(frame)) = ready!(Pin::new(body).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => self.left = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let most = self.left.len().min(SEND_PIECE);
        let piece = self.left.split_to(most);
        *self.flow.waits() = Some(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        let Some(body) = &self.body else { return SizeHint::with_exact(left) };
        let mut hint = body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}

/// A socket whose frames are looked at.
struct Framed {
    socket: Socket,
    frames: Frames,
    timer: Option<Pin<Box<Sleep>>>,
    bounds: Bounds,
}

impl Framed {
    fn new(socket: Socket, bounds: Bounds) -> Framed {
        Framed { socket, frames: Frames::new(std::time::Instant::now()), timer: None, bounds }
    }

    /// Whether what has begun is late.
    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(until) = self.frames.deadline(self.bounds.head) else { return false };
        let until = Instant::from_std(until);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Framed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.socket.poll_bytes(cx, buf);
        if let Poll::Ready(Ok(())) = &polled {
            let (bytes, now) = (&buf.filled()[before..], std::time::Instant::now());
            self.frames.saw(bytes, now).map_err(io::Error::other)?;
        }
        // What comes byte by byte is always ready; the deadline holds for it too.
        match self.late(cx) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => polled,
        }
    }
}

impl AsyncWrite for Framed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.socket).poll_write(cx, buf))?;
        self.frames.wrote(wrote);
        Poll::Ready(Ok(wrote))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        self.frames.wrote(wrote);
        Poll::Ready(Ok(wrote))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
