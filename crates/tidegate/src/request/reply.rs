//! A whole answer: read, looked at, and passed on byte for byte or withheld.

use super::exchange::{Ending, Exchange};
use super::problem::Problem;
use crate::upstream::{Answer, Took, UpstreamError};
use bytes::Bytes;
use http::StatusCode;
use tidegate_core::request::read_answer;
use tidegate_core::upstream::Failure;

/// An answer that may go to the client.
pub(super) struct Whole {
    /// The upstream's body.
    pub(super) body: Bytes,
    /// The answer's text.
    pub(super) text: String,
    /// From the first byte of the request until here, ms; simulated time in a demo.
    pub(super) latency_ms: u64,
    /// Prompt tokens, estimated where the upstream reported none.
    pub(super) tokens_in: u64,
    /// Answer tokens, estimated where the upstream reported none.
    pub(super) tokens_out: u64,
}

/// Ends an exchange with a whole answer.
pub(super) fn whole(exchange: Exchange, answer: Answer) -> Result<Whole, Problem> {
    let Answer { body, took } = answer;
    let facts = match read_answer(&body) {
        Ok(facts) => facts,
        Err(problem) => {
            let message = problem.to_string();
            return Err(malformed(exchange, message, took));
        }
    };
    let risk = exchange.set.detectors.inspect_answer(&facts);
    if risk.iter().any(|event| event.kind.is_red_line()) {
        let problem = Problem::withheld();
        let facts = Some(facts);
        let status = problem.status;
        let ending = Ending { status, facts, took, risk, withheld: true, failure: None };
        exchange.close(ending);
        return Err(problem);
    }
    let text = facts.text.clone();
    let summary = exchange.close(Ending {
        status: StatusCode::OK,
        facts: Some(facts),
        took,
        risk,
        ..Ending::default()
    });
    Ok(Whole {
        body,
        text,
        latency_ms: summary.timing.total_us / 1000,
        tokens_in: summary.tokens_in,
        tokens_out: summary.tokens_out,
    })
}

fn malformed(exchange: Exchange, message: String, took: Took) -> Problem {
    let failure = Failure::Malformed;
    let error = UpstreamError { failure, status: None, message, retry_after_s: None, took };
    let problem = Problem::upstream(&error);
    let status = problem.status;
    exchange.close(Ending { status, failure: Some(failure), took, ..Ending::default() });
    problem
}
