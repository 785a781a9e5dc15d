//! Exchanges with a service as its clients have them, for the smoke test and for tools that runs
//! are sent to: each on a connection that no other uses, without redirects and without retries.

use super::client::{HttpClient, connector, http_client, no_answer};
use super::encoding::Decoder;
use super::headers::retry_after;
use super::lanes::Body;
use super::resolver::Resolver;
use super::{AGENT, read_whole};
use crate::upstream::SetupError;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use std::time::Duration;

/// Largest answer that is read, bytes: a smoke test asks for 80 tokens.
pub(crate) const PROBE_MAX: usize = 1024 * 1024;

/// A client of one service.
pub(crate) struct Probe {
    client: HttpClient,
    credential: Option<HeaderValue>,
    within: Duration,
}

/// What the service answered.
#[derive(Debug, Clone)]
pub(crate) struct ProbeReply {
    /// Its status, whatever that says.
    pub(crate) status: StatusCode,
    /// Its body, decoded.
    pub(crate) body: Bytes,
    /// How long it asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Probe {
    /// Gets ready to ask the service at an address; each exchange may take `within`.
    ///
    /// # Errors
    /// There are no certificates for `https`.
    pub(crate) fn new(
        address: &Uri,
        credential: Option<HeaderValue>,
        within: Duration,
    ) -> Result<Probe, SetupError> {
        // The deadline of the exchange ends a slow connection, not one that is shorter.
        let connector = connector("smoke test", address, Resolver::default(), false, within)?;
        Ok(Probe { client: http_client(connector, 0), credential, within })
    }

    /// Sends JSON, or nothing with `GET`, and gives what comes back.
    ///
    /// # Errors
    /// One sentence: there was no answer, none in time, or one that is not read.
    pub(crate) async fn exchange(
        &self,
        uri: &Uri,
        json: Option<Bytes>,
    ) -> Result<ProbeReply, String> {
        let method = if json.is_some() { Method::POST } else { Method::GET };
        let kind = HeaderValue::from_static("application/json");
        self.send(method, uri, kind, json.unwrap_or_default()).await
    }

    /// Sends a body of this kind, and gives what comes back.
    ///
    /// # Errors
    /// As [`Probe::exchange`].
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: &Uri,
        kind: HeaderValue,
        body: Bytes,
    ) -> Result<ProbeReply, String> {
        let late = |_| format!("no answer within {} s", self.within.as_secs_f64());
        let mut request = Request::new(Full::from(body));
        (*request.method_mut(), *request.uri_mut()) = (method, uri.clone());
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let asked = tokio::time::timeout(self.within, self.ask(request)).await.map_err(late)?;
        // The client's sentences are about model servers, which this one need not be.
        asked.map_err(|message| message.replace("the upstream", "the service"))
    }

    async fn ask(&self, mut request: Request<Full<Bytes>>) -> Result<ProbeReply, String> {
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(self.credential.clone().map(|credential| (AUTHORIZATION, credential)));
        let response = self.client.request(request).await.map_err(|error| no_answer(&error).1)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let decoder = Decoder::of(response.headers())
            .map_err(|unknown| format!("the answer is compressed as `{unknown}`, unasked"))?;
        let body = Body::new(response.into_body(), None);
        let body = read_whole(body, decoder, PROBE_MAX).await.map_err(|(_, message)| message)?;
        Ok(ProbeReply { status, body, retry_after })
    }
}
