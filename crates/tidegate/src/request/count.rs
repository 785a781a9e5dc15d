//! `POST /v1/messages/count_tokens`: how many tokens a message has as stable would send it. They
//! are estimated, and the answer says so; nothing is sent to a model server, recorded or billed.

use super::body::Body;
use super::dialect::{Asks, Dialect, put_warning, put_warnings};
use super::exchange::{input_tokens, text_tokens};
use super::front::Admitted;
use super::problem::Problem;
use super::respond;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;
use tidegate_core::upstream::Failure;
use tidegate_wire::parse_json_object;

/// What is said of the count.
const ESTIMATED: &str = "`input_tokens` is estimated: the model server was not asked";

/// Counts.
pub(super) fn tokens(admitted: &Admitted, bytes: &Bytes) -> Result<Response<Body>, Problem> {
    let read = |bytes| Dialect::Anthropic.read(bytes).map_err(|e| Problem::of_request(&e));
    let mut body = parse_json_object(bytes).map_err(|e| Problem::of_request(&e))?;
    // The one member that a message needs and a count does not have.
    body.entry("max_tokens").or_insert(1.into());
    let Asks { chat, warnings, message, .. } =
        read(&serde_json::to_vec(&body).unwrap_or_default().into())?;
    if let Some(why) = message.and_then(|message| message.untranslatable) {
        return Err(Problem::of_request(&why));
    }
    let (gateway, _) = admitted.pick(chat.model.as_deref())?;
    let set = std::sync::Arc::clone(&gateway.parts.router.load().stable);
    let rendered = set
        .render(chat.body, chat.user.as_deref())
        .map_err(|error| Problem::of_failure(Failure::Unrendered, error.to_string()))?;
    let tools = rendered.body.get("tools").map_or(0, text_tokens);
    let tokens = input_tokens(&rendered.body).saturating_add(tools);
    let answer = json!({ "input_tokens": tokens, "estimated": true });
    let mut response = respond::json(StatusCode::OK, &answer);
    put_warnings(response.headers_mut(), &warnings);
    put_warning(response.headers_mut(), ESTIMATED);
    Ok(response)
}
