//! One call over HTTP to a model server, whatever API it speaks.
//!
//! One call, once: a redirect is never followed and no retry is made here. Of the client's own
//! headers none goes on but `anthropic-beta`, with a message that goes on as it is. The first-byte
//! deadline holds for whole answers too, most of whose servers send nothing before they are done:
//! it must leave room for the longest answer. An error says what happened in our words: the
//! upstream's may hold secrets.

mod client;
mod encoding;
mod headers;
mod lanes;
mod probe;
mod resolver;
mod reused;
mod service;
mod stream;

use super::dialect::Dialect;
use super::{Answer, Call, Deadlines, Elapsed, Pieces, Reply, SetupError, UpstreamError, bounds};
use crate::http::{Collected, PerWorker, aside};
use bytes::Bytes;
use client::HttpClient;
use encoding::Decoder;
use headers::ContentKind;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Error;
use lanes::{Body, Lanes};
use resolver::Resolver;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::time::{Duration, Instant};
use stream::EventStream;
use tidegate_core::upstream::Failure;
use tidegate_wire::translate::Warnings;
use tidegate_wire::{AnswerProblem, RequestError};

pub(super) use client::{endpoint, key, segment};
pub(crate) use probe::{Probe, ProbeReply};
pub(super) use service::Place;

const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The way to one server.
#[derive(Debug)]
pub(super) struct Transport {
    /// An address of the server.
    address: Uri,
    resolver: Resolver,
    /// Headers of every request: the credential, and what else the API asks for.
    fixed: Vec<(HeaderName, HeaderValue)>,
    /// Each worker has its own connections: one that another opened would wake that one too.
    clients: PerWorker<Lanes>,
    /// For a call whose connection was closed just as it was used again: it keeps none.
    fresh: HttpClient,
}

/// One request of a call.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// Where it goes.
    pub(super) endpoint: &'a Uri,
    /// Its ids, and whether a stream is wanted.
    pub(super) call: &'a Call,
    /// Its body, in the server's dialect.
    pub(super) body: Bytes,
    /// How the answer is read.
    pub(super) dialect: Dialect,
    /// Headers of this request alone; they come in place of others of their names.
    pub(super) headers: HeaderMap,
}

/// One call's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    started: Instant,
    deadlines: Deadlines,
    /// The answer's, once it is here.
    status: Option<u16>,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy)]
enum Late {
    FirstByte,
    Idle,
    Total,
}

impl Transport {
    /// Makes the client of the upstream `name`, whose server is at `address`. HTTP/2 is spoken
    /// where `http2` offers it and the server's TLS takes it.
    ///
    /// # Errors
    /// There are no certificates.
    pub(super) fn new(
        name: &str,
        address: &Uri,
        fixed: Vec<(HeaderName, HeaderValue)>,
        http2: bool,
    ) -> Result<Self, SetupError> {
        let resolver = Resolver::default();
        let connector =
            client::connector(name, address, resolver.clone(), http2, bounds::CONNECT_WAIT)?;
        let are_shared = http2 && address.scheme() == Some(&Scheme::HTTPS);
        let clients = PerWorker::new(|| Lanes::new(&connector, are_shared));
        let fresh = client::http_client(connector, 0);
        Ok(Transport { address: address.clone(), resolver, fixed, clients, fresh })
    }

    /// Sends one request. A stream is given out once its first event is here.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        mut exchange: Exchange,
    ) -> Result<Reply, UpstreamError> {
        let (call, dialect) = (outgoing.call, outgoing.dialect);
        let response = self.accepted(outgoing, &mut exchange).await?;
        let decoder = exchange.decoder(&response)?;
        match (call.stream, ContentKind::of(response.headers())) {
            (_, ContentKind::Html) => Err(exchange.problem(&AnswerProblem::Html)),
            (false, ContentKind::Events) => {
                let message = "the upstream answered with a stream, which was not asked for";
                Err(exchange.error(Failure::Malformed, message))
            }
            // Some servers do not know `stream`: what they say is an answer all the same.
            (true, ContentKind::Json) | (false, ContentKind::Json | ContentKind::Unknown) => {
                exchange.whole(response.into_body(), decoder, dialect).await.map(Reply::Whole)
            }
            (true, ContentKind::Events | ContentKind::Unknown) => {
                exchange.stream(response.into_body(), decoder, dialect).await.map(Reply::Stream)
            }
        }
    }

    /// Sends one request, and reads what comes as the JSON of this type.
    ///
    /// # Errors
    /// As of [`Self::send`].
    pub(super) async fn ask_json<T: DeserializeOwned>(
        &self,
        outgoing: Outgoing<'_>,
        mut exchange: Exchange,
    ) -> Result<T, UpstreamError> {
        let response = self.accepted(outgoing, &mut exchange).await?;
        let decoder = exchange.decoder(&response)?;
        let reading = read_whole(response.into_body(), decoder, bounds::BODY_MAX);
        let body = exchange.within(exchange.total_deadline(), Late::Total, reading).await?;
        let body = body.map_err(|(failure, message)| exchange.error(failure, message))?;
        serde_json::from_slice(&body).map_err(|_| {
            exchange.error(Failure::Malformed, "the upstream's answer is not what its API says")
        })
    }

    /// Sends one request; gives an answer whose status is 2xx.
    async fn accepted(
        &self,
        outgoing: Outgoing<'_>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, UpstreamError> {
        let (call, dialect) = (outgoing.call, outgoing.dialect);
        let request = self.request(outgoing);
        let mut sent_twice = false;
        let asking = self.ask(request, call.is_retry, &mut sent_twice);
        let head = exchange.within(exchange.first_byte_deadline(), Late::FirstByte, asking);
        let response = head.await?.map_err(|error| {
            let (failure, message) = client::no_answer(&error);
            let is_unsent = error.is_connect() || client::is_unprocessed(&error);
            UpstreamError { sent_twice, is_unsent, ..exchange.error(failure, message) }
        })?;
        exchange.status = Some(response.status().as_u16());
        if !response.status().is_success() {
            return Err(exchange.refused(response, dialect).await);
        }
        Ok(response)
    }

    /// Sends a request. Where a connection that had served before is closed without an answer, the
    /// server had closed it before it saw the request: it is sent once more on a fresh one. Where
    /// that one is closed too, and for a retry, it is not sent again: a request that crashes its
    /// server would take one after the other with it. A server of HTTP/2 may say that it has not
    /// looked at a request; then it is sent once more as well.
    async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        is_retry: bool,
        sent_twice: &mut bool,
    ) -> Result<Response<Body>, Error> {
        let alone = |response: Response<_>| response.map(|body| Body::new(body, None));
        if is_retry {
            return self.fresh.request(request).await.map(alone);
        }
        let again = request.clone();
        let (client, place) = self.clients.get().pick();
        match client.request(request).await {
            Ok(response) => {
                reused::has_served(response.extensions());
                Ok(response.map(|body| Body::new(body, place)))
            }
            Err(error) if client::is_unprocessed(&error) => {
                self.fresh.request(again).await.map(alone)
            }
            Err(error) if client::is_closed(&error) && reused::had_served(&error) => {
                let sent_again = self.fresh.request(again).await;
                // One that cannot be made did not see the request.
                *sent_twice = sent_again.as_ref().is_err_and(client::is_closed);
                sent_again.map(alone)
            }
            Err(error) => Err(error),
        }
    }

    /// Connects to whatever the server's name resolves to.
    pub(super) fn call_any_address(&self) {
        self.resolver.allow_all();
    }

    /// Whether the server answers a request for `path` with a 2xx in time. Each
    /// check makes a connection, and shows by it that one can be made.
    pub(super) async fn is_up(&self, path: &str, within: Duration) -> bool {
        let mut parts = self.address.clone().into_parts();
        parts.path_and_query = path.parse().ok();
        let Ok(uri) = Uri::from_parts(parts) else { return false };
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(self.fixed.iter().cloned());
        let asked = tokio::time::timeout(within, self.fresh.request(request)).await;
        asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
    }

    /// A request that brings JSON.
    fn json(&self, endpoint: &Uri, body: Bytes, accept: &'static str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        let headers = request.headers_mut();
        // Room for all of them and for hyper's `host`: a map that grows is made three times.
        headers.reserve(7 + self.fixed.len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(self.fixed.iter().cloned());
        request
    }

    fn request(&self, outgoing: Outgoing<'_>) -> Request<Full<Bytes>> {
        let Outgoing { endpoint, call, body, dialect: _, headers: own } = outgoing;
        let accept =
            if call.stream { "text/event-stream, application/json" } else { "application/json" };
        let mut request = self.json(endpoint, body, accept);
        let headers = request.headers_mut();
        if let Some(betas) = &call.betas {
            headers.insert(BETAS, betas.clone());
        }
        // Ids that no header can carry are left out: they help to find a request, no more.
        if let Ok(id) = HeaderValue::from_str(&call.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(Ok(id)) = call.trace_id.as_deref().map(HeaderValue::from_str) {
            headers.insert(TRACE_ID, id);
        }
        if let Some(Ok(parent)) = call.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert(TRACEPARENT, parent);
        }
        headers.extend(own);
        request
    }
}

impl Exchange {
    /// A call that begins now.
    pub(super) fn start(deadlines: Deadlines) -> Exchange {
        Exchange { started: Instant::now(), deadlines, status: None }
    }

    fn first_byte_deadline(&self) -> Instant {
        self.started + self.deadlines.first_byte
    }

    fn total_deadline(&self) -> Instant {
        self.started + self.deadlines.total
    }

    /// Waits for `work` until `deadline`, at most until the total one.
    async fn within<T>(
        &self,
        deadline: Instant,
        late: Late,
        work: impl Future<Output = T>,
    ) -> Result<T, UpstreamError> {
        let (deadline, late) = if self.total_deadline() <= deadline {
            (self.total_deadline(), Late::Total)
        } else {
            (deadline, late)
        };
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(self.timeout(late)),
        }
    }

    /// The JSON of a request's body, which is about so long.
    pub(super) fn written(
        &self,
        values: &impl Serialize,
        expected: usize,
    ) -> Result<Bytes, UpstreamError> {
        let mut text = Vec::with_capacity(expected);
        match serde_json::to_writer(&mut text, values) {
            Ok(()) => Ok(text.into()),
            Err(_) => Err(self.error(Failure::Internal, "the request could not be written")),
        }
    }

    fn timeout(&self, late: Late) -> UpstreamError {
        let Deadlines { first_byte, idle, total } = self.deadlines;
        let (failure, message) = match late {
            Late::FirstByte => (
                Failure::FirstByteTimeout,
                format!("the upstream sent nothing within {} ms", first_byte.as_millis()),
            ),
            Late::Idle => (
                Failure::IdleTimeout,
                format!("the upstream's stream had no data for more than {} ms", idle.as_millis()),
            ),
            Late::Total => (
                Failure::TotalTimeout,
                format!("the upstream was not done within {} ms", total.as_millis()),
            ),
        };
        self.error(failure, message)
    }

    /// The API of the model server cannot say what the request asks; nothing was sent.
    pub(super) fn untranslatable(&self, why: RequestError) -> UpstreamError {
        let error = self.error(Failure::Unrendered, why.to_string());
        UpstreamError { untranslatable: Some(Box::new(why)), ..error }
    }

    pub(super) fn error(&self, failure: Failure, message: impl Into<String>) -> UpstreamError {
        let error = UpstreamError::new(failure, message, self.elapsed());
        UpstreamError { status: self.status, ..error }
    }

    fn problem(&self, problem: &AnswerProblem) -> UpstreamError {
        let error = UpstreamError::of_problem(problem, self.elapsed());
        UpstreamError { status: self.status, ..error }
    }

    /// The time taken by what ends now and had no first token before.
    fn elapsed(&self) -> Elapsed {
        let total = self.started.elapsed();
        Elapsed { first_token: total, total }
    }

    /// Classifies an answer whose status is not 2xx.
    async fn refused(&self, response: Response<Body>, dialect: Dialect) -> UpstreamError {
        let status = response.status().as_u16();
        let retry_after = headers::retry_after(response.headers());
        let wait = bounds::ERROR_BODY_WAIT.min(self.deadlines.total);
        let decoder = Decoder::of(response.headers()).unwrap_or_default();
        let body = tokio::time::timeout(wait, read_some(response.into_body(), decoder)).await;
        let said = dialect.error(&body.unwrap_or_default());
        UpstreamError::of_status(status, &said, self.elapsed()).after(retry_after)
    }

    /// The decoder of an answer's body. No compression is asked for; what is between may compress
    /// all the same.
    fn decoder(&self, response: &Response<Body>) -> Result<Decoder, UpstreamError> {
        Decoder::of(response.headers()).map_err(|unknown| {
            let message = format!(
                "the upstream's answer is compressed as `{unknown}`, which was not asked for; \
                 gzip and deflate can be read"
            );
            self.error(Failure::Malformed, message)
        })
    }

    async fn whole(
        &self,
        body: Body,
        decoder: Decoder,
        dialect: Dialect,
    ) -> Result<Answer, UpstreamError> {
        let reading = read_whole(body, decoder, bounds::BODY_MAX);
        let body = self.within(self.total_deadline(), Late::Total, reading);
        let body = body.await?.map_err(|(failure, message)| self.error(failure, message))?;
        let read = match body.len() > bounds::BODY_SMALL {
            false => dialect.whole(body),
            true => {
                let reading = aside(async move { dialect.whole(body) }).await;
                reading.map_err(|_panicked| {
                    self.error(Failure::Internal, "the answer could not be read")
                })?
            }
        };
        let (body, facts) = read.map_err(|problem| self.problem(&problem))?;
        Ok(Answer { body, facts, elapsed: self.elapsed(), warnings: Warnings::default() })
    }

    async fn stream(
        self,
        body: Body,
        decoder: Decoder,
        dialect: Dialect,
    ) -> Result<Pieces, UpstreamError> {
        let mut stream = EventStream::new(self, body, decoder, dialect);
        let first = stream.first().await?;
        if matches!(first, stream::Step::Done) {
            let message = "the upstream's stream is empty";
            return Err(self.error(Failure::Malformed, message));
        }
        let (sender, pieces) = Pieces::channel();
        tokio::spawn(stream.pump(first, sender));
        Ok(pieces)
    }
}

/// Reads a body of so many bytes at most.
async fn read_whole(
    mut body: Body,
    mut decoder: Decoder,
    max: usize,
) -> Result<Bytes, (Failure, String)> {
    let too_large = || {
        let message = format!("the upstream's answer is over {max} bytes");
        (Failure::TooLarge, message)
    };
    let broken = |_: encoding::Broken| {
        let message = "the upstream's answer is not what its content-encoding says".to_owned();
        (Failure::Malformed, message)
    };
    let promised = http_body::Body::size_hint(&body).lower();
    if promised > max as u64 {
        return Err(too_large());
    }
    let mut read = Collected::new(promised as usize);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let message = "the upstream's connection broke in the middle of its answer".to_owned();
            return Err((Failure::CutShort, message));
        };
        let Ok(bytes) = frame.into_data() else { continue };
        let room = max - read.len();
        let bytes = decoder.push(bytes, room).map_err(broken)?;
        if bytes.len() > room {
            return Err(too_large());
        }
        read.push(bytes);
    }
    if !decoder.is_done() {
        let message = "the upstream's compressed answer ends in the middle".to_owned();
        return Err((Failure::CutShort, message));
    }
    Ok(read.into_bytes())
}

/// The start of an error's body; a broken one is as good as none.
async fn read_some(mut body: Body, mut decoder: Decoder) -> Bytes {
    let mut read = Collected::default();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(bytes) = frame.into_data() else { continue };
        let room = bounds::ERROR_BODY_MAX - read.len();
        match decoder.push(bytes, room) {
            Ok(bytes) if bytes.len() <= room => read.push(bytes),
            Ok(_) | Err(_) => break,
        }
    }
    read.into_bytes()
}
