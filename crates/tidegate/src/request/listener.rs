//! The accept loop: a bounded number of connections, each with its deadlines, and an end in order.

use super::body::Body;
use super::bounds::{HEAD_MAX, REFUSALS_MAX};
use super::conn::{Socket, Watch};
use super::front::Front;
use super::problem::Problem;
use crate::error::{CliError, Result as CliResult};
use crate::log::{About, Event};
use crate::output;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// A bound address of the data plane.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address (`host:port`; port 0 takes a free one), and says which it became.
    pub(crate) async fn bind(address: &str) -> CliResult<(Listener, SocketAddr)> {
        let tcp = TcpListener::bind(address).await.map_err(|e| bind_error(address, &e))?;
        let local = tcp.local_addr().map_err(|e| bind_error(address, &e))?;
        Ok((Listener { tcp, address: local }, local))
    }
}

fn bind_error(address: &str, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.rsplit(':').next().unwrap_or_default();
            CliError::usage(format!(
                "address {address} is in use, perhaps by another `tidegate serve`"
            ))
            .hint(format!("see who has it: `ss -ltnp 'sport = :{port}'` or `lsof -i :{port}`"))
            .hint("take another one with `--listen 127.0.0.1:0` or `listen:` in tidegate.yaml")
        }
        io::ErrorKind::PermissionDenied => {
            CliError::usage(format!("address {address} needs rights that this process lacks"))
                .hint("take a port from 1024 on with `--listen`")
        }
        _ => CliError::usage(format!("address {address} cannot be listened on: {error}"))
            .hint("give `--listen` as `host:port`, for example `127.0.0.1:8787`"),
    }
}

/// Serves until `shutdown` is ready, then ends in order: `/readyz` says no, after a notice no new
/// connections are taken, requests in flight finish within the drain deadline.
///
/// # Errors
/// When the address can be reached from other machines and no credential is asked for.
pub(crate) async fn serve(
    front: Arc<Front>,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> CliResult<()> {
    let Listener { tcp, address } = listener;
    if !address.ip().is_loopback() && !front.asks() {
        return Err(CliError::usage(format!(
            "{address} can be reached from other machines, and the service has no credentials"
        ))
        .hint("add `credentials:` to tidegate.yaml, or listen on 127.0.0.1"));
    }
    let bounds = front.first().options.bounds;
    let (closing, _) = watch::channel(false);
    let acceptor = Acceptor {
        front: Arc::clone(&front),
        permits: Arc::new(Semaphore::new(bounds.max_connections)),
        refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        closing,
    };
    {
        let mut stop = pin!(async {
            shutdown.await;
            front.stop();
            tokio::time::sleep(bounds.stop_notice).await;
        });
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = tcp.accept() => acceptor.admit(accepted).await,
            }
        }
    }
    drop(tcp);
    // No connection may be there to hear it.
    let _ = acceptor.closing.send(true);
    let all = u32::try_from(bounds.max_connections).unwrap_or(u32::MAX);
    if timeout(bounds.drain, acceptor.permits.acquire_many(all)).await.is_err() {
        let left = bounds.max_connections - acceptor.permits.available_permits();
        About::service(output::service()).log(&Event::ConnectionsCut { count: left });
    }
    Ok(())
}

struct Acceptor {
    front: Arc<Front>,
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Acceptor {
    async fn admit(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(_) => {
                // Out of file descriptors, or the client was gone already: a short rest keeps
                // this loop from turning hot until others close.
                tokio::time::sleep(Duration::from_millis(10)).await;
                return;
            }
        };
        // Only latency is lost where it fails.
        let _ = stream.set_nodelay(true);
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => {
                let closing = self.closing.subscribe();
                tokio::spawn(connection(Arc::clone(&self.front), stream, closing, permit));
            }
            Err(_full) => self.refuse(stream),
        }
    }

    fn refuse(&self, mut stream: TcpStream) {
        let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let bounds = self.front.first().options.bounds;
        tokio::spawn(async move {
            let _turn = turn;
            // The client sees a closed connection where this cannot be written.
            let _ = timeout(bounds.head, stream.write_all(full_answer().as_bytes())).await;
            Socket::new(stream, bounds).close().await;
        });
    }
}

/// The answer to a connection over the cap, whose request is not even read.
fn full_answer() -> String {
    let body = Problem::overloaded("too many connections are open".to_owned()).envelope(None);
    let body = String::from_utf8_lossy(&body);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connection(
    front: Arc<Front>,
    stream: TcpStream,
    mut closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let socket = Socket::new(stream, front.first().options.bounds);
    let watch = socket.watch();
    // Boxed because the connection is polled by hand below, which takes a future that can move.
    let service =
        service_fn(move |request| Box::pin(answer(Arc::clone(&front), watch.clone(), request)));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_buf_size(HEAD_MAX).timer(hyper_util::rt::TokioTimer::new());
    // Deadlines for heads are the socket's.
    http.header_read_timeout(None);
    let mut connection = http.serve_connection(TokioIo::new(socket), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            _ = closing.wait_for(|closing| *closing), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    // A broken connection has nobody left to tell; what it was asked for is recorded.
    if ended.is_ok() {
        connection.into_parts().io.into_inner().close().await;
    }
}

async fn answer(
    front: Arc<Front>,
    watch: Watch,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(super::serve::handle(front, watch, request).await)
}
