//! The listener of the data plane.

use super::body::Body;
use super::front::Front;
use super::problem::Problem;
use crate::config::is_open_to_all;
use crate::http::{Listener, Received, Service, Workers, connections};
use crate::log::{About, Event};
use crate::output;
use http::Response;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why the data plane cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// Another process listens there.
    #[error("address {address} is in use, perhaps by another `tidegate serve`")]
    InUse {
        /// As it was given.
        address: String,
    },
    /// Ports below 1024, as a rule.
    #[error("address {address} needs rights that this process lacks")]
    NotAllowed {
        /// As it was given.
        address: String,
    },
    /// It is no address of this machine, or none at all.
    #[error("address {address} cannot be listened on: {source}")]
    Failed {
        /// As it was given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system's limits are reached.
    #[error("no threads could be started to serve on: {0}")]
    NoThreads(io::Error),
    /// Other machines reach it and nobody asks them who they are.
    #[error("{address} can be reached from other machines, and the service has no credentials")]
    OpenToAll {
        /// What it became.
        address: SocketAddr,
    },
}

/// Takes the address (`host:port`; port 0 takes a free one).
pub(crate) async fn bind(address: &str) -> Result<Listener, ListenError> {
    Listener::bind(address).await.map_err(|source| {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address },
            io::ErrorKind::PermissionDenied => ListenError::NotAllowed { address },
            _ => ListenError::Failed { address, source },
        }
    })
}

/// Serves until `shutdown` is ready, then ends in order: `/readyz` says no, after a notice no new
/// connections are taken, requests in flight finish within the drain deadline.
///
/// # Errors
/// When the address can be reached from other machines and no credential is asked for, or no
/// threads can be started.
pub(crate) async fn serve(
    front: Arc<Front>,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let address = listener.address();
    if is_open_to_all(address.ip(), front.asks()) {
        return Err(ListenError::OpenToAll { address });
    }
    let mut bounds = front.first().options.bounds;
    let wanted = bounds.max_connections;
    bounds.max_connections = connections(wanted);
    if bounds.max_connections < wanted {
        say_capped(bounds.max_connections, wanted);
    }
    let workers = Workers::start().map_err(ListenError::NoThreads)?;
    let cut = listener.serve(front, bounds, Some(workers), shutdown).await;
    if cut > 0 {
        About::service(output::service()).log(&Event::ConnectionsCut { count: cut });
    }
    Ok(())
}

fn say_capped(most: usize, wanted: usize) {
    let what = "not all connections can be taken";
    let why = format!(
        "the system allows this process descriptors for {most} and not for {wanted}; raise the \
         hard limit of open files (`ulimit -Hn`)"
    );
    About::service(output::service()).log(&Event::WorkFailed { what, why });
}

impl Service for Front {
    type Body = Body;

    async fn answer(self: Arc<Front>, request: Received) -> Response<Body> {
        super::serve::handle(&self, request).await
    }

    fn full(&self) -> Vec<u8> {
        Problem::overloaded("too many connections are open".to_owned()).envelope(None)
    }

    fn stopping(&self, notice: Duration) -> Duration {
        self.stop();
        if self.is_watched() { notice } else { Duration::ZERO }
    }

    fn cutting(&self) {
        self.cut();
    }

    async fn hurried(&self) {
        Front::hurried(self).await;
    }
}
