//! The sentences about failures that all upstreams share.

use super::{Took, UpstreamError};
use tidegate_core::upstream::Failure;

impl UpstreamError {
    /// A failure without a status.
    pub(super) fn new(failure: Failure, message: impl Into<String>, took: Took) -> UpstreamError {
        UpstreamError { failure, status: None, message: message.into(), retry_after_s: None, took }
    }

    /// The failure that a non-2xx status means; `code` is the `error.code` of its envelope.
    pub(super) fn of_status(status: u16, code: Option<&str>, took: Took) -> UpstreamError {
        let failure = Failure::of_status(status, code);
        let message = status_message(status, failure);
        UpstreamError { status: Some(status), ..UpstreamError::new(failure, message, took) }
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
        | Failure::TooLarge
        | Failure::ClientGone
        | Failure::Internal => "answered with a status that no chat completion has",
    };
    format!("the upstream {what} (status {status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_explained() {
        let check = |status, code, expected: &str| {
            let error = UpstreamError::of_status(status, code, Took::default());
            assert_eq!(error.message, format!("the upstream {expected} (status {status})"));
            assert_eq!(error.status, Some(status));
        };
        check(401, None, "refused our credential");
        check(429, None, "is limiting our rate");
        check(
            429,
            Some("insufficient_quota"),
            "says that our account's credit or limit is used up",
        );
        check(503, None, "failed");
        check(404, None, "refused the request");
        check(302, None, "answered with a redirect, and redirects are never followed");
        check(600, None, "answered with a status that no chat completion has");
    }
}
