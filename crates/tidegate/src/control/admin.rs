//! The admin plane: another listener and another credential than the data plane's.
//!
//! The server writes its address and a fresh random token to `.tidegate/admin.json`, readable by
//! its owner only; commands in other processes find it there.

use super::command::{Answer, Command};
use super::find::{AdminFile, AdminGuard, full_name, in_folder, inode, leave, of_this_user};
use super::run::ControlHandle;
use super::status::Status;
use crate::error::{CliError, ErrorKind, Result};
use crate::log::{About, Event};
use crate::output;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::ids::Digest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Largest command body, bytes: an eval report with its answers.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// How long a running server may take to say that it is there.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take for its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take for its body: 64 MiB at 2 MiB/s.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may last, its command included: writing the largest pack takes seconds.
const CONNECTION_WITHIN: Duration = Duration::from_secs(300);
/// Connections at a time. People and their scripts need few; who keeps silent is gone after
/// [`HEADERS_WITHIN`].
const CONNECTIONS_MAX: usize = 256;
/// Longest request line and headers, bytes: ours are below 1 KiB.
const HEAD_MAX: usize = 16 * 1024;

/// An error as it goes over the admin plane.
#[derive(Debug, Serialize, Deserialize)]
struct WireError {
    kind: u8,
    message: String,
    hints: Vec<String>,
}

/// Listens for commands; returns at once.
pub(crate) async fn serve_admin(
    root: &Path,
    address: &str,
    listen: Option<SocketAddr>,
    control: ControlHandle,
) -> Result<AdminGuard> {
    let listener = TcpListener::bind(address).await.map_err(|e| {
        CliError::usage(format!("admin plane: cannot listen on `{address}`: {e}"))
            .hint("set `admin_listen: 127.0.0.1:0` to take a free port")
    })?;
    let address = listener
        .local_addr()
        .map_err(|e| CliError::internal(format!("admin plane: no local address: {e}")))?;
    let token = random_token()?;
    let file = AdminFile {
        address,
        token: token.clone(),
        pid: std::process::id(),
        folder: inode(&root.join(".tidegate")),
        root: full_name(root),
        listen,
    };
    let guard = leave(root, &file).map_err(|e| {
        CliError::internal(format!("admin plane: its address cannot be written: {e}"))
    })?;
    let token = Arc::new(Digest::of(token.as_bytes()));
    tokio::spawn(accept(listener, control, token));
    Ok(guard)
}

/// 256 random bits as hex.
fn random_token() -> Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| CliError::internal(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn accept(listener: TcpListener, control: ControlHandle, token: Arc<Digest>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors passes; without the pause this would spin.
                let (what, why) = ("admin plane: no connection could be taken", error.to_string());
                About::service(output::service()).log(&Event::WorkFailed { what, why });
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // One too many is closed: a queue of silent clients would keep an operator out for longer.
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let (control, token) = (control.clone(), token.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let (control, token) = (control.clone(), token.clone());
                async move { Ok::<_, Infallible>(answer(request, &control, &token).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
            builder.max_buf_size(HEAD_MAX).keep_alive(false);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            // A client that breaks off is its own concern, and so is one that takes no answer.
            let _ = timeout(CONNECTION_WITHIN, connection).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    control: &ControlHandle,
    token: &Digest,
) -> Response<Full<Bytes>> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so the time it takes says nothing about the token.
    if given.map(|given| Digest::of(given.as_bytes())).as_ref() != Some(token) {
        let error = CliError::usage("admin plane: the token is not valid")
            .hint("the running server wrote it to .tidegate/admin.json");
        return respond(StatusCode::UNAUTHORIZED, Err::<(), _>(error));
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/admin/v1/status") => respond(StatusCode::OK, Ok(control.status())),
        (&Method::POST, "/admin/v1/commands") => match read_command(request).await {
            Ok(command) => respond(StatusCode::OK, control.command(command).await),
            Err(error) => respond(StatusCode::BAD_REQUEST, Err::<(), _>(error)),
        },
        (_, path) => {
            let error = CliError::usage(format!("admin plane: there is no `{path}`"))
                .hint("GET /admin/v1/status, POST /admin/v1/commands");
            respond(StatusCode::NOT_FOUND, Err::<(), _>(error))
        }
    }
}

async fn read_command(request: Request<Incoming>) -> Result<Command> {
    let body = Limited::new(request.into_body(), BODY_MAX).collect();
    let body = timeout(BODY_WITHIN, body)
        .await
        .map_err(|_| {
            let within = BODY_WITHIN.as_secs();
            CliError::usage(format!("admin plane: the body did not come within {within} s"))
        })?
        .map_err(|e| CliError::usage(format!("admin plane: the body cannot be read: {e}")))?
        .to_bytes();
    serde_json::from_slice(&body)
        .map_err(|e| CliError::usage(format!("admin plane: the body is not a command: {e}")))
}

fn respond<T: Serialize>(status: StatusCode, result: Result<T>) -> Response<Full<Bytes>> {
    let (status, body) = match result {
        Ok(value) => (status, serde_json::to_vec(&value)),
        Err(error) => {
            let status = if status == StatusCode::OK { StatusCode::CONFLICT } else { status };
            let wire =
                WireError { kind: error.kind as u8, message: error.message, hints: error.hints };
            (status, serde_json::to_vec(&wire))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A client of a running server's admin plane.
pub(crate) struct AdminClient {
    file: AdminFile,
}

impl AdminClient {
    /// The running server of a project; `None` when there is none, also when its address was left
    /// over by one that died, and its port may be another program's by now; nor is the server of
    /// the folder that this one is a copy of its own. Whether a server runs all the same is then
    /// told by the state's lock.
    pub(crate) async fn find(root: &Path) -> Option<AdminClient> {
        if let Some(file) = in_folder(root)
            && let Some(client) = AdminClient::reach(file).await
        {
            return Some(client);
        }
        let root = full_name(root);
        let mut servers = AdminClient::running().await;
        let here = servers.iter().position(|client| client.file.root == root)?;
        Some(servers.swap_remove(here))
    }

    /// The server with this admin or service address. Its token is the one it left for this user,
    /// or that of the environment's `TIDEGATE_ADMIN_TOKEN`.
    pub(crate) async fn at(server: &str) -> Result<AdminClient> {
        let text = server.trim_start_matches("http://").trim_end_matches("/v1");
        let address: SocketAddr = text.trim_end_matches('/').parse().map_err(|_| {
            CliError::usage(format!("`--server {server}` is not an address"))
                .hint("give it as `host:port`, for example `127.0.0.1:8787`")
        })?;
        let known = of_this_user().into_iter().map(|(_, file)| file);
        let mut files: Vec<AdminFile> =
            known.filter(|file| file.address == address || file.listen == Some(address)).collect();
        if let Ok(token) = std::env::var("TIDEGATE_ADMIN_TOKEN") {
            let root = Default::default();
            files.push(AdminFile { address, token, pid: 0, folder: None, root, listen: None });
        }
        for file in files {
            if let Some(client) = AdminClient::reach(file).await {
                return Ok(client);
            }
        }
        Err(CliError::usage(format!("no server that this user may steer answers at {address}"))
            .hint("set TIDEGATE_ADMIN_TOKEN to the `token` in its `.tidegate/admin.json`"))
    }

    /// The servers of this user that run.
    pub(crate) async fn running() -> Vec<AdminClient> {
        let mut found = Vec::new();
        for (path, file) in of_this_user() {
            match AdminClient::reach(file).await {
                Some(client) => found.push(client),
                // It died without removing its file.
                None => drop(std::fs::remove_file(path)),
            }
        }
        found
    }

    /// The project's folder, for people.
    pub(crate) fn root(&self) -> &Path {
        &self.file.root
    }

    /// Its admin address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.file.address
    }

    async fn reach(file: AdminFile) -> Option<AdminClient> {
        let client = AdminClient { file };
        let ours = client.exchange(Method::GET, "/admin/v1", Vec::new());
        match timeout(FOUND_WITHIN, ours).await {
            // There is no such page; but only our server knows the token.
            Ok(Ok((status, _))) if status == StatusCode::NOT_FOUND => Some(client),
            Ok(Ok(_) | Err(_)) | Err(_) => None,
        }
    }

    /// What is in force.
    pub(crate) async fn status(&self) -> Result<Status> {
        self.request(Method::GET, "/admin/v1/status", Vec::new()).await
    }

    /// Has a command carried out.
    pub(crate) async fn command(&self, command: &Command) -> Result<Answer> {
        let body = serde_json::to_vec(command)
            .map_err(|e| CliError::internal(format!("the command cannot be written: {e}")))?;
        self.request(Method::POST, "/admin/v1/commands", body).await
    }

    async fn request<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T> {
        let (status, body) = self.exchange(method, path, body).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| self.lost(&e));
        }
        let wire: WireError = serde_json::from_slice(&body).map_err(|e| self.lost(&e))?;
        let kind = match wire.kind {
            1 => ErrorKind::Failed,
            2 => ErrorKind::Usage,
            3 => ErrorKind::Inconclusive,
            _ => ErrorKind::Internal,
        };
        Err(CliError { kind, message: wire.message, hints: wire.hints, told: false })
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> CliError {
        CliError::internal(format!("the server on {} does not answer: {error}", self.file.address))
            .hint("`tidegate release status` reads the state without it")
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes)> {
        let lost = |e: &dyn std::fmt::Display| self.lost(e);
        let stream = TcpStream::connect(self.file.address).await.map_err(|e| lost(&e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| lost(&e))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.file.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.file.token))
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| lost(&e))?;
        let response = sender.send_request(request).await.map_err(|e| lost(&e))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| lost(&e))?.to_bytes();
        Ok((status, body))
    }
}
