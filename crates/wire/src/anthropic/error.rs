//! The API's errors.

use crate::members::Members;
use crate::problem::ErrorFacts;

/// Reads the body of an answer whose status is an error.
pub fn error_facts(body: &[u8]) -> ErrorFacts {
    with_status(ErrorFacts::of_body(body))
}

/// An error in place of an answer, or in the middle of one: there is no status beside it, so that
/// its type has to say what kind of error it is.
pub(super) fn error_of(members: &Members<'_>) -> ErrorFacts {
    with_status(ErrorFacts::of(members))
}

fn with_status(facts: ErrorFacts) -> ErrorFacts {
    let status = facts.kind.as_deref().and_then(|kind| match kind {
        "invalid_request_error" => Some(400),
        "authentication_error" => Some(401),
        "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" => Some(429),
        "api_error" => Some(500),
        "timeout_error" => Some(504),
        "overloaded_error" => Some(529),
        _ => None,
    });
    ErrorFacts { status: facts.status.or(status), ..facts }
}
