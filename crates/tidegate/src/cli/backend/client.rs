//! A command's side of the admin plane.

use crate::control::{
    AdminFile, Answer, Command, Status, WireError, full_name, in_folder, of_this_user,
};
use crate::error::{CliError, ErrorKind, Result};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long a running server may take to say that it is there; longer than a silent connection
/// keeps a place from others.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
/// Pause before a server is asked again whose connections are all taken.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A client of a running server's admin plane.
pub(crate) struct AdminClient {
    file: AdminFile,
}

impl AdminClient {
    /// The running server of a project; `None` when there is none, also when its address was left
    /// over by one that died, and its port may be another program's by now; nor is the server of
    /// the folder that this one is a copy of. Whether a server runs all the same is then
    /// shown by the state's lock.
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
        let ours = async {
            loop {
                let answer = client.exchange(Method::GET, "/admin/v1", Vec::new()).await;
                match answer.map(|(status, _)| status) {
                    // Its connections are taken: those that keep silent are closed soon.
                    Ok(StatusCode::SERVICE_UNAVAILABLE) => {}
                    // There is no such page; but only our server knows the token.
                    Ok(status) => break status == StatusCode::NOT_FOUND,
                    // Under a flood it closes connections without a word.
                    Err(_) if client.is_listening().await => {}
                    Err(_) => break false,
                }
                sleep(TRY_AGAIN_AFTER).await;
            }
        };
        timeout(FOUND_WITHIN, ours).await.unwrap_or(false).then_some(client)
    }

    async fn is_listening(&self) -> bool {
        TcpStream::connect(self.file.address).await.is_ok()
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
        Err(CliError { kind, message: wire.message, hints: wire.hints, shown: false })
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
