//! `POST /v1/chat/completions` and the short form `POST /chat`: route, render, call, answer.

use super::arrival::Arrival;
use super::body::Body;
use super::bounds::{BACKOFF_FIRST, BACKOFF_MAX};
use super::code::Code;
use super::dialect::{Asks, Dialect, Message, put_warnings};
use super::exchange::{Asked, Ending, Exchange, FromCache, Labels, Query, X_CACHE};
use super::front::Admitted;
use super::gateway::Gateway;
use super::incoming::RequestBody;
use super::problem::Problem;
use super::repeats::{Begun, Kept, Turn};
use super::{cache, incoming, priority, relief, reply, respond, stream};
use crate::http::BodyError;
use crate::upstream::{
    self, Answer, Call, Deadlines, Elapsed, Form, Piece, Pieces, Reply, UpstreamError,
};
use crate::version_set::{Fallback, Rendered, Slots};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::ids::{Digest, subject_of};
use tidegate_core::upstream::Failure;
use tidegate_wire::forms::parse_short_chat;
use tidegate_wire::translate::Warnings;
use tidegate_wire::{RequestError, openai_chat, parse_json_object};

/// What a version set usually adds to a request, bytes.
const EXPECTED_MORE: usize = 2048;

/// What a call came to, before the first byte for the client.
enum Called {
    Whole(Answer),
    /// The first piece was taken off and is data or a ping, never a failure.
    Stream(Piece, Pieces),
}

impl Called {
    /// What was left out of the request on its way.
    fn take_warnings(&mut self) -> Warnings {
        match self {
            Called::Whole(answer) => std::mem::take(&mut answer.warnings),
            Called::Stream(_, pieces) => pieces.take_warnings(),
        }
    }
}

/// Every endpoint that a model answers, but for the short form.
pub(super) async fn completions(
    admitted: &Admitted,
    mut arrival: Arrival,
    body: RequestBody,
) -> Result<Response<Body>, Problem> {
    let RequestBody { bytes, share } = body;
    let (dialect, model) = (arrival.dialect, arrival.model.take());
    let asks = dialect.read(&bytes, model.as_deref()).map_err(|e| Problem::of_request(&e))?;
    let Asks { chat: request, text, tokens, mut warnings, echo, message } = asks;
    let gateway = pick(admitted, &mut arrival, request.model.as_deref(), bytes.len())?;
    let identity = || dialect.identity(&bytes, model.as_deref());
    let mut turn = match arrival.key.as_ref() {
        None => None,
        Some(key) => match gateway.repeats.begin(&arrival.caller, key, &identity())? {
            Begun::First(turn) => Some(turn),
            Begun::Again(Kept { headers, body }) => {
                let mut response = Response::new(Body::full(body));
                *response.headers_mut() = headers;
                return Ok(response);
            }
        },
    };
    let query = Query {
        form: dialect.form(),
        message,
        is_message: false,
        left_out: Warnings::default(),
        tool_results: openai_chat::tool_results(&request.body),
        decoding: openai_chat::decoding_alone(&request.body),
        body: Asked::new(&text, request.body),
        tokens,
        stream: request.stream,
        include_usage: request.include_usage,
        user: request.user.as_deref().map(subject_of),
        text: request.last_user_text,
        input_chars: request.input_chars,
        budget: None,
        echo,
    };
    let digest = gateway.cache.is_some().then(|| Digest::of(&identity()));
    drop((bytes, text));
    let mut exchange = Exchange::open(&gateway, arrival, query, share).await?;
    let trace = exchange.ids().trace.clone();
    let name = match exchange.look_up(digest.as_ref()) {
        FromCache::Hit(kept) => return Ok(again(exchange, kept, turn)),
        FromCache::Miss(name) => Some(name),
        FromCache::Off => None,
    };
    let mut called = call(&mut exchange).await;
    let labels = exchange.labels();
    if exchange.query.is_message {
        // Nothing of the client's was left out after all.
        warnings = std::mem::take(&mut exchange.query.left_out);
    }
    warnings.extend(called.as_mut().map(Called::take_warnings).unwrap_or_default());
    let response = match called {
        Ok(Called::Whole(answer)) => match reply::whole(exchange, answer).await {
            Ok(whole) => return Ok(first_time((&gateway, name, turn), whole, labels, warnings)),
            Err(problem) => respond::problem(&problem, dialect, &trace),
        },
        Ok(Called::Stream(first, pieces)) => {
            exchange.turn = turn.take();
            stream::response(exchange, first, pieces)
        }
        Err(error) => respond::problem(&fail(exchange, error), dialect, &trace),
    };
    let mut response = labels.put(response);
    put_warnings(response.headers_mut(), &warnings);
    Ok(response)
}

/// The answer that was given before to the same request.
fn again(exchange: Exchange, kept: cache::Kept, turn: Option<Turn>) -> Response<Body> {
    let cache::Kept { body, warnings } = kept;
    let mut response = exchange.labels().put(respond::json_bytes(StatusCode::OK, body.clone()));
    exchange.end_cached();
    put_warnings(response.headers_mut(), &warnings);
    response.headers_mut().insert(X_CACHE, HeaderValue::from_static("hit"));
    if let Some(turn) = turn {
        turn.keep(response.headers(), &body);
    }
    response
}

/// An answer that a model gave. It is kept for the same idempotency key, and in the cache under its
/// name where that was asked and the answer may be given again.
fn first_time(
    (gateway, name, turn): (&Gateway, Option<Digest>, Option<Turn>),
    whole: reply::Whole,
    labels: Labels,
    warnings: Warnings,
) -> Response<Body> {
    let body = whole.body;
    let mut response = labels.put(respond::json_bytes(StatusCode::OK, body.clone()));
    put_warnings(response.headers_mut(), &warnings);
    if let Some(turn) = turn {
        turn.keep(response.headers(), &body);
    }
    if let Some((cache, name)) = gateway.cache.as_ref().zip(name) {
        response.headers_mut().insert(X_CACHE, HeaderValue::from_static("miss"));
        if whole.may_be_kept {
            cache.keep(name, cache::Kept { body, warnings }, Instant::now());
        }
    }
    response
}

/// The service that a request is for, within that service's limit on bodies.
fn pick(
    admitted: &Admitted,
    arrival: &mut Arrival,
    model: Option<&str>,
    body_bytes: usize,
) -> Result<Arc<Gateway>, Problem> {
    let (gateway, caller) = admitted.pick(model)?;
    let max = gateway.limits.max_body_bytes;
    if body_bytes as u64 > max {
        return Err(BodyError::TooLarge { max }.into());
    }
    arrival.caller = caller;
    // Before an answer that was given already: a header that is refused is refused always.
    arrival.priority = priority::of(&gateway, arrival)?;
    Ok(gateway)
}

/// `POST /chat`: the short form, a user and a prompt.
pub(super) async fn seed(
    admitted: &Admitted,
    mut arrival: Arrival,
    body: RequestBody,
) -> Result<Response<Body>, Problem> {
    let request = parse_short_chat(&body.bytes).map_err(|e| Problem::of_request(&e))?;
    let gateway = pick(admitted, &mut arrival, None, body.bytes.len())?;
    let message = json!({ "role": "user", "content": &request.prompt });
    let values = json!({ "messages": [message] });
    let text = Bytes::from(values.to_string());
    let Value::Object(values) = values else { return Err(Problem::internal()) };
    let query = Query {
        form: Form::Chat,
        message: None,
        is_message: false,
        left_out: Warnings::default(),
        body: Asked::new(&text, values),
        tokens: None,
        stream: false,
        include_usage: false,
        user: Some(subject_of(&request.user_id)),
        input_chars: request.prompt.chars().count() as u64,
        text: request.prompt,
        decoding: Some(Default::default()),
        tool_results: Vec::new(),
        budget: request.budget_ms.map(Duration::from_millis),
        echo: Default::default(),
    };
    let mut exchange = Exchange::open(&gateway, arrival, query, body.share).await?;
    let (ids, set, arm) = (exchange.ids().clone(), Arc::clone(&exchange.set), exchange.arm());
    let mut called = call(&mut exchange).await;
    let labels = exchange.labels();
    let fallback = exchange.fallback().map(|fallback| fallback.model.clone());
    let warnings = called.as_mut().map(Called::take_warnings).unwrap_or_default();
    let answered = match called {
        Ok(Called::Whole(answer)) => reply::whole(exchange, answer).await,
        Ok(Called::Stream(..)) => Err(fail(exchange, not_asked_for())),
        Err(error) => Err(fail(exchange, error)),
    };
    let mut response = match answered {
        Err(problem) => respond::problem(&problem, Dialect::OpenAi, &ids.trace),
        Ok(whole) => {
            let mut said = json!({
                "trace_id": ids.trace.as_str(),
                "request_id": ids.request.as_str(),
                "answer": text_of(&whole.body),
                "arm": arm.as_str(),
                "version_set": {
                    "id": set.set.id.as_str(),
                    "model": set.keys.model,
                    "prompt": set.keys.prompt,
                    "index": set.keys.index,
                },
                "latency_ms": whole.latency_ms,
                "tokens_in": whole.tokens_in,
                "tokens_out": whole.tokens_out,
            });
            if let Some(model) = fallback {
                said["fallback"] = Value::from(model);
            }
            respond::json(StatusCode::OK, &said)
        }
    };
    put_warnings(response.headers_mut(), &warnings);
    Ok(labels.put(response))
}

/// The text of an answer that was read before. Only this form needs it, and a copy for all would
/// cost the others the memory.
fn text_of(body: &[u8]) -> String {
    openai_chat::read_answer(body).map(|facts| facts.text().to_owned()).unwrap_or_default()
}

/// Ends an exchange that failed before its first byte.
fn fail(exchange: Exchange, error: UpstreamError) -> Problem {
    let mut problem = Problem::upstream(&error, exchange.passes_on());
    if error.failure.is_timeout()
        && let Some(budget) = exchange.patience()
    {
        problem.code = Code::BudgetExceeded;
        let budget = budget.as_millis();
        problem.message = format!("no answer came within budget_ms = {budget}");
    }
    let failure = Some(exchange.charged(error.failure));
    exchange.close(Ending {
        status: problem.status,
        failure,
        elapsed: error.elapsed,
        said: Some(error.said),
        ..Ending::default()
    });
    problem
}

/// Calls the version set's upstream, again where that can help: before the first byte, the same
/// version set, within the request's time, and never more than a share of all requests.
async fn call(exchange: &mut Exchange) -> Result<Called, UpstreamError> {
    exchange.retrieve().await?;
    let calling = Instant::now();
    let mut backoff = BACKOFF_FIRST;
    let mut tries_left = exchange.set.limits.retries;
    let first_byte = Duration::from_millis(exchange.set.limits.first_byte_ms);
    let mut before = Duration::ZERO;
    let mut tried = Vec::new();
    let called = loop {
        let error = match call_once(exchange, Try { before, tried: &tried, of: None }).await {
            Ok(called) => break Ok(called),
            Err(error) => error,
        };
        tried.extend(error.endpoint);
        // Another endpoint has not failed: it is not waited for, and what was never sent may go to
        // it, whatever kept it from the first.
        let elsewhere = exchange.set.upstream.has_other(&tried);
        let wait = match elsewhere {
            true => Duration::ZERO,
            false => error.retry_after.unwrap_or(backoff),
        };
        let again = (error.failure.retryable() || elsewhere && error.is_unsent)
            && !error.sent_twice
            && tries_left > 0
            && wait <= BACKOFF_MAX
            && wait < exchange.left()
            && calling.elapsed() + wait < first_byte
            && exchange.gateway.admission.take_retry();
        if !again {
            break Err(error);
        }
        tries_left -= 1;
        backoff = (backoff * 2).min(BACKOFF_MAX);
        exchange.failed += error.elapsed.total;
        exchange.gateway.parts.clock.simulate(wait).await;
        before = calling.elapsed();
    };
    let called = match called {
        Err(error) if exchange.may_fall_back(&error) => fall_back(exchange, error).await,
        Ok(Called::Whole(answer)) => Ok(Called::Whole(repaired(exchange, answer).await)),
        called => called,
    };
    if let Ok(Called::Whole(answer)) = &called {
        exchange.moderate_answer(&answer.facts).await;
    }
    exchange.upstream += calling.elapsed();
    called
}

/// Asks the version set's other models, each once and in their order, within what is left of the
/// request's time. Where none answers, the own model's error is what the client gets.
async fn fall_back(exchange: &mut Exchange, error: UpstreamError) -> Result<Called, UpstreamError> {
    for index in 0..exchange.set.fallbacks.len() {
        if exchange.left().is_zero() {
            break;
        }
        exchange.falls_back(index, &error);
        let asked = Try { before: Duration::ZERO, tried: &[], of: Some(index) };
        match call_once(exchange, asked).await {
            Ok(called) => return Ok(called),
            Err(_) => exchange.fallback_failed(),
        }
    }
    Err(error)
}

/// Asks once more where the answer breaks the contract, within what is left of the request's time.
async fn repaired(exchange: &mut Exchange, first: Answer) -> Answer {
    if !exchange.begins_repair(&first) {
        return first;
    }
    let asked = Try { before: Duration::ZERO, tried: &[], of: None };
    let second = match call_once(exchange, asked).await {
        Ok(Called::Whole(second)) => Ok(second),
        Ok(Called::Stream(..)) => Err(not_asked_for()),
        Err(error) => Err(error),
    };
    exchange.repaired(first, second)
}

/// One try of a call.
struct Try<'a> {
    /// How long after the first one it begins.
    before: Duration,
    /// The endpoints that failed before it.
    tried: &'a [usize],
    /// The fallback that is asked; `None` for the version set's own model.
    of: Option<usize>,
}

/// One try: the deadlines are those of all tries of one model together.
async fn call_once(exchange: &mut Exchange, asked: Try<'_>) -> Result<Called, UpstreamError> {
    let Try { before, tried, of } = asked;
    let left = exchange.left();
    if left.is_zero() {
        let message = "the request's time was used up before the upstream was called";
        return Err(ours(Failure::TotalTimeout, message.to_owned()));
    }
    let set = Arc::clone(&exchange.set);
    let fallback = of.and_then(|index| set.fallbacks.get(index));
    let is_hurried = exchange.patience().is_some();
    let (form, body) = prepared(exchange, fallback)?;
    let query = &exchange.query;
    let limits = &set.limits;
    let first_byte = Duration::from_millis(limits.first_byte_ms).saturating_sub(before);
    let stream = query.stream;
    let call = Call {
        form,
        body,
        tokens: query.tokens.as_ref().map(|tokens| tokens.text.clone()),
        betas: query.is_message.then(|| exchange.betas()).flatten(),
        expected_bytes: query.text_bytes() + EXPECTED_MORE,
        stream,
        is_retry: !before.is_zero(),
        tried: tried.to_vec(),
        is_hurried,
        keys: exchange.set.keys.clone(),
        traceparent: exchange.ids().traceparent.clone(),
        trace_id: Some(exchange.ids().trace.as_str().to_owned()),
        request_id: exchange.ids().request.as_str().to_owned(),
        deadlines: Deadlines {
            first_byte: first_byte.min(left),
            idle: Duration::from_millis(limits.idle_ms).min(left),
            total: left,
        },
    };
    // The values are gone once they are written, and that is next.
    exchange.share.shrink(incoming::kept(exchange.query.text_bytes()));
    exchange.is_called();
    let upstream = fallback.map_or(&set.upstream, |fallback| &fallback.upstream);
    match (send(exchange, upstream, call).await?, stream) {
        (Reply::Whole(answer), false) => Ok(Called::Whole(answer)),
        (Reply::Stream(mut pieces), true) => match pieces.next().await {
            Some(Piece::Failed(error)) => Err(error),
            Some(Piece::Done(_)) | None => {
                let message = "the upstream's stream ended before its first event".to_owned();
                Err(ours(Failure::Malformed, message))
            }
            Some(first @ (Piece::Data { .. } | Piece::Ping)) => Ok(Called::Stream(first, pieces)),
        },
        (Reply::Whole(_), true) | (Reply::Stream(_), false) => Err(not_asked_for()),
    }
}

/// What is sent, and in which form: a message of Anthropic's API as it is where the version set
/// takes it so. A retry reads and renders again: keeping every prompt would cost all others memory.
fn prepared(
    exchange: &mut Exchange,
    fallback: Option<&Fallback>,
) -> Result<(Form, Map<String, Value>), UpstreamError> {
    let Exchange { query, set, degraded, gateway, searched, .. } = exchange;
    if let Some(why) = set.unserved(query.form) {
        let status = Some(StatusCode::NOT_FOUND.as_u16());
        return Err(UpstreamError { status, ..ours(Failure::Unrendered, why) });
    }
    let retrieved = searched.as_ref().map_or("", |searched| &searched.found.text);
    let slots = Slots { user: query.user.as_deref(), retrieved };
    let values = query.body.take();
    // A fixed text is a chat completion.
    let is_asked = *degraded != Some(DegradeLevel::FixedText);
    let as_it_is = is_asked && fallback.is_none() && set.speaks_messages();
    query.is_message = query.message.is_some() && as_it_is;
    let (form, rendered) = match (&query.message, query.form) {
        (Some(message), _) if query.is_message => {
            // It was read before.
            let values = parse_json_object(&message.text).unwrap_or_default();
            (Form::Messages, set.render_message(values, slots))
        }
        (Some(Message { untranslatable: Some(why), .. }), _) => return Err(untranslatable(why)),
        (_, form @ (Form::Chat | Form::Messages)) => match fallback {
            Some(fallback) => (form, set.render_for(fallback, values, slots)),
            None => (form, set.render(values, slots)),
        },
        (_, form @ (Form::Completions | Form::Embeddings)) => (form, set.pass(form, values)),
    };
    let rendered = rendered.map_err(|e| ours(Failure::Unrendered, e.to_string()))?;
    let Rendered { mut body, left_out } = rendered;
    query.left_out = left_out;
    if let Some(level) = *degraded {
        let config = &gateway.degrade;
        let model = relief::model(Some(level), form, config).filter(|_| fallback.is_none());
        relief::relieve(&mut body, (level, form), (config.max_tokens, model), set);
    }
    if form != Form::Embeddings {
        openai_chat::set_stream(&mut body, query.stream);
    }
    exchange.correct(form, &mut body);
    Ok((form, body))
}

/// A message that no chat completion can be, and a model server that takes nothing else.
fn untranslatable(why: &RequestError) -> UpstreamError {
    let error = ours(Failure::Unrendered, why.to_string());
    UpstreamError { untranslatable: Some(Box::new(why.clone())), ..error }
}

/// Sends a call to the model server, or answers it with the fixed text that no model is asked for.
async fn send(
    exchange: &Exchange,
    upstream: &upstream::Endpoints,
    call: Call,
) -> Result<Reply, UpstreamError> {
    if exchange.degraded != Some(DegradeLevel::FixedText) {
        return upstream.call(call).await;
    }
    let text = relief::fixed_text(&exchange.gateway.degrade, &exchange.query.text);
    upstream::fixed(call, text, &exchange.gateway.parts.clock).await
}

fn not_asked_for() -> UpstreamError {
    let message = "the upstream answered in a form that was not asked for".to_owned();
    ours(Failure::Malformed, message)
}

fn ours(failure: Failure, message: String) -> UpstreamError {
    UpstreamError::new(failure, message, Elapsed::default())
}
