//! One request on its version set, from its route to its record. Whatever happens to it, also when
//! the client leaves and the future is dropped, it is counted and recorded exactly once.

mod account;
mod cached;
mod fallback;
mod mirror;
mod moderated;
mod placed;
mod repair;
mod retrieve;
mod said;
mod screen;
mod spent;
mod taken;

use super::admission::{Place, Share};
use super::arrival::Arrival;
use super::auth::Caller;
use super::bounds::BODY_FREE;
use super::dialect::{Dialect, Echo, Message, Named, StreamForm, Tokens};
use super::gateway::Gateway;
use super::levels::{self, Levels};
use super::problem::{CLIENT_GONE, Problem};
use super::relief;
use super::repeats::Turn;
use crate::access::Taken;
use crate::guard::pseudonym;
use crate::route::LiveTable;
use crate::store::Ticket;
use crate::upstream::{self, Elapsed, Form};
use crate::version_set::{LiveSet, Searched};
use bytes::Bytes;
pub(super) use cached::{FromCache, X_CACHE};
use fallback::FellBack;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
pub(crate) use mirror::{Asker, NoPair, Question, Stable};
use placed::{Placed, place};
use repair::Repair;
pub(super) use screen::{Checked, Withheld};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taken::take;
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::guard::{Findings, Signal};
use tidegate_core::ids::ChangeId;
use tidegate_core::observe::Outcome;
use tidegate_core::route::{Arm, Cohort};
use tidegate_core::upstream::Failure;
use tidegate_wire::AnswerFacts;
use tidegate_wire::openai_chat::{self, ToolResult};
use tidegate_wire::translate::Warnings;

/// The version set that answered.
const X_VERSION_SET: HeaderName = HeaderName::from_static("x-tidegate-version-set");
/// The arm that answered.
const X_ARM: HeaderName = HeaderName::from_static("x-tidegate-arm");
/// The model that answered in place of the version set's own; absent where that answered.
const X_FALLBACK: HeaderName = HeaderName::from_static("x-tidegate-fallback");

/// `true` where the answer is a second one, since the first broke the contract; absent otherwise.
const X_REPAIRED: HeaderName = HeaderName::from_static("x-tidegate-repaired");
/// The level that the service is degraded to.
const X_DEGRADED: HeaderName = HeaderName::from_static("x-tidegate-degraded");
/// `experimental` until what stable serves has passed the gate of a release.
const X_STATUS: HeaderName = HeaderName::from_static("x-tidegate-status");

/// What a client asks, whichever form it used.
pub(super) struct Query {
    /// Whose form the body has.
    pub(super) form: Form,
    /// The body in that form, most often an OpenAI chat completion.
    pub(super) body: Asked,
    /// Tokens to embed, which that body has none of.
    pub(super) tokens: Option<Tokens>,
    /// The message that it was, where its client speaks Anthropic's API.
    pub(super) message: Option<Message>,
    /// Whether that message was sent as it was: the answer is in its form as well.
    pub(super) is_message: bool,
    /// What of the version set's parameters was left out of that message.
    pub(super) left_out: Warnings,
    /// Whether a stream is wanted.
    pub(super) stream: bool,
    /// Whether the stream's usage is wanted.
    pub(super) include_usage: bool,
    /// The end user.
    pub(super) user: Option<String>,
    /// The last user text.
    pub(super) text: String,
    /// Length of all input, characters.
    pub(super) input_chars: u64,
    /// How its answer is drawn, where it is one text and nothing else.
    pub(super) decoding: Option<BTreeMap<String, Number>>,
    /// Results of tools that it brings.
    pub(super) tool_results: Vec<ToolResult>,
    /// Time the client gives the whole request.
    pub(super) budget: Option<Duration>,
    /// What the answer repeats of the request, in the client's form.
    pub(super) echo: Echo,
}

impl Query {
    /// How long the JSON of it is that is held, bytes.
    pub(super) fn text_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.text.len());
        self.body.text_bytes().saturating_add(message).saturating_add(self.token_bytes())
    }

    /// How long its tokens are as they are written, bytes.
    fn token_bytes(&self) -> usize {
        self.tokens.as_ref().map_or(0, |tokens| tokens.text.len())
    }
}

/// A request's body. Once it has been sent, only its text is kept, which takes a part of the memory
/// of its values: few requests need those again.
pub(super) struct Asked {
    text: Bytes,
    values: Option<Map<String, Value>>,
}

impl Asked {
    /// A body and the JSON that it was read from.
    pub(super) fn new(text: &Bytes, values: Map<String, Value>) -> Asked {
        // A small one is a part of what was read from its connection, and would keep all of that.
        let text = match text.len() as u64 > BODY_FREE {
            true => text.clone(),
            false => Bytes::copy_from_slice(text),
        };
        Asked { text, values: Some(values) }
    }

    /// How long its JSON is, bytes.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The values, for whoever sends them on.
    pub(super) fn take(&mut self) -> Map<String, Value> {
        self.values.take().unwrap_or_else(|| self.again())
    }

    /// How its conversation begins.
    pub(super) fn conversation(&self) -> Option<String> {
        openai_chat::conversation_head(self.values.as_ref()?)
    }

    /// The values, until they are sent on.
    fn values(&self) -> Option<&Map<String, Value>> {
        self.values.as_ref()
    }

    /// The values once more.
    fn again(&self) -> Map<String, Value> {
        // It was read before.
        tidegate_wire::parse_json_object(&self.text).unwrap_or_default()
    }
}

/// How an exchange ended.
#[derive(Default)]
pub(super) struct Ending {
    /// HTTP status that the client got.
    pub(super) status: StatusCode,
    /// `None` when it was answered.
    pub(super) failure: Option<Failure>,
    /// What was found in the answer, as far as it came.
    pub(super) facts: Option<AnswerFacts>,
    /// How long the upstream took, by its own account.
    pub(super) elapsed: Elapsed,
    /// What was found in the answer; `None` where there was none to look at.
    pub(super) found: Option<Findings>,
    /// The upstream's own description of its fault.
    pub(super) said: Option<Box<upstream::UpstreamSaid>>,
    /// Whether the answer was kept from the client, in whole or from some point on.
    pub(super) withheld: bool,
    /// How it compares with the contract.
    pub(super) contract: Checked,
    /// Whether anything of it was replaced before it went out.
    pub(super) redacted: bool,
}

/// A request on its version set.
pub(super) struct Exchange {
    pub(super) gateway: Arc<Gateway>,
    pub(super) query: Query,
    pub(super) set: Arc<LiveSet>,
    arrival: Arrival,
    table: Arc<LiveTable>,
    arm: Arm,
    cohort: Option<Cohort>,
    queue: Duration,
    /// How long the upstream was waited for before the answer began, all tries together, and a
    /// guard outside of this process.
    pub(super) upstream: Duration,
    /// What failed tries took, by the upstream's account.
    pub(super) failed: Duration,
    /// When the last try began.
    pub(super) called: Option<Instant>,
    /// When the first token came.
    pub(super) first_token: Option<Instant>,
    begun: bool,
    closed: bool,
    /// Handed back with the record.
    ticket: Ticket,
    /// The turn of a stream's idempotency key, until the stream ends.
    pub(super) turn: Option<Turn>,
    /// Its part of the bounds that hold for it.
    taken: Option<Taken>,
    /// What its index has for the request.
    pub(super) searched: Option<Searched>,
    is_cached: bool,
    /// How the version set's own model failed, where another answers.
    fell_back: Option<FellBack>,
    /// A first answer that broke the contract, and what became of it.
    repair: Option<Repair>,
    /// How the answer that is delivered compares with the contract, where that is known already.
    contract: Option<Checked>,
    /// What the request holds that is worth counting.
    signals: Vec<Signal>,
    /// The same of the answer, by a guard outside of this process.
    said_signals: Vec<Signal>,
    /// How much of the service is switched off for it.
    pub(super) degraded: Option<DegradeLevel>,
    _place: Place,
    /// The memory that it may hold.
    pub(super) share: Share,
}

impl Exchange {
    /// Waits for a place, then takes the table in place and the subject's arm on it; where the
    /// tenant is audited, also until the request's admission is on disk.
    pub(super) async fn open(
        gateway: &Arc<Gateway>,
        arrival: Arrival,
        query: Query,
        share: Share,
    ) -> Result<Exchange, Problem> {
        let now = gateway.parts.clock.now();
        let caller = || caller_of(&arrival, query.user.as_deref());
        if let Some(left_s) = gateway.bans.left_s(caller, now) {
            return Err(Problem::banned(left_s));
        }
        let degraded = gateway.parts.router.degraded();
        let asks = (query.form, query.user.as_deref());
        relief::refused(gateway, degraded, &arrival.caller, asks)?;
        let taken = take(gateway, &arrival.caller, &query, degraded).await?;
        let queued = Instant::now();
        let patience = query.budget.unwrap_or(Duration::MAX);
        let of = (arrival.priority, arrival.caller.who());
        let held = gateway.admission.place(of, patience).await?;
        let queue = queued.elapsed();
        let (placed, ticket) = place(gateway, &arrival, &query).await?;
        let Placed { table, arm, cohort, set } = placed;
        gateway.admission.earn_retry();
        let exchange = Exchange {
            gateway: Arc::clone(gateway),
            query,
            set,
            arrival,
            table,
            arm,
            cohort,
            queue,
            upstream: Duration::ZERO,
            failed: Duration::ZERO,
            called: None,
            first_token: None,
            begun: false,
            closed: false,
            ticket,
            turn: None,
            taken,
            is_cached: false,
            searched: None,
            fell_back: None,
            repair: None,
            contract: None,
            signals: Vec::new(),
            said_signals: Vec::new(),
            degraded,
            _place: held,
            share,
        };
        exchange.screened()?.moderated().await
    }

    /// The API that the client speaks.
    pub(super) fn dialect(&self) -> Dialect {
        self.arrival.dialect
    }

    /// The stream in the client's form.
    pub(super) fn stream_form(&self) -> StreamForm {
        match self.query.is_message {
            true => StreamForm::Messages,
            false => self.dialect().stream(&self.named(), !self.query.include_usage),
        }
    }

    /// Features that the client asks of its API.
    pub(super) fn betas(&self) -> Option<HeaderValue> {
        self.arrival.betas.clone()
    }

    /// What is known of the answer before it is made.
    pub(super) fn named(&self) -> Named<'_> {
        let Arrival { ids, at, .. } = &self.arrival;
        Named { trace: &ids.trace, at: *at, echo: &self.query.echo }
    }

    /// The request's ids.
    pub(super) fn ids(&self) -> &super::ids::Ids {
        &self.arrival.ids
    }

    /// The upstream's name where its words are passed on to clients.
    pub(super) fn passes_on(&self) -> Option<&str> {
        self.gateway.passes_errors_on.then_some(self.upstream_name())
    }

    /// The arm.
    pub(super) fn arm(&self) -> Arm {
        self.arm
    }

    /// The release that runs.
    pub(super) fn change_id(&self) -> Option<&ChangeId> {
        self.table.table.split.as_ref().map(|split| &split.change_id)
    }

    /// The release whose arms are compared by what comes of this request. What is said while the
    /// service is degraded is compared with nothing. A request that has
    /// nothing to be split by was sent to its arm by no draw: such requests are on stable alone,
    /// and may well be of another kind.
    pub(super) fn compared_in(&self) -> Option<&ChangeId> {
        self.change_id().filter(|_| self.cohort.is_some() && self.degraded.is_none())
    }

    /// Whose request it is, behind a pseudonym: the user, else the key. `None` if neither is known.
    pub(super) fn caller(&self) -> Option<String> {
        caller_of(&self.arrival, self.query.user.as_deref())
    }

    /// What is left of the request's time: its own budget, else the version set's limit.
    pub(super) fn left(&self) -> Duration {
        let limit = Duration::from_millis(self.set.limits.total_ms);
        let total = self.query.budget.map_or(limit, |budget| budget.min(limit));
        total.saturating_sub(self.arrival.started.elapsed())
    }

    /// The client's own patience, where it is less than the version set's limit.
    pub(super) fn patience(&self) -> Option<Duration> {
        let limit = Duration::from_millis(self.set.limits.total_ms);
        self.query.budget.filter(|budget| *budget < limit)
    }

    /// What the arm is charged with for a failure. That the client's patience ran out is no error
    /// of the arm; that one arm is left more often than the other shows in `timeout_rate`.
    pub(super) fn charged(&self, failure: Failure) -> Failure {
        match failure.is_timeout() && self.patience().is_some() {
            true => Failure::ClientGone,
            false => failure,
        }
    }

    /// Counts the time spent here so far: not by the client sending, not waiting for a permit, not
    /// upstream. Called when the answer begins; later calls change nothing.
    pub(super) fn measure_overhead(&mut self) {
        let first = !std::mem::replace(&mut self.begun, true);
        if first && !self.gateway.parts.clock.is_demo() {
            let waited = self.queue + self.retrieval() + self.upstream;
            let elsewhere = self.arrival.reading + waited;
            let here = self.arrival.started.elapsed().saturating_sub(elsewhere);
            self.gateway.metrics.overhead(here);
        }
    }

    /// The headers that name what answered.
    pub(super) fn labels(&self) -> Labels {
        let id = HeaderValue::from_str(self.set.set.id.as_str()).ok();
        let experimental = self.gateway.parts.router.is_experimental();
        let arm = HeaderValue::from_static(self.arm.as_str());
        let levels = self.taken.as_ref().map_or([None; 2], Taken::levels);
        let fallback = self.fallback();
        let fallback = fallback.and_then(|it| HeaderValue::from_bytes(it.model.as_bytes()).ok());
        let (repaired, degraded) = (self.is_repaired(), self.degraded);
        Labels { id, arm, fallback, repaired, experimental, levels, degraded }
    }

    /// The model server is called now.
    pub(super) fn is_called(&mut self) {
        // A second answer is a part of what the first one took.
        if self.repair.is_none() {
            self.called = Some(Instant::now());
        }
        if let Some(taken) = &self.taken {
            taken.is_sent();
        }
    }

    /// Ends the exchange: it is counted and recorded now.
    pub(super) fn close(mut self, ending: Ending) -> Outcome {
        self.closed = true;
        let outcome = account::keep(&mut self, ending);
        // Counting and recording come before a whole answer is sent, so they are overhead too.
        self.measure_overhead();
        outcome
    }
}

/// A tenant's users are its own: the same name under another tenant is somebody else.
pub(super) fn caller_of(arrival: &Arrival, user: Option<&str>) -> Option<String> {
    let Caller { key, tenant, holder: _ } = &arrival.caller;
    let (kind, name) = match (user, key) {
        (Some(user), _) => ("user", user),
        (None, Some(key)) => ("key", &**key),
        (None, None) => return None,
    };
    Some(pseudonym("caller", &[tenant.as_deref().unwrap_or_default(), kind, name]))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Only a future that was dropped in mid-flight comes here open: its client has left, or
        // the server is stopped.
        if !self.closed {
            let (status, failure) = match self.gateway.is_cutting() {
                true => (StatusCode::SERVICE_UNAVAILABLE, Failure::ServerStopping),
                false => (CLIENT_GONE, Failure::ClientGone),
            };
            account::keep(self, Ending { status, failure: Some(failure), ..Ending::default() });
        }
    }
}

/// The headers that name what answered, and say what is left of the key's bounds.
pub(super) struct Labels {
    id: Option<HeaderValue>,
    arm: HeaderValue,
    /// The model that answered in place of the version set's own.
    fallback: Option<HeaderValue>,
    repaired: bool,
    experimental: bool,
    levels: Levels,
    degraded: Option<DegradeLevel>,
}

impl Labels {
    /// Puts them on a response, also on an error after routing.
    pub(super) fn put<T>(self, mut response: Response<T>) -> Response<T> {
        let headers: &mut HeaderMap = response.headers_mut();
        if let Some(id) = self.id {
            headers.insert(X_VERSION_SET, id);
        }
        headers.insert(X_ARM, self.arm);
        if let Some(fallback) = self.fallback {
            headers.insert(X_FALLBACK, fallback);
        }
        if self.repaired {
            headers.insert(X_REPAIRED, HeaderValue::from_static("true"));
        }
        if let Some(level) = self.degraded {
            headers.insert(X_DEGRADED, HeaderValue::from(u16::from(level.number())));
        }
        if self.experimental {
            headers.insert(X_STATUS, HeaderValue::from_static("experimental"));
        }
        levels::put(&self.levels, headers);
        response
    }
}
