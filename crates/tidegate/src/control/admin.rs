//! The admin plane: another listener and another credential than the data plane's.
//!
//! The server writes its address and a fresh random token to `.tidegate/admin.json`, readable by
//! its owner only; commands in other processes find it there.

use super::command::{Answer, Command};
use super::run::ControlHandle;
use crate::error::{CliError, ErrorKind, Result};
use crate::output;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::ids::Digest;
use tokio::net::{TcpListener, TcpStream};

/// Largest command body, bytes: an eval report with its answers.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// How long a running server may take to say that it is there.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take for its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// What `.tidegate/admin.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct AdminFile {
    address: SocketAddr,
    token: String,
    pid: u32,
    /// The folder it was written in: in a copy of that folder it says nothing.
    folder: Option<Inode>,
}

/// What tells a folder from its copies: device and number.
type Inode = (u64, u64);

/// `None` where the system does not say.
fn inode(folder: &Path) -> Option<Inode> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(folder).ok().map(|meta| (meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// An error as it goes over the admin plane.
#[derive(Debug, Serialize, Deserialize)]
struct WireError {
    kind: u8,
    message: String,
    hints: Vec<String>,
}

/// Removes the address file when the server ends.
pub(crate) struct AdminGuard {
    path: PathBuf,
}

impl Drop for AdminGuard {
    fn drop(&mut self) {
        // A file that is left over is noticed as stale by the next reader.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens for commands; returns at once.
pub(crate) async fn serve_admin(
    root: &Path,
    address: &str,
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
    let folder = root.join(".tidegate");
    let path = folder.join("admin.json");
    let (pid, folder) = (std::process::id(), inode(&folder));
    let file = AdminFile { address, token: token.clone(), pid, folder };
    write_private(&path, &serde_json::to_vec(&file).unwrap_or_default())
        .map_err(|e| CliError::internal(format!("cannot write {}: {e}", path.display())))?;
    let token = Arc::new(Digest::of(token.as_bytes()));
    tokio::spawn(accept(listener, control, token));
    Ok(AdminGuard { path })
}

/// 256 random bits as hex.
fn random_token() -> Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| CliError::internal(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner can read; whoever reads it sees all of it or the one before.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("json.tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(content)?;
    std::fs::rename(draft, path)
}

async fn accept(listener: TcpListener, control: ControlHandle, token: Arc<Digest>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors passes; without the pause this would spin.
                output::log(&format!("admin plane: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (control, token) = (control.clone(), token.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (control, token) = (control.clone(), token.clone());
                async move { Ok::<_, Infallible>(answer(request, &control, &token).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
            // A client that breaks off is its own concern.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
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
        (&Method::GET, "/admin/v1/state") => respond(StatusCode::OK, control.state().await),
        (&Method::POST, "/admin/v1/commands") => match read_command(request).await {
            Ok(command) => respond(StatusCode::OK, control.command(command).await),
            Err(error) => respond(StatusCode::BAD_REQUEST, Err::<(), _>(error)),
        },
        (_, path) => {
            let error = CliError::usage(format!("admin plane: there is no `{path}`"))
                .hint("GET /admin/v1/state, POST /admin/v1/commands");
            respond(StatusCode::NOT_FOUND, Err::<(), _>(error))
        }
    }
}

async fn read_command(request: Request<Incoming>) -> Result<Command> {
    let body = Limited::new(request.into_body(), BODY_MAX)
        .collect()
        .await
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
    /// The running server of a project; `None` when there is none, also when the address file was
    /// left over by one that died, in whole or in part, and its port may be another program's by
    /// now; nor is the server of the folder that this one is a copy of its own. Whether a server
    /// runs all the same is then told by the state's lock.
    pub(crate) async fn find(root: &Path) -> Option<AdminClient> {
        let folder = root.join(".tidegate");
        let text = std::fs::read(folder.join("admin.json")).ok()?;
        let client = AdminClient { file: serde_json::from_slice(&text).ok()? };
        if client.file.folder != inode(&folder) {
            return None;
        }
        let ours = client.exchange(Method::GET, "/admin/v1", Vec::new());
        match tokio::time::timeout(FOUND_WITHIN, ours).await {
            // There is no such page; but only our server knows the token.
            Ok(Ok((status, _))) if status == StatusCode::NOT_FOUND => Some(client),
            Ok(Ok(_) | Err(_)) | Err(_) => None,
        }
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
