//! The service's errors.

use crate::members::Members;
use crate::problem::ErrorFacts;

/// Reads the body of an answer whose status is an error.
pub fn error_facts(body: &[u8]) -> ErrorFacts {
    let facts = ErrorFacts::of_body(body);
    let raw = serde_json::from_slice(body).ok();
    let said = raw.and_then(Members::of).unwrap_or_default();
    // Some of AWS's services write it large.
    let message = said.text("message").or_else(|| said.text("Message"));
    ErrorFacts { message: facts.message.clone().or(message), ..facts }
}

/// An exception in a stream: there is no status beside it: its type has to say what kind
/// of error it is.
pub(super) fn error_of(members: &Members<'_>) -> ErrorFacts {
    let facts = ErrorFacts::of(members);
    let status = facts.kind.as_deref().map(|kind| match kind {
        "validationException" => 400,
        "accessDeniedException" => 403,
        "resourceNotFoundException" => 404,
        "throttlingException" | "modelNotReadyException" => 429,
        "serviceUnavailableException" => 503,
        "modelTimeoutException" => 504,
        // `internalServerException`, `modelStreamErrorException`, and what is to come.
        _ => 500,
    });
    ErrorFacts { status: facts.status.or(status), ..facts }
}
