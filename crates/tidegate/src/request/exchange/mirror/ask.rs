//! A request at the candidate of a shadow: what it may cost is held before, the model server is
//! asked as a user's request would ask it, and what it says is put beside stable's answer.

use crate::clock::Clock;
use crate::config::Prices;
use crate::gate::TwoAnswers;
use crate::guard::{heard_in, said_in};
use crate::request::bounds::{BACKOFF_FIRST, BACKOFF_MAX};
use crate::request::exchange::said::{answer_length, is_refusal};
use crate::request::exchange::screen::compared;
use crate::request::exchange::taken::most_of_call;
use crate::route::Shadowing;
use crate::spending::{Account, Spending, input_tokens};
use crate::upstream::{
    Call, Deadlines, Elapsed, Endpoints, Form, Piece, Reply, UpstreamError, cost,
};
use crate::version_set::{LiveSet, Slots};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::guard::Said;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Money, Purpose};
use tidegate_core::retrieval::Retrieved;
use tidegate_core::shadow::{Held, Side};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::{AnswerFacts, Usage, openai_chat, parse_json_object};

/// What a version set usually adds to a request, bytes.
const EXPECTED_MORE: usize = 2048;

/// How long an answer took, as it is compared: a stream until its first token, since what follows
/// waits for its reader.
pub(super) fn latency_us(elapsed: &Elapsed, streamed: bool) -> Option<u64> {
    let took = if streamed { elapsed.first_token } else { elapsed.total };
    u64::try_from(took.as_micros()).ok().filter(|us| *us > 0)
}

/// What is held of the caps for a request. Where it is given up, all of it counts as used.
struct Holding<'a> {
    shadow: &'a Shadowing,
    held: Option<Held>,
}

impl<'a> Holding<'a> {
    fn take(shadow: &'a Shadowing, most: Money) -> Option<Holding<'a>> {
        let held = shadow.ledger().take(most).ok()?;
        Some(Holding { shadow, held: Some(held) })
    }

    fn settle(mut self, cost: Option<Money>) {
        if let Some(held) = self.held.take() {
            self.shadow.ledger().settle(held, cost);
        }
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.shadow.ledger().settle(held, None);
        }
    }
}

/// A request as the candidate is asked it.
pub(crate) struct Question {
    pub(crate) form: Form,
    /// Its body.
    pub(crate) text: Bytes,
    pub(crate) user: Option<String>,
    /// What an index is searched for.
    pub(crate) words: String,
    pub(crate) streamed: bool,
    /// What stable's answer was made from, where the candidate's index is the same.
    pub(crate) found: Option<Retrieved>,
}

/// What stable said to it.
pub(crate) struct Stable {
    pub(crate) side: Side,
    /// The set that answered.
    pub(crate) set: Arc<LiveSet>,
    /// Tokens of the answer by our estimate.
    pub(crate) estimated_out: u64,
    /// Whether its tokens are as the model server counts them.
    pub(crate) is_reported: bool,
    /// Whether it is one call's, so that tokens, cost and time may be compared.
    pub(crate) is_one_call: bool,
    /// When it was asked.
    pub(crate) at: UnixMs,
    /// What it said, with its tool calls; `None` where that is not known, or nothing compares it.
    pub(crate) said: Option<String>,
}

/// The two answers to a request.
pub(crate) struct Pair {
    pub(crate) stable: Side,
    pub(crate) candidate: Side,
    /// Themselves, where they are compared beside what is counted of them.
    pub(crate) answers: Option<TwoAnswers>,
}

/// Why there is no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPair {
    /// The caps leave no room, or what is granted does not yet.
    Capped,
    /// It was given up, and that is no fault of the candidate.
    GivenUp,
}

/// What asks the candidate of a shadow.
pub(crate) struct Asker<'a> {
    pub(crate) shadow: &'a Shadowing,
    pub(crate) prices: &'a Prices,
    pub(crate) clock: &'a Clock,
}

/// What the candidate said, and what that cost, where it is known.
struct Answered {
    facts: AnswerFacts,
    elapsed: Elapsed,
    cost: Option<Money>,
}

/// One request on its way.
struct Asking<'a> {
    by: &'a Asker<'a>,
    question: &'a Question,
    stable: &'a Stable,
    account: Account,
    begun: Instant,
}

impl Asker<'_> {
    /// Both sides of the pair.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn ask(&self, question: &Question, stable: &Stable) -> Result<Pair, NoPair> {
        let set = &self.shadow.candidate;
        // It was read before.
        let asked = parse_json_object(&question.text).unwrap_or_default();
        let now = self.clock.now();
        let most = most_of_call(
            self.prices,
            (set, now),
            (question.form, &asked, question.text.len() as u64),
        );
        let holding = Holding::take(self.shadow, most.ok_or(NoPair::GivenUp)?);
        let holding = holding.ok_or(NoPair::Capped)?;
        let account = Account::new(&self.shadow.spending, &set.set.id, now).of(Purpose::Shadow);
        let asking = Asking { by: self, question, stable, account, begun: Instant::now() };
        asking.pair(&asked, holding).await
    }
}

impl Asker<'_> {
    /// Compares the answers of a pair that is counted. What it may cost is held before; where there
    /// is no room for it, or no verdict comes, nothing is counted.
    pub(crate) async fn compare(&self, answers: &TwoAnswers) {
        let (shadow, now) = (self.shadow, self.clock.now());
        let Some(comparer) = &shadow.comparer else { return };
        for metric in shadow.draws() {
            let Some(most) = comparer.most(metric, answers) else { continue };
            let Some(held) = shadow.ledger().take_beside(most) else { continue };
            let holding = Holding { shadow, held: Some(held) };
            let till = Till::new(shadow, self.prices);
            let account = Account::new(&till.spending, &shadow.candidate.set.id, now);
            let difference = comparer.compare(metric, answers, &account).await;
            holding.settle(Some(till.close()));
            if let Some(difference) = difference {
                shadow.ledger().compared(metric, difference);
            }
        }
    }
}

/// What the calls of one comparison cost; it is in the shadow's books however that ends.
struct Till<'a> {
    shadow: &'a Shadowing,
    spending: Arc<Spending>,
}

impl<'a> Till<'a> {
    fn new(shadow: &'a Shadowing, prices: &Prices) -> Till<'a> {
        Till { shadow, spending: Arc::new(Spending::new(prices.table.clone())) }
    }

    /// What it cost, as far as it is known.
    fn close(self) -> Money {
        self.spending.total()
    }
}

impl Drop for Till<'_> {
    fn drop(&mut self) {
        self.shadow.spending.put_back(self.spending.take());
    }
}

/// An answer as a judge sees it: its text, and a line for each tool call.
pub(crate) fn shown(facts: &AnswerFacts) -> String {
    let mut text = facts.text().to_owned();
    for call in facts.tool_calls() {
        text.push_str(&format!("\n[calls the tool {} with {}]", call.name, call.arguments));
    }
    text
}

impl Asking<'_> {
    async fn pair(&self, asked: &Map<String, Value>, holding: Holding<'_>) -> Result<Pair, NoPair> {
        let mut stable = self.stable.side.clone();
        let failed = |stable| {
            let candidate = Side { failed: true, ..Side::default() };
            Ok(Pair { stable, candidate, answers: None })
        };
        // Its set may want no answer without a search.
        let Some(found) = self.search().await else {
            holding.settle(Some(Money::ZERO));
            return failed(stable);
        };
        let answered = match self.answer(&found).await {
            Ok(answered) => answered,
            Err(Failure::ServerStopping | Failure::Internal) => return Err(NoPair::GivenUp),
            Err(failure) => {
                holding.settle((!failure.may_cost()).then_some(Money::ZERO));
                return failed(stable);
            }
        };
        let Answered { facts, elapsed, cost } = answered;
        self.look(&facts, asked, &found);
        holding.settle(cost);
        let mut side = self.side(&facts, &elapsed);
        self.compare_tokens(&mut stable, &mut side, (&facts, asked, &found), cost);
        let answers = self.answers(&stable, &facts, asked, found);
        Ok(Pair { stable, candidate: side, answers })
    }

    /// The answers, where both are there and somebody may compare them.
    fn answers(
        &self,
        stable: &Side,
        facts: &AnswerFacts,
        asked: &Map<String, Value>,
        found: Retrieved,
    ) -> Option<TwoAnswers> {
        self.by.shadow.comparer.as_ref().filter(|_| !stable.failed)?;
        let messages = asked.get("messages").and_then(Value::as_array);
        Some(TwoAnswers {
            messages: messages.cloned().unwrap_or_default(),
            stable: self.stable.said.clone()?,
            candidate: shown(facts),
            retrieved: found.text,
        })
    }

    /// What the candidate's index has for the request; what stable's had, where both are the same.
    /// `None` where the search failed and its set wants no answer without it.
    async fn search(&self) -> Option<Retrieved> {
        let Some(search) = &self.candidate().search else { return Some(Retrieved::default()) };
        if let Some(found) = &self.question.found {
            return Some(found.clone());
        }
        let searched = search.find(&self.question.words, self.left()).await;
        (!searched.is_fatal).then_some(searched.found)
    }

    /// The candidate's answer, asked for again as a user's request would be.
    async fn answer(&self, found: &Retrieved) -> Result<Answered, Failure> {
        let (mut backoff, mut tries_left) = (BACKOFF_FIRST, self.candidate().limits.retries);
        loop {
            let error = match self.call(found).await {
                Ok(answered) if answered.facts.is_useful() => return Ok(answered),
                Ok(_) => return Err(Failure::Empty),
                Err(error) => error,
            };
            let wait = error.retry_after.unwrap_or(backoff);
            let again = error.failure.retryable()
                && !error.sent_twice
                && tries_left > 0
                && wait <= BACKOFF_MAX
                && wait < self.left();
            if !again {
                return Err(error.failure);
            }
            tries_left -= 1;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.by.clock.simulate(wait).await;
        }
    }

    async fn call(&self, found: &Retrieved) -> Result<Answered, UpstreamError> {
        let (set, question) = (self.candidate(), self.question);
        let body = parse_json_object(&question.text).unwrap_or_default();
        let rendered = set.render(body, self.slots(found));
        let mut body = rendered.map_err(|e| ours(Failure::Unrendered, e.to_string()))?.body;
        openai_chat::set_stream(&mut body, question.streamed);
        let (left, limits) = (self.left(), &set.limits);
        let open = self.account.call(&set.model, input_tokens(&body));
        let call = Call {
            form: Form::Chat,
            body,
            tokens: None,
            betas: None,
            expected_bytes: question.text.len() + EXPECTED_MORE,
            stream: question.streamed,
            is_retry: false,
            tried: Vec::new(),
            is_hurried: false,
            keys: set.keys.clone(),
            // It is no part of the user's trace.
            traceparent: None,
            trace_id: None,
            request_id: "shadow".to_owned(),
            deadlines: Deadlines {
                first_byte: Duration::from_millis(limits.first_byte_ms).min(left),
                idle: Duration::from_millis(limits.idle_ms).min(left),
                total: left,
            },
        };
        match hear(&set.upstream, call).await {
            Ok((facts, elapsed)) => {
                let cost = open.answered(&facts, elapsed.total);
                Ok(Answered { facts, elapsed, cost })
            }
            Err(error) => {
                open.failed(error.failure);
                Err(error)
            }
        }
    }

    fn candidate(&self) -> &LiveSet {
        &self.by.shadow.candidate
    }

    fn slots<'a>(&'a self, found: &'a Retrieved) -> Slots<'a> {
        Slots { user: self.question.user.as_deref(), retrieved: &found.text }
    }

    fn left(&self) -> Duration {
        let limit = Duration::from_millis(self.candidate().limits.total_ms);
        limit.saturating_sub(self.begun.elapsed())
    }

    /// Looks for red lines: what nobody gets is proof all the same.
    fn look(&self, facts: &AnswerFacts, asked: &Map<String, Value>, found: &Retrieved) {
        let detectors = &self.candidate().detectors;
        let heard = || {
            let mut heard = heard_in(asked, &detectors.system_prompt);
            heard.client.push(found.text.as_str().into());
            heard
        };
        let events = detectors.inspect(&Said { is_cut: false, ..said_in(facts) }, heard).events;
        if let Some(event) = events.iter().find(|event| event.kind.is_red_line()) {
            self.by.shadow.ledger().crossed(event.kind);
        }
    }

    fn estimated_in(&self, set: &LiveSet, asked: &Map<String, Value>, found: &Retrieved) -> u64 {
        let rendered = set.render(asked.clone(), self.slots(found));
        rendered.map_or(0, |rendered| input_tokens(&rendered.body))
    }

    fn side(&self, facts: &AnswerFacts, elapsed: &Elapsed) -> Side {
        let contract = compared(self.candidate(), facts);
        Side {
            failed: false,
            contract_ok: contract.is_checked.then_some(contract.problem.is_none()),
            refused: is_refusal(facts),
            tools: facts.tool_names().into_iter().map(str::to_owned).collect(),
            chars: answer_length(facts),
            tokens: None,
            cost: None,
            latency_us: latency_us(elapsed, self.question.streamed),
        }
    }

    /// Tokens and cost as they are compared: both as the model servers count them, or both by our
    /// estimate. Two calls for one answer are compared with nothing.
    fn compare_tokens(
        &self,
        stable: &mut Side,
        side: &mut Side,
        (facts, asked, found): (&AnswerFacts, &Map<String, Value>, &Retrieved),
        price: Option<Money>,
    ) {
        if !self.stable.is_one_call {
            (stable.tokens, stable.cost, stable.latency_us) = (None, None, None);
            return;
        }
        match facts.usage {
            Some(usage) if self.stable.is_reported => {
                side.tokens = Some(usage.tokens_in.saturating_add(usage.tokens_out));
                side.cost = price;
            }
            Some(_) | None => {
                let out = facts.texts().map(|(_, text)| estimate_tokens(text)).sum();
                let estimated = |set: &LiveSet, found: &Retrieved, out: u64| {
                    let tokens_in = self.estimated_in(set, asked, found);
                    let usage = Usage { tokens_in, tokens_out: out, ..Usage::default() };
                    let prices = &self.by.prices.table;
                    let price = cost(prices, &set.model, self.stable.at, (&usage, 0));
                    (Some(tokens_in.saturating_add(out)), price)
                };
                let shown = self.question.found.clone().unwrap_or_default();
                let stables = estimated(&self.stable.set, &shown, self.stable.estimated_out);
                (stable.tokens, stable.cost) = stables;
                (side.tokens, side.cost) = estimated(self.candidate(), found, out);
            }
        }
    }
}

/// What a call gives, whole or in pieces.
async fn hear(upstream: &Endpoints, call: Call) -> Result<(AnswerFacts, Elapsed), UpstreamError> {
    let mut pieces = match upstream.call(call).await? {
        Reply::Whole(answer) => return Ok((answer.facts, answer.elapsed)),
        Reply::Stream(pieces) => pieces,
    };
    let mut facts = AnswerFacts::default();
    loop {
        match pieces.next().await {
            Some(Piece::Data { bytes: _, says }) => facts
                .push(says)
                .map_err(|problem| UpstreamError::of_problem(&problem, Elapsed::default()))?,
            Some(Piece::Ping) => {}
            Some(Piece::Done(elapsed)) => return Ok((facts, elapsed)),
            Some(Piece::Failed(error)) => return Err(error),
            None => return Err(ours(Failure::CutShort, "the stream ended".to_owned())),
        }
    }
}

fn ours(failure: Failure, message: String) -> UpstreamError {
    UpstreamError::new(failure, message, Elapsed::default())
}
