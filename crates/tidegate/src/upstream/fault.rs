//! What went wrong with an upstream: classified, in our words, and with what it said itself.

use super::bounds::RETRY_AFTER_MAX;
use super::{Elapsed, UpstreamError, UpstreamSaid};
use std::time::Duration;
use tidegate_core::text::redact;
use tidegate_core::upstream::Failure;
use tidegate_wire::{AnswerProblem, ErrorFacts};

/// Most that is kept of what an upstream says of its fault, characters.
const SAID_MAX: usize = 200;

impl UpstreamError {
    /// A failure without a status.
    pub(crate) fn new(
        failure: Failure,
        message: impl Into<String>,
        elapsed: Elapsed,
    ) -> UpstreamError {
        let message = message.into();
        let said = Box::default();
        UpstreamError {
            failure,
            status: None,
            message,
            said,
            untranslatable: None,
            retry_after: None,
            elapsed,
            sent_twice: false,
            is_unsent: false,
            endpoint: None,
        }
    }

    /// The failure that a non-2xx status means, with what its body says.
    pub(super) fn of_status(status: u16, said: &ErrorFacts, elapsed: Elapsed) -> UpstreamError {
        let failure = classify(Some(status), said);
        let message = status_message(status, failure);
        let error = UpstreamError::new(failure, message, elapsed);
        let retry_after = said.retry_after_ms.map(Duration::from_millis);
        UpstreamError { status: Some(status), retry_after, ..error }.saying(said)
    }

    /// The failure that an answer means which is none.
    pub(crate) fn of_problem(problem: &AnswerProblem, elapsed: Elapsed) -> UpstreamError {
        let failure = match problem {
            AnswerProblem::Error(said) => {
                let failure = classify(said.status, said);
                let message = format!("the upstream answered with an error ({})", failure.as_str());
                return UpstreamError::new(failure, message, elapsed).saying(said);
            }
            AnswerProblem::Unended => Failure::CutShort,
            AnswerProblem::NoBytes
            | AnswerProblem::Html
            | AnswerProblem::NotUtf8
            | AnswerProblem::NotJson { .. }
            | AnswerProblem::NotObject
            | AnswerProblem::NoChoices
            | AnswerProblem::NoMessage
            | AnswerProblem::NoContent
            | AnswerProblem::Untranslatable(_)
            | AnswerProblem::TooManyParts
            | AnswerProblem::TooManyToolCalls => Failure::Malformed,
        };
        UpstreamError::new(failure, problem.to_string(), elapsed)
    }

    /// The same with the upstream's own code and words, both redacted and cut.
    fn saying(mut self, said: &ErrorFacts) -> UpstreamError {
        let shown = |text: &str| {
            let redacted = redact(text);
            let flat = redacted.chars().map(|c| if c.is_control() { ' ' } else { c });
            let mut short: String = flat.take(SAID_MAX).collect();
            if redacted.chars().nth(SAID_MAX).is_some() {
                short.push('…');
            }
            short
        };
        let (code, text) = (code_of(said), said.message.as_deref());
        *self.said = UpstreamSaid { code: code.as_deref().map(shown), text: text.map(shown) };
        self
    }

    /// In our words, and after them what the upstream of this name said.
    pub(crate) fn full_message(&self, upstream: &str) -> String {
        let message = &self.message;
        match self.said.line(upstream) {
            Some(line) => format!("{message}: {line}"),
            None => message.clone(),
        }
    }

    /// The wait that the upstream asks for, in whole seconds, rounded up: 1 to 300. A client that
    /// is sent away for 0 s asks in a loop.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        let seconds = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| seconds(wait).clamp(1, RETRY_AFTER_MAX.as_secs()))
    }

    /// The same with the wait of a header; of two that differ the longer counts.
    pub(super) fn after(self, retry_after: Option<Duration>) -> UpstreamError {
        let said = self.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
        UpstreamError { retry_after: said.max(retry_after), ..self }
    }
}

impl UpstreamSaid {
    /// What the upstream of this name said, with its code, in one line; `None` for nothing.
    pub(crate) fn line(&self, upstream: &str) -> Option<String> {
        let UpstreamSaid { code, text } = self;
        let code = code.as_ref().map(|code| format!(" (code `{code}`)"));
        let (code, text) = match (code, text) {
            (None, None) => return None,
            (Some(code), None) => return Some(format!("`{upstream}` gave no text{code}")),
            (code, Some(text)) => (code.unwrap_or_default(), text),
        };
        Some(format!("`{upstream}` said{code}: {text}"))
    }
}

/// The code that clients know: OpenAI's where the upstream uses another word for it.
fn code_of(said: &ErrorFacts) -> Option<String> {
    if said.is_too_long() {
        return Some("context_length_exceeded".to_owned());
    }
    let own = said.code.clone().or_else(|| said.kind.clone());
    if said.moderated { own.or_else(|| Some("content_filter".to_owned())) } else { own }
}

/// Whose fault it is. What the upstream says counts before the status it says it with: servers
/// answer 500 to a prompt that is too long, and 403 to one that moderation refuses.
fn classify(status: Option<u16>, said: &ErrorFacts) -> Failure {
    if said.is_account_limit() {
        return Failure::AccountLimit;
    }
    if said.moderated || said.is_too_long() {
        return Failure::Refused;
    }
    // Google says so with status 400.
    if said.code.as_deref() == Some("invalid_api_key") {
        return Failure::Credential;
    }
    if let Some(status) = status {
        return Failure::of_status(status);
    }
    match (said.code.as_deref(), said.kind.as_deref()) {
        (Some("rate_limit_exceeded" | "slow_down"), _) | (_, Some("rate_limit_error")) => {
            Failure::RateLimited
        }
        (_, Some("authentication_error")) => Failure::Credential,
        (_, Some("invalid_request_error")) => Failure::Refused,
        (_, _) => Failure::ServerError,
    }
}

fn status_message(status: u16, failure: Failure) -> String {
    let what = match failure {
        Failure::AccountLimit => "says that our account's credit or limit is used up",
        Failure::RateLimited => "is limiting our rate",
        Failure::Credential => "refused our credential",
        Failure::Refused => "refused the request",
        Failure::TotalTimeout => "timed out",
        Failure::ServerError => "failed",
        Failure::Malformed if (300..400).contains(&status) => {
            "answered with a redirect, and redirects are never followed"
        }
        Failure::Unreachable
        | Failure::FirstByteTimeout
        | Failure::IdleTimeout
        | Failure::CutShort
        | Failure::Malformed
        | Failure::Empty
        | Failure::TooLarge
        | Failure::Unrendered
        | Failure::Blocked
        | Failure::Retrieval
        | Failure::ClientGone
        | Failure::ServerStopping
        | Failure::Internal => "answered with a status that no chat completion has",
    };
    format!("the upstream {what} (status {status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> UpstreamError {
        let said = ErrorFacts::of_body(body.as_bytes());
        UpstreamError::of_status(status, &said, Elapsed::default())
    }

    #[test]
    fn a_status_is_explained() {
        let check = |status, body, expected: &str| {
            let error = of(status, body);
            assert_eq!(error.message, format!("the upstream {expected} (status {status})"));
            assert_eq!(error.status, Some(status));
        };
        check(401, "", "refused our credential");
        check(429, "", "is limiting our rate");
        let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
        check(429, quota, "says that our account's credit or limit is used up");
        check(503, "", "failed");
        check(404, "", "refused the request");
        check(302, "", "answered with a redirect, and redirects are never followed");
        check(600, "", "answered with a status that no chat completion has");
    }

    #[test]
    fn what_is_said_counts_before_the_status() {
        let check = |status, body, failure, code: Option<&str>| {
            let error = of(status, body);
            assert_eq!((error.failure, error.said.code.as_deref()), (failure, code), "{body}");
        };
        check(
            403,
            r#"{"error":{"code":403,"message":"flagged","metadata":{"flagged_input":"x"}}}"#,
            Failure::Refused,
            Some("content_filter"),
        );
        check(403, r#"{"error":{"message":"no"}}"#, Failure::Credential, None);
        check(
            500,
            r#"{"error":{"message":"request (900 tokens) exceeds the available context size"}}"#,
            Failure::Refused,
            Some("context_length_exceeded"),
        );
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            Failure::Refused,
            Some("context_length_exceeded"),
        );
        check(400, r#"{"error":{"code":"bad_tool"}}"#, Failure::Refused, Some("bad_tool"));
    }

    #[test]
    fn an_account_that_is_used_up_or_shut_off_is_the_account_s_limit() {
        let check = |status, body: &str| {
            assert_eq!(of(status, body).failure, Failure::AccountLimit, "{body}");
        };
        check(429, r#"{"error":{"code":"credit_balance_exhausted"}}"#);
        check(429, r#"{"error":{"type":"exceeded_current_quota_error"}}"#);
        check(429, r#"{"error":{"code":"1113","message":"您的账户已欠费，请充值后重试。"}}"#);
        check(
            429,
            r#"{"error":{"message":"Your account x is suspended due to Insufficient Balance"}}"#,
        );
        check(400, r#"{"error":{"code":"Arrearage","type":"Arrearage"}}"#);
        check(403, r#"{"error":{"code":"AccountOverdueError"}}"#);
        check(401, r#"{"error":{"type":"invalid_request_error","code":"account_deactivated"}}"#);
        let details = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m",
                          "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        check(429, details);
        assert_eq!(of(429, r#"{"error":{"code":"113"}}"#).failure, Failure::RateLimited);
    }

    #[test]
    fn an_error_with_status_200_is_classified_by_its_words() {
        let check = |body: &str, failure| {
            let problem = AnswerProblem::Error(ErrorFacts::of_body(body.as_bytes()));
            let error = UpstreamError::of_problem(&problem, Elapsed::default());
            assert_eq!(error.failure, failure, "{body}");
            assert!(!error.message.contains("SECRET"), "{}", error.message);
        };
        check(r#"{"error":{"message":"SECRET"}}"#, Failure::ServerError);
        check(r#"{"error":"SECRET"}"#, Failure::ServerError);
        check(r#"{"error":{"code":429}}"#, Failure::RateLimited);
        check(r#"{"error":{"code":400,"type":"x"}}"#, Failure::Refused);
        check(r#"{"error":{"code":"insufficient_quota"}}"#, Failure::AccountLimit);
        check(r#"{"error":{"type":"insufficient_quota"}}"#, Failure::AccountLimit);
        check(r#"{"error":{"type":"invalid_request_error"}}"#, Failure::Refused);
        check(r#"{"error":{"code":"invalid_api_key"}}"#, Failure::Credential);
        check(r#"{"error":{"code":"slow_down"}}"#, Failure::RateLimited);
    }

    #[test]
    fn what_the_upstream_said_is_kept_short_and_redacted() {
        let text = format!("write to mei.tan@example.com\n{}", "长".repeat(300));
        let body = serde_json::json!({"error": {"message": text}}).to_string();
        let said = of(400, &body).said.text.unwrap();
        assert!(!said.contains("mei.tan") && !said.contains('\n'), "{said}");
        assert_eq!(said.chars().count(), SAID_MAX + 1);
    }

    #[test]
    fn a_wait_is_a_whole_number_from_1_to_300() {
        let wait = |ms| of(429, "").after(Some(Duration::from_millis(ms))).retry_after_s();
        assert_eq!((wait(1_500), wait(20_000), wait(0)), (Some(2), Some(20), Some(1)));
        assert_eq!(
            (wait(300_000), wait(300_001), wait(u64::MAX)),
            (Some(300), Some(300), Some(300))
        );
    }
}
