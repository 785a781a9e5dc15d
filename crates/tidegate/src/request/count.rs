//! `POST /v1/messages/count_tokens`: how many tokens a message has as stable would send it. Where
//! its model server counts them, it is asked; otherwise they are estimated, and the answer says so.
//! `:countTokens` of Google's API is an estimate. Nothing is recorded or billed.

use super::arrival::Arrival;
use super::body::Body;
use super::dialect::{Asks, Dialect, Message, put_warning, put_warnings};
use super::exchange::caller_of;
use super::front::Admitted;
use super::gateway::Gateway;
use super::incoming::RequestBody;
use super::priority;
use super::problem::Problem;
use super::respond;
use crate::guard::{asked_in, refused_for};
use crate::spending::{input_tokens, text_tokens};
use crate::upstream::{Call, Deadlines, Form, UpstreamError};
use crate::version_set::{LiveSet, Slots};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::guard::signals;
use tidegate_core::route::Entrance;
use tidegate_core::upstream::Failure;
use tidegate_wire::openai_chat::ChatRequest;
use tidegate_wire::parse_json_object;
use tidegate_wire::translate::Warnings;

/// What is said of a count that is ours.
const NOT_ASKED: &str = "`input_tokens` is estimated: the model server was not asked";
/// The same where it was.
const NO_ANSWER: &str = "`input_tokens` is estimated: the model server could not say";
/// How long a count is waited for: those who ask are about to send the message itself.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);
/// The members of a message that have tokens, or say how the others are counted. The API refuses
/// those that only a message to be answered has.
const COUNTED: [&str; 10] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Counts.
pub(super) async fn tokens(
    admitted: &Admitted,
    arrival: &Arrival,
    body: RequestBody,
) -> Result<Response<Body>, Problem> {
    // Its share of the memory is held until the end.
    let RequestBody { bytes, share: _share } = body;
    let mut given = parse_json_object(&bytes).map_err(|e| Problem::of_request(&e))?;
    // The one member that a message needs and a count does not have.
    given.entry("max_tokens").or_insert(1.into());
    let body = Bytes::from(serde_json::to_vec(&given).unwrap_or_default());
    let asks = Dialect::Anthropic.read(&body, None).map_err(|e| Problem::of_request(&e))?;
    let Asks { chat, warnings, message, .. } = asks;
    let (gateway, _) = admitted.pick(chat.model.as_deref())?;
    let set = Arc::clone(&gateway.parts.router.load().stable);
    let why = match asked(&gateway, arrival, &set, &chat) {
        Err(banned) => return Err(banned),
        Ok(false) => NOT_ASKED,
        Ok(true) => match counted(&gateway, arrival, &set, given).await? {
            Some(tokens) => {
                return Ok(respond::json(StatusCode::OK, &json!({ "input_tokens": tokens })));
            }
            None => NO_ANSWER,
        },
    };
    if let Some(Message { untranslatable: Some(why), .. }) = message {
        return Err(Problem::of_request(&why));
    }
    let tokens = estimated(&set, chat)?;
    let answer = json!({ "input_tokens": tokens, "estimated": true });
    Ok(warning(&answer, &warnings, why))
}

/// Counts a request of Google's API.
pub(super) fn google(
    admitted: &Admitted,
    arrival: &Arrival,
    body: RequestBody,
) -> Result<Response<Body>, Problem> {
    // Its share of the memory is held until the end.
    let RequestBody { mut bytes, share: _share } = body;
    let given = parse_json_object(&bytes).map_err(|e| Problem::of_request(&e))?;
    // The whole request, where it has more than contents.
    let whole = ["generateContentRequest", "generate_content_request"];
    if let Some(whole) = whole.iter().find_map(|key| given.get(*key)) {
        bytes = serde_json::to_vec(whole).unwrap_or_default().into();
    }
    let read = arrival.dialect.read(&bytes, arrival.model.as_deref());
    let Asks { chat, warnings, .. } = read.map_err(|e| Problem::of_request(&e))?;
    let (gateway, _) = admitted.pick(chat.model.as_deref())?;
    not_banned(&gateway, arrival, &chat)?;
    let tokens = estimated(&gateway.parts.router.load().stable, chat)?;
    let answer = json!({ "totalTokens": tokens, "estimated": true });
    Ok(warning(&answer, &warnings, "`totalTokens` is estimated: the model server was not asked"))
}

/// How many tokens a request has as the set would send it, as far as texts say.
fn estimated(set: &LiveSet, chat: ChatRequest) -> Result<u64, Problem> {
    let rendered = set
        .render(chat.body, chat.user.as_deref())
        .map_err(|error| Problem::of_failure(Failure::Unrendered, error.to_string()))?;
    let tools = rendered.body.get("tools").map_or(0, text_tokens);
    Ok(input_tokens(&rendered.body).saturating_add(tools))
}

fn warning(answer: &Value, warnings: &Warnings, why: &str) -> Response<Body> {
    let mut response = respond::json(StatusCode::OK, answer);
    put_warnings(response.headers_mut(), warnings);
    put_warning(response.headers_mut(), why);
    response
}

fn not_banned(gateway: &Gateway, arrival: &Arrival, chat: &ChatRequest) -> Result<(), Problem> {
    let caller = || caller_of(arrival, chat.user.as_deref());
    let left_s = gateway.bans.left_s(caller, gateway.parts.clock.now());
    left_s.map_or(Ok(()), |left_s| Err(Problem::banned(left_s)))
}

/// Whether the model server may be asked: the message goes to it as it would be sent. What would
/// not be sent is not counted there either; a tenant that is audited has no request without a
/// record.
///
/// # Errors
/// The caller is banned.
fn asked(
    gateway: &Gateway,
    arrival: &Arrival,
    set: &LiveSet,
    chat: &ChatRequest,
) -> Result<bool, Problem> {
    not_banned(gateway, arrival, chat)?;
    let router = &gateway.parts.router;
    let is_open = !matches!(router.load().table.entrance, Entrance::Closed { reason: _ });
    let is_audited = gateway.records.audits(arrival.caller.tenant.as_deref());
    if !set.speaks_messages() || !is_open || is_audited || router.degraded().is_some() {
        return Ok(false);
    }
    let found = signals(asked_in(&chat.body), &set.detectors.words);
    Ok(refused_for(&set.block, &found).is_none())
}

/// The model server's own count; `None` where none came.
///
/// # Errors
/// It refuses the message, as it would if it were sent; or all places are taken.
async fn counted(
    gateway: &Gateway,
    arrival: &Arrival,
    set: &LiveSet,
    message: Map<String, Value>,
) -> Result<Option<u64>, Problem> {
    let rendered = set.render_message(message, Slots::default());
    let mut body =
        rendered.map_err(|e| Problem::of_failure(Failure::Unrendered, e.to_string()))?.body;
    body.retain(|member, _| COUNTED.contains(&member.as_str()));
    let of = (priority::of(gateway, arrival)?, arrival.caller.who());
    let _place = gateway.admission.place(of, COUNTED_WITHIN).await?;
    let call = Call {
        form: Form::Messages,
        body,
        tokens: None,
        betas: arrival.betas.clone(),
        expected_bytes: 0,
        stream: false,
        is_retry: false,
        tried: Vec::new(),
        is_hurried: false,
        keys: set.keys.clone(),
        traceparent: arrival.ids.traceparent.clone(),
        trace_id: Some(arrival.ids.trace.as_str().to_owned()),
        request_id: arrival.ids.request.as_str().to_owned(),
        deadlines: Deadlines {
            first_byte: COUNTED_WITHIN,
            idle: COUNTED_WITHIN,
            total: COUNTED_WITHIN,
        },
    };
    match set.upstream.count(call).await {
        Some(Ok(tokens)) => Ok(Some(tokens)),
        // Servers that speak the API need not count.
        Some(Err(UpstreamError { status: Some(404 | 405), .. })) | None => Ok(None),
        Some(Err(error)) if error.failure == Failure::Refused => {
            let name = gateway.passes_errors_on.then_some(set.upstream_name.as_str());
            Err(Problem::upstream(&error, name))
        }
        Some(Err(_)) => Ok(None),
    }
}
