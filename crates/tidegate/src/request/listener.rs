//! The listener of the data plane.

use super::body::Body;
use super::front::Front;
use super::problem::Problem;
use crate::config::is_open_to_all;
use crate::error::{CliError, Result as CliResult};
use crate::http::{Listener, Received, Service};
use crate::log::{About, Event};
use crate::output;
use http::Response;
use std::io;
use std::sync::Arc;

/// Takes the address (`host:port`; port 0 takes a free one).
pub(crate) async fn bind(address: &str) -> CliResult<Listener> {
    Listener::bind(address).await.map_err(|error| bind_error(address, &error))
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
    let address = listener.address();
    if is_open_to_all(address.ip(), front.asks()) {
        return Err(CliError::usage(format!(
            "{address} can be reached from other machines, and the service has no credentials"
        ))
        .hint("add `credentials:` to tidegate.yaml, or listen on 127.0.0.1"));
    }
    let bounds = front.first().options.bounds;
    let cut = listener.serve(front, bounds, shutdown).await;
    if cut > 0 {
        About::service(output::service()).log(&Event::ConnectionsCut { count: cut });
    }
    Ok(())
}

impl Service for Front {
    type Body = Body;

    async fn answer(self: Arc<Front>, request: Received) -> Response<Body> {
        super::serve::handle(&self, request).await
    }

    fn full(&self) -> Vec<u8> {
        Problem::overloaded("too many connections are open".to_owned()).envelope(None)
    }

    fn stopping(&self) {
        self.stop();
    }
}
