//! What is made of an ended exchange: the outcome for the lines, the metrics, the record, the log.

use super::mirror::Mirror;
use super::said::{answer_length, is_refusal};
use super::spent::Spent;
use super::{Checked, Ending, Exchange};
use crate::guard::kept_user;
use crate::log::{About, Event};
use crate::observe::{AnswerSample, StatusClass};
use crate::request::bounds::RECORD_TEXT_MAX;
use crate::request::ids::kept_request_id;
use crate::store::Records as _;
use crate::upstream::{Elapsed, Form};
use std::time::{Duration, Instant};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::evidence::{Record, RecordedToolCall, RecordedToolResult};
use tidegate_core::guard::{RiskEvent, RiskKind, Sighting};
use tidegate_core::money::{Charge, Money};
use tidegate_core::observe::{FailedRequest, OutageChange, Outcome, Timing};
use tidegate_core::retrieval::Claims;
use tidegate_core::text::redact;
use tidegate_core::upstream::{Failure, FaultOwner};
use tidegate_wire::AnswerFacts;
use tidegate_wire::openai_chat::{ToolResult, USER_TEXT_MAX};

/// What an answer says about its quality.
#[derive(Default)]
struct Judged {
    contract: Checked,
    refused: bool,
    claims: Option<Claims>,
}

/// Counts and records an ended exchange; gives what was counted.
pub(super) fn keep(exchange: &mut Exchange, mut ending: Ending) -> Outcome {
    let ticket = std::mem::take(&mut exchange.ticket);
    let exchange = &*exchange;
    exchange.found(&mut ending);
    let parts = &exchange.gateway.parts;
    let judged = judge(exchange, &ending);
    let found = ending.found.clone().unwrap_or_default();
    let timing = time(exchange, &ending);
    let spent = Spent::of(exchange, &ending, &timing);
    let free = exchange.is_cached.then_some(Money::ZERO);
    let settles = exchange.settles(spent.settles(ending.failure).or(free));
    let mirror = Mirror::of(exchange, &ending, &judged.contract, &spent);
    let spent = exchange.both(spent);
    let answered = Outcome {
        failure: ending.failure,
        timing,
        streamed: exchange.query.stream,
        tokens_in: spent.tokens_in,
        tokens_out: spent.tokens_out,
        tokens_estimated: spent.estimated,
        cost_micro_usd: spent.cost_micro_usd(),
        unpriced: spent.is_unpriced(exchange),
        estimate: spent.estimate,
        contract_ok: judged.contract.is_checked.then_some(judged.contract.problem.is_none()),
        refused: judged.refused,
        pii: found.gives_away,
        claims: judged.claims,
        risk: found.events.iter().map(|event| event.kind).collect(),
        abandoned: ending.failure == Some(Failure::ClientGone) && exchange.first_token.is_none(),
        cohort: exchange.cohort,
    };
    if let Some(taken) = &exchange.taken {
        let tokens = answered.tokens_in.saturating_add(answered.tokens_out);
        taken.used(tokens, settles);
    }
    let outcome = exchange.counted(&answered);
    if let Some(fallback) = exchange.fallback() {
        let is_answered = ending.failure.is_none() && !ending.withheld;
        exchange.gateway.metrics.fallback(exchange.arm, &fallback.model, is_answered);
    }
    let now = parts.clock.now();
    if let Some(level) = exchange.degraded {
        // It says as much of the level as of the version set.
        exchange.gateway.metrics.degraded(level);
    } else if !exchange.is_cached {
        parts.collector.add(exchange.arm, exchange.compared_in(), &outcome, now);
    }
    let (arm, change_id) = (exchange.arm, exchange.change_id());
    let failed = || failed(exchange, &ending);
    // A fixed text says nothing of the model server, nor does an answer of the cache.
    let is_asked = exchange.degraded != Some(DegradeLevel::FixedText) && !exchange.is_cached;
    let note = || parts.collector.note_end(arm, change_id, &outcome, now, failed);
    if let Some(change) = is_asked.then(note).flatten() {
        log_outage(exchange, change);
    }
    let sightings = sightings(exchange, &ending, &found.events);
    exchange.remember();
    measure(exchange, &ending, &outcome, spent.charge.as_ref());
    exchange.count_guards(&ending, &found, outcome.refused);
    let record = record(exchange, ending, judged, spent, timing);
    if exchange.gateway.options.log_requests {
        log(exchange, &record);
    }
    // A full queue drops the record and counts it; the data plane never waits for the store.
    parts.store.record(ticket, record);
    // After the record: what control writes of an incident at once has the request in it.
    sightings.into_iter().for_each(|sighting| parts.collector.red_event(sighting));
    mirror.into_iter().for_each(Mirror::begin);
    answered
}

/// What is kept of a request that failed, for the incident of an outage.
fn failed(exchange: &Exchange, ending: &Ending) -> FailedRequest {
    let upstream = exchange.set.upstream_name.clone();
    // It may quote the prompt, so it is content.
    let said = exchange.own_said(ending).filter(|_| keeps_content(exchange));
    FailedRequest {
        trace_id: exchange.arrival.ids.trace.clone(),
        set: exchange.set.set.id.clone(),
        said: said.and_then(|said| said.line(&upstream)).map(|said| redact(&said)),
        upstream,
    }
}

/// Whether what is said in the request and its answer is kept.
fn keeps_content(exchange: &Exchange) -> bool {
    let records = &exchange.gateway.records;
    let tenant = exchange.arrival.caller.tenant.as_deref();
    let user = exchange.query.user.as_deref();
    records.keeps_content(tenant, user, |user| kept_user(&exchange.gateway.service, user))
}

/// Says once that an outage began, and once that it is over.
fn log_outage(exchange: &Exchange, change: OutageChange) {
    let set = exchange.set.named();
    let about = About {
        trace_id: Some(&exchange.arrival.ids.trace),
        change_id: exchange.change_id(),
        set: Some(&set),
        ..About::service(&exchange.gateway.service)
    };
    let upstream = exchange.set.upstream_name.as_str();
    about.log(&Event::Outage { arm: exchange.arm, upstream, change });
}

fn judge(exchange: &Exchange, ending: &Ending) -> Judged {
    let (Some(facts), None) = (&ending.facts, ending.failure) else { return Judged::default() };
    if exchange.query.form == Form::Embeddings {
        return Judged::default();
    }
    let (contract, refused) = (ending.contract.clone(), is_refusal(facts));
    Judged { contract, refused, claims: exchange.claims(ending, refused) }
}

/// The red lines that were crossed, for control. Who called a forbidden tool is refused from here
/// on: an attack is stopped where it is seen, and control only writes down that it was.
fn sightings(exchange: &Exchange, ending: &Ending, events: &[RiskEvent]) -> Vec<Sighting> {
    if !events.iter().any(|event| event.kind.is_red_line()) {
        // Most requests have none, and the clock is not read for them.
        return Vec::new();
    }
    let gateway = &exchange.gateway;
    let at = gateway.parts.clock.now();
    let sighting = |event: &RiskEvent| {
        let caller = exchange.caller();
        let mut banned_s = 0;
        if let (RiskKind::UnauthorisedTool, Some(caller)) = (event.kind, &caller) {
            banned_s = gateway.ban_s;
            gateway.bans.add(caller, at, banned_s);
        }
        Sighting {
            event: event.clone(),
            at,
            arm: exchange.arm,
            change_id: exchange.change_id().cloned(),
            trace_id: exchange.arrival.ids.trace.clone(),
            caller,
            blocked: ending.withheld,
            banned_s,
        }
    };
    events.iter().filter(|event| event.kind.is_red_line()).map(sighting).collect()
}

pub(super) fn time(exchange: &Exchange, ending: &Ending) -> Timing {
    let us = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    let Elapsed { first_token, total } = ending.elapsed;
    if exchange.gateway.parts.clock.is_demo() {
        // Simulated time passes faster than real time; ours is none of it.
        return Timing {
            queue_us: 0,
            retrieval_us: 0,
            first_token_us: us(first_token),
            generation_us: us(total.saturating_sub(first_token)),
            total_us: us(exchange.failed + total),
        };
    }
    let now = Instant::now();
    let called = exchange.called.unwrap_or(now);
    let answered_whole = ending.failure.is_none() && !exchange.query.stream;
    let first = match exchange.first_token {
        Some(at) => at.duration_since(called),
        // All of it came at once: when its first token was made, only the server knows.
        None if answered_whole => Duration::ZERO,
        None => first_token,
    };
    Timing {
        queue_us: us(exchange.queue),
        retrieval_us: us(exchange.retrieval()),
        first_token_us: us(first),
        generation_us: us(now.duration_since(called).saturating_sub(first)),
        total_us: us(now.duration_since(exchange.arrival.started)),
    }
}

fn measure(exchange: &Exchange, ending: &Ending, outcome: &Outcome, charge: Option<&Charge>) {
    let status = match outcome.failure.map(Failure::fault) {
        Some(FaultOwner::Client) => StatusClass::ClientError,
        Some(FaultOwner::Upstream | FaultOwner::Ours | FaultOwner::Operator) => StatusClass::Error,
        None if ending.withheld => StatusClass::Error,
        None => StatusClass::Ok,
    };
    exchange.gateway.metrics.answer(&AnswerSample {
        model_version: &exchange.set.keys.model,
        arm: exchange.arm,
        status,
        latency: Duration::from_micros(outcome.timing.total_us),
        trace_id: &exchange.arrival.ids.trace,
        at: Duration::from_millis(exchange.arrival.at.0),
        tokens_in: outcome.tokens_in,
        tokens_out: outcome.tokens_out,
        charge,
        failure: outcome.failure,
        contract_ok: outcome.contract_ok,
        refused: outcome.failure.is_none().then_some(outcome.refused),
    });
}

fn record(
    exchange: &Exchange,
    ending: Ending,
    judged: Judged,
    spent: Spent,
    timing: Timing,
) -> Record {
    let (arrival, query, set) = (&exchange.arrival, &exchange.query, &exchange.set);
    let (tenant, keeps) = (arrival.caller.tenant.as_deref(), keeps_content(exchange));
    let facts = ending.facts.unwrap_or_default();
    let has_private = ending.found.as_ref().is_none_or(|found| found.has_private);
    let found = ending.found.unwrap_or_default();
    let holds_secret = ending.withheld || found.events.iter().any(|it| it.kind == RiskKind::Leak);
    await_results(exchange, &facts);
    let own = exchange.fell_back.as_ref();
    // What the own model did is what counts; of the fallback it has the answer.
    let said = own.map_or(ending.said, |own| Some(own.said.clone()));
    Record {
        trace_id: arrival.ids.trace.clone(),
        request_id: kept_request_id(&arrival.ids),
        traceparent: arrival.ids.traceparent.clone(),
        at: arrival.at,
        tenant: tenant.map(str::to_owned),
        user: query.user.as_deref().map(|user| kept_user(&exchange.gateway.service, user)),
        key: arrival.caller.key.as_deref().map(str::to_owned),
        arm: exchange.arm,
        set: set.named(),
        change_id: exchange.change_id().cloned(),
        cohort: exchange.cohort,
        status: ending.status.as_u16(),
        failure: own.map_or(ending.failure, |own| Some(own.failure)),
        fallback: exchange.recorded_fallback(ending.failure),
        streamed: query.stream,
        tokens_in: spent.tokens_in,
        tokens_out: spent.tokens_out,
        tokens_estimated: spent.estimated,
        cost_micro_usd: spent.cost_micro_usd(),
        charge: spent.charge,
        degraded: exchange.degraded,
        timing,
        cached: exchange.is_cached,
        retrieval: exchange.recorded_retrieval(facts.text(), judged.claims),
        tool_calls: tool_calls(exchange, &facts),
        tool_results: tool_results(exchange),
        contract_problem: exchange.broken(judged.contract).map(|why| why_kept(&why, keeps)),
        repair: exchange.repair.as_ref().map(|repair| repair.result),
        refused: judged.refused && own.is_none(),
        pii: found.gives_away && own.is_none(),
        redacted: ending.redacted,
        risk: found.events,
        signals: exchange.signals.iter().cloned().chain(found.signals).collect(),
        prompt_length: query.input_chars,
        response_length: answer_length(&facts),
        decoding: query.decoding.clone(),
        input: keeps.then(|| kept(redacted(&query.text))),
        // What holds a planted text, or was kept back for what it holds, is never kept.
        output: (keeps && !holds_secret).then(|| {
            // Where nothing would be replaced, looking is what costs.
            let text = facts.text();
            kept(if has_private { redacted(text) } else { beginning(text).0.to_owned() })
        }),
        finish_reason: facts.finish().map(|finish| redact(finish.as_str())),
        upstream_model: facts.model.map(|model| match model == set.model {
            true => model,
            false => redact(&model),
        }),
        // It may quote the prompt, so it is content too.
        upstream_said: said.filter(|_| keeps).and_then(|s| s.line(&set.upstream_name)),
    }
}

/// Why the contract is broken, as it is kept: it may quote the answer.
fn why_kept(problem: &str, keeps: bool) -> String {
    if keeps { redact(problem) } else { "the answer breaks the contract".to_owned() }
}

/// The tools that the answer calls.
fn tool_calls(exchange: &Exchange, facts: &AnswerFacts) -> Vec<RecordedToolCall> {
    let allowed = |name: &str| match &exchange.set.detectors.allowed_tools {
        Some(tools) => tools.contains(name),
        None => true,
    };
    let call = |name: &str| RecordedToolCall { allowed: allowed(name), name: redact(name) };
    facts.tool_names().into_iter().map(call).collect()
}

/// The results that the request brought, each with the time since its call.
fn tool_results(exchange: &Exchange) -> Vec<RecordedToolResult> {
    let arrival = &exchange.arrival;
    let tenant = arrival.caller.tenant.as_deref();
    let result = |result: &ToolResult| {
        let (tool, at) = exchange.gateway.calls.take(tenant, &result.call_id)?;
        let took = arrival.started.saturating_duration_since(at);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Some(RecordedToolResult { name: redact(&tool), took_us, failed: result.failed })
    };
    exchange.query.tool_results.iter().filter_map(result).collect()
}

/// Remembers the calls of the answer until their results come.
fn await_results(exchange: &Exchange, facts: &AnswerFacts) {
    let tenant = exchange.arrival.caller.tenant.as_deref();
    let now = Instant::now();
    for call in facts.choices.iter().flat_map(|choice| &choice.tool_calls) {
        if let Some(id) = call.id() {
            exchange.gateway.calls.called(tenant, id, &call.name, now);
        }
    }
}

/// As much of a text as is looked at for the record, and whether there may be more of it.
fn beginning(text: &str) -> (&str, bool) {
    // A character is a byte at least: most texts need not be counted.
    if text.len() < USER_TEXT_MAX {
        return (text, false);
    }
    let last = text.char_indices().nth(USER_TEXT_MAX - 1);
    last.map_or((text, false), |(at, last)| (&text[..at + last.len_utf8()], true))
}

/// The text, redacted, as far as it can be: what the cut halved is left out with all that may be
/// the half of something.
fn redacted(text: &str) -> String {
    let (beginning, is_cut) = beginning(text);
    let mut redacted = redact(beginning);
    if is_cut {
        let chars = redacted.chars().count().saturating_sub(USER_TEXT_MAX - RECORD_TEXT_MAX);
        let end = redacted.char_indices().nth(chars).map_or(redacted.len(), |(end, _)| end);
        redacted.truncate(end);
        redacted.push('…');
    }
    redacted
}

/// The text as long as it may be kept. It is redacted before: a cut must not halve what must go.
fn kept(mut text: String) -> String {
    if text.len() > RECORD_TEXT_MAX
        && let Some((end, _)) = text.char_indices().nth(RECORD_TEXT_MAX)
    {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The request's line in the log.
fn log(exchange: &Exchange, record: &Record) {
    let service = exchange.gateway.service.as_str();
    let key = exchange.gateway.parts.log_key.as_ref();
    let hidden = |word: &str, name: Option<&str>| {
        key.zip(name).map(|(key, name)| key.pseudonym(word, service, name))
    };
    let tenant = hidden("tenant", record.tenant.as_deref());
    let user = hidden("user", exchange.query.user.as_deref());
    let about = About {
        service,
        trace_id: Some(&record.trace_id),
        change_id: record.change_id.as_ref(),
        set: Some(&record.set),
        tenant: tenant.as_deref(),
        user: user.as_deref(),
    };
    about.log(&Event::Request(record));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_of_what_must_go_is_never_kept() {
        let address = "somebody.with.a.long.name@long.example.com ";
        let card = "4111 1111 1111 1111";
        for before in 0..card.len() {
            let mut text = address.repeat(USER_TEXT_MAX / address.len());
            let room = USER_TEXT_MAX - text.chars().count();
            text.push_str(&"退".repeat(room - before));
            text.push_str(card);
            text.push_str(&" more".repeat(9));
            let kept = kept(redacted(&text));
            assert!(!kept.contains("41"), "{before}: {kept:?}");
            assert!(kept.ends_with('…') && !kept.contains("example"), "{kept:?}");
        }
        assert_eq!(kept(redacted("退款")), "退款");
        let long = kept(redacted(&"退".repeat(RECORD_TEXT_MAX + 1)));
        assert_eq!(long, "退".repeat(RECORD_TEXT_MAX) + "…");
    }
}
