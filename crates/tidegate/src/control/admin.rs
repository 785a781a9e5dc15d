//! The admin plane: another listener and another credential than the data plane's.
//!
//! The server writes its address and a fresh random token to `.tidegate/admin.json`, readable by
//! its owner only; commands in other processes find it there.

use super::command::Command;
use super::find::{AdminFile, AdminGuard, full_name, inode, leave};
use super::logged::service_of;
use super::reading::{self, Reading};
use super::run::ControlHandle;
use super::status::Status;
use crate::error::CliError;
use crate::http::{BodyError, Bounds, Listener, Received, Service, UnreadBody, check_site};
use crate::log::{About, Event};
use crate::secret;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tidegate_core::access::key::PREFIX;
use tidegate_core::access::{KeyId, Role};
use tidegate_core::ids::hex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Largest command body, bytes: an eval report with its answers.
const BODY_MAX: u64 = 64 * 1024 * 1024;

/// Bounds on connections. People and their scripts need few.
const CONNECTIONS: Bounds = Bounds {
    max_connections: 256,
    streams: 0,
    // Ours are below 1 KiB.
    head_max: 16 * 1024,
    first_byte: Duration::from_secs(5),
    head: Duration::from_secs(5),
    idle: None,
    // 64 MiB at 2 MiB/s.
    body_total: Duration::from_secs(30),
    body_idle: Duration::from_secs(5),
    body_grace: Duration::from_secs(5),
    body_rate: 1024,
    write_stall: Duration::from_secs(30),
    // The command included: writing the largest pack takes seconds.
    connection: Duration::from_secs(300),
    stop_notice: Duration::ZERO,
    drain: Duration::from_secs(10),
};

/// An error as it goes over the admin plane: the command line's, so that a command says the same
/// with a server and without one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireError {
    /// The exit code of the command that it answers.
    pub(crate) kind: u8,
    /// The sentence.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hints: Vec<String>,
}

/// Why there is no admin plane.
#[derive(Debug, Error)]
pub(crate) enum AdminError {
    /// Its address.
    #[error("admin plane: cannot listen on `{address}`: {source}")]
    Listen { address: String, source: io::Error },
    /// Without them its token could be guessed.
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
    /// Commands would not find it.
    #[error("admin plane: its address cannot be written: {0}")]
    File(io::Error),
}

/// The admin plane of a service; it ends when this is dropped.
pub(crate) struct AdminPlane {
    /// Commands find the server by what this removes.
    guard: AdminGuard,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<usize>,
}

impl AdminPlane {
    /// Takes no new commands, and waits for those that are carried out.
    pub(crate) async fn stop(self) {
        let AdminPlane { guard, stop, serving } = self;
        drop((guard, stop));
        // However it ended, it is over.
        let _ = serving.await;
    }
}

/// Listens for commands; returns at once.
pub(crate) async fn serve_admin(
    root: &Path,
    address: &str,
    listen: Option<SocketAddr>,
    control: ControlHandle,
) -> Result<AdminPlane, AdminError> {
    let listener = Listener::bind(address)
        .await
        .map_err(|source| AdminError::Listen { address: address.to_owned(), source })?;
    let token = random_token()?;
    let file = AdminFile {
        address: listener.address(),
        token: token.clone(),
        pid: std::process::id(),
        folder: inode(&root.join(".tidegate")),
        root: full_name(root),
        listen,
    };
    let guard = leave(root, &file).map_err(AdminError::File)?;
    let admin = Arc::new(Admin { control, token: Sha256::digest(token.as_bytes()).into() });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(admin, CONNECTIONS, None, async {
        // The sender is dropped, never used.
        let _ = stopped.await;
    }));
    Ok(AdminPlane { guard, stop, serving })
}

/// 256 random bits as hex.
fn random_token() -> Result<String, AdminError> {
    Ok(hex(&secret::random::<{ secret::BYTES }>().map_err(AdminError::Random)?))
}

/// What answers on the admin plane.
struct Admin {
    control: ControlHandle,
    token: [u8; 32],
}

impl Service for Admin {
    type Body = Full<Bytes>;

    async fn answer(self: Arc<Admin>, request: Received) -> Response<Full<Bytes>> {
        let Received { head, raw_head: _, body, peer: _ } = request;
        if let Err(foreign) = check_site(&head) {
            let error = CliError::usage(format!("admin plane: {foreign}"));
            return respond(foreign.status(), Err::<(), _>(error));
        }
        let given = head
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let giver = match self.giver(given.unwrap_or_default()) {
            Ok(giver) => giver,
            Err(error) => return respond(StatusCode::UNAUTHORIZED, Err::<(), _>(error)),
        };
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/admin/v1/status") => respond(StatusCode::OK, Ok(self.status(&giver))),
            (&Method::GET, path) if reading::is_at(path) => {
                self.read(&giver, path, head.uri.query().unwrap_or_default()).await
            }
            (&Method::POST, "/admin/v1/commands") if giver.role == Role::Read => {
                respond(StatusCode::FORBIDDEN, Err::<(), _>(beyond(giver.role, Role::Operate)))
            }
            (&Method::POST, "/admin/v1/commands") => match read_command(body).await {
                Ok(command) => self.obey(&giver, command).await,
                Err((status, error)) => respond(status, Err::<(), _>(error)),
            },
            (_, path) => {
                let error = CliError::usage(format!("admin plane: there is no `{path}`"))
                    .hint("GET /admin/v1/status, GET /admin/v1/traces, POST /admin/v1/commands");
                respond(StatusCode::NOT_FOUND, Err::<(), _>(error))
            }
        }
    }

    fn full(&self) -> Vec<u8> {
        let error = CliError::internal("admin plane: too many connections are open")
            .hint("those that send nothing are closed within 5 s; try again");
        wire(error)
    }
}

/// Who asks something of the admin plane.
struct Giver {
    role: Role,
    /// The name of its key; `None` for the server's own token.
    key: Option<Arc<str>>,
    /// The tenant that the key is bound to.
    tenant: Option<Arc<str>>,
}

impl Admin {
    /// Who has a token, or a key of the admin plane.
    fn giver(&self, given: &str) -> Result<Giver, CliError> {
        if secret::same(&Sha256::digest(given.as_bytes()).into(), &self.token) {
            return Ok(Giver { role: Role::Admin, key: None, tenant: None });
        }
        let refused = |why: String| {
            CliError::usage(format!("admin plane: {why}"))
                .hint("the running server wrote its token to .tidegate/admin.json")
                .hint("or use a key of `tidegate key create NAME --role operate`")
        };
        if !given.starts_with(PREFIX) {
            return Err(refused("the token is not valid".to_owned()));
        }
        let holder =
            self.control.key(given, Role::Read).map_err(|closed| refused(closed.to_string()))?;
        let (key, tenant) = (Some(Arc::clone(&holder.name)), holder.tenant.clone());
        Ok(Giver { role: holder.held.grant.role, key, tenant })
    }

    fn status(&self, giver: &Giver) -> Status {
        let status = self.control.status();
        match &giver.tenant {
            None => status,
            Some(tenant) => status.of_tenant(tenant),
        }
    }

    async fn obey(&self, giver: &Giver, mut command: Command) -> Response<Full<Bytes>> {
        if !giver.role.covers(command.needs()) {
            let error = beyond(giver.role, command.needs());
            return respond(StatusCode::FORBIDDEN, Err::<(), _>(error));
        }
        if let Some(tenant) = &giver.tenant
            && !self.is_of_tenant(&command, tenant)
        {
            let message = format!(
                "admin plane: the key is bound to tenant `{tenant}`, and this is not only of it"
            );
            let error = CliError::usage(message)
                .hint("it makes keys of its tenant, and closes them by their ids")
                .hint("orders for the whole service take a key without a tenant");
            return respond(StatusCode::FORBIDDEN, Err::<(), _>(error));
        }
        if let Some(key) = &giver.key {
            command.sign(key);
        }
        let answer = self.control.command(command).await;
        respond(StatusCode::OK, answer.map_err(CliError::from))
    }

    /// Whether a command concerns this tenant alone. What a key makes has no more rights than it
    /// has itself; a key is named by its id, since the name of its owner may be another's as well.
    fn is_of_tenant(&self, command: &Command, tenant: &str) -> bool {
        match command {
            Command::MakeKey(request) => request.tenant.as_deref() == Some(tenant),
            Command::RotateKey { key, .. } | Command::RevokeKey { key, .. } => {
                let keys = &self.control.state().keys;
                let held = KeyId::parse(key).ok().and_then(|id| keys.get(&id));
                held.is_some_and(|held| held.grant.tenant.as_deref() == Some(tenant))
            }
            Command::DeleteRecords(request) => request.tenant.as_deref() == Some(tenant),
            Command::Start(_)
            | Command::StartAb(_)
            | Command::Approve(_)
            | Command::Order { .. }
            | Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::AcceptSentinel { .. }
            | Command::Reopen { .. }
            | Command::Degrade { .. }
            | Command::StartShadow(_)
            | Command::KeepShadow(_)
            | Command::StopShadow { .. }
            | Command::CloseIncident { .. }
            | Command::Reprice { .. }
            | Command::WritePack { .. } => false,
        }
    }

    /// Records, for who may read; the log says who read them.
    async fn read(&self, giver: &Giver, path: &str, query: &str) -> Response<Full<Bytes>> {
        let tenant = giver.tenant.as_deref();
        match reading::read(&self.control, path, query, tenant).await {
            Ok(Reading { body, what, records }) => {
                let by = match &giver.key {
                    Some(key) => format!("key {key}"),
                    None => "the server's own token".to_owned(),
                };
                let state = self.control.ahead().journalled();
                let event = Event::RecordsRead { by: &by, what, records };
                About::service(service_of(&state)).log(&event);
                respond(StatusCode::OK, Ok(body))
            }
            Err(refused) => {
                let error = CliError::usage(format!("admin plane: {refused}"));
                respond(refused.status, Err::<(), _>(error))
            }
        }
    }
}

fn beyond(has: Role, needs: Role) -> CliError {
    CliError::usage(format!("admin plane: this needs role `{needs}`, the key has `{has}`"))
        .hint(format!("make one: `tidegate key create NAME --role {needs}`"))
}

async fn read_command(body: UnreadBody) -> Result<Command, (StatusCode, CliError)> {
    let body = body.read(BODY_MAX, |_| Ok(())).await.map_err(|error| {
        let status = match error {
            BodyError::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::TooLarge { max: _ } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        };
        (status, CliError::usage(format!("admin plane: {error}")))
    })?;
    serde_json::from_slice(&body).map_err(|e| {
        let error = CliError::usage(format!("admin plane: the body is not a command: {e}"));
        (StatusCode::BAD_REQUEST, error)
    })
}

fn respond<T: Serialize>(status: StatusCode, result: Result<T, CliError>) -> Response<Full<Bytes>> {
    let (status, body) = match result {
        Ok(value) => (status, serde_json::to_vec(&value).unwrap_or_default()),
        Err(error) => {
            let status = if status == StatusCode::OK { StatusCode::CONFLICT } else { status };
            (status, wire(error))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn wire(error: CliError) -> Vec<u8> {
    let wire = WireError { kind: error.kind as u8, message: error.message, hints: error.hints };
    serde_json::to_vec(&wire).unwrap_or_default()
}
