//! The accept loop: a bounded number of connections, each with its deadlines, and an end in order.

use super::body::UnreadBody;
use super::bounds::{
    ACCEPT_REST, ACCEPT_SAID, BACKLOG, Bounds, CUT, REFUSALS_MAX, SEND_BUFFER, SEND_UNSENT,
};
use super::conn::{InWork, Socket, Watch};
use super::http2;
use super::service::{Phase, Received, Service, next_phase};
use super::tls::Tls;
use super::workers::Workers;
use crate::log::{About, Event};
use crate::output;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    tls: Option<Arc<Tls>>,
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address (`host:port`; port 0 takes a free one).
    pub(crate) async fn bind(address: &str) -> io::Result<Listener> {
        let mut tcp = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for found in tokio::net::lookup_host(address).await? {
            tcp = listen(found);
            if tcp.is_ok() {
                break;
            }
        }
        let tcp = tcp?;
        let address = tcp.local_addr()?;
        Ok(Listener { tls: None, tcp, address })
    }

    /// The same behind TLS, where there is any.
    pub(crate) fn behind(self, tls: Option<Arc<Tls>>) -> Listener {
        Listener { tls, ..self }
    }

    /// The address it became.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then ends in order: after a notice no new connections are
    /// taken, requests in flight finish within the drain deadline. Gives how many did not.
    /// Connections run on the workers, without them on the caller's runtime.
    pub(crate) async fn serve<S: Service>(
        self,
        service: Arc<S>,
        bounds: Bounds,
        workers: Option<Workers>,
        stop: impl Future<Output = ()>,
    ) -> usize {
        let (phase, _) = watch::channel(Phase::Open);
        let acceptor = Acceptor {
            service: Arc::clone(&service),
            bounds,
            tls: self.tls,
            permits: Arc::new(Semaphore::new(bounds.max_connections)),
            requests: Arc::new(Semaphore::new(bounds.max_connections)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            phase,
            workers,
            failures: Failures::default(),
        };
        let is_hurried = {
            let mut stop = pin!(async {
                stop.await;
                let notice = service.stopping(bounds.stop_notice);
                timeout(notice, service.hurried()).await.is_ok()
            });
            loop {
                tokio::select! {
                    is_hurried = &mut stop => break is_hurried,
                    accepted = self.tcp.accept() => acceptor.admit(accepted).await,
                }
            }
        };
        drop(self.tcp);
        // No connection may be there to hear it, here and below.
        let _ = acceptor.phase.send(Phase::Closing);
        let all = u32::try_from(bounds.max_connections).unwrap_or(u32::MAX);
        let drain = if is_hurried { Duration::ZERO } else { bounds.drain };
        let all_ended = || acceptor.permits.acquire_many(all);
        let drained = tokio::select! {
            _ = all_ended() => true,
            () = service.hurried(), if !is_hurried => false,
            () = tokio::time::sleep(drain) => false,
        };
        let open = bounds.max_connections - acceptor.permits.available_permits();
        let cut = if drained { 0 } else { open };
        if !drained {
            service.cutting();
            let _ = acceptor.phase.send(Phase::Cutting);
            // Clients that do not read it are cut as they are.
            let _ = timeout(CUT, all_ended()).await;
        }
        if let Some(workers) = acceptor.workers {
            workers.stop().await;
        }
        cut
    }
}

/// As Tokio's own, with a bound on what the system takes of an answer that nobody reads; every
/// connection has it from the listener.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Elsewhere it would let two processes listen at one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(SEND_UNSENT)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

struct Acceptor<S> {
    service: Arc<S>,
    bounds: Bounds,
    tls: Option<Arc<Tls>>,
    permits: Arc<Semaphore>,
    /// Requests of HTTP/2, of which a connection has many at a time.
    requests: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    workers: Option<Workers>,
    failures: Failures,
}

/// Connections that could not be taken: without descriptors there are a hundred a second, and each
/// would be a line of the log.
#[derive(Default)]
struct Failures(Mutex<(Option<Instant>, u64)>);

impl Failures {
    /// One more. Gives how many there are to say, at most once a second.
    fn add(&self, now: Instant) -> Option<u64> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, times) = &mut *since;
        *times += 1;
        if said.is_some_and(|said| now.duration_since(said) < ACCEPT_SAID) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(times))
    }
}

impl<S: Service> Acceptor<S> {
    async fn admit(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
            // The client was gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return,
            Err(error) => {
                if let Some(times) = self.failures.add(Instant::now()) {
                    let what = "no connection could be taken";
                    let why = format!("{error}; {times} times since the last such line");
                    About::service(output::service()).log(&Event::WorkFailed { what, why });
                }
                tokio::time::sleep(ACCEPT_REST).await;
                return;
            }
        };
        // Only latency is lost where it fails.
        let _ = stream.set_nodelay(true);
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => {
                let (service, phase) = (Arc::clone(&self.service), self.phase.subscribe());
                let (bounds, tls) = (self.bounds, self.tls.clone());
                let requests = Arc::clone(&self.requests);
                match &self.workers {
                    Some(workers) => {
                        let stream = stream.into_std();
                        workers.run(async move {
                            // From here on it wakes the worker's runtime, and no other.
                            let Ok(stream) = stream.and_then(TcpStream::from_std) else { return };
                            let Some(socket) = socket(tls, stream, bounds).await else { return };
                            connection(service, socket, peer, bounds, phase, requests).await;
                            drop(permit);
                        });
                    }
                    None => {
                        tokio::spawn(async move {
                            let Some(socket) = socket(tls, stream, bounds).await else { return };
                            connection(service, socket, peer, bounds, phase, requests).await;
                            drop(permit);
                        });
                    }
                }
            }
            Err(_full) => self.refuse(stream),
        }
    }

    fn refuse(&self, mut stream: TcpStream) {
        let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        // A client that greets for TLS would not understand it.
        if self.tls.is_some() {
            return;
        }
        let bounds = self.bounds;
        let answer = full_answer(&self.service.full());
        tokio::spawn(async move {
            let _turn = turn;
            // The client sees a closed connection where this cannot be written.
            let _ = timeout(bounds.head, stream.write_all(&answer)).await;
            Socket::new(stream, bounds).close().await;
        });
    }
}

fn full_answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A connection with its deadlines, behind TLS where there is any; `None` where the client did not
/// greet as it should, or in time.
async fn socket(tls: Option<Arc<Tls>>, stream: TcpStream, bounds: Bounds) -> Option<Socket> {
    let Some(tls) = tls else { return Some(Socket::new(stream, bounds)) };
    let greeted = timeout(bounds.first_byte, tls.accept(stream)).await;
    Some(Socket::over_tls(greeted.ok()?.ok()?, bounds))
}

async fn connection<S: Service>(
    service: Arc<S>,
    socket: Socket,
    peer: IpAddr,
    bounds: Bounds,
    mut phase: watch::Receiver<Phase>,
    requests: Arc<Semaphore>,
) {
    if socket.is_http2() {
        // Apart, so that connections of HTTP/1.1 do not take its memory as well.
        return Box::pin(http2::serve(service, socket, peer, bounds, phase, requests)).await;
    }
    let watch = socket.watch();
    let client = watch.clone();
    let answers = Arc::clone(&service);
    // Boxed because the connection is polled by hand below, which takes a future that can move.
    let answers = service_fn(move |request| {
        Box::pin(answer(Arc::clone(&answers), watch.clone(), peer, bounds, request))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_buf_size(bounds.head_max).timer(hyper_util::rt::TokioTimer::new());
    // Deadlines for heads are the socket's.
    http.header_read_timeout(None).keep_alive(bounds.idle.is_some());
    let mut connection = http.serve_connection(TokioIo::new(socket), answers);
    let mut after = Phase::Open;
    let serving = async {
        loop {
            tokio::select! {
                ended = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
                    Poll::Ready(ended) => Poll::Ready(ended.is_ok()),
                    Poll::Pending => client.poll_gone(cx).map(|()| false),
                }) => break ended,
                // The connection is polled again after either, and with it what it answers.
                Ok(now) = next_phase(&mut phase, after), if after < Phase::Cutting => {
                    after = now;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    let ended = timeout(bounds.connection, serving).await;
    let Ok(is_in_order) = ended else { return };
    let socket = connection.into_parts().io.into_inner();
    if socket.is_http2() {
        Box::pin(http2::serve(service, socket, peer, bounds, phase, requests)).await;
    } else if is_in_order {
        // Where a connection broke nobody is left to answer; what was asked on it is recorded.
        socket.close().await;
    }
}

async fn answer<S: Service>(
    service: Arc<S>,
    watch: Watch,
    peer: IpAddr,
    bounds: Bounds,
    request: Request<Incoming>,
) -> Result<Response<Held<S::Body>>, Infallible> {
    let (head, incoming) = request.into_parts();
    let raw_head = watch.head_done(incoming.size_hint().exact());
    let in_work = watch.in_work();
    let body = UnreadBody::new(incoming, &head.headers, Some(watch), bounds);
    let response = service.answer(Received { head, raw_head, body, peer }).await;
    Ok(response.map(|body| Held { body, in_work }))
}

/// An answer's body: the next request is not awaited before it has ended, and no more of it is made
/// while the client takes nothing.
struct Held<B> {
    body: B,
    in_work: InWork,
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for Held<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.in_work.watch().poll_flowing(cx));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.in_work.watch().gave(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_take_connections_are_said_once_a_second_with_their_number() {
        let (failures, began) = (Failures::default(), Instant::now());
        let at = |ms| failures.add(began + Duration::from_millis(ms));
        assert_eq!((at(0), at(10), at(990)), (Some(1), None, None));
        assert_eq!((at(1_000), at(1_010), at(9_000)), (Some(3), None, Some(2)));
    }
}
