//! The API's errors.

use crate::members::Members;
use crate::problem::{ErrorFacts, first_object};
use serde_json::value::RawValue;

/// Reads the body of an answer whose status is an error.
pub fn error_facts(body: &[u8]) -> ErrorFacts {
    let facts = ErrorFacts::of_body(body);
    let Ok(raw) = serde_json::from_slice::<&RawValue>(body) else { return facts };
    let error = first_object(raw).and_then(|body| body.object("error"));
    error.map_or(facts.clone(), |error| with_details(facts, &error))
}

/// An error in place of an answer, or in the middle of one.
pub(super) fn error_of(body: &Members<'_>) -> ErrorFacts {
    let facts = ErrorFacts::of(body);
    body.object("error").map_or(facts.clone(), |error| with_details(facts, &error))
}

/// What the details say: that it is our key that is refused, and how long to wait.
fn with_details(mut facts: ErrorFacts, error: &Members<'_>) -> ErrorFacts {
    for detail in error.list("details").into_iter().filter_map(Members::of) {
        if detail.text("reason").as_deref() == Some("API_KEY_INVALID") {
            facts.code = Some("invalid_api_key".to_owned());
        }
        if let Some(delay) = detail.text("retryDelay") {
            facts.retry_after_ms = milliseconds(&delay);
        }
    }
    facts
}

/// A duration of Google's APIs: seconds with a fraction, and `s` after them.
fn milliseconds(delay: &str) -> Option<u64> {
    let seconds = delay.strip_suffix('s')?;
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(fraction) {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let rest = u64::from(fraction.len() > 3 && fraction[3..].bytes().any(|b| b != b'0'));
    let whole: u64 = whole.parse().ok().filter(|_| is_number(whole))?;
    whole.checked_mul(1_000)?.checked_add(digits.parse::<u64>().ok()? + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, status: &str, details: &str) -> ErrorFacts {
        let body = format!(
            r#"{{"error":{{"code":{code},"message":"m","status":"{status}",
            "details":[{details}]}}}}"#
        );
        let (one, many) =
            (error_facts(body.as_bytes()), error_facts(format!("[{body}]").as_bytes()));
        assert_eq!(one, many, "the API wraps the errors of streams in a list");
        one
    }

    #[test]
    fn the_wait_is_in_the_details() {
        let wait = |delay: &str| {
            let detail = format!(
                r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure"}},
                {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}"#
            );
            of(429, "RESOURCE_EXHAUSTED", &detail).retry_after_ms
        };
        assert_eq!(wait("34s"), Some(34_000));
        assert_eq!(wait("34.074824224s"), Some(34_075));
        assert_eq!(wait("0.5s"), Some(500));
        for odd in ["34", "s", "-1s", "1.s5s", "99999999999999999999s", "1.5.5s"] {
            assert_eq!(wait(odd), None, "{odd}");
        }
        assert_eq!(wait("1.s"), Some(1_000));
    }

    #[test]
    fn a_key_that_is_refused_is_no_bad_request() {
        let reason =
            r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}"#;
        let facts = of(400, "INVALID_ARGUMENT", reason);
        assert_eq!((facts.status, facts.code.as_deref()), (Some(400), Some("invalid_api_key")));
        let facts = of(400, "INVALID_ARGUMENT", "");
        assert_eq!((facts.code, facts.kind.as_deref()), (None, Some("INVALID_ARGUMENT")));
    }
}
