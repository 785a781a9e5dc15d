//! What is switched off of a request while the service is degraded.

use super::auth::Caller;
use super::code::Code;
use super::gateway::Gateway;
use super::problem::{Next, Problem};
use crate::config::DegradeConfig;
use crate::upstream::Form;
use crate::version_set::LiveSet;
use http::StatusCode;
use serde_json::{Map, Value};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::text::{Language, language_of};

/// When a caller that is not on the allow-list may ask again, s: a level lasts for minutes.
const RETRY_AFTER_S: u64 = 30;

/// 429 for what is not served at the level: callers that are not on the allow-list, or what has no
/// fixed text.
pub(super) fn refused(
    gateway: &Gateway,
    level: Option<DegradeLevel>,
    caller: &Caller,
    (form, user): (Form, Option<&str>),
) -> Result<(), Problem> {
    let Some(level) = level else { return Ok(()) };
    let allow = &gateway.degrade.allow;
    match level {
        DegradeLevel::Short | DegradeLevel::Small => return Ok(()),
        DegradeLevel::AllowList if allow.is_empty() => return Ok(()),
        // A fixed text is an answer to a chat, and to nothing else.
        DegradeLevel::FixedText if matches!(form, Form::Chat | Form::Messages) => return Ok(()),
        DegradeLevel::AllowList | DegradeLevel::FixedText => {}
    }
    let holder = caller.holder.as_ref().map(|holder| &*holder.name);
    let names = [user, caller.tenant.as_deref(), caller.key.as_deref(), holder];
    let is_allowed = |name: &str| allow.iter().any(|allowed| allowed == name);
    if level == DegradeLevel::AllowList && names.into_iter().flatten().any(is_allowed) {
        return Ok(());
    }
    gateway.metrics.degraded(level);
    let message = "the service is limited for now and does not take this; try again later";
    let message = message.to_owned();
    let mut problem =
        Problem::client(StatusCode::TOO_MANY_REQUESTS, Code::ServiceDegraded, message)
            .next(Next::RetryAfter(RETRY_AFTER_S));
    problem.kind = "rate_limit_error";
    Err(problem)
}

/// Takes out of a rendered request what the level switches off.
pub(super) fn relieve(
    body: &mut Map<String, Value>,
    (level, form): (DegradeLevel, Form),
    (max_tokens, model): (u64, Option<&str>),
    set: &LiveSet,
) {
    // Another model's embeddings would not be found in the index.
    if form == Form::Embeddings {
        return;
    }
    remove_tools(body, set);
    shorten(body, max_tokens);
    if level >= DegradeLevel::Small
        && let Some(member) = set.retrieval_member()
    {
        body.shift_remove(member);
    }
    if let Some(model) = model {
        body.insert("model".to_owned(), model.into());
    }
}

/// The model that answers at a level, where it is not the version set's.
pub(super) fn model(
    level: Option<DegradeLevel>,
    form: Form,
    config: &DegradeConfig,
) -> Option<&str> {
    let is_smaller = level >= Some(DegradeLevel::Small) && form != Form::Embeddings;
    config.model.as_deref().filter(|_| is_smaller)
}

/// What everyone is answered at the last level.
pub(super) fn fixed_text(config: &DegradeConfig, asked: &str) -> String {
    let usual = || match language_of(asked) {
        Language::Zh => "服务暂时受限，请稍后再试。",
        Language::Ja => "現在サービスを制限しています。しばらくしてからもう一度お試しください。",
        Language::En => "The service is limited for the moment. Please try again later.",
    };
    config.text.clone().unwrap_or_else(|| usual().to_owned())
}

fn remove_tools(body: &mut Map<String, Value>, set: &LiveSet) {
    if set.expensive_tools.is_empty() {
        return;
    }
    let is_expensive = |name: Option<&Value>| {
        let name = name.and_then(Value::as_str);
        name.is_some_and(|name| set.expensive_tools.contains(name))
    };
    let name_of = |tool: &Value| is_expensive(tool.pointer("/function/name").or(tool.get("name")));
    for (list, choice) in [("tools", "tool_choice"), ("functions", "function_call")] {
        let Some(Value::Array(tools)) = body.get_mut(list) else { continue };
        tools.retain(|tool| !name_of(tool));
        let is_empty = tools.is_empty();
        // A choice among no tools, or of one that is off, is refused by providers.
        if is_empty || body.get(choice).is_some_and(name_of) {
            body.shift_remove(choice);
        }
        if is_empty {
            body.shift_remove(list);
            body.shift_remove("parallel_tool_calls");
        }
    }
}

fn shorten(body: &mut Map<String, Value>, max_tokens: u64) {
    let mut is_bounded = false;
    for name in ["max_completion_tokens", "max_tokens"] {
        if let Some(given) = body.get_mut(name).filter(|value| !value.is_null()) {
            is_bounded = true;
            if given.as_u64().is_some_and(|given| given > max_tokens) {
                *given = max_tokens.into();
            }
        }
    }
    if !is_bounded {
        body.insert("max_tokens".to_owned(), max_tokens.into());
    }
}
