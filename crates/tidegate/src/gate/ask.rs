//! Asking one case of a version set, as a client would.

use crate::upstream::{Answer, Call, Deadlines, Reply, UpstreamError};
use crate::version_set::LiveSet;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::gate::Case;
use tidegate_core::guard::{Detectors, RiskEvent};
use tidegate_core::ids::Digest;
use tidegate_core::request::{AnswerProblem, content_text, read_answer};
use tidegate_core::upstream::Failure;

/// Longest answer where the prompt's config sets none, tokens (R19).
const MAX_TOKENS: u64 = 512;
/// How long to wait before asking again where the upstream does not say.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Longest wait before asking again, whatever the upstream says.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);

/// An answer to a case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Its text.
    pub(crate) text: String,
    /// End-to-end time, ms.
    pub(crate) latency_ms: u64,
    /// Whether it ended because it reached its longest length.
    pub(crate) cut: bool,
    /// Tokens of prompt and answer together, where the upstream reports them.
    pub(crate) total_tokens: Option<u64>,
    /// What stands in it that should not.
    pub(crate) events: Vec<RiskEvent>,
}

/// Why there is no answer; safe to show.
#[derive(Debug, Clone)]
pub(crate) struct AskError {
    /// One sentence.
    pub(crate) message: String,
    /// What the call met; `None` where nothing could be sent.
    pub(crate) failure: Option<Failure>,
    /// After which time asking again can help; `None` where it cannot.
    pub(crate) again: Option<Duration>,
}

/// Asks the case once.
///
/// A fixed case is asked with temperature 0, so that two runs can be compared. One that is asked as
/// served (`as_served`) names no decoding, and the set's own holds as it does in production.
/// `max_tokens` is what ships: the prompt config's, and 512 only where it sets none. A case's own
/// system prompt takes the place of the version set's.
pub(crate) async fn ask(
    live: &Arc<LiveSet>,
    case: &Case,
    deadlines: Deadlines,
    as_served: bool,
) -> Result<Asked, AskError> {
    let unsent = |message: String| AskError { message, failure: None, again: None };
    let rendered = live
        .render(&request(&case.input, live.max_tokens, as_served), None)
        .map_err(|error| unsent(format!("the prompt cannot be rendered: {error}")))?;
    let mut body = rendered.body;
    if let Some(system) = &case.system {
        replace_system(&mut body, system);
    }
    let system_prompt = system_of(&body);
    let call = Call {
        body,
        stream: false,
        keys: live.keys.clone(),
        traceparent: None,
        // Case ids may be in any script; a header may not.
        request_id: format!("eval-{}", Digest::of(case.id.as_bytes()).short(12)),
        deadlines,
    };
    let malformed = |message: String| AskError {
        message,
        failure: Some(Failure::Malformed),
        again: Some(AGAIN_AFTER),
    };
    let answer = match live.upstream.call(call).await {
        Ok(Reply::Whole(answer)) => answer,
        Ok(Reply::Stream(_)) => {
            return Err(malformed(
                "the upstream streamed an answer that was asked for whole".into(),
            ));
        }
        Err(error) => return Err(ask_error(&error)),
    };
    // The echo is looked for of what was sent, which a case may have changed.
    let detectors = Detectors { system_prompt, ..live.detectors.clone() };
    asked(&answer, &detectors).map_err(|problem| malformed(problem.to_string()))
}

/// What an upstream's answer is to a case.
fn asked(answer: &Answer, detectors: &Detectors) -> Result<Asked, AnswerProblem> {
    let facts = read_answer(&answer.body)?;
    let events = detectors.inspect_answer(&facts);
    Ok(Asked {
        latency_ms: u64::try_from(answer.took.total.as_millis()).unwrap_or(u64::MAX),
        cut: facts.text_cut || facts.finish_reason.as_deref() == Some("length"),
        total_tokens: facts.usage.map(|(tokens_in, out)| tokens_in.saturating_add(out)),
        events,
        text: facts.text,
    })
}

/// The request of a client that asks this.
fn request(input: &str, ships: Option<u64>, as_served: bool) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("messages".to_owned(), json!([{"role": "user", "content": input}]));
    if as_served {
        return body;
    }
    body.insert("temperature".to_owned(), json!(0));
    if ships.is_none() {
        body.insert("max_tokens".to_owned(), json!(MAX_TOKENS));
    }
    body
}

fn is_system(message: &Value) -> bool {
    matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
}

/// Puts a system prompt in the place of those there are.
fn replace_system(body: &mut Map<String, Value>, system: &str) {
    if let Some(Value::Array(messages)) = body.get_mut("messages") {
        messages.retain(|message| !is_system(message));
        messages.insert(0, json!({"role": "system", "content": system}));
    }
}

/// The system prompt that is sent; empty for none.
fn system_of(body: &Map<String, Value>) -> String {
    let messages = body.get("messages").and_then(Value::as_array);
    let texts: Vec<String> = messages
        .into_iter()
        .flatten()
        .filter(|message| is_system(message))
        .map(|message| content_text(message.get("content")))
        .collect();
    texts.join("\n")
}

fn ask_error(error: &UpstreamError) -> AskError {
    let again = match error.failure {
        // A second try meets the same answer.
        Failure::Refused
        | Failure::Credential
        | Failure::AccountLimit
        | Failure::TooLarge
        | Failure::ClientGone
        | Failure::Internal => None,
        Failure::Unreachable
        | Failure::FirstByteTimeout
        | Failure::IdleTimeout
        | Failure::TotalTimeout
        | Failure::CutShort
        | Failure::Malformed
        | Failure::RateLimited
        | Failure::ServerError => {
            let asked_for = error.retry_after_s.map(Duration::from_secs);
            Some(asked_for.unwrap_or(AGAIN_AFTER).min(AGAIN_AFTER_MAX))
        }
    };
    let message = format!("{}: {}", error.failure.as_str(), error.message);
    AskError { message, failure: Some(error.failure), again }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Took;
    use tidegate_core::guard::RiskKind;

    fn answer(body: &Value) -> Answer {
        let took = Took { first_token: Duration::ZERO, total: Duration::from_millis(1234) };
        Answer { body: body.to_string().into(), took }
    }

    #[test]
    fn an_answers_text_latency_and_events() {
        let body = json!({"choices": [{
            "message": {"content": "好", "tool_calls": [{"function": {"name": "refund"}}]},
            "finish_reason": "length"
        }]});
        let none_allowed = Detectors { allowed_tools: Some([].into()), ..Detectors::default() };
        let asked = asked(&answer(&body), &none_allowed).unwrap();
        assert_eq!((asked.text.as_str(), asked.latency_ms, asked.cut), ("好", 1234, true));
        assert_eq!(asked.events[0].kind, RiskKind::UnauthorisedTool);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let problem = |body: Value| asked(&answer(&body), &Detectors::default()).unwrap_err();
        assert_eq!(problem(json!({"choices": []})), AnswerProblem::NoChoices);
        let busy = json!({"error": {"code": "busy"}, "choices": [{"message": {"content": "a"}}]});
        assert_eq!(problem(busy), AnswerProblem::Error { code: Some("busy".to_owned()) });
    }

    #[test]
    fn the_sets_own_max_tokens_ships() {
        assert_eq!(request("q", None, false)["max_tokens"], 512);
        assert!(!request("q", Some(1024), false).contains_key("max_tokens"));
        assert_eq!(request("q", None, false)["temperature"], 0);
        assert_eq!(request("q", None, true).len(), 1, "as served: the set's own decoding");
    }

    #[test]
    fn a_cases_system_takes_the_place_of_the_sets() {
        let messages =
            json!([{"role": "system", "content": "旧"}, {"role": "user", "content": "q"}]);
        let mut body = Map::from_iter([("messages".to_owned(), messages)]);
        assert_eq!(system_of(&body), "旧");
        replace_system(&mut body, "新");
        assert_eq!(system_of(&body), "新");
        assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    }

    fn check_again(failure: Failure, retry_after_s: Option<u64>, expected: Option<u64>) {
        let (status, took) = (None, Took::default());
        let message = "down".to_owned();
        let error = ask_error(&UpstreamError { failure, status, message, retry_after_s, took });
        assert_eq!(error.again, expected.map(Duration::from_millis), "{failure:?}");
    }

    #[test]
    fn what_is_asked_again() {
        check_again(Failure::ServerError, None, Some(500));
        check_again(Failure::RateLimited, Some(2), Some(2_000));
        check_again(Failure::RateLimited, Some(300), Some(10_000));
        check_again(Failure::Credential, None, None);
        check_again(Failure::Refused, None, None);
    }
}
