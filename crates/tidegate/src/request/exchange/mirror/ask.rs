//! A mirrored request at the candidate: what it may cost is held before, the model server is asked
//! as a user's request would ask it, and it is given up where a user has to wait or the service
//! stops.

use super::Mirror;
use crate::guard::{heard_in, said_in};
use crate::request::bounds::{BACKOFF_FIRST, BACKOFF_MAX};
use crate::request::exchange::said::{answer_length, is_refusal};
use crate::request::exchange::screen::compared;
use crate::request::exchange::spent::priced;
use crate::request::exchange::taken::{input_tokens, most_of_call};
use crate::route::Shadowing;
use crate::upstream::{Call, Deadlines, Elapsed, Form, Piece, Reply, UpstreamError};
use crate::version_set::{LiveSet, Slots};
use serde_json::{Map, Value};
use std::pin::pin;
use std::time::{Duration, Instant};
use tidegate_core::guard::Said;
use tidegate_core::money::{Basis, Money};
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

/// What the candidate said; `None` where it did not answer.
type Answered = Option<(AnswerFacts, Elapsed)>;

impl Mirror {
    pub(super) async fn run(self) {
        let (gateway, shadow) = (&self.gateway, &self.shadow);
        let (mut crowded, mut ended) = (pin!(gateway.admission.crowded()), pin!(shadow.ending()));
        crowded.as_mut().enable();
        ended.as_mut().enable();
        let is_over = gateway.is_stopping() || gateway.admission.is_crowded() || shadow.is_over();
        let candidate = async {
            match is_over {
                true => None,
                false => self.ask().await,
            }
        };
        let candidate = tokio::select! {
            biased;
            () = crowded => None,
            () = ended => None,
            candidate = candidate => candidate,
        };
        let mut ledger = shadow.ledger();
        match candidate {
            Some((stable, candidate)) => ledger.pair(&stable, &candidate),
            None => ledger.dropped(),
        }
    }

    /// Both sides of the pair; `None` where the caps leave no room, or it is no fault of the
    /// candidate that no answer came.
    async fn ask(&self) -> Option<(Side, Side)> {
        let set = &self.shadow.candidate;
        // It was read before.
        let asked = parse_json_object(&self.text).unwrap_or_default();
        let most = most_of_call(&self.gateway, set, (self.form, &asked, self.text.len() as u64))?;
        let holding = Holding::take(&self.shadow, most)?;
        let begun = Instant::now();
        let (mut side, mut stable) = (Side::default(), self.stable.clone());
        let found = self.search(begun).await;
        let answered = match &found {
            Some(found) => self.answer(found, begun).await,
            // Its set wants no answer without a search.
            None => Ok(None),
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(Failure::ServerStopping | Failure::Internal) => return None,
            Err(failure) => {
                holding.settle((!failure.may_cost()).then_some(Money::ZERO));
                side.failed = true;
                return Some((stable, side));
            }
        };
        let Some((facts, elapsed)) = answered else {
            holding.settle(Some(Money::ZERO));
            side.failed = true;
            return Some((stable, side));
        };
        let found = found.unwrap_or_default();
        self.look(&facts, &asked, &found);
        let usage = self.usage(set, &asked, &found, &facts);
        let cost = priced(&self.gateway, set, self.at, (&usage.0, micros(elapsed.total)), usage.1);
        holding.settle(cost);
        side = self.side(&facts, &elapsed);
        self.compare_tokens(&mut stable, &mut side, (&facts, &asked, &found), cost);
        Some((stable, side))
    }

    /// What the candidate's index has for the request; what stable's had, where both are the same.
    /// `None` where the search failed and its set wants no answer without it.
    async fn search(&self, begun: Instant) -> Option<Retrieved> {
        let Some(search) = &self.shadow.candidate.search else { return Some(Retrieved::default()) };
        if let Some(found) = &self.found {
            return Some(found.clone());
        }
        let searched = search.find(&self.question, self.left(begun)).await;
        (!searched.is_fatal).then_some(searched.found)
    }

    /// The candidate's answer, asked for again as a user's request would be.
    async fn answer(&self, found: &Retrieved, begun: Instant) -> Result<Answered, Failure> {
        let set = &self.shadow.candidate;
        let (mut backoff, mut tries_left) = (BACKOFF_FIRST, set.limits.retries);
        loop {
            let error = match self.call(found, begun).await {
                Ok((facts, elapsed)) if facts.is_useful() => return Ok(Some((facts, elapsed))),
                Ok(_) => return Err(Failure::Empty),
                Err(error) => error,
            };
            let wait = error.retry_after.unwrap_or(backoff);
            let again = error.failure.retryable()
                && !error.sent_twice
                && tries_left > 0
                && wait <= BACKOFF_MAX
                && wait < self.left(begun);
            if !again {
                return Err(error.failure);
            }
            tries_left -= 1;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.gateway.parts.clock.simulate(wait).await;
        }
    }

    async fn call(
        &self,
        found: &Retrieved,
        begun: Instant,
    ) -> Result<(AnswerFacts, Elapsed), UpstreamError> {
        let set = &self.shadow.candidate;
        let body = parse_json_object(&self.text).unwrap_or_default();
        let rendered = set.render(body, self.slots(found));
        let mut body = rendered.map_err(|e| ours(Failure::Unrendered, e.to_string()))?.body;
        openai_chat::set_stream(&mut body, self.streamed);
        let (left, limits) = (self.left(begun), &set.limits);
        let call = Call {
            form: Form::Chat,
            body,
            tokens: None,
            betas: None,
            expected_bytes: self.text.len() + EXPECTED_MORE,
            stream: self.streamed,
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
        let mut pieces = match set.upstream.call(call).await? {
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

    fn slots<'a>(&'a self, found: &'a Retrieved) -> Slots<'a> {
        Slots { user: self.user.as_deref(), retrieved: &found.text }
    }

    fn left(&self, begun: Instant) -> Duration {
        let limit = Duration::from_millis(self.shadow.candidate.limits.total_ms);
        limit.saturating_sub(begun.elapsed())
    }

    /// Looks for red lines: what nobody gets is proof all the same.
    fn look(&self, facts: &AnswerFacts, asked: &Map<String, Value>, found: &Retrieved) {
        let detectors = &self.shadow.candidate.detectors;
        let heard = || {
            let mut heard = heard_in(asked, &detectors.system_prompt);
            heard.client.push(found.text.as_str().into());
            heard
        };
        let events = detectors.inspect(&Said { is_cut: false, ..said_in(facts) }, heard).events;
        if let Some(event) = events.iter().find(|event| event.kind.is_red_line()) {
            self.shadow.ledger().crossed(event.kind);
        }
    }

    /// What the candidate's answer used, and how that is known.
    fn usage(
        &self,
        set: &LiveSet,
        asked: &Map<String, Value>,
        found: &Retrieved,
        facts: &AnswerFacts,
    ) -> (Usage, Basis) {
        let estimated = || Usage {
            tokens_in: self.estimated_in(set, asked, found),
            tokens_out: facts.texts().map(|(_, text)| estimate_tokens(text)).sum(),
            ..Usage::default()
        };
        match facts.usage {
            Some(usage) => (usage, Basis::Reported),
            None => (estimated(), Basis::Estimated),
        }
    }

    fn estimated_in(&self, set: &LiveSet, asked: &Map<String, Value>, found: &Retrieved) -> u64 {
        let rendered = set.render(asked.clone(), self.slots(found));
        rendered.map_or(0, |rendered| input_tokens(&rendered.body))
    }

    fn side(&self, facts: &AnswerFacts, elapsed: &Elapsed) -> Side {
        let contract = compared(&self.shadow.candidate, facts);
        Side {
            failed: false,
            contract_ok: contract.is_checked.then_some(contract.problem.is_none()),
            refused: is_refusal(facts),
            tools: facts.tool_names().into_iter().map(str::to_owned).collect(),
            chars: answer_length(facts),
            tokens: None,
            cost: None,
            latency_us: latency_us(elapsed, self.streamed),
        }
    }

    /// Tokens and cost as they are compared: both as the model servers count them, or both by our
    /// estimate. Two calls for one answer are compared with nothing.
    fn compare_tokens(
        &self,
        stable: &mut Side,
        side: &mut Side,
        (facts, asked, found): (&AnswerFacts, &Map<String, Value>, &Retrieved),
        cost: Option<Money>,
    ) {
        if !self.is_one_call {
            (stable.tokens, stable.cost, stable.latency_us) = (None, None, None);
            return;
        }
        match facts.usage {
            Some(usage) if self.is_reported => {
                side.tokens = Some(usage.tokens_in.saturating_add(usage.tokens_out));
                side.cost = cost;
            }
            Some(_) | None => {
                let out = facts.texts().map(|(_, text)| estimate_tokens(text)).sum();
                let estimated = |set: &LiveSet, found: &Retrieved, out: u64| {
                    let tokens_in = self.estimated_in(set, asked, found);
                    let usage = Usage { tokens_in, tokens_out: out, ..Usage::default() };
                    let cost = priced(&self.gateway, set, self.at, (&usage, 0), Basis::Estimated);
                    (Some(tokens_in.saturating_add(out)), cost)
                };
                let shown = self.found.clone().unwrap_or_default();
                (stable.tokens, stable.cost) = estimated(&self.set, &shown, self.estimated_out);
                (side.tokens, side.cost) = estimated(&self.shadow.candidate, found, out);
            }
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn ours(failure: Failure, message: String) -> UpstreamError {
    UpstreamError::new(failure, message, Elapsed::default())
}
