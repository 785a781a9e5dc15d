//! What answers the requests of a listener, of both versions of HTTP, and how far its end has come.

use super::body::UnreadBody;
use bytes::Bytes;
use http::Response;
use http_body::Body;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What answers the requests of a listener.
pub(crate) trait Service: Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: Received,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The JSON body of the 503 that a connection over the cap gets, whose request is not read.
    fn full(&self) -> Vec<u8>;

    /// The order to stop was given. Gives how long requests are still taken; `notice` is
    /// [`Bounds::stop_notice`](super::bounds::Bounds::stop_notice).
    fn stopping(&self, notice: Duration) -> Duration {
        notice
    }

    /// The time for requests in flight is over: each answer is polled once more, and may end itself
    /// in order.
    fn cutting(&self) {}

    /// Ready when that time is to end early.
    fn hurried(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// A request with its body still to be read.
pub(crate) struct Received {
    /// Method, path and headers.
    pub(crate) head: http::request::Parts,
    /// The head as it came over the wire; empty where it came together with chunks before it.
    pub(crate) raw_head: Vec<u8>,
    /// The body.
    pub(crate) body: UnreadBody,
    /// The address that it came from.
    pub(crate) peer: IpAddr,
}

/// How far the end of the service has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Requests are taken.
    Open,
    /// Those in flight are finished.
    Closing,
    /// Those in flight are cut.
    Cutting,
}

/// The phase, once it is a later one.
pub(super) async fn next_phase(
    phase: &mut watch::Receiver<Phase>,
    after: Phase,
) -> Result<Phase, watch::error::RecvError> {
    phase.wait_for(|now| *now > after).await.map(|now| *now)
}
