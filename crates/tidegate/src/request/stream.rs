//! An answer in pieces: passed on as it comes, watched while it does, and ended honestly.
//!
//! A stream that breaks ends with an error event and never with `[DONE]`, so that no client takes
//! half an answer for a whole one. Nothing of a tool call goes on before its name is known to be
//! allowed, and nothing of a text that a guard outside of this process has to see first
//! (`moderating`). Dropping the stream (the client left) cancels the call upstream
//! and records what was delivered. A planted text is seen when its last character has come: what
//! came before in earlier pieces is out already, the piece that completes it is not.

use super::body::{Body, Stream};
use super::bounds::{HELD_MAX, STREAM_PIECE};
use super::dialect::StreamForm;
use super::exchange::{Checked, Ending, Exchange, Withheld};
use super::moderating::Moderating;
use super::problem::{CLIENT_GONE, Problem};
use super::redacting::Redacting;
use crate::config::Block;
use crate::guard::{said_in, withheld_for};
use crate::observe::StatusClass;
use crate::upstream::{Elapsed, Piece, Pieces, UpstreamError};
use crate::version_set::LiveSet;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Instant;
use tidegate_core::guard::{Findings, RiskEvent, Seen, StreamWatch};
use tidegate_core::upstream::Failure;
use tidegate_wire::AnswerFacts;

/// nginx and servers built on it buffer streams unless this header turns that off.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events of one stream.
struct Events {
    /// `None` once the exchange is closed; nothing follows then.
    exchange: Option<Exchange>,
    first: Option<Piece>,
    pieces: Pieces,
    facts: AnswerFacts,
    watch: StreamWatch,
    /// Whether the text so far can still keep the contract.
    contract: Growing,
    /// What the watch found so far.
    seen: Vec<RiskEvent>,
    /// What of the texts waits, where anything is replaced in them.
    redacting: Option<Redacting>,
    /// What a guard outside of this process is asked, where there is one.
    moderating: Option<Moderating>,
    /// How long the upstream took, once it has ended and that guard is waited for.
    ended: Option<Elapsed>,
    /// Events that wait until it is known which tool they call.
    held: Vec<u8>,
    form: StreamForm,
    status: StatusClass,
}

/// The response that carries the stream.
pub(super) fn response(mut exchange: Exchange, first: Piece, pieces: Pieces) -> Response<Body> {
    exchange.measure_overhead();
    let events = Events {
        form: exchange.stream_form(),
        redacting: Redacting::of(&exchange),
        moderating: Moderating::of(&exchange),
        ended: None,
        exchange: Some(exchange),
        first: Some(first),
        pieces,
        facts: AnswerFacts::default(),
        watch: StreamWatch::default(),
        contract: Growing::default(),
        seen: Vec::new(),
        held: Vec::new(),
        status: StatusClass::ClientError,
    };
    let content_type = events.form.content_type();
    let mut response = Response::new(Body::stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

impl Stream for Events {
    fn status(&self) -> StatusClass {
        self.status
    }

    fn is_ended(&self) -> bool {
        self.exchange.is_none()
    }

    /// All events that are there, up to a bound.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        if self.exchange.as_ref().is_some_and(|exchange| exchange.gateway.is_cutting()) {
            let message = "the server was stopped before the answer's end".to_owned();
            self.broken(upstream(Failure::ServerStopping, message), &mut out);
        }
        while !self.is_ended() && out.len() < STREAM_PIECE {
            let is_waiting = self.moderate(cx, &mut out);
            if is_waiting && out.is_empty() {
                return Poll::Pending;
            }
            if is_waiting || self.is_ended() {
                break;
            }
            let piece = match self.first.take() {
                Some(first) => Some(first),
                None => match self.pieces.poll_next(cx) {
                    Poll::Ready(piece) => piece,
                    Poll::Pending if out.is_empty() => return Poll::Pending,
                    Poll::Pending => break,
                },
            };
            self.take(piece, &mut out);
        }
        Poll::Ready((!out.is_empty()).then(|| out.into()))
    }
}

/// An answer that must be JSON, as it grows: what cannot become JSON any more is seen before its
/// end. Each look is at a text twice as long as the one before, so that all looks together cost
/// two of the whole.
#[derive(Default)]
struct Growing {
    /// How much of each choice was.
    looked_at: BTreeMap<u64, usize>,
}

impl Growing {
    fn look(&mut self, set: &LiveSet, facts: &AnswerFacts) -> Option<Withheld> {
        if set.contract.is_none() || !set.block.contains(&Block::Contract) {
            return None;
        }
        facts.choice_texts().find_map(|(choice, text)| self.look_at(set, choice, text))
    }

    fn look_at(&mut self, set: &LiveSet, choice: u64, text: &str) -> Option<Withheld> {
        let looked_at = self.looked_at.entry(choice).or_default();
        if text.len() <= 2 * *looked_at {
            return None;
        }
        *looked_at = text.len();
        let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
        let contract = (!error.is_eof()).then(|| set.contract_problem(text)).flatten();
        contract
            .map(|problem| Withheld { why: Block::Contract, contract: Checked::broken(problem) })
    }
}

impl Events {
    fn take(&mut self, piece: Option<Piece>, out: &mut Vec<u8>) {
        match piece {
            Some(Piece::Data { bytes, says }) => self.data(&bytes, says, out),
            Some(Piece::Ping) => self.form.ping(out),
            Some(Piece::Done(elapsed)) => self.last(elapsed, out),
            Some(Piece::Failed(error)) => self.broken(error, out),
            None => {
                let message = "the upstream's stream ended without its end mark".to_owned();
                self.broken(upstream(Failure::CutShort, message), out);
            }
        }
    }

    fn data(&mut self, data: &Bytes, says: tidegate_wire::Piece, out: &mut Vec<u8>) {
        if let Some(exchange) = &mut self.exchange
            && exchange.first_token.is_none()
            && says.has_token()
        {
            exchange.first_token = Some(Instant::now());
        }
        // What is held goes on only once it is known that it may.
        let redacted = match (&mut self.redacting, &self.exchange) {
            (Some(redacting), Some(exchange)) => redacting.chunk(exchange, data, &says),
            (None, _) | (_, None) => None,
        };
        let (data, shown) =
            redacted.as_ref().map_or((&data[..], &says), |(data, says)| (data, says));
        let written = self.form.chunk(data, shown, &mut self.held);
        if let Err(problem) = self.facts.push(says).and(written) {
            return self.broken(UpstreamError::of_problem(&problem, Elapsed::default()), out);
        }
        let mut holds = false;
        if let Some(exchange) = &self.exchange {
            let said = said_in(&self.facts);
            let Seen { events, signals } = self.watch.look(&exchange.set.detectors, &said);
            let is_open = exchange.set.detectors.is_open_call(&said);
            holds = is_open && self.held.len() < HELD_MAX;
            let why = withheld_for(&exchange.set.block, &events, &signals, false);
            let why = why.map(|why| Withheld { why, contract: Checked::default() });
            let why = why.or_else(|| self.contract.look(&exchange.set, &self.facts));
            self.seen.extend(events);
            if let Some(why) = why {
                return self.withhold(why, None, Elapsed::default(), out);
            }
        }
        if !holds {
            match &mut self.moderating {
                Some(moderating) => moderating.take(&self.facts, &mut self.held, out),
                None => out.append(&mut self.held),
            }
        }
    }

    /// Hears what the guard outside of this process says so far. Whether nothing more of the stream
    /// is read before it has answered.
    fn moderate(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let (Some(moderating), Some(exchange)) = (&mut self.moderating, &mut self.exchange) else {
            return false;
        };
        let is_asking = moderating.poll(exchange, &self.facts, cx, out).is_pending();
        let is_full = moderating.is_full();
        let elapsed = self.ended.unwrap_or_default();
        if let Some(why) = exchange.moderated_away() {
            let why = Withheld { why, contract: Checked::default() };
            self.withhold(why, None, elapsed, out);
            return false;
        }
        if self.ended.is_some() && !is_asking {
            self.done(elapsed, out);
        }
        is_asking && (self.ended.is_some() || is_full)
    }

    /// The upstream's answer has ended.
    fn last(&mut self, elapsed: Elapsed, out: &mut Vec<u8>) {
        match &mut self.moderating {
            Some(moderating) => {
                moderating.end();
                self.ended = Some(elapsed);
            }
            None => self.done(elapsed, out),
        }
    }

    fn done(&mut self, elapsed: Elapsed, out: &mut Vec<u8>) {
        let Some(exchange) = &self.exchange else { return };
        let found = exchange.look(&self.facts, false);
        let contract = match exchange.checked(&self.facts, &found) {
            Ok(contract) => contract,
            Err(why) => return self.withhold(why, Some(found), elapsed, out),
        };
        let rest = self.redacting.as_mut().and_then(|redacting| redacting.end(exchange));
        let written = rest.map(|(data, says)| self.form.chunk(&data, &says, &mut self.held));
        out.append(&mut self.held);
        if let Err(problem) = written.unwrap_or(Ok(())).and_then(|()| self.form.end(out)) {
            return self.broken(UpstreamError::of_problem(&problem, elapsed), out);
        }
        let (status, class, failure) = match self.facts.is_useful() {
            true => (StatusCode::OK, StatusClass::Ok, None),
            false => (StatusCode::OK, StatusClass::Error, Some(Failure::Empty)),
        };
        let (found, ending) = (Some(found), Ending::default());
        self.end(class, Ending { status, failure, elapsed, found, contract, ..ending });
    }

    fn broken(&mut self, error: UpstreamError, out: &mut Vec<u8>) {
        if let Some(exchange) = &self.exchange {
            let problem = Problem::upstream(&error, exchange.passes_on());
            self.form.error(&problem, Some(&exchange.ids().trace), out);
        }
        let UpstreamError { failure, elapsed, said, .. } = error;
        let (failure, said) = (Some(failure), Some(said));
        let ending = Ending { status: StatusCode::OK, failure, elapsed, said, ..Ending::default() };
        self.end(StatusClass::Error, ending);
    }

    fn withhold(
        &mut self,
        Withheld { why, contract }: Withheld,
        found: Option<Findings>,
        elapsed: Elapsed,
        out: &mut Vec<u8>,
    ) {
        let trace = self.exchange.as_ref().map(|exchange| &exchange.ids().trace);
        self.form.error(&Problem::withheld(why), trace, out);
        let (status, withheld) = (StatusCode::OK, true);
        let ending = Ending { status, elapsed, found, withheld, contract, ..Ending::default() };
        self.end(StatusClass::Error, ending);
    }

    fn end(&mut self, status: StatusClass, mut ending: Ending) {
        self.status = status;
        let facts = std::mem::take(&mut self.facts);
        if let Some(exchange) = self.exchange.take() {
            // However a stream ends, what it said is looked at: a client that leaves early, or an
            // upstream that breaks, must not hide a red line.
            let mut found =
                ending.found.take().unwrap_or_else(|| exchange.look(&facts, !ending.withheld));
            // What was found in a text that is too long to be kept is not there any more.
            for event in std::mem::take(&mut self.seen) {
                if !found.events.contains(&event) {
                    found.events.push(event);
                }
            }
            ending.found = Some(found);
            ending.redacted = self.redacting.as_ref().is_some_and(|it| it.is_changed);
            ending.facts = Some(facts);
            exchange.close(ending);
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Open here means that the client left, or took nothing until the server was stopped; what
        // it was sent is recorded, and dropping the pieces stops the upstream.
        let Some(exchange) = &self.exchange else { return };
        let (class, status, failure) = match exchange.gateway.is_cutting() {
            true => (StatusClass::Error, StatusCode::OK, Failure::ServerStopping),
            false => (StatusClass::ClientError, CLIENT_GONE, Failure::ClientGone),
        };
        self.end(class, Ending { status, failure: Some(failure), ..Ending::default() });
    }
}

fn upstream(failure: Failure, message: String) -> UpstreamError {
    UpstreamError::new(failure, message, Elapsed::default())
}
