//! A whole answer: read, looked at, and passed on byte for byte or withheld.

use super::exchange::{Ending, Exchange, Withheld};
use super::problem::Problem;
use super::redacting;
use crate::http::aside;
use crate::upstream::{Answer, BODY_SMALL, Form, UpstreamError};
use bytes::Bytes;
use http::StatusCode;
use tidegate_core::upstream::Failure;

/// An answer that may go to the client.
pub(super) struct Whole {
    /// The upstream's body, in the client's form.
    pub(super) body: Bytes,
    /// From the first byte of the request until here, ms; simulated time in a demo.
    pub(super) latency_ms: u64,
    /// Prompt tokens, estimated where the upstream reported none.
    pub(super) tokens_in: u64,
    /// Answer tokens, estimated where the upstream reported none.
    pub(super) tokens_out: u64,
    /// Whether it may be given again to the same request.
    pub(super) may_be_kept: bool,
}

/// Ends an exchange with a whole answer; no other request waits while a large one is looked at.
pub(super) async fn whole(exchange: Exchange, answer: Answer) -> Result<Whole, Problem> {
    if answer.body.len() <= BODY_SMALL {
        return looked_at(exchange, answer);
    }
    let looking = aside(async move { looked_at(exchange, answer) }).await;
    looking.unwrap_or_else(|_panicked| Err(Problem::internal()))
}

fn looked_at(exchange: Exchange, answer: Answer) -> Result<Whole, Problem> {
    let Answer { body, facts, elapsed, warnings: _ } = answer;
    let found = exchange.look(&facts, false);
    let redacted = redacting::whole(&exchange, &body, &facts, &found);
    let (redacted, body) = (redacted.is_some(), redacted.unwrap_or(body));
    let written = match exchange.query.is_message {
        true => Ok(body),
        false => exchange.dialect().answer(body, &exchange.named()),
    };
    let body = match written {
        Ok(body) => body,
        Err(problem) => {
            let error = UpstreamError::of_problem(&problem, elapsed);
            let problem = Problem::upstream(&error, exchange.passes_on());
            let UpstreamError { failure, elapsed, said, .. } = error;
            let found = Some(found);
            let (status, facts) = (problem.status, Some(facts));
            let (failure, said) = (Some(failure), Some(said));
            exchange.close(Ending {
                status,
                failure,
                facts,
                elapsed,
                found,
                said,
                ..Ending::default()
            });
            return Err(problem);
        }
    };
    let contract = match exchange.checked(&facts, &found) {
        Ok(contract) => contract,
        Err(Withheld { why, contract }) => {
            let problem = Problem::withheld(why);
            let (status, facts, found) = (problem.status, Some(facts), Some(found));
            let (withheld, ending) = (true, Ending::default());
            exchange.close(Ending { status, facts, elapsed, found, withheld, contract, ..ending });
            return Err(problem);
        }
    };
    // Embeddings say nothing.
    let is_useful = exchange.query.form == Form::Embeddings || facts.is_useful();
    let may_be_kept = is_useful && !redacted && exchange.may_be_kept(&facts, &found);
    let summary = exchange.close(Ending {
        status: StatusCode::OK,
        failure: (!is_useful).then_some(Failure::Empty),
        facts: Some(facts),
        elapsed,
        found: Some(found),
        contract,
        redacted,
        ..Ending::default()
    });
    Ok(Whole {
        body,
        latency_ms: summary.timing.total_us / 1000,
        tokens_in: summary.tokens_in,
        tokens_out: summary.tokens_out,
        may_be_kept,
    })
}
