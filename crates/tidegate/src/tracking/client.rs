//! One tool over HTTP: what may pass is tried again, what is refused is said with the tool's words.

use super::error::TrackingError;
use crate::clock::Clock;
use crate::config::{endpoint_below, reserved_host};
use crate::output::one_line;
use crate::upstream::{Probe, ProbeReply};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri};
use serde_json::Value;
use std::time::Duration;
use tidegate_core::text::redact;

/// How long one exchange may take: an artifact server may sit on slow disks.
const WITHIN: Duration = Duration::from_secs(30);
/// How often it is tried.
const TRIES: u32 = 4;
/// How long to wait before the first retry; twice as long before each further one.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Longest wait, whatever the tool asks for.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);
/// How much of what a tool says is quoted, characters.
const QUOTED_CHARS: usize = 300;

/// A tool at its address.
pub(super) struct Client<'a> {
    /// Its name for people.
    tool: &'static str,
    base: String,
    probe: Probe,
    clock: &'a Clock,
}

impl<'a> Client<'a> {
    /// The tool at an address, asked with a credential where it needs one.
    pub(super) fn new(
        tool: &'static str,
        address: &str,
        credential: Option<HeaderValue>,
        clock: &'a Clock,
    ) -> Result<Client<'a>, TrackingError> {
        let base = address.trim_end_matches('/').to_owned();
        // A URL that may hold a password is not repeated.
        let shown = || if address.contains('@') { "…".to_owned() } else { address.to_owned() };
        let uri = endpoint_below(&base, "").map_err(|problem| TrackingError::Address {
            tool,
            shown: shown(),
            problem,
        })?;
        if let Some(what) = reserved_host(&base) {
            return Err(TrackingError::Reserved { shown: shown(), what });
        }
        let probe = Probe::new(&uri, credential, WITHIN)?;
        Ok(Client { tool, base, probe, clock })
    }

    /// Posts JSON; the JSON that is answered with a 2xx.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, TrackingError> {
        let body = Bytes::from(body.to_string());
        let (uri, reply) = self.send(Method::POST, path, "application/json", body).await?;
        self.json(&uri, &self.accepted(&uri, reply)?)
    }

    /// The same where the tool may say that there is nothing: `None` for a 404.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, TrackingError> {
        let (uri, reply) = self.send(Method::GET, path, "application/json", Bytes::new()).await?;
        if reply.status == http::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.json(&uri, &self.accepted(&uri, reply)?).map(Some)
    }

    /// Puts a file.
    pub(super) async fn put(&self, path: &str, content: Bytes) -> Result<(), TrackingError> {
        let (uri, reply) =
            self.send(Method::PUT, path, "application/octet-stream", content).await?;
        self.accepted(&uri, reply).map(|_| ())
    }

    /// Its answer is not what its API says.
    pub(super) fn odd(&self, path: &str, what: impl Into<String>) -> TrackingError {
        let uri = format!("{}{path}", self.base);
        TrackingError::Answer { tool: self.tool, uri, what: what.into() }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: Bytes,
    ) -> Result<(Uri, ProbeReply), TrackingError> {
        let address = format!("{}{path}", self.base);
        let uri: Uri = address.parse().map_err(|_| self.odd(path, "the path is none"))?;
        let mut wait = AGAIN_AFTER;
        for tried in 1.. {
            let kind = HeaderValue::from_static(kind);
            let asked = self.probe.send(method.clone(), &uri, kind, body.clone()).await;
            let asks = match &asked {
                Ok(reply) if may_pass(reply) => reply.retry_after,
                Ok(_) => None,
                Err(_) => None,
            };
            let is_over = matches!(&asked, Ok(reply) if !may_pass(reply));
            if is_over || tried >= TRIES {
                let (tool, tries) = (self.tool, tried);
                return asked.map(|reply| (uri, reply)).map_err(|why| TrackingError::NoAnswer {
                    tool,
                    uri: address,
                    why,
                    tries,
                });
            }
            self.clock.simulate(asks.unwrap_or(wait).min(AGAIN_AFTER_MAX)).await;
            wait *= 2;
        }
        Err(self.odd(path, "it was never asked"))
    }

    fn accepted(&self, uri: &Uri, reply: ProbeReply) -> Result<Bytes, TrackingError> {
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        let said = String::from_utf8_lossy(&reply.body);
        let said: String = one_line(&redact(&said)).chars().take(QUOTED_CHARS).collect();
        let (tool, uri, status) = (self.tool, uri.to_string(), reply.status.as_u16());
        Err(TrackingError::Refused { tool, uri, status, said })
    }

    fn json(&self, uri: &Uri, body: &[u8]) -> Result<Value, TrackingError> {
        // Some receivers answer nothing where all is well.
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body).map_err(|error| TrackingError::Answer {
            tool: self.tool,
            uri: uri.to_string(),
            what: format!("not JSON: {error}"),
        })
    }
}

/// Whether the same request may be answered later.
fn may_pass(reply: &ProbeReply) -> bool {
    matches!(reply.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}
