//! A request's part of the bounds that hold for it: what it is likely to take, and the most that it
//! may cost.

use super::Query;
use crate::access::{NotTaken, Taken};
use crate::config::Prices;
use crate::request::auth::Caller;
use crate::request::code::Code;
use crate::request::gateway::Gateway;
use crate::request::problem::{Next, Problem};
use crate::request::relief;
use crate::spending::input_tokens;
use crate::upstream::Form;
use crate::version_set::LiveSet;
use http::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;
use tidegate_core::access::{Asked, Refused};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::Money;
use tidegate_wire::again::AGAIN_MAX_TOKENS;

/// Most tokens of an answer whose length nothing bounds and whose model says nothing.
const OUTPUT_MAX: u64 = 32_768;
/// Most tokens that a picture, a file or a sound counts for which the request only names.
const MEDIA_TOKENS_MAX: u64 = 50_000;
/// Members that bound an answer. Where a request has both, model servers differ in which one holds.
const LENGTHS: [&str; 2] = ["max_completion_tokens", "max_tokens"];
/// The length that llama.cpp takes before these. It passes as any member that we do not know.
const OTHER_LENGTH: &str = "n_predict";

/// Takes a request's part of the bounds of its key, its tenant and the service.
pub(super) async fn take(
    gateway: &Gateway,
    caller: &Caller,
    query: &Query,
    degraded: Option<DegradeLevel>,
) -> Result<Option<Taken>, Problem> {
    let parts = &gateway.parts;
    let key = caller.holder.as_ref().and_then(|holder| holder.scope.as_ref());
    let scopes = parts.bounds.scopes(key, caller.tenant.as_deref());
    let asked = |counts_tokens, counts_money| Asked {
        tokens: if counts_tokens { query.likely_tokens() } else { 0 },
        most: if counts_money { most(gateway, query, degraded) } else { Some(Money::ZERO) },
    };
    let taken = Taken::of(scopes, asked, &parts.store, &parts.clock).await;
    taken.map_err(|not_taken| problem(&not_taken))
}

fn problem(not_taken: &NotTaken) -> Problem {
    match not_taken {
        NotTaken::Refused(scope, Refused::Bound(over), left) => {
            Problem::over_bound(scope, over, left.clone())
        }
        NotTaken::Refused(scope, Refused::Budget(over), _) => Problem::over_budget(scope, over),
        NotTaken::Refused(_, Refused::Unpriced, _) => {
            let message = "there is a budget, and the model that would answer has no price: what \
                           the request may cost is not known";
            Problem::server(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::ModelUnpriced,
                message.to_owned(),
            )
            .next(Next::DoNotRetry)
        }
        NotTaken::NotWritten => {
            let message = "what this request may cost could not be written to disk in time, and \
                           under a budget a request is answered only once it is";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Problem::server(status, Code::StoreUnavailable, message.to_owned())
                .next(Next::RetryAfter(1))
        }
    }
}

/// The most that a request can cost, on whichever arm; `None` where a model has no price. The table
/// may change until the request is on its arm: that release's first requests are the only ones that
/// can then cost more. While the service is degraded it is the model of that level that answers, at
/// the length of that level, or none.
fn most(gateway: &Gateway, query: &Query, degraded: Option<DegradeLevel>) -> Option<Money> {
    if degraded == Some(DegradeLevel::FixedText) {
        return Some(Money::ZERO);
    }
    let smaller = relief::model(degraded, query.form, &gateway.degrade);
    let longest = degraded.filter(|_| query.form != Form::Embeddings);
    let longest = longest.map(|_| gateway.degrade.max_tokens);
    let table = gateway.parts.router.load();
    let now = gateway.parts.clock.now();
    let sets = std::iter::once(&table.stable).chain(&table.candidate);
    let models = sets.flat_map(|set: &Arc<LiveSet>| {
        let fallbacks = set.fallbacks.iter().map(move |fallback| (set, fallback.model.as_str()));
        let own = smaller.unwrap_or_else(|| set.model_of(query.form));
        std::iter::once((set, own)).chain(fallbacks)
    });
    let most = models.map(|(set, model)| {
        let declared = gateway.prices.max_output_tokens.get(model).copied();
        let (tokens_in, tokens_out) = query.most_tokens(set, declared, longest);
        let compute_us = set.limits.total_ms.saturating_mul(1_000);
        let table = &gateway.prices.table;
        let once = table.most(model, now, [tokens_in, tokens_out, compute_us])?;
        if !set.repair || query.stream || !matches!(query.form, Form::Chat | Form::Messages) {
            return Some(once);
        }
        let tokens_in = tokens_in.saturating_add(AGAIN_MAX_TOKENS);
        Some(once.plus(table.most(model, now, [tokens_in, tokens_out, 0])?))
    });
    most.reduce(|a, b| Some(a?.max(b?))).flatten()
}

impl Query {
    /// The tokens that the request is likely to take: those of its texts by our estimate, and as
    /// many as the client lets the answer have.
    fn likely_tokens(&self) -> u64 {
        let Some(body) = &self.body.values else { return 0 };
        let answer = asked_length(body).unwrap_or(0).saturating_mul(answers(self.form, body));
        self.input_tokens(body).saturating_add(answer)
    }

    /// The tokens of its texts by our estimate, and those that it brings as tokens.
    pub(super) fn input_tokens(&self, body: &Map<String, Value>) -> u64 {
        let given = self.tokens.as_ref().map_or(0, |tokens| tokens.count);
        input_tokens(body).saturating_add(given)
    }

    /// The most tokens that its prompt and its answers can have on a version set. A token is a byte
    /// at least, and what is written around a message is more than what a model adds to it.
    fn most_tokens(
        &self,
        set: &LiveSet,
        declared: Option<u64>,
        longest: Option<u64>,
    ) -> (u64, u64) {
        let none = Map::new();
        let body = self.body.values.as_ref().unwrap_or(&none);
        let text = (self.body.text_bytes() + self.token_bytes()) as u64;
        most_tokens((self.form, body, text), set, declared, longest)
    }
}

/// The same of a body and how long its text is, bytes.
fn most_tokens(
    (form, body, text): (Form, &Map<String, Value>, u64),
    set: &LiveSet,
    declared: Option<u64>,
    longest: Option<u64>,
) -> (u64, u64) {
    let media = body.get("messages").map_or(0, media_parts).saturating_mul(MEDIA_TOKENS_MAX);
    let tokens_in = text.saturating_add(set.prompt_bytes).saturating_add(media);
    let one = match (asked_length(body), set.max_tokens) {
        (Some(asked), Some(most)) => asked.min(most),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => declared.unwrap_or(OUTPUT_MAX),
    };
    let one = longest.map_or(one, |longest| one.min(longest));
    (tokens_in, one.max(other_length(body)).saturating_mul(answers(form, body)))
}

/// The most that one call of a set's own model can cost; `None` where it has no price.
pub(in crate::request) fn most_of_call(
    prices: &Prices,
    (set, now): (&LiveSet, UnixMs),
    asked: (Form, &Map<String, Value>, u64),
) -> Option<Money> {
    let model = set.model_of(asked.0);
    let declared = prices.max_output_tokens.get(model).copied();
    let (tokens_in, tokens_out) = most_tokens(asked, set, declared, None);
    let compute_us = set.limits.total_ms.saturating_mul(1_000);
    prices.table.most(model, now, [tokens_in, tokens_out, compute_us])
}

/// How many answers a request asks for: a completion has one for each prompt, and embeddings have
/// none.
fn answers(form: Form, body: &Map<String, Value>) -> u64 {
    let number = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or(1).max(1);
    match form {
        Form::Chat | Form::Messages => number("n"),
        Form::Completions => {
            let prompts = body.get("prompt").and_then(Value::as_array).map_or(1, Vec::len);
            number("n").max(number("best_of")).saturating_mul(prompts as u64)
        }
        Form::Embeddings => 0,
    }
}

fn asked_length(body: &Map<String, Value>) -> Option<u64> {
    LENGTHS.iter().filter_map(|name| body.get(*name)?.as_u64()).max()
}

/// The tokens of an answer by the member that is not ours; what is no count is no bound.
fn other_length(body: &Map<String, Value>) -> u64 {
    let given = body.get(OTHER_LENGTH).filter(|given| !given.is_null());
    given.map_or(0, |given| given.as_u64().unwrap_or(OUTPUT_MAX))
}

/// Parts of messages that are no text.
fn media_parts(messages: &Value) -> u64 {
    let messages = messages.as_array().into_iter().flatten();
    let contents = messages.filter_map(|message| message.get("content")?.as_array());
    let parts = contents.flatten().filter_map(|part| part.get("type")?.as_str());
    parts.filter(|kind| !matches!(*kind, "text" | "refusal")).count() as u64
}
