//! Asking one case of a version set, as a client would.

use crate::guard::{heard_in, said_in};
use crate::spending::{Account, input_tokens};
use crate::upstream::{Call, Deadlines, Elapsed, Form, Piece, Reply, UpstreamError};
use crate::version_set::{LiveSet, Slots};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::gate::{CalledTool, Case, CheckKind};
use tidegate_core::guard::{Detectors, RiskEvent};
use tidegate_core::ids::Digest;
use tidegate_core::retrieval::Retrieved;
use tidegate_core::upstream::Failure;
use tidegate_wire::openai_chat::{replace_system, set_stream, system_text};
use tidegate_wire::{AnswerFacts, Finish, Usage};

/// Longest answer where the prompt's config sets none, tokens.
const MAX_TOKENS: u64 = 512;
/// How long to wait before asking again where the upstream does not say.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// An answer to a case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// Its text.
    pub(crate) text: String,
    /// End-to-end time, ms.
    pub(crate) latency_ms: u64,
    /// Until its first token, ms; `None` where it was not streamed, or the recording has no time.
    pub(crate) ttft_ms: Option<u64>,
    /// Whether it ended because it reached its longest length.
    pub(crate) cut: bool,
    /// The model, as its server names it.
    pub(crate) named: Option<String>,
    /// By what the server runs, where it says so.
    pub(crate) fingerprint: Option<String>,
    /// Tokens of prompt and answer together, where the upstream reports them.
    pub(crate) total_tokens: Option<u64>,
    /// What it holds that it should not.
    pub(crate) events: Vec<RiskEvent>,
    /// The tools that it calls, in order.
    pub(crate) calls: Vec<CalledTool>,
    /// Why it ended, as the upstream says.
    pub(crate) finish: Option<String>,
    /// What the model was shown of an index; `None` where the version set searches in none.
    pub(crate) retrieved: Option<Retrieved>,
    /// The model that was asked.
    pub(crate) model: String,
    /// What it used, where the upstream reports it.
    pub(crate) usage: Option<Usage>,
}

/// Why there is no answer; safe to show.
#[derive(Debug, Clone)]
pub(crate) struct AskError {
    /// One sentence.
    pub(crate) message: String,
    /// What the call met; `None` where nothing could be sent.
    pub(crate) failure: Option<Failure>,
    /// After which time asking again can help; `None` where it cannot. Of a busy upstream zero
    /// where it named no time.
    pub(crate) again: Option<Duration>,
    /// Whether the upstream said that it is asked too much.
    pub(crate) is_busy: bool,
}

/// Asks the case once.
///
/// A fixed case is asked with temperature 0, so that two runs can be compared. One that is asked as
/// served (`as_served`) names no decoding, and the set's own holds as it does in production.
/// `max_tokens` is what ships: the prompt config's, and 512 only where it sets none. A case's own
/// system prompt takes the place of the version set's. One that checks when its answer begins is
/// asked as a stream. What the call costs is booked on `account`.
pub(crate) async fn ask(
    live: &Arc<LiveSet>,
    case: &Case,
    deadlines: Deadlines,
    as_served: bool,
    account: Option<&Account>,
) -> Result<Asked, AskError> {
    let without = |message: String, failure: Option<Failure>, again: Option<Duration>| AskError {
        message,
        failure,
        again,
        is_busy: false,
    };
    let unsent = |message: String| without(message, None, None);
    let searched = match &live.search {
        Some(search) => Some(search.find(&case.input, deadlines.total).await),
        None => None,
    };
    if let Some(why) = searched.as_ref().and_then(|it| it.failed.clone().filter(|_| it.is_fatal)) {
        return Err(without(why, Some(Failure::Retrieval), None));
    }
    let retrieved = searched.map(|searched| searched.found);
    let shown = retrieved.as_ref().map_or("", |retrieved| &retrieved.text);
    let asks = request(case, live.max_tokens, as_served);
    let rendered = live
        .render(asks.clone(), Slots { user: None, retrieved: shown })
        .map_err(|error| unsent(format!("the prompt cannot be rendered: {error}")))?;
    let mut body = rendered.body;
    if let Some(system) = &case.system {
        replace_system(&mut body, system);
    }
    let (system_prompt, tokens_in) = (system_text(&body), input_tokens(&body));
    let stream = checks_ttft(case);
    set_stream(&mut body, stream);
    let is_timed = live.upstream.is_timed(&body);
    let call = Call {
        form: Form::Chat,
        tokens: None,
        betas: None,
        body,
        expected_bytes: case.input.len(),
        stream,
        is_retry: false,
        tried: Vec::new(),
        is_hurried: false,
        keys: live.keys.clone(),
        traceparent: None,
        trace_id: None,
        // Case ids may be in any script; a header may not.
        request_id: format!("eval-{}", Digest::of(case.id.as_bytes()).short(12)),
        deadlines,
    };
    let answer = answered(live, call, account, tokens_in).await;
    let answer = answer.map_err(|error| ask_error(&error, &live.upstream_name))?;
    // The echo is looked for of what was sent, which a case may have changed.
    let detectors = Detectors { system_prompt, ..live.detectors.clone() };
    if !answer.facts.is_useful() {
        let message = "the upstream's answer is empty: no text and no tool call".to_owned();
        return Err(without(message, Some(Failure::Empty), Some(AGAIN_AFTER)));
    }
    let calls = called_tools(live, &answer.facts);
    let asked = asked(answer, &detectors, &asks);
    let ttft_ms = asked.ttft_ms.filter(|_| is_timed);
    Ok(Asked { calls, retrieved, ttft_ms, model: live.model.clone(), ..asked })
}

/// Whether the case checks when its answer begins.
pub(crate) fn checks_ttft(case: &Case) -> bool {
    case.checks.listed.iter().any(|check| check.kind == CheckKind::MaxTtftMs)
}

/// What an answer says, and how long it took.
struct Answered {
    facts: AnswerFacts,
    elapsed: Elapsed,
    is_streamed: bool,
}

/// What a call gives; it is booked, whatever that is.
async fn answered(
    live: &LiveSet,
    call: Call,
    account: Option<&Account>,
    tokens_in: u64,
) -> Result<Answered, UpstreamError> {
    let open = account.map(|account| account.call(&live.model, tokens_in));
    let answer = match live.upstream.call(call).await {
        Ok(reply) => whole(reply).await,
        Err(error) => Err(error),
    };
    match (open, &answer) {
        (Some(open), Ok(answer)) => {
            open.answered(&answer.facts, answer.elapsed.total);
        }
        (Some(open), Err(error)) => open.failed(error.failure),
        (None, _) => {}
    }
    answer
}

/// The whole of an answer, which may come in pieces.
async fn whole(reply: Reply) -> Result<Answered, UpstreamError> {
    let mut pieces = match reply {
        Reply::Whole(answer) => {
            let (facts, elapsed) = (answer.facts, answer.elapsed);
            return Ok(Answered { facts, elapsed, is_streamed: false });
        }
        Reply::Stream(pieces) => pieces,
    };
    let mut facts = AnswerFacts::default();
    while let Some(piece) = pieces.next().await {
        match piece {
            Piece::Data { bytes: _, says } => {
                let pushed = facts.push(says);
                pushed
                    .map_err(|problem| UpstreamError::of_problem(&problem, Elapsed::default()))?;
            }
            Piece::Ping => {}
            Piece::Done(elapsed) => return Ok(Answered { facts, elapsed, is_streamed: true }),
            Piece::Failed(error) => return Err(error),
        }
    }
    let message = "the upstream's stream ended before it was done";
    Err(UpstreamError::new(Failure::CutShort, message, Elapsed::default()))
}

/// The tools that an answer calls, each with what is wrong with the call.
fn called_tools(live: &LiveSet, facts: &AnswerFacts) -> Vec<CalledTool> {
    let declared = live.detectors.allowed_tools.as_ref();
    let problem = |name: &str, arguments: &str| {
        if declared.is_none_or(|names| !names.contains(name)) {
            return Some(format!("tool `{name}` is not declared"));
        }
        match live.arguments_problem(name, arguments) {
            Some(problem) => problem,
            None => serde_json::from_str::<Value>(arguments)
                .err()
                .filter(|_| !arguments.trim().is_empty())
                .map(|error| format!("arguments of tool `{name}`: not valid JSON: {error}")),
        }
    };
    let calls = facts.choices.iter().flat_map(|choice| &choice.tool_calls);
    calls
        .map(|call| CalledTool {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            problem: problem(&call.name, &call.arguments),
        })
        .collect()
}

/// What an upstream's answer is to a case.
fn asked(answer: Answered, detectors: &Detectors, asks: &Map<String, Value>) -> Asked {
    let Answered { facts, elapsed, is_streamed } = answer;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let system = detectors.system_prompt.as_str();
    let heard = || heard_in(asks, system);
    let tokens = facts.usage.map(|usage| usage.tokens_in.saturating_add(usage.tokens_out));
    Asked {
        latency_ms: ms(elapsed.total),
        ttft_ms: is_streamed.then(|| ms(elapsed.first_token)),
        cut: facts.text_cut || facts.finish() == Some(&Finish::Length),
        named: facts.model.clone(),
        fingerprint: facts.fingerprint.clone(),
        total_tokens: tokens,
        events: detectors.inspect(&said_in(&facts), heard).events,
        text: facts.text().to_owned(),
        calls: Vec::new(),
        finish: facts.finish().map(|finish| finish.as_str().to_owned()),
        retrieved: None,
        model: String::new(),
        usage: facts.usage,
    }
}

/// The request of a client that asks this; the turns of a conversation go as they are.
fn request(case: &Case, ships: Option<u64>, as_served: bool) -> Map<String, Value> {
    let mut body = Map::new();
    let messages = match case.handling.messages.as_slice() {
        [] => json!([{"role": "user", "content": case.input}]),
        turns => turns.into(),
    };
    body.insert("messages".to_owned(), messages);
    if as_served {
        return body;
    }
    body.insert("temperature".to_owned(), json!(0));
    if ships.is_none() {
        body.insert("max_tokens".to_owned(), json!(MAX_TOKENS));
    }
    body
}

/// What a failed call means for whoever asks.
pub(super) fn ask_error(error: &UpstreamError, upstream: &str) -> AskError {
    let again = match error.failure {
        // A retry meets the same answer.
        Failure::Refused
        | Failure::Unrendered
        | Failure::Blocked
        | Failure::Retrieval
        | Failure::Credential
        | Failure::AccountLimit
        | Failure::TooLarge
        | Failure::ClientGone
        | Failure::ServerStopping
        | Failure::Internal => None,
        Failure::Unreachable
        | Failure::FirstByteTimeout
        | Failure::IdleTimeout
        | Failure::TotalTimeout
        | Failure::CutShort
        | Failure::Malformed
        | Failure::Empty
        | Failure::RateLimited
        | Failure::ServerError => Some(error.retry_after.unwrap_or(AGAIN_AFTER)),
    };
    let is_busy = error.failure == Failure::RateLimited || matches!(error.status, Some(503 | 529));
    let again = if is_busy { Some(error.retry_after.unwrap_or_default()) } else { again };
    let message = format!("{}: {}", error.failure.as_str(), error.full_message(upstream));
    AskError { message, failure: Some(error.failure), again, is_busy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::guard::RiskKind;

    fn answer(body: &Value) -> Answered {
        let elapsed = Elapsed { first_token: Duration::ZERO, total: Duration::from_millis(1234) };
        let body: bytes::Bytes = body.to_string().into();
        let facts = tidegate_wire::openai_chat::read_answer(&body).unwrap();
        Answered { facts, elapsed, is_streamed: false }
    }

    #[test]
    fn an_answers_text_latency_and_events() {
        let body = json!({"choices": [{
            "message": {"content": "好", "tool_calls": [{"function": {"name": "refund"}}]},
            "finish_reason": "length"
        }]});
        let none_allowed = Detectors { allowed_tools: Some([].into()), ..Detectors::default() };
        let asked = asked(answer(&body), &none_allowed, &Map::new());
        assert_eq!((asked.text.as_str(), asked.latency_ms, asked.cut), ("好", 1234, true));
        assert_eq!(asked.ttft_ms, None, "it came whole");
        assert_eq!(asked.events[0].kind, RiskKind::UnauthorisedTool);
    }

    #[test]
    fn the_sets_own_max_tokens_ships() {
        let q = &tidegate_core::gate::adversarial_cases(false)[0];
        assert_eq!(request(q, None, false)["max_tokens"], 512);
        assert!(!request(q, Some(1024), false).contains_key("max_tokens"));
        assert_eq!(request(q, None, false)["temperature"], 0);
        assert_eq!(request(q, None, true).len(), 1, "as served: the set's own decoding");
    }

    fn check_again(
        error: (Failure, u16),
        retry_after_s: Option<u64>,
        expected: (Option<u64>, bool),
    ) {
        let (failure, status) = error;
        let retry_after = retry_after_s.map(Duration::from_secs);
        let error = UpstreamError::new(failure, "down", Elapsed::default());
        let error = UpstreamError { retry_after, status: Some(status), ..error };
        let AskError { again, is_busy, .. } = ask_error(&error, "main");
        assert_eq!(
            (again, is_busy),
            (expected.0.map(Duration::from_millis), expected.1),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_asked_again() {
        check_again((Failure::ServerError, 500), None, (Some(500), false));
        check_again((Failure::ServerError, 500), Some(2), (Some(2_000), false));
        check_again((Failure::ServerError, 503), None, (Some(0), true));
        check_again((Failure::RateLimited, 429), None, (Some(0), true));
        check_again((Failure::RateLimited, 429), Some(300), (Some(300_000), true));
        check_again((Failure::Credential, 401), None, (None, false));
        check_again((Failure::Refused, 400), None, (None, false));
    }
}
